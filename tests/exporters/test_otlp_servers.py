"""OTLP into real servers: a collector that prints every field, and VictoriaMetrics; and the conformance kit on both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import inf, isclose, isnan, nan
from pathlib import Path
from typing import Any

import pytest

from measurand.exporters.delivery import Delivery
from measurand.exporters.otlp import OTLP
from measurand.exporters.protocol import Exporter
from measurand.metrics.collecting import gather
from measurand.metrics.instruments import Counter, Gauge, Histogram, Summary
from measurand.metrics.points import PointFamily, Series
from measurand.metrics.registry import CollectorRegistry
from measurand.testing.exporters import HOSTILE, ExporterConformance
from tests.exporters.otlp_peers import printed
from tests.servers import Rotel, VictoriaMetrics
from tests.support import CLOSINGS, run_python, wait_until

pytestmark = pytest.mark.once

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CHANNELS = ("web", "phone", 'a "quoted" ünïcode \\ ✓')


class Shop:
    """A registry with something of each kind, with and without labels.

    Args:
        seed: Of what is recorded.
        step: Amounts are multiples of it; VictoriaMetrics does not keep all digits of others.
    """

    def __init__(self, seed: int, step: float = 0.0) -> None:
        at = self.registry = CollectorRegistry()
        self.orders = Counter("orders_total", "Orders", ["channel", "kind"], registry=at)
        self.level = Gauge("level_celsius", "Level", ["of"], unit="celsius", registry=at)
        self.took = Histogram("took_seconds", "Took", ["channel"], unit="seconds", buckets=(0.25, 1, 4), registry=at)
        self.native = Histogram("native_seconds", "Native", ["channel"], native=True, registry=at)
        self.change = Histogram("change", "Change, which may be negative", buckets=(-1, 0, 1), registry=at)
        self.size = Summary("size_bytes", "Size", registry=at)
        self._chance = random.Random(seed)
        self._step = step

    def record(self, times: int = 40) -> None:
        chance = self._chance

        def amount(low: float, high: float) -> float:
            exact = chance.uniform(low, high)
            return round(exact / self._step) * self._step if self._step else exact

        for _ in range(times):
            channel = chance.choice(CHANNELS)
            self.orders.labels(channel, "retail").inc(chance.choice((1, amount(0, 1), 1e6)))
            self.level.labels(channel).set(amount(-50, 50))
            self.took.labels(channel).observe(amount(0, 8))
            self.native.labels(channel).observe(chance.choice((0.0, -1.0, amount(0, 1), amount(0, 1000))))
            self.change.observe(amount(-2, 2))
            self.size.observe(amount(0, 1e6))

    def families(self) -> list[PointFamily]:
        return gather(self.registry).points()

    def size_of(self) -> int:
        return sum(len(family.series) for family in self.families())


def deliver(exporter: OTLP, shop: Shop) -> None:
    Delivery(exporter, shop.registry).deliver(30.0)
    exporter.close()


# -- a collector -------------------------------------------------------------------------------------------------------------


def printed_points(rotel: Rotel, least: int) -> list[dict[str, Any]]:
    """What the collector has printed, once that is so many points."""
    wait_until(lambda: len(printed(rotel.log)) >= least, what=lambda: rotel.log[-3000:], every=0.05)
    return printed(rotel.log)


def check_point(found: dict[str, Any], family: PointFamily, series: Series, is_delta: bool) -> None:
    """Every number of a point is the series' own."""
    numbers = series.numbers
    if family.type == "counter":
        assert (found["type"], found["is_monotonic"], found["value"]) == ("Sum", "true", numbers[0])
    elif family.type == "gauge":
        assert (found["type"], found["value"], found["start"]) == ("Gauge", numbers[0], 0)
    elif family.type == "summary":
        assert (found["type"], found["count"], found["sum"]) == ("Histogram" if is_delta else "Summary", numbers[0], numbers[1])
    elif family.native is None:
        assert (found["type"], found["bounds"], found["buckets"]) == ("Histogram", list(family.bounds), list(numbers[:-1]))
        assert found["count"] == sum(numbers[:-1])
        assert found.get("sum") == (None if family.bounds[0] < 0 else numbers[-1])
    else:
        assert (found["type"], found["count"], found["sum"]) == ("ExponentialHistogram", sum(numbers[:-1]), numbers[-1])
        check_buckets(found["buckets"], family, series)
    if found["type"] not in {"Gauge", "Summary"}:
        assert found["temporality"] == ("delta" if is_delta else "cumulative")


