"""The metrics page without a framework: what is asked for, and what comes back."""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly_parsed
from prometheus_client.parser import text_string_to_metric_families as parsed

from measurand import REGISTRY, CollectorRegistry, Counter, Domain, Gauge, Histogram
from measurand.endpoints.page import Response, metrics_page, respond
from measurand.metrics.families import CounterMetricFamily

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.75,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
def registry() -> CollectorRegistry:
    """Three metrics; one has a name that needs UTF-8."""
    registry = CollectorRegistry()
    Counter("orders", "Orders", ["kind"], registry=registry).labels("parts").inc(3)
    Histogram("wait_seconds", "Waiting", registry=registry, buckets=[1, 2]).observe(1.5)
    Gauge("box.level", "Dotted", registry=registry).set(7)
    return registry


def get(registry: Any, query: str = "", path: str = "/metrics", method: str = "GET", **headers: str) -> Response:
    return respond(registry, method, path, query, {name.replace("_", "-"): value for name, value in headers.items()})


def header(response: Response, name: str) -> str | None:
    """The header's value; a header that comes twice is an error."""
    values = [value for key, value in response.headers if key == name]
    assert len(values) <= 1, response.headers
    return values[0] if values else None


def samples(response: Response) -> dict[str, float]:
    """The values by series name; OpenMetrics is told by its end."""
    text = response.body.decode()
    families = strictly_parsed(text) if text.endswith("# EOF\n") else parsed(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


# -- methods -------------------------------------------------------------------------------------------------------------------


def test_get_gives_the_metrics(registry: CollectorRegistry) -> None:
    response = get(registry)
    assert response.status == 200
    assert header(response, "Content-Type") == PLAIN
    assert header(response, "Content-Length") == str(len(response.body))
    assert samples(response)["orders_total"] == 3


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_head_gives_the_headers_of_get_and_no_body(registry: CollectorRegistry, encoding: str) -> None:
    head, full = (get(registry, method=method, accept_encoding=encoding) for method in ("HEAD", "GET"))
    assert (head.status, head.headers, head.body) == (full.status, full.headers, b"")
    assert header(head, "Content-Length") == str(len(full.body))


def test_options_names_the_methods() -> None:
    response = get(Forbidden(), method="OPTIONS")
    assert (response.status, header(response, "Allow"), response.body) == (200, "GET, HEAD, OPTIONS", b"")
    assert header(response, "Content-Length") == "0"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", ""])
def test_other_methods_are_refused_with_what_to_do(method: str) -> None:
    response = get(Forbidden(), method=method)
    assert (response.status, header(response, "Allow")) == (405, "GET, HEAD, OPTIONS")
    assert header(response, "Content-Length") == str(len(response.body))
    assert f"{method!r}; use GET, HEAD or OPTIONS".encode() in response.body


def test_a_method_from_an_attacker_is_shown_short_and_harmless() -> None:
    body = get(Forbidden(), method="\r\n\N{SNOWMAN}" + "X" * 10_000).body
    assert b"'\\r\\n\\u2603XXX" in body
    assert len(body) < 120
    assert body.count(b"\n") == 1


def test_a_browser_that_asks_for_an_icon_makes_nobody_collect() -> None:
    response = get(Forbidden(), path="/favicon.ico")
    assert (response.status, header(response, "Content-Length"), response.body) == (200, "0", b"")


@pytest.mark.parametrize("path", ["", "/", "/metrics", "/any/where", "/favicon.ico/metrics"])
def test_any_other_path_has_the_metrics(registry: CollectorRegistry, path: str) -> None:
    assert samples(get(registry, path=path))["orders_total"] == 3


class Forbidden:
    """A registry that must not be asked."""

    def collect(self) -> Iterable[Any]:
        raise AssertionError


# -- formats -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "content_type", "name"),
    [
        ("", PLAIN, "box_level"),
        ("*/*", PLAIN, "box_level"),
        ("text/html,application/xhtml+xml", PLAIN, "box_level"),
        ("\N{SNOWMAN};q=;;=,,", PLAIN, "box_level"),
        ("application/openmetrics-text;q=0", PLAIN, "box_level"),
        ("application/openmetrics-text;version=1.0.0;q=0.1, text/plain;version=0.0.4", PLAIN, "box_level"),
        (PROMETHEUS_2, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores", "box_level"),
        (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8", "box.level"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8", "box.level"),
    ],
)
def test_the_client_gets_the_format_that_it_prefers(registry: CollectorRegistry, accept: str, content_type: str, name: str) -> None:
    response = get(registry, accept=accept)
    assert header(response, "Content-Type") == content_type
    assert response.body.endswith(b"# EOF\n") == content_type.startswith("application/openmetrics-text")
    assert samples(response)[name] == 7


# -- compression ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5, br", True),
        ("gzip;q=0.001", True),
        ("*", True),
        ("deflate, *;q=0.1", True),
        ("*;q=0, gzip", True),
        ("", False),
        ("identity", False),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *", False),
        ("*;q=0", False),
        ("xgzip", False),
    ],
)
def test_gzip_is_for_who_accepts_it(registry: CollectorRegistry, accepted: str, compressed: bool) -> None:
    response = get(registry, accept_encoding=accepted)
    assert header(response, "Content-Encoding") == ("gzip" if compressed else None)
    assert header(response, "Content-Length") == str(len(response.body))
    assert (gzip.decompress(response.body) if compressed else response.body) == get(registry).body


