"""The metrics of HTTP servers: names, labels, what counts as failed, and every limit."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from measurand import CollectorRegistry
from measurand.catalog.http import BUCKETS, METHODS, HttpMetrics, HttpRequest, error_type, exception_name
from measurand.testing.readings import Readings
from tests.metrics.kit import in_forked_child
from tests.support import no_forks_beside_threads, run_threads

REQUEST = HttpRequest("GET", "/items/{id}", 200, 0.02)


@pytest.fixture
def http(registry: CollectorRegistry) -> HttpMetrics:
    return HttpMetrics(registry)


@pytest.fixture
def readings(registry: CollectorRegistry, http: HttpMetrics) -> Readings:
    return Readings(registry)


def labels(readings: Readings, name: str) -> list[dict[str, str]]:
    return [sample.labels for sample in readings.samples(name)]


# -- what is recorded ------------------------------------------------------------------------------------------------------------------


def test_a_request_is_counted_and_timed(http: HttpMetrics, readings: Readings) -> None:
    http.record(REQUEST)
    assert labels(readings, "http_requests_total") == [{"method": "GET", "endpoint": "/items/{id}", "status": "200"}]
    assert readings.delta("http_request_duration_seconds_sum", method="GET", endpoint="/items/{id}") == 0.02
    assert readings.samples("http_requests_failed_total") == []
    assert readings.samples("http_client_disconnects_total") == []


def test_durations_have_the_buckets_of_the_requirements(http: HttpMetrics, readings: Readings) -> None:
    for duration in (0.001, 0.01, 9, 60):
        http.record(HttpRequest("GET", "/", 200, duration))
    buckets = {sample.labels["le"]: sample.value for sample in readings.samples("http_request_duration_seconds_bucket")}
    assert list(buckets) == ["0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"]
    assert (buckets["0.01"], buckets["5.0"], buckets["10.0"], buckets["+Inf"]) == (2, 2, 3, 4)
    assert len(BUCKETS) == 10


def test_buckets_can_be_chosen(registry: CollectorRegistry) -> None:
    HttpMetrics(registry, buckets=(1, 2)).record(REQUEST)
    assert len(Readings(registry).samples("http_request_duration_seconds_bucket")) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (408, "timeout"),
        (429, "rate_limited"),
        (405, "client_error"),
        (418, "client_error"),
        (499, "client_error"),
        (500, "internal_error"),
        (502, "bad_gateway"),
        (503, "service_unavailable"),
        (504, "gateway_timeout"),
        (501, "server_error"),
        (599, "server_error"),
    ],
)
def test_failures_are_of_the_closed_list(http: HttpMetrics, readings: Readings, status: int, kind: str) -> None:
    for _ in range(2):  # by look-up, and from what is kept at hand
        http.record(HttpRequest("GET", "/x", status, 0.1))
    assert error_type(status) == kind
    assert readings.value("http_requests_failed_total", method="GET", endpoint="/x", status=status, error_type=kind) == 2
    assert readings.value("http_requests_total", status=status) == 2


@pytest.mark.parametrize("status", [100, 200, 204, 302, 304, 399])
def test_nothing_below_400_has_failed(status: int) -> None:
    assert error_type(status) is None


def test_an_exception_is_named_instead_of_the_status(http: HttpMetrics, readings: Readings) -> None:
    http.record(HttpRequest("GET", "/x", 500, 0.1, error_type="KeyError"))
    http.record(HttpRequest("GET", "/x", 200, 0.1, error_type="KeyError"))
    assert [(each["status"], each["error_type"]) for each in labels(readings, "http_requests_failed_total")] == [
        ("500", "KeyError"),
        ("200", "KeyError"),
    ]


def test_exceptions_are_named_by_their_class() -> None:
    assert exception_name(KeyError("secret")) == "KeyError"
    assert exception_name(ExceptionGroup("one", [ExceptionGroup("within", [KeyError()])])) == "KeyError"
    assert exception_name(ExceptionGroup("two", [KeyError(), ValueError()])) == "ExceptionGroup"


def test_a_client_that_has_gone_is_no_failure(http: HttpMetrics, readings: Readings) -> None:
    http.record(HttpRequest("GET", "/x", 499, 0.1, disconnected=True))
    http.record(HttpRequest("GET", "/x", 200, 0.1, disconnected=True))
    assert readings.value("http_client_disconnects_total", endpoint="/x") == 2
    assert readings.samples("http_requests_failed_total") == []
    assert readings.delta("http_requests_total") == 2


def test_details_are_recorded_when_they_were_asked_for() -> None:
    registry = CollectorRegistry()
    http = HttpMetrics(registry, body_sizes=True, first_byte=True, background=True)
    http.record(HttpRequest("PUT", "/x", 200, 1.0, request_bytes=10, response_bytes=20, first_byte=0.5, background=2.0))
    http.record(HttpRequest("PUT", "/x", 200, 1.0))
    readings = Readings(registry)
    assert readings.value("http_request_body_bytes_sum", method="PUT", endpoint="/x") == 10
    assert readings.value("http_response_body_bytes_sum", method="PUT", endpoint="/x") == 20
    assert readings.value("http_response_first_byte_seconds_sum", endpoint="/x") == 0.5
    assert readings.value("http_background_seconds_sum", endpoint="/x") == 2
    assert readings.value("http_background_seconds_count", endpoint="/x") == 1


def test_details_are_nowhere_when_they_were_not(http: HttpMetrics, readings: Readings) -> None:
    http.record(HttpRequest("PUT", "/x", 200, 1.0, request_bytes=10, response_bytes=20, first_byte=0.5, background=2.0))
    assert readings.samples("http_request_body_bytes_count") == []


# -- what is under way -------------------------------------------------------------------------------------------------------------------


def test_requests_are_in_progress_between_start_and_finish(http: HttpMetrics, readings: Readings) -> None:
    first, second = http.start("GET"), http.start("BREW")
    assert (first, second, http.in_progress()) == ("GET", "_OTHER", 2)
    assert readings.value("http_requests_in_progress", method="_OTHER") == 1
    http.finish(first, "/x", 200, 0.1)
    http.finish(second, "/x", 405, 0.1)
    assert http.in_progress() == 0
    assert readings.delta("http_requests_in_progress") == 0
    assert readings.delta("http_requests_total") == 2


def test_methods_are_shown_when_they_have_come_up(http: HttpMetrics, readings: Readings) -> None:
    http.finish(http.start("GET"), "/x", 200, 0.1)
    assert labels(readings, "http_requests_in_progress") == [{"method": "GET"}]


def test_waiting_ends_when_the_last_request_does(http: HttpMetrics) -> None:
    assert http.wait_until_idle(0)
    method = http.start("GET")
    assert not http.wait_until_idle(0.05)
    timer = threading.Timer(0.1, http.finish, (method, "/x", 200, 0.1))
    timer.start()
    assert http.wait_until_idle(30)
    timer.join()


def test_websockets_are_open_until_they_are_closed(http: HttpMetrics, readings: Readings) -> None:
    close = http.websocket_opened("/ws/{id}")
    assert readings.value("websocket_connections", endpoint="/ws/{id}") == 1
    close(12.5)
    assert readings.value("websocket_connections", endpoint="/ws/{id}") == 0
    assert readings.value("websocket_connection_duration_seconds_sum", endpoint="/ws/{id}") == 12.5


# -- limits ------------------------------------------------------------------------------------------------------------------------------


def test_unknown_methods_are_one(http: HttpMetrics, readings: Readings) -> None:
    for method in (*METHODS, "get", "BREW", "", "X" * 1000):
        http.record(HttpRequest(method, "/x", 200, 0.1))
    assert {each["method"] for each in labels(readings, "http_requests_total")} == {*METHODS, "_OTHER"}
    assert readings.value("http_requests_total", method="_OTHER") == 4


def test_templates_beyond_the_limit_are_one_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    http = HttpMetrics(registry, max_endpoints=3)
    with caplog.at_level(logging.WARNING, "measurand"):
        for _ in range(2):
            for number in range(10):
                http.record(HttpRequest("GET", f"/r{number}", 200, 0.1))
                http.websocket_opened(f"/r{number}")(1)
                http.record(HttpRequest("GET", f"/r{number}", 499, 0.1, disconnected=True))
            http.record(HttpRequest("GET", "__unmatched__", 404, 0.1))
    readings = Readings(registry)
    for name in ("http_requests_total", "websocket_connections", "http_client_disconnects_total", "http_request_duration_seconds_count"):
        found = {each["endpoint"] for each in labels(readings, name)} - {"__unmatched__"}
        assert found == {"/r0", "/r1", "/r2", "__other__"}, name
    assert readings.value("http_requests_total", endpoint="__other__", status=200) == 14
    assert len(caplog.records) == 1
    assert "3 route templates" in caplog.text
    assert "/r3" in caplog.text


def test_names_of_exceptions_beyond_the_limit_are_one(registry: CollectorRegistry) -> None:
    http = HttpMetrics(registry, max_exceptions=2)
    for name in ("A", "B", "C", "D", "A", "cancelled", "incomplete_response", "not_found"):
        http.record(HttpRequest("GET", "/x", 500, 0.1, error_type=name))
    counted = {sample.labels["error_type"]: sample.value for sample in Readings(registry).samples("http_requests_failed_total")}
    assert counted == {"A": 2, "B": 1, "_OTHER": 2, "cancelled": 1, "incomplete_response": 1, "not_found": 1}


def test_totals_stay_exact_beyond_what_is_kept_at_hand(registry: CollectorRegistry) -> None:
    http = HttpMetrics(registry)
    for status in range(6000):  # no client can do this; an application that passes on an upstream's codes might
        http.record(HttpRequest("GET", "/x", status, 0.1))
        http.record(HttpRequest("GET", "/x", status, 0.1))
    readings = Readings(registry)
    assert sum(sample.value for sample in readings.samples("http_requests_total")) == 12_000
    assert len(readings.samples("http_requests_total")) <= 20 * 200 + 1


def test_two_sets_on_one_registry_are_one(registry: CollectorRegistry) -> None:
    for _ in range(50):
        HttpMetrics(registry).record(REQUEST)
    assert Readings(registry).value("http_requests_total") == 50


# -- threads and processes -----------------------------------------------------------------------------------------------------------------


def test_threads_lose_nothing_and_never_exceed_the_limits(registry: CollectorRegistry) -> None:
    http = HttpMetrics(registry, max_endpoints=5, max_exceptions=5)

    def work() -> None:
        for number in range(500):
            name = f"/r{number % 40}"
            http.finish(http.start("GET"), name, 200, 0.1)
            http.finish(http.start("GET"), name, 500, 0.1, f"Error{number % 40}")

    run_threads(*[work] * 8)
    readings = Readings(registry)
    requests = readings.samples("http_requests_total")
    assert sum(sample.value for sample in requests) == 8 * 1000
    assert sum(sample.value for sample in readings.samples("http_requests_failed_total")) == 8 * 500
    assert len({sample.labels["endpoint"] for sample in requests}) <= 6
    assert len({sample.labels["error_type"] for sample in readings.samples("http_requests_failed_total")}) <= 6
    assert http.in_progress() == 0


@no_forks_beside_threads
def test_a_forked_child_records_at_once(http: HttpMetrics) -> None:
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            http.record(HttpRequest("GET", f"/r{number % 300}", 500, 0.1, error_type=f"E{number % 100}"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            in_forked_child(lambda: http.record(HttpRequest("GET", "/child", 500, 0.1, error_type="Child")))
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)


def test_the_event_is_frozen() -> None:
    with pytest.raises(AttributeError):
        REQUEST.status = 500  # type: ignore[misc]
    assert not hasattr(REQUEST, "__dict__")


def test_the_gauge_is_summed_over_live_workers(http: HttpMetrics, registry: CollectorRegistry) -> None:
    gauge: Any = registry.find("http_requests_in_progress")
    assert gauge.definition.options["multiprocess_mode"] == "livesum"
