"""The metrics of HTTP clients: names, labels, and what bounds them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as some

from measurand import CollectorRegistry
from measurand.catalog.client import HttpClientMetrics, HttpClientRequest
from measurand.errors import ConfigurationError
from measurand.testing.clock import FakeClock
from measurand.testing.readings import Readings
from tests.support import run_threads

HOSTS = ["api.example.com", "*.cdn.example"]


def test_a_request_is_counted_and_timed(registry: CollectorRegistry) -> None:
    metrics, readings = HttpClientMetrics(registry, hosts=HOSTS), Readings(registry)
    metrics.record(HttpClientRequest("GET", "api.example.com", 200, 0.25))
    assert readings.value("http_client_requests_total", method="GET", host="api.example.com", status="200") == 1
    assert readings.value("http_client_request_duration_seconds_sum", method="GET", host="api.example.com") == 0.25
    assert readings.samples("http_client_errors_total") == []
    assert readings.samples("http_client_requests_in_progress") == []


@pytest.mark.parametrize(
    ("status", "given", "error"),
    [(404, None, "not_found"), (503, None, "service_unavailable"), (418, None, "client_error"), (200, "ReadError", "ReadError")],
)
def test_a_bad_status_and_a_broken_response_are_errors(registry: CollectorRegistry, status: int, given: str | None, error: str) -> None:
    metrics, readings = HttpClientMetrics(registry, hosts=HOSTS), Readings(registry)
    metrics.record(HttpClientRequest("GET", "api.example.com", status, 0.25, given))
    assert readings.value("http_client_requests_total", status=status) == 1
    assert readings.value("http_client_errors_total", host="api.example.com", error_type=error) == 1


def test_a_request_without_a_response_has_no_status(registry: CollectorRegistry) -> None:
    metrics, readings = HttpClientMetrics(registry), Readings(registry)
    metrics.record(HttpClientRequest("GET", "api.example.com", None, 5.0, "ConnectTimeout"))
    assert readings.value("http_client_requests_total", method="GET", host="_OTHER", status="none") == 1
    assert readings.value("http_client_errors_total", host="_OTHER", error_type="ConnectTimeout") == 1


@pytest.mark.parametrize(
    ("host", "label"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.COM.", "api.example.com"),
        ("www.api.example.com", "_OTHER"),
        ("example.com", "_OTHER"),
        ("cdn.example", "_OTHER"),
        ("eu.cdn.example", "*.cdn.example"),
        ("a.b.cdn.example", "*.cdn.example"),
        ("evilcdn.example", "_OTHER"),
        ("api.example.com/orders/4711", "_OTHER"),
        ("10.0.0.1", "_OTHER"),
        ("", "_OTHER"),
    ],
)
def test_a_host_is_one_of_those_that_were_given(registry: CollectorRegistry, host: str, label: str) -> None:
    assert HttpClientMetrics(registry, hosts=HOSTS).host(host) == label


def test_hosts_can_be_named_later(registry: CollectorRegistry) -> None:
    metrics = HttpClientMetrics(registry, hosts=["a.example"])
    assert metrics.host("b.example") == "_OTHER"
    metrics.know(["B.example", "*.c.example"])
    assert [metrics.host(name) for name in ("a.example", "b.example", "x.c.example")] == ["a.example", "b.example", "*.c.example"]


def test_one_name_is_no_list_of_them(registry: CollectorRegistry) -> None:
    with pytest.raises(TypeError, match=r"hosts is a list of names, not one: \['api.example.com'\]"):
        HttpClientMetrics(registry, hosts="api.example.com")


@pytest.mark.parametrize("host", ["https://a.example", "a.example:443", "a.example/v1", "", "*", "a.*.example", "ada@a.example"])
def test_what_is_no_host_is_refused(registry: CollectorRegistry, host: str) -> None:
    metrics = HttpClientMetrics(registry)
    with pytest.raises(ConfigurationError, match=re.escape(f"{host!r} is no host to tell apart: a host is api.example.com or *.ex")):
        metrics.know(["b.example", host])
    assert metrics.host("b.example") == "_OTHER"


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "::1", "2001:db8::7", "münchen.example", "under_score.example", "a.example."])
def test_addresses_and_names_of_any_kind_are_hosts(registry: CollectorRegistry, host: str) -> None:
    assert HttpClientMetrics(registry, hosts=[host]).host(host) == host.rstrip(".")


@given(some.lists(some.tuples(some.text(), some.one_of(some.text(), some.sampled_from(["api.example.com", "x.cdn.example"]))), max_size=30))
def test_no_text_becomes_a_label_that_is_not_on_the_list(requests: list[tuple[str, str]]) -> None:
    registry = CollectorRegistry()
    metrics = HttpClientMetrics(registry, hosts=HOSTS, max_exceptions=3)
    for method, host in requests:
        metrics.start(method, host).end()
        metrics.record(HttpClientRequest(method, host, None, 0.1, f"E{method}"))
    readings = Readings(registry)
    counted = readings.samples("http_client_requests_total")
    assert {sample.labels["host"] for sample in counted} <= {*HOSTS, "_OTHER"}
    assert {sample.labels["method"] for sample in counted} <= {"_OTHER", "GET", "PUT"}
    assert sum(sample.value for sample in counted) == 2 * len(requests)
    assert len({sample.labels["error_type"] for sample in readings.samples("http_client_errors_total")}) <= 4


def test_an_exchange_is_in_progress_until_it_ends(registry: CollectorRegistry) -> None:
    metrics, readings = HttpClientMetrics(registry, hosts=HOSTS), Readings(registry)
    with FakeClock() as clock:
        exchange = metrics.start("POST", "api.example.com")
        assert readings.value("http_client_requests_in_progress", host="api.example.com") == 1
        clock.advance(0.5)
        exchange.answered(201)
        clock.advance(1.0)
        assert readings.samples("http_client_requests_total") == []
        exchange.end()
        exchange.end(ValueError())
    assert readings.value("http_client_requests_in_progress", host="api.example.com") == 0
    assert readings.value("http_client_requests_total", method="POST", status="201") == 1
    assert readings.value("http_client_request_duration_seconds_sum", method="POST") == 1.5
    assert readings.samples("http_client_errors_total") == []


def test_one_that_was_given_up_says_so(registry: CollectorRegistry) -> None:
    metrics, readings = HttpClientMetrics(registry), Readings(registry)
    metrics.start("GET", "a").end(asyncio.CancelledError())
    assert readings.value("http_client_errors_total", error_type="cancelled") == 1
    assert readings.value("http_client_requests_total", status="none") == 1


def test_one_that_is_forgotten_ends_too(registry: CollectorRegistry) -> None:
    metrics, readings = HttpClientMetrics(registry), Readings(registry)
    exchange = metrics.start("GET", "a")
    exchange.answered(200)
    del exchange
    assert readings.value("http_client_requests_in_progress", host="_OTHER") == 0
    assert readings.value("http_client_requests_total", status="200") == 1


def test_one_that_ends_in_two_threads_at_once_ends_once(registry: CollectorRegistry) -> None:
    metrics, readings = HttpClientMetrics(registry), Readings(registry)
    exchanges = [metrics.start("GET", "a") for _ in range(1000)]
    run_threads(*[lambda: [exchange.end() for exchange in exchanges]] * 3)
    assert readings.value("http_client_requests_total", status="none") == 1000
    assert readings.value("http_client_requests_in_progress", host="_OTHER") == 0


def test_events_cannot_be_changed() -> None:
    event = HttpClientRequest("GET", "a", 200, 0.1)
    with pytest.raises(FrozenInstanceError):
        event.host = "b"  # type: ignore[misc]
