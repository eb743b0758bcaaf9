"""Remote write to real receivers: every number is read back."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from measurand import CollectorRegistry, Counter, Gauge, Histogram, Summary
from measurand.errors import ExportFailed
from measurand.exporters.delivery import Delivery
from measurand.exporters.protocol import Exporter
from measurand.exporters.remote_write import RemoteWrite
from measurand.metrics.collecting import gather
from measurand.testing.exporters import ExporterConformance
from tests.exporters.receiver import receiving
from tests.servers import Prometheus, VictoriaMetrics
from tests.servers.process import require
from tests.servers.prometheus import binary
from tests.support import CLOSINGS, added, wait_until

pytestmark = pytest.mark.once

PATH = "/api/v1/write"
BOTH = [
    f"--web.remote-write-receiver.accepted-protobuf-messages={message}"
    for message in ("prometheus.WriteRequest", "io.prometheus.write.v2.Request")
]
FLAGS = {
    "2.42": ["--web.enable-remote-write-receiver", "--enable-feature=native-histograms,exemplar-storage"],
    "3.5": [
        "--web.enable-remote-write-receiver",
        *BOTH,
        "--enable-feature=native-histograms,exemplar-storage,created-timestamp-zero-ingestion",
    ],
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Prometheus]]:
    """A Prometheus that takes remote write, of each version one for all tests."""
    known: dict[str, Prometheus] = {}
    with ExitStack() as stack:

        def start(version: str) -> Prometheus:
            if version not in known:
                program = binary("prometheus", version)
                require(program)
                server = Prometheus(program, tmp_path_factory.mktemp("prometheus"), flags=FLAGS[version])
                known[version] = stack.enter_context(server)
            return known[version]

        yield start


@pytest.fixture
def made() -> Iterator[Callable[..., RemoteWrite]]:
    """Makes exporters, and closes them."""
    with ExitStack() as stack:

        def make(url: str, **settings: Any) -> RemoteWrite:
            exporter = RemoteWrite(f"{url}{PATH}", **settings)
            stack.callback(exporter.close)
            return exporter

        yield make


class OnPrometheus(ExporterConformance):
    """The kit, read back by PromQL."""

    __test__ = False
    closings = CLOSINGS
    version = "3.5"
    protocol: Any = "2.0"

    @pytest.fixture(autouse=True)
    def _peer(self, running: Callable[[str], Prometheus], made: Callable[..., RemoteWrite]) -> None:
        self.server = running(self.version)
        self.peer = urlsplit(self.server.url).netloc
        self.made = made
        self.job = f"{self.version} {self.protocol}"

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        return self.made(f"http://{address}", version=self.protocol, timeout=timeout, labels={"job": self.job})

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in {**labels, "job": self.job}.items())
        found = self.server.query(f"{name}{{{pairs}}}")
        assert len(found) <= 1
        return found[0].value if found else None

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return self.measured(f"{name}_total", labels)

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        return self.measured(f"{name}_count", labels), self.measured(f"{name}_sum", labels)


class TestVersion2OnPrometheus(OnPrometheus):
    __test__ = True


class TestFallingBackOnPrometheus(OnPrometheus):
    __test__ = True
    version = "2.42"
    protocol = "auto"


class TestVersion1OnVictoriaMetrics(ExporterConformance):
    closings = CLOSINGS

    @pytest.fixture(autouse=True)
    def _peer(self, victoriametrics: VictoriaMetrics, made: Callable[..., RemoteWrite]) -> None:
        self.server = victoriametrics
        self.peer = victoriametrics.address
        self.made = made

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        return self.made(f"http://{address}", timeout=timeout, labels={"job": "remote write"})

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        return self.server.last(name, **labels, job="remote write")

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return self.measured(f"{name}_total", labels)

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        return self.measured(f"{name}_count", labels), self.measured(f"{name}_sum", labels)


# -- everything is read back ---------------------------------------------------------------------------------------------------

Samples = dict[frozenset[tuple[str, str]], list[tuple[int, float]]]


class Shop:
    """A registry of each kind of metric."""

    def __init__(self) -> None:
        self.registry = at = CollectorRegistry()
        self.orders = Counter("orders_total", "Orders", ["channel"], registry=at)
        self.depth = Gauge("depth", "Depth", ["lane"], registry=at)
        self.wait = Histogram("wait_seconds", "Wait", ["route"], buckets=(0.25, 1, 4), registry=at)
        self.size = Summary("size_bytes", "Size", registry=at)

    def record(self, step: int) -> None:
        for channel in ("web", "", "ünï ✓", 'quote"\\\n', "nul\0"):
            self.orders.labels(channel).inc(step + 0.1)
        for lane, level in (("a", -step), ("zero", 0), ("minus zero", -0.0), ("huge", 1e300), ("tiny", 5e-324), ("inf", math.inf)):
            self.depth.labels(lane).set(level)
        self.wait.labels("/v1/items").observe(step / 3)
        self.size.observe(step**3)

    def expected(self, sent: Samples, moment: int, **own: str) -> None:
        """Add what a receiver is to have of the present numbers."""
        for family in self.registry.collect():
            for sample in family.samples:
                labels = {name: value for name, value in {**sample.labels, **own}.items() if value}
                if not sample.name.endswith("_created"):
                    sent.setdefault(frozenset({**labels, "__name__": sample.name}.items()), []).append((moment, sample.value))


def deliver(shop: Shop, exporter: RemoteWrite, job: str) -> Samples:
    """Deliver some snapshots; what was in them."""
    sent: Samples = {}
    for step in range(1, 6):
        shop.record(step)
        snapshot = gather(shop.registry)
        moment = round(snapshot.time * 1000)
        shop.expected(sent, moment, job=job)
        snapshot.seconds = 20.0
        exporter.export(snapshot)
        wait_until(lambda moment=moment: time.time() * 1000 > moment + 2)  # so that each has a time of its own
    return sent


@pytest.mark.parametrize(("version", "protocol"), [("3.5", "2.0"), ("3.5", "1.0"), ("2.42", "1.0"), ("2.42", "auto")])
def test_prometheus_has_every_sample(
    running: Callable[[str], Prometheus], made: Callable[..., RemoteWrite], version: str, protocol: Any
) -> None:
    server, job = running(version), f"all {version} {protocol}"
    sent = deliver(Shop(), made(server.url, version=protocol, labels={"job": job}, max_samples=7), job)
    stored = server.api("query", query=f"{{job={json.dumps(job)}}}[10m]")["result"]
    found = {frozenset(one["metric"].items()): one["values"] for one in stored}
    assert found.keys() == sent.keys()
    for labels, samples in sent.items():
        first = found[labels][0]
        kept = found[labels][1:] if len(found[labels]) > len(samples) and first[1] == "0" else found[labels]  # since when it counts
        assert [(round(moment * 1000), float(value)) for moment, value in kept] == samples


def test_victoriametrics_has_every_sample(victoriametrics: VictoriaMetrics, made: Callable[..., RemoteWrite]) -> None:
    sent = deliver(Shop(), made(victoriametrics.url, labels={"job": "all"}, max_samples=7), "all")
    rows = victoriametrics.export('{job="all"}')
    found = {frozenset(row.labels.items()): list(zip(row.timestamps, row.values, strict=True)) for row in rows}
    assert found.keys() == sent.keys()
    for labels, samples in sent.items():
        rounded = [(moment, pytest.approx(value, rel=1e-12)) for moment, value in samples]  # it keeps decimal digits
        assert found[labels] == rounded


def test_prometheus_before_version_3_takes_2_and_stores_nothing_which_is_noticed(
    running: Callable[[str], Prometheus], made: Callable[..., RemoteWrite]
) -> None:
    server, shop = running("2.42"), Shop()
    shop.record(1)
    with pytest.raises(ExportFailed, match="answered 204 and did not say that it has written all") as caught:
        Delivery(made(server.url, version="2.0", labels={"job": "lost"}), shop.registry).deliver(20.0)
    assert caught.value.dropped == 19
    assert server.query('{job="lost"}') == []


@pytest.mark.parametrize(("version", "protocol"), [("3.5", "auto"), ("3.5", "1.0"), ("2.42", "auto")])
def test_the_check_finds_a_receiver_and_what_is_none(
    running: Callable[[str], Prometheus], made: Callable[..., RemoteWrite], version: str, protocol: Any
) -> None:
    made(running(version).url, version=protocol).check()
    with pytest.raises(ExportFailed, match="answered 404"):
        made(f"{running(version).url}/nowhere", version=protocol).check()


def test_the_check_finds_victoriametrics(victoriametrics: VictoriaMetrics, made: Callable[..., RemoteWrite]) -> None:
    made(victoriametrics.url).check()


# -- what not every receiver can show ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "protocol"), [("3.5", "2.0"), ("2.42", "1.0")])
def test_a_native_histogram_arrives_as_one(
    running: Callable[[str], Prometheus], made: Callable[..., RemoteWrite], version: str, protocol: Any
) -> None:
    registry, job = CollectorRegistry(), f"native {protocol}"
    wait = Histogram("native_wait_seconds", "Wait", native=True, registry=registry)
    values = [0.001 * 1.03**step for step in range(300)]
    for value in (0, *values):
        wait.observe(value)
    server = running(version)
    Delivery(made(server.url, version=protocol, labels={"job": job}), registry).deliver(20.0)
    (stored,) = server.query(f'native_wait_seconds{{job="{job}"}}')
    assert stored.histogram is not None
    assert float(stored.histogram["count"]) == 301
    assert float(stored.histogram["sum"]) == added(values)
    for low, high, count in ((float(low), float(high), float(count)) for _, low, high, count in stored.histogram["buckets"]):
        within = [value for value in values if low < value <= high]
        assert count == (len(within) if low > 0 else 1)
    median = server.value(f'histogram_quantile(0.5, native_wait_seconds{{job="{job}"}})')
    assert median == pytest.approx(sorted(values)[149], rel=0.091)


@pytest.mark.parametrize("version", ["3.5", "2.42"])
def test_where_native_histograms_are_switched_off_classic_ones_arrive(
    prometheus: Callable[..., Prometheus], made: Callable[..., RemoteWrite], version: str
) -> None:
    server = prometheus(version, flags=[FLAGS[version][0], *(BOTH if version == "3.5" else [])])
    registry = CollectorRegistry()
    Histogram("native_wait_seconds", "Wait", buckets=(1, 10), native=True, registry=registry).observe(0.5)
    Gauge("depth", "Depth", registry=registry).set(7)
    delivery = Delivery(made(server.url, labels={"job": "shop"}), registry)
    with pytest.raises(ExportFailed, match="disabled; they are sent as classic ones from now on") as caught:
        delivery.deliver(20.0)
    assert caught.value.dropped == 1
    assert server.value("depth") == 7
    delivery.deliver(20.0)
    server.wait_for("native_wait_seconds_count == 1")
    assert server.value('native_wait_seconds_bucket{le="1.0"}') == 1


@pytest.mark.parametrize(("version", "protocol"), [("3.5", "2.0"), ("2.42", "1.0")])
def test_a_series_that_is_removed_is_not_shown_any_more(
    running: Callable[[str], Prometheus], made: Callable[..., RemoteWrite], version: str, protocol: Any
) -> None:
    server, registry = running(version), CollectorRegistry()
    depth = Gauge("removed_depth", "Depth", ["lane"], registry=registry)
    wait = Histogram("removed_wait_seconds", "Wait", ["lane"], native=True, registry=registry)
    for lane in ("a", "b"):
        depth.labels(lane).set(1)
        wait.labels(lane).observe(1)
    delivery = Delivery(made(server.url, version=protocol), registry)
    delivery.deliver(20.0)
    for name in ("removed_depth", "removed_wait_seconds"):
        server.wait_for(name, lambda found: {one.labels["lane"] for one in found} == {"a", "b"})
    depth.remove("a")
    wait.remove("a")
    delivery.deliver(20.0)
    for name in ("removed_depth", "removed_wait_seconds"):
        server.wait_for(name, lambda found: {one.labels["lane"] for one in found} == {"b"})


def test_prometheus_knows_since_when_a_counter_counts(running: Callable[[str], Prometheus], made: Callable[..., RemoteWrite]) -> None:
    server, registry = running("3.5"), CollectorRegistry()
    orders = Counter("dated_orders_total", "Orders", registry=registry)
    orders.inc(3)
    (series,) = next(family for family in gather(registry).points() if family.name == "dated_orders").series
    assert series.created is not None
    Delivery(made(server.url, version="2.0"), registry).deliver(20.0)
    (stored,) = server.api("query", query="dated_orders_total[10m]")["result"]
    begun, counted = stored["values"]
    assert begun[1] == "0"
    assert begun[0] == pytest.approx(series.created, abs=0.0021)
    assert counted[1] == "3"


@pytest.mark.parametrize(("version", "protocol"), [("3.5", "2.0"), ("2.42", "1.0")])
def test_exemplars_arrive_once_each(
    running: Callable[[str], Prometheus], made: Callable[..., RemoteWrite], version: str, protocol: Any
) -> None:
    server, registry = running(version), CollectorRegistry()
    orders = Counter("traced_orders_total", "Orders", registry=registry)
    wait = Histogram("traced_wait_seconds", "Wait", native=True, registry=registry)
    begun = time.time()
    delivery = Delivery(made(server.url, version=protocol), registry)
    delivery.deliver(20.0)  # Prometheus 2 forgets exemplars of native histograms that it has not heard of
    for step in range(3):
        moment = time.time() * 1000
        orders.inc(exemplar={"trace_id": f"order {step}"})
        wait.observe(4 - step, exemplar={"trace_id": f"wait {step}"})
        delivery.deliver(20.0)
        delivery.deliver(20.0)
        wait_until(lambda moment=moment: time.time() * 1000 > moment + 5)
    span = {"start": str(begun - 10), "end": str(time.time() + 10)}
    for name, said in (("traced_orders_total", "order"), ("traced_wait_seconds", "wait")):
        (stored,) = server.api("query_exemplars", query=name, **span)
        assert [one["labels"]["trace_id"] for one in stored["exemplars"]] == [f"{said} {step}" for step in range(3)]


def test_the_receiver_of_other_tests_finds_the_series_that_prometheus_finds(
    running: Callable[[str], Prometheus], made: Callable[..., RemoteWrite]
) -> None:
    shop = Shop()
    shop.record(1)
    with receiving() as receiver:
        Delivery(made(f"http://127.0.0.1:{receiver.port}", labels={"job": "told"}), shop.registry).deliver(20.0)
        (request,) = receiver.requests
        exporter = made(running("3.5").url, version="2.0", labels={"job": "told"})
        Delivery(exporter, shop.registry).deliver(20.0)
        assert {frozenset(one.labels.items()) for one in running("3.5").query('{job="told"}')} == request.written.samples.keys()
