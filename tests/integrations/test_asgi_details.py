"""What is recorded besides the duration, when it is switched on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from measurand.catalog.http import HttpMetrics
from measurand.integrations.asgi import install
from measurand.testing.clock import FakeClock
from measurand.testing.http import StandIn
from measurand.testing.http_asgi import AsgiDriver
from measurand.testing.readings import Readings
from tests.integrations.test_asgi import LAST, PART, START, Server, make_app, steps


def detailed() -> StandIn:
    service = StandIn()
    service.http = HttpMetrics(service.registry, body_sizes=True, first_byte=True, background=True)
    return service


def test_sizes_are_those_of_the_bodies() -> None:
    service = detailed()
    driver = AsgiDriver(install(make_app(), service))
    driver.request("POST", "/upload", b"x" * 70_000)
    driver.request("GET", "/stream")
    readings = Readings(service.registry)
    assert readings.value("http_request_body_bytes_sum", method="POST", endpoint="/upload") == 70_000
    assert readings.value("http_response_body_bytes_sum", method="POST", endpoint="/upload") == len("70000")
    assert readings.value("http_response_body_bytes_sum", method="GET", endpoint="/stream") == len("onetwothree")


def test_a_file_that_the_server_sends_has_no_known_size() -> None:
    service = detailed()
    app = steps(START, {"type": "http.response.pathsend", "path": "/tmp/file"})
    asyncio.run(Server().ask(install(app, service)))
    readings = Readings(service.registry)
    assert readings.samples("http_response_body_bytes_count") == []
    assert readings.value("http_request_body_bytes_count") == 1


def test_a_response_that_never_began_has_no_first_byte_and_nothing_after_it() -> None:
    service = detailed()
    asyncio.run(Server().ask(install(steps(), service)))
    readings = Readings(service.registry)
    assert readings.samples("http_response_first_byte_seconds_count") == []
    assert readings.samples("http_background_seconds_count") == []


@pytest.mark.parametrize("status", [200, 500])
def test_good_and_bad_responses_are_measured_alike(status: int) -> None:
    service = detailed()
    with FakeClock() as clock:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            clock.advance(1)
            await send({**START, "status": status})
            clock.advance(1)
            await send(PART)
            await send(LAST)
            clock.advance(5)

        asyncio.run(Server().ask(install(app, service)))
    readings = Readings(service.registry)
    assert readings.value("http_response_first_byte_seconds_sum") == 1
    assert readings.value("http_request_duration_seconds_sum") == 2
    assert readings.value("http_background_seconds_sum") == 5


def test_without_them_nothing_of_it_exists() -> None:
    service = StandIn()
    AsgiDriver(install(make_app(), service)).request("GET", "/stream")
    names = {metric.name for metric in service.registry.collect()}
    assert names == {
        "http_requests",
        "http_requests_failed",
        "http_request_duration_seconds",
        "http_requests_in_progress",
        "http_client_disconnects",
        "websocket_connections",
        "websocket_connection_duration_seconds",
    }