def check_buckets(found: list[tuple[float, int]], family: PointFamily, series: Series) -> None:
    native = family.native_buckets(series)
    expected = [(2.0 ** ((native.offset + at) * 2.0**-native.schema), count) for at, count in enumerate(native.counts) if count]
    if native.zero_count:
        expected.insert(0, (0.0, native.zero_count))
    assert [count for _, count in found] == [count for _, count in expected]
    assert all(isclose(bound, known, rel_tol=1e-9) for (bound, _), (known, _) in zip(found, expected, strict=True))


@pytest.mark.parametrize("compression", ["gzip", None])
@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_every_number_of_every_kind_arrives_as_it_is(rotel: Rotel, temporality: Any, compression: Any) -> None:
    shop = Shop(seed=1)
    shop.record()
    resource = {"service.name": "shop", "service.instance.id": "a", "port": 80}
    settings: Any = {"temporality": temporality, "compression": compression, "max_points_per_request": 5}
    deliver(OTLP(rotel.url, resource=resource, **settings), shop)
    points = {(point["name"], tuple(sorted(point["attributes"].items()))): point for point in printed_points(rotel, shop.size_of())}
    for family in shop.families():
        for series in family.series:
            found = points.pop((family.exposed_name, series.labels))
            check_point(found, family, series, temporality == "delta")
            assert found["start"] <= found["time"]
            about = (found["description"], found["unit"], found["resource"])
            unit = {"seconds": "s", "celsius": "Cel"}.get(family.unit, "")
            expected = {name: str(value) for name, value in resource.items()}
            assert about == (family.documentation, unit, {**expected, "scope": found["resource"]["scope"]})
            assert found["resource"]["scope"].startswith("measurand ")
    assert points == {}


def test_sums_and_gauges_arrive_as_json_too(rotel: Rotel) -> None:
    """This collector reads neither all digits of a number nor counts that are texts; histograms are for the official decoder."""
    shop = Shop(seed=1, step=0.125)
    shop.record()
    deliver(OTLP(rotel.url, protocol="http/json"), shop)
    points = printed_points(rotel, 2 * len(CHANNELS))
    simple = [family for family in shop.families() if family.type in {"counter", "gauge"}]
    assert len(points) == sum(len(family.series) for family in simple)
    for family in simple:
        for series in family.series:
            (found,) = [
                point for point in points if point["name"] == family.exposed_name and point["attributes"] == dict(series.labels)
            ]
            check_point(found, family, series, False)


def test_exemplars_arrive_with_their_trace(rotel: Rotel) -> None:
    registry = CollectorRegistry()
    counter = Counter("orders_total", "Orders", registry=registry)
    took = Histogram("took_seconds", "Took", buckets=(0.25, 1), registry=registry)
    native = Histogram("native_seconds", "Native", native=True, registry=registry)
    counter.inc(2, exemplar={"trace_id": TRACE, "span_id": SPAN, "user": "ada"})
    for metric in (took, native):
        metric.observe(0.125, exemplar={"order": "7"})
        metric.observe(8, exemplar={"trace_id": TRACE})
    exporter = OTLP(rotel.url)
    Delivery(exporter, registry).deliver(30.0)
    exporter.close()
    exemplars = {point["name"]: point["exemplars"] for point in printed_points(rotel, 3)}
    whole = {"trace_id": TRACE, "span_id": SPAN, "value": 2.0, "attributes": {"user": "ada"}}
    assert exemplars["orders_total"] == [whole]
    for name in ("took_seconds", "native_seconds"):
        found = [(one["value"], one["trace_id"], one["attributes"]) for one in exemplars[name]]
        assert found == [(0.125, "", {"order": "7"}), (8, TRACE, {})]