@pytest.mark.parametrize("accepted", ["", "gzip"])
def test_caches_are_told_what_the_answer_depends_on(registry: CollectorRegistry, accepted: str) -> None:
    assert header(get(registry, accept_encoding=accepted), "Vary") == "Accept, Accept-Encoding"
    assert header(metrics_page(registry, accept_encoding=accepted, compress=False), "Vary") == "Accept"


def test_compression_can_be_turned_off(registry: CollectorRegistry) -> None:
    response = metrics_page(registry, accept_encoding="gzip", compress=False)
    assert header(response, "Content-Encoding") is None
    assert response.body == get(registry).body


def test_the_same_metrics_compress_to_the_same_bytes(registry: CollectorRegistry) -> None:
    assert get(registry, accept_encoding="gzip") == get(registry, accept_encoding="gzip")


# -- filters -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name[]=orders_total", {"orders_total"}),
        ("name%5B%5D=orders_total", {"orders_total"}),
        ("name[]=orders_total&name[]=wait_seconds_sum", {"orders_total", "wait_seconds_sum"}),
        ("name[]=orders_total&name[]=never_heard_of", {"orders_total"}),
        ("name[]=never_heard_of", set()),
        ("name[]=box.level", {"box_level"}),
        ("name=orders_total", {"orders_total", "wait_seconds_bucket", "wait_seconds_count", "wait_seconds_sum", "box_level"}),
        ("name[]=", {"orders_total", "wait_seconds_bucket", "wait_seconds_count", "wait_seconds_sum", "box_level"}),
        ("%ff&&=&;", {"orders_total", "wait_seconds_bucket", "wait_seconds_count", "wait_seconds_sum", "box_level"}),
    ],
)
def test_only_the_named_series_are_given(registry: CollectorRegistry, query: str, expected: set[str]) -> None:
    response = get(registry, query)
    assert response.status == 200
    assert set(samples(response)) == expected
    assert set(samples(get(registry, query, accept="application/openmetrics-text"))) == expected


def test_a_filter_leaves_out_the_collectors_that_have_nothing_of_it(registry: CollectorRegistry) -> None:
    class Named(Forbidden):
        def describe(self) -> Iterable[Any]:
            return [CounterMetricFamily("costly", "Costly")]

    registry.register(Named())
    assert set(samples(get(registry, "name[]=orders_total"))) == {"orders_total"}


def test_a_domain_gives_its_own() -> None:
    domain = Domain("governance")
    Counter("breaches", "Breaches", registry=domain).inc()
    assert samples(get(domain)) == {"breaches_total": 1}
    assert samples(get(domain, "name[]=breaches_total&name[]=orders_total")) == {"breaches_total": 1}


def test_anything_that_collects_will_do() -> None:
    class Bare:
        def collect(self) -> Iterable[Any]:
            return [CounterMetricFamily("bare", "Bare", value=2)]

    assert samples(get(Bare(), "name[]=other")) == {"bare_total": 2}


def test_the_default_registry_is_one_too() -> None:
    assert get(REGISTRY).status == 200


# -- deadlines -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hanging(registry: CollectorRegistry) -> Iterator[CollectorRegistry]:
    """The registry with a collector that gives no answer until the test is over."""
    over = threading.Event()

    class Hanging:
        def collect(self) -> Iterable[Any]:
            over.wait(60)
            return []

    registry.register(Hanging())
    yield registry
    over.set()


@pytest.mark.parametrize("announced", ["0.6", "0.2"])
def test_a_scraper_in_a_hurry_gets_the_rest_within_its_own_timeout(
    hanging: CollectorRegistry, announced: str, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Response] = []
    scrape = threading.Thread(target=lambda: answers.append(get(hanging, x_prometheus_scrape_timeout_seconds=announced)))
    with caplog.at_level(logging.CRITICAL, "measurand"):
        scrape.start()
        scrape.join(4)  # the deadline without a header is 5 seconds
    assert answers, "no answer within the scraper's timeout"
    found = samples(answers[0])
    assert found["orders_total"] == 3
    assert found["measurand_collect_failures_total"] == 1
    assert b'reason="timeout"' in answers[0].body


@pytest.mark.parametrize("announced", ["", "soon", "-1", "0", "nan", "inf", "1e999", "10"])
def test_a_timeout_that_says_nothing_useful_leaves_collectors_their_time(registry: CollectorRegistry, announced: str) -> None:
    class Slow:
        def collect(self) -> Iterable[Any]:
            threading.Event().wait(0.05)
            return [CounterMetricFamily("slow", "Slow", value=1)]

    registry.register(Slow())
    assert samples(get(registry, x_prometheus_scrape_timeout_seconds=announced))["slow_total"] == 1
