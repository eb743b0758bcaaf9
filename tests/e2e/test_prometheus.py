"""A real Prometheus reads from the endpoint what the program recorded."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, MetricsHandler, Summary, start_http_server
from measurand.metrics.families import GaugeHistogramMetricFamily, UnknownMetricFamily
from tests.servers import Prometheus
from tests.servers.process import until

HOSTILE = 'a "quoted" \\ back\nslash, \N{SNOWMAN} { } ='
Start = Callable[..., Prometheus]


@contextmanager
def serving(registry: CollectorRegistry) -> Iterator[str]:
    """The standalone server; the scraper gets the format that it asks for."""
    server, thread = start_http_server(0, registry=registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
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
            yield f"http://127.0.0.1:{server.server_port}/metrics"
        finally:
            server.shutdown()
            thread.join(10)


versions = pytest.mark.parametrize("version", ["2.42", "3.5"])
formats = pytest.mark.parametrize("serve", [serving_text, serving], ids=["text", "openmetrics"])


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


@versions
@formats
def test_every_type_and_value_is_read_back_as_it_was_recorded(prometheus: Start, version: str, serve: Any) -> None:
    server = prometheus(version)
    with serve(everything()) as url, server.scraping(url) as target:
        assert (target.health, target.error) == ("up", "")
        found = server.query(f'{{job="{target.job}", __name__=~"e2e_.*|target_info"}}')
    ours = {
        (labels.pop("__name__"), tuple(sorted(labels.items()))): value
        for labels, value in (({k: v for k, v in sample.labels.items() if k not in {"job", "instance"}}, sample.value) for sample in found)
    }
    assert ours == {(name, tuple(sorted(labels.items()))): value for name, labels, value in EXPECTED}


@versions
@formats
def test_types_and_help_arrive(prometheus: Start, version: str, serve: Any) -> None:
    server = prometheus(version)
    with serve(everything()) as url, server.scraping(url) as target:
        asked = server.api("targets/metadata", match_target=f'{{job="{target.job}"}}')
    known = {each["metric"].removesuffix("_total").removesuffix("_info"): (each["type"], each["help"]) for each in asked}
    assert known["e2e_orders"] == ("counter", "Orders with a \\ and\na line")
    assert known["e2e_level"] == ("gauge", "Levels")
    assert known["e2e_wait_seconds"] == ("histogram", "Waiting")
    assert known["e2e_size_bytes"] == ("summary", "Sizes")
    assert known["e2e_build"][0] == ("info" if serve is serving else "gauge")
    assert known["e2e_state"][0] == ("stateset" if serve is serving else "gauge")


@versions
def test_exemplars_can_be_asked_for(prometheus: Start, version: str) -> None:
    registry = CollectorRegistry()
    Counter("e2e_orders", "Orders", registry=registry).inc(2, {"trace_id": "abc"})
    wait = Histogram("e2e_wait_seconds", "Waiting", registry=registry, buckets=[1, 10])
    wait.observe(0.5, {"trace_id": "fast"})
    wait.observe(5, {"trace_id": "slow \N{SNOWMAN}"})
    started = time.time()
    server = prometheus(version, flags=["--enable-feature=exemplar-storage"])
    with serving(registry) as url, server.scraping(url) as target:
        assert (target.health, target.error) == ("up", "")
        query = f'{{job="{target.job}", __name__=~"e2e_.*"}}'
        span = {"start": f"{started - 60:.3f}", "end": f"{started + 60:.3f}"}
        found = until(
            lambda: server.api("query_exemplars", query=query, **span),
            lambda: "no exemplars",
        )
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


@pytest.mark.parametrize("protocol", ["PrometheusText1.0.0", "OpenMetricsText1.0.0"])
def test_utf8_names_arrive_as_they_are(prometheus: Start, protocol: str) -> None:
    registry = CollectorRegistry()
    Counter("e2e.orders/\N{SNOWMAN}", "Orders", ["a kind"], registry=registry).labels(HOSTILE).inc(3)
    Histogram("e2e.wait.seconds", "Waiting", registry=registry, buckets=[1]).observe(0.5)
    server = prometheus("3.5")
    with serving(registry) as url, server.scraping(url, scrape_protocols=[protocol]) as target:
        assert (target.health, target.error) == ("up", "")
        (orders,) = server.query(f'{{"e2e.orders/\N{SNOWMAN}_total", job="{target.job}"}}')
        assert (orders.value, orders.labels["a kind"]) == (3, HOSTILE)
        assert server.value(f'{{"e2e.wait.seconds_bucket", job="{target.job}", le="1.0"}}') == 1


def test_utf8_names_are_escaped_for_a_prometheus_that_does_not_know_them(prometheus: Start) -> None:
    registry = CollectorRegistry()
    Counter("e2e.orders", "Orders", ["a kind"], registry=registry).labels("parts").inc(3)
    server = prometheus("2.42")
    with serving(registry) as url, server.scraping(url) as target:
        assert (target.health, target.error) == ("up", "")
        assert server.value(f'e2e_orders_total{{a_kind="parts", job="{target.job}"}}') == 3


@versions
@formats
def test_the_first_event_of_a_declared_label_value_is_counted(prometheus: Start, version: str, serve: Any) -> None:
    """P-26; beside it what happens without: the series appears at 1, and its increase is 0."""
    registry = CollectorRegistry()
    declared = Counter("e2e_declared", "Declared", ["kind"], registry=registry, label_values={"kind": ["parts", "kits"]})
    sudden = Counter("e2e_sudden", "Not declared", ["kind"], registry=registry)
    server = prometheus(version)
    with serve(registry) as url, server.scraping(url) as target:
        zeros = server.query(f'e2e_declared_total{{job="{target.job}"}}')
        assert {(zero.labels["kind"], zero.value) for zero in zeros} == {("parts", 0), ("kits", 0)}
        declared.labels("parts").inc()
        sudden.labels("parts").inc()
        server.wait_for(f'increase(e2e_declared_total{{job="{target.job}", kind="parts"}}[1m]) > 0')
        assert server.value(f'increase(e2e_declared_total{{job="{target.job}", kind="kits"}}[1m])') == 0
        (seen,) = server.wait_for(f'increase(e2e_sudden_total{{job="{target.job}"}}[1m])')
        assert seen.value == 0


@versions
def test_a_replaced_gauge_is_never_seen_in_part(prometheus: Start, version: str) -> None:
    """Values are replaced all the time between two sets of ten; every scrape saw one of them, and what is gone is stale at once."""
    registry = CollectorRegistry()
    stock = Gauge("e2e_stock", "Stock", ["box"], registry=registry)
    sets = [{f"{name}{number}": float(number) for number in range(10)} for name in "ab"]
    stock.replace(sets[0])
    over = threading.Event()

    def replace() -> None:
        while not over.wait(0.001):
            for values in sets:
                stock.replace(values)

    writer = threading.Thread(target=replace)
    server = prometheus(version)
    with serving(registry) as url:
        writer.start()
        try:
            with server.scraping(url, scrape_interval="100ms", scrape_timeout="100ms") as target:
                series = f'e2e_stock{{job="{target.job}"}}'
                server.wait_for(f'count_over_time(up{{job="{target.job}"}}[1m]) >= 15')
                counts = server.query(f"count({series})")
                samples = server.value(f"sum(count_over_time({series}[1m]))")
                over.set()
                writer.join(10)
                stock.replace({"last": 7})
                left = server.wait_for(series, lambda answer: len(answer) == 1)
        finally:
            over.set()
            writer.join(10)
    assert [count.value for count in counts] == [10]
    assert samples % 10 == 0
    assert (left[0].labels["box"], left[0].value) == ("last", 7)


@versions
def test_removed_series_end_at_the_next_scrape(prometheus: Start, version: str) -> None:
    registry = CollectorRegistry()
    workers = Gauge("e2e_workers", "Workers", ["pool"], registry=registry)
    workers.labels("a").set(1)
    workers.labels("b").set(2)
    server = prometheus(version)
    with serving(registry) as url, server.scraping(url) as target:
        assert len(server.query(f'e2e_workers{{job="{target.job}"}}')) == 2
        workers.remove("b")
        left = server.wait_for(f'e2e_workers{{job="{target.job}"}}', lambda answer: len(answer) == 1)
    assert left[0].labels["pool"] == "a"