@pytest.mark.parametrize("value", [nan, inf, -inf, -0.0, 5e-324, 1.7976931348623157e308])
def test_a_number_of_any_kind_arrives(rotel: Rotel, value: float) -> None:
    registry = CollectorRegistry()
    Gauge("odd", "Odd", registry=registry).set(value)
    exporter = OTLP(rotel.url)
    Delivery(exporter, registry).deliver(30.0)
    exporter.close()
    (point,) = printed_points(rotel, 1)
    assert isnan(point["value"]) if isnan(value) else repr(point["value"]) == repr(value)


SERVICE = """
import measurand
from measurand import Counter
orders = Counter("orders_total", "Orders", ["channel"])
address = "otlp+{url}?interval=3600&resource.service.instance.id=a"
with measurand.start("shop", "production", "1.2", exporters=[address], state_directory={state!r}, runtime_metrics=False):
    orders.labels("web").inc(3)
"""


def test_a_service_delivers_its_last_numbers_and_says_whose_they_are(rotel: Rotel, tmp_path: Path) -> None:
    done = run_python(SERVICE.format(url=rotel.url, state=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    wait_until(lambda: any(point["name"] == "orders_total" for point in printed(rotel.log)), what=lambda: rotel.log[-3000:])
    (point,) = [point for point in printed(rotel.log) if point["name"] == "orders_total"]
    assert (point["value"], point["attributes"]) == (3, {"channel": "web", "environment": "production", "service": "shop"})
    expected = {
        "service.name": "shop",
        "service.version": "1.2",
        "deployment.environment.name": "production",
        "service.instance.id": "a",
    }
    assert {name: value for name, value in point["resource"].items() if name != "scope"} == expected


# -- VictoriaMetrics ---------------------------------------------------------------------------------------------------------


def stored(server: VictoriaMetrics, run: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]:
    """The values of each series, by name and labels, without those of the resource and the scope."""
    found = {}
    for series in server.export(f'{{run="{run}"}}'):
        labels = {name: value for name, value in series.labels.items() if "." not in name and name not in {"__name__", "run"}}
        found[series.labels["__name__"], tuple(sorted(labels.items()))] = series.values
    return found


def expected_of(shop: Shop) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a server of Prometheus' kind has to have of a registry, native histograms excepted."""
    expected = {}
    for family in shop.registry.collect():
        for sample in family.samples:
            is_sum_left_out = sample.name == "change_sum"
            if not sample.name.startswith("native_") and not is_sum_left_out:
                labels = {name: value if name != "le" else bound_of(value) for name, value in sample.labels.items()}
                expected[sample.name, tuple(sorted(labels.items()))] = sample.value
    return expected


def bound_of(text: str) -> str:
    return text.removesuffix(".0")


def test_every_total_is_stored_as_it_is(victoriametrics: VictoriaMetrics) -> None:
    shop = Shop(seed=2, step=0.125)
    shop.record()
    deliver(OTLP(f"{victoriametrics.url}/opentelemetry", resource={"run": "totals"}), shop)
    wanted = expected_of(shop)
    wait_until(lambda: stored(victoriametrics, "totals").keys() >= wanted.keys(), what=lambda: str(stored(victoriametrics, "totals")))
    found = stored(victoriametrics, "totals")
    assert {key: values for key, values in found.items() if not key[0].startswith("native_")} == {
        key: [value] for key, value in wanted.items()
    }
    for family in shop.families():
        for series in family.series if family.native is not None else ():
            ranges = {dict(labels)["vmrange"]: values for (name, labels), values in found.items() if is_range(name, labels, series)}
            native = family.native_buckets(series)
            zero = [native.zero_count] if native.zero_count else []
            assert sorted(value for (value,) in ranges.values()) == sorted([*zero, *[count for count in native.counts if count]])
            assert found["native_seconds_count", series.labels] == [native.count]
            assert found["native_seconds_sum", series.labels] == [series.numbers[-1]]


def is_range(name: str, labels: tuple[tuple[str, str], ...], series: Series) -> bool:
    return name == "native_seconds_bucket" and {*series.labels} <= {*labels}


def test_differences_that_are_stored_add_up_to_what_was_recorded(victoriametrics: VictoriaMetrics, still_clock: Any) -> None:
    shop = Shop(seed=3, step=0.125)
    still_clock.date = 1.79e9
    exporter = OTLP(f"{victoriametrics.url}/opentelemetry", temporality="delta", resource={"run": "differences"})
    delivery = Delivery(exporter, shop.registry)
    for _ in range(5):
        shop.record(5)
        delivery.deliver(30.0)
        still_clock.advance(1)  # two points of one moment would be one
    exporter.close()
    wanted = {key: value for key, value in expected_of(shop).items() if key[0] != "level_celsius"}

    def differing() -> dict[Any, Any]:
        found = {key: sum(values) for key, values in stored(victoriametrics, "differences").items()}
        return {key: (found.get(key), value) for key, value in wanted.items() if not isclose(found.get(key, nan), value, rel_tol=1e-12)}

    wait_until(lambda: not differing(), what=lambda: str(differing()), every=0.05)


def test_labels_of_any_content_are_stored_as_they_are(victoriametrics: VictoriaMetrics) -> None:
    registry = CollectorRegistry()
    counter = Counter("hostile_total", 'Help with \\ and "quotes"\nand lines', ["what"], registry=registry)
    for number, value in enumerate(HOSTILE, 1):
        counter.labels(value).inc(number)
    exporter = OTLP(f"{victoriametrics.url}/opentelemetry", resource={"run": "hostile"})
    Delivery(exporter, registry).deliver(30.0)
    exporter.close()
    wait_until(lambda: len(stored(victoriametrics, "hostile")) == len(HOSTILE))
    found = {dict(labels).get("what", ""): values for (_, labels), values in stored(victoriametrics, "hostile").items()}
    assert found == {value: [number] for number, value in enumerate(HOSTILE, 1)}


# -- the kit -----------------------------------------------------------------------------------------------------------------


class Kit(ExporterConformance):
    closings = CLOSINGS
    settings: Any = {}  # noqa: RUF012 - it is never changed
    path = ""

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        self.made.append(OTLP(f"http://{address}{self.path}", timeout=timeout, **self.settings))
        return self.made[-1]

    @pytest.fixture(autouse=True)
    def _closed(self) -> Iterator[None]:
        self.made: list[OTLP] = []
        yield
        for exporter in self.made:
            exporter.close()


class TestTotalsInVictoriaMetrics(Kit):
    path = "/opentelemetry"

    @pytest.fixture(autouse=True)
    def _peer(self, victoriametrics: VictoriaMetrics) -> None:
        self.server = victoriametrics
        self.peer = victoriametrics.address

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return self.server.last(f"{name}_total", **labels)

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        return self.server.last(name, **labels)

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        return self.server.last(f"{name}_count", **labels), self.server.last(f"{name}_sum", **labels)


class TestDifferencesInACollector(Kit):
    settings: Any = {"temporality": "delta"}  # noqa: RUF012 - it is never changed

    @pytest.fixture(autouse=True)
    def _peer(self, rotel: Rotel) -> None:
        self.server = rotel
        self.peer = f"127.0.0.1:{rotel.port}"
        self.begin = 0

    def _log(self) -> bytes:
        with self.server.process.log_file.open("rb") as file:
            file.seek(self.begin)
            return file.read()

    def forget(self) -> None:
        self.begin += max(self._log().rfind(b"ResourceMetrics #"), 0)

    def _points(self, name: str, labels: dict[str, str]) -> list[dict[str, Any]]:
        points = printed(self._log().decode(errors="replace"))
        return [point for point in points if point["name"] == name and point["attributes"] == labels]

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return sum(point.get("value", nan) for point in self._points(f"{name}_total", labels))

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        points = self._points(name, labels)
        return points[-1].get("value") if points else None

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        points = self._points(name, labels)
        return sum(point.get("count", nan) for point in points), sum(point.get("sum", nan) for point in points)
