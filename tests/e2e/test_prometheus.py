"""A real Prometheus reads from the endpoint what the program recorded."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, MetricsHandler, Summary, start_http_server
from measurand.metrics.families import GaugeHistogramMetricFamily, UnknownMetricFamily
from tests.servers.process import until
from tests.servers.prometheus import Prometheus, binary
from tests.support import in_background

HOSTILE = 'a "quoted" \\ back\nslash, \N{SNOWMAN} { } ='


@contextmanager
def serving(registry: CollectorRegistry) -> Iterator[str]:
    """The standalone server; the scraper gets the format that it asks for."""
    server, thread = start_http_server(0, registry=registry)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def serving_text(registry: CollectorRegistry) -> Iterator[str]:
    """A server that gives everybody the classic text format."""

    class Plain(MetricsHandler.factory(registry)):  # type: ignore[misc]
        def do_GET(self) -> None:
            del self.headers["Accept"]
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)


class Others:
    """A collector of the types that no instrument has."""

    def collect(self) -> Iterator[Any]:
        yield UnknownMetricFamily("e2e_unknown", "Unknown", value=-1.5)
        yield GaugeHistogramMetricFamily("e2e_sizes", "Sizes", buckets=[("10.0", 2), ("+Inf", 3)], gsum_value=25)


def everything() -> CollectorRegistry:
    """One metric of each type, with values that are hard to write."""
    registry = CollectorRegistry(target_info={"env": "test"})
    orders = Counter("e2e_orders", "Orders with a \\ and\na line", ["kind", "note"], registry=registry)
    orders.labels("parts", HOSTILE).inc(3)
    orders.labels("", "empty").inc(2**53)
    level = Gauge("e2e_level", "Levels", ["at"], registry=registry)
    for at, value in EXTREMES.items():
        level.labels(at).set(value)
    wait = Histogram("e2e_wait_seconds", "Waiting", ["route"], registry=registry, buckets=[0.1, 1, 10])
    for value in (0.05, 0.5, 0.75, 5, 50):
        wait.labels("/parts").observe(value)
    size = Summary("e2e_size_bytes", "Sizes", registry=registry)
    size.observe(100)
    size.observe(0.5)
    Info("e2e_build", "Build", registry=registry).info({"version": "1.2.3", "note": HOSTILE})
    Enum("e2e_state", "State", states=["starting", "running"], registry=registry).state("running")
    registry.register(Others())
    return registry


EXTREMES = {
    "zero": 0.0,
    "third": 1 / 3,
    "smallest": 5e-324,
    "largest": 1.7976931348623157e308,
    "negative": -12345678.9,
    "inf": math.inf,
    "-inf": -math.inf,
}

EXPECTED = [
    ("e2e_orders_total", {"kind": "parts", "note": HOSTILE}, 3),
    ("e2e_orders_total", {"note": "empty"}, 2**53),  # to Prometheus a label that is empty is none
    *(("e2e_level", {"at": at}, value) for at, value in EXTREMES.items()),
    *(("e2e_wait_seconds_bucket", {"route": "/parts", "le": le}, n) for le, n in {"0.1": 1, "1.0": 3, "10.0": 4, "+Inf": 5}.items()),
    ("e2e_wait_seconds_count", {"route": "/parts"}, 5),
    ("e2e_wait_seconds_sum", {"route": "/parts"}, 56.3),
    ("e2e_size_bytes_count", {}, 2),
    ("e2e_size_bytes_sum", {}, 100.5),
    ("e2e_build_info", {"version": "1.2.3", "note": HOSTILE}, 1),
    ("e2e_state", {"e2e_state": "starting"}, 0),
    ("e2e_state", {"e2e_state": "running"}, 1),
    ("e2e_unknown", {}, -1.5),
    ("e2e_sizes_bucket", {"le": "10.0"}, 2),
    ("e2e_sizes_bucket", {"le": "+Inf"}, 3),
    ("e2e_sizes_gcount", {}, 3),
    ("e2e_sizes_gsum", {}, 25),
    ("target_info", {"env": "test"}, 1),
]


class Stage:
    """A Prometheus that knows all its targets from its start: one that is added later waits five seconds for its first scrape."""

    def __init__(self, version: str) -> None:
        self.utf8 = version == "3.5"
        self.everything = everything()
        self.exemplars = CollectorRegistry()
        self.dotted = CollectorRegistry()
        self.declared = CollectorRegistry()
        self.replaced = CollectorRegistry()
        self.removed = CollectorRegistry()
        self.server: Prometheus
        self._version = version

    @contextmanager
    def running(self, folder: Path) -> Iterator[Self]:
        fast = {"scrape_interval": "100ms", "scrape_timeout": "100ms"}
        plan: list[tuple[str, Any, CollectorRegistry, dict[str, Any]]] = [
            ("everything-text", serving_text, self.everything, {}),
            ("everything-openmetrics", serving, self.everything, {}),
            ("declared-text", serving_text, self.declared, {}),
            ("declared-openmetrics", serving, self.declared, {}),
            ("exemplars", serving, self.exemplars, {}),
            ("dotted", serving, self.dotted, {}),
            ("replaced", serving, self.replaced, fast),
            ("removed", serving, self.removed, fast),
        ]
        if self.utf8:
            plan.append(("dotted-text", serving, self.dotted, {"scrape_protocols": ["PrometheusText1.0.0"]}))
        with ExitStack() as stack:
            jobs = [
                {"job_name": job, "static_configs": [{"targets": [stack.enter_context(serve(registry))]}], **settings}
                for job, serve, registry, settings in plan
            ]
            program = binary("prometheus", self._version)
            self.server = stack.enter_context(Prometheus(program, folder, jobs=jobs, flags=["--enable-feature=exemplar-storage"]))
            for job in jobs:
                self.server.wait_for(f'up{{job="{job["job_name"]}"}} == 1', timeout=30)
            yield self


@pytest.fixture(scope="module", params=["2.42", "3.5"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(request.param)
    Counter("e2e_orders", "Orders", registry=made.exemplars).inc(2, {"trace_id": "abc"})
    wait = Histogram("e2e_wait_seconds", "Waiting", registry=made.exemplars, buckets=[1, 10])
    wait.observe(0.5, {"trace_id": "fast"})
    wait.observe(5, {"trace_id": "slow \N{SNOWMAN}"})
    Counter("e2e.orders/\N{SNOWMAN}", "Orders", ["a kind"], registry=made.dotted).labels(HOSTILE).inc(3)
    Histogram("e2e.wait.seconds", "Waiting", registry=made.dotted, buckets=[1]).observe(0.5)
    for job in FORMATS:
        Counter(f"e2e_{job}", "Declared", ["kind"], registry=made.declared, label_values={"kind": ["parts", "kits"]})
    with made.running(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


FORMATS = ["text", "openmetrics"]
formats = pytest.mark.parametrize("form", FORMATS)


@formats
def test_every_type_and_value_is_read_back_as_it_was_recorded(stage: Stage, form: str) -> None:
    found = stage.server.query(f'{{job="everything-{form}", __name__=~"e2e_.*|target_info"}}')
    values = {}
    for labels, value, _ in found:
        own = {name: content for name, content in labels.items() if name not in {"__name__", "job", "instance"}}
        values[labels["__name__"], tuple(sorted(own.items()))] = value
    assert values == {(name, tuple(sorted(labels.items()))): value for name, labels, value in EXPECTED}


@formats
def test_types_and_help_arrive(stage: Stage, form: str) -> None:
    asked = stage.server.api("targets/metadata", match_target=f'{{job="everything-{form}"}}')
    known = {each["metric"].removesuffix("_total").removesuffix("_info"): (each["type"], each["help"]) for each in asked}
    assert known["e2e_orders"] == ("counter", "Orders with a \\ and\na line")
    assert known["e2e_level"] == ("gauge", "Levels")
    assert known["e2e_wait_seconds"] == ("histogram", "Waiting")
    assert known["e2e_size_bytes"] == ("summary", "Sizes")
    assert known["e2e_build"][0] == ("info" if form == "openmetrics" else "gauge")
    assert known["e2e_state"][0] == ("stateset" if form == "openmetrics" else "gauge")


def test_exemplars_can_be_asked_for(stage: Stage) -> None:
    now = time.time()
    span = {"start": f"{now - 600:.3f}", "end": f"{now + 60:.3f}"}
    query = '{job="exemplars", __name__=~"e2e_.*"}'
    found = until(lambda: stage.server.api("query_exemplars", query=query, **span), lambda: "no exemplars")
    exemplars = {
        (row["seriesLabels"]["__name__"], row["seriesLabels"].get("le")): (exemplar["labels"], float(exemplar["value"]))
        for row in found
        for exemplar in row["exemplars"]
    }
    assert exemplars == {
        ("e2e_orders_total", None): ({"trace_id": "abc"}, 2),
        ("e2e_wait_seconds_bucket", "1.0"): ({"trace_id": "fast"}, 0.5),
        ("e2e_wait_seconds_bucket", "10.0"): ({"trace_id": "slow \N{SNOWMAN}"}, 5),
    }


def test_utf8_names_arrive_as_they_are_where_they_are_known_and_else_escaped(stage: Stage) -> None:
    if stage.utf8:
        for job in ("dotted", "dotted-text"):
            (orders,) = stage.server.query(f'{{"e2e.orders/\N{SNOWMAN}_total", job="{job}"}}')
            assert (orders.value, orders.labels["a kind"]) == (3, HOSTILE)
            assert stage.server.value(f'{{"e2e.wait.seconds_bucket", job="{job}", le="1.0"}}') == 1
    else:
        (orders,) = stage.server.query('e2e_orders___total{job="dotted"}')
        assert (orders.value, orders.labels["a_kind"]) == (3, HOSTILE)
        assert stage.server.value('e2e_wait_seconds_bucket{job="dotted", le="1.0"}') == 1


@formats
def test_the_first_event_of_a_declared_label_value_is_counted(stage: Stage, form: str) -> None:
    """P-26; beside it what happens without: the series appears at 1, and its increase is 0."""
    server, job = stage.server, f"declared-{form}"
    zeros = server.query(f'e2e_{form}_total{{job="{job}"}}')
    assert {(zero.labels["kind"], zero.value) for zero in zeros} == {("parts", 0), ("kits", 0)}
    declared = Counter(f"e2e_{form}", "Declared", ["kind"], registry=stage.declared, label_values={"kind": ["parts", "kits"]})
    sudden = Counter(f"e2e_sudden_{form}", "Not declared", ["kind"], registry=stage.declared)
    declared.labels("parts").inc()
    sudden.labels("parts").inc()
    server.wait_for(f'increase(e2e_{form}_total{{job="{job}", kind="parts"}}[1m]) > 0')
    assert server.value(f'increase(e2e_{form}_total{{job="{job}", kind="kits"}}[1m])') == 0
    (seen,) = server.wait_for(f'increase(e2e_sudden_{form}_total{{job="{job}"}}[1m])')
    assert seen.value == 0


def test_a_replaced_gauge_is_never_seen_in_part(stage: Stage) -> None:
    """Ten series are replaced by ten others all the time; every scrape sees the one ten or the other."""
    stock = Gauge("e2e_stock", "Stock", ["box"], registry=stage.replaced)
    sets = [{f"{name}{number}": float(number) for number in range(10)} for name in "ab"]
    stock.replace(sets[0])
    series, server = 'e2e_stock{job="replaced"}', stage.server
    server.wait_for(series)

    def replace() -> None:
        for values in sets:
            stock.replace(values)

    with in_background(replace):
        start = server.value(f"sum(count_over_time({series}[5m]))")
        server.wait_for(f"sum(count_over_time({series}[5m])) > {start + 100}")
    (scrapes,) = server.api("query", query='scrape_samples_scraped{job="replaced"}[5m]')["result"]
    assert {float(count) for _, count in scrapes["values"]} <= {0, 10}  # none before the gauge was there
    assert server.value(f"count({series})") == 10
    stock.replace({"last": 7})
    (left,) = server.wait_for(series, lambda answer: len(answer) == 1)
    assert (left.labels["box"], left.value) == ("last", 7)


def test_removed_series_end_at_the_next_scrape(stage: Stage) -> None:
    workers = Gauge("e2e_workers", "Workers", ["pool"], registry=stage.removed)
    workers.labels("a").set(1)
    workers.labels("b").set(2)
    stage.server.wait_for('e2e_workers{job="removed"}', lambda answer: len(answer) == 2)
    workers.remove("b")
    (left,) = stage.server.wait_for('e2e_workers{job="removed"}', lambda answer: len(answer) == 1)
    assert left.labels["pool"] == "a"
