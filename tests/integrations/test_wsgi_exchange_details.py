"""What is recorded of a WSGI request only on demand, and that its content passes through without being kept."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from measurand.catalog.http import HttpMetrics
from measurand.integrations.wsgi import Middleware
from measurand.metrics.registry import CollectorRegistry
from measurand.testing.clock import FakeClock
from measurand.testing.http import StandIn
from measurand.testing.http_wsgi import WsgiExchange
from measurand.testing.readings import Readings
from tests.integrations.wsgi_apps import Body, Environ, StartResponse, reading, returning, writing


def detailed() -> tuple[StandIn, Readings]:
    registry = CollectorRegistry()
    http = HttpMetrics(registry, body_sizes=True, first_byte=True, background=True, buckets=(0.1, 1, 10))
    return StandIn(http), Readings(registry)


def test_time_to_the_start_the_whole_response_and_what_comes_after_are_three_values() -> None:
    """P-18: 200 ms to the headers, one second of body, two seconds of background work."""
    with FakeClock() as clock:

        def app(environ: Environ, start_response: StartResponse) -> Body:
            clock.advance(0.2)
            start_response("200 OK", [])
            return Body(lambda: b"first", lambda: (clock.advance(1.0), b"last")[1], at_close=lambda: clock.advance(2.0))

        service, readings = detailed()
        WsgiExchange(Middleware(app, service), "GET", "/").run()
    assert readings.delta("http_response_first_byte_seconds_sum") == pytest.approx(0.2)
    assert readings.delta("http_request_duration_seconds_sum") == pytest.approx(1.2)
    assert readings.delta("http_background_seconds_sum") == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("app", "method", "received", "sent"),
    [
        (reading, "POST", 1000, 4),
        (writing(b"one", b"two"), "GET", 0, 10),
        (returning([b"ab", b"cde"]), "GET", 0, 5),
        (returning([b"ab", b"cde"]), "HEAD", 0, 0),
        (returning([]), "GET", 0, 0),
        (lambda e, s: returning(e["wsgi.file_wrapper"](io.BytesIO(b"content")), headers=[("Content-Length", "7")])(e, s), "GET", 0, 7),
    ],
)
def test_sizes_are_those_of_what_was_received_and_sent(app: Any, method: str, received: int, sent: int) -> None:
    service, readings = detailed()
    WsgiExchange(Middleware(app, service), method, "/", b"x" * received).run()
    assert readings.delta("http_request_body_bytes_sum") == received
    assert readings.delta("http_response_body_bytes_sum") == sent
    assert readings.delta("http_response_first_byte_seconds_count") == 1


def test_a_large_stream_takes_no_memory() -> None:
    """P-16: chunks pass one by one, uploads too."""
    chunk = b"x" * 1_000_000
    service, _ = detailed()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        while environ["wsgi.input"].read(100_000):
            pass
        start_response("200 OK", [])
        return (chunk for _ in range(1000))

    class Upload:
        left = 1000

        def read(self, size: int) -> bytes:
            self.left -= 1
            return chunk[:size] if self.left >= 0 else b""

    played = WsgiExchange(app, "POST", "/", **{"wsgi.input": Upload(), "CONTENT_LENGTH": "100000000"})
    tracemalloc.start()
    try:
        body = Middleware(app, service)(played.environ, played.start_response)
        taken = sum(len(each) for each in body)
        body.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken == 1_000_000_000
    assert peak < 1_000_000
