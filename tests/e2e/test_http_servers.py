"""What is recorded of requests on real servers: clients that leave, streams, websockets, and what a shutdown cancels."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.http.requests import (
    OF_ASGI,
    assert_each_is_recorded_once,
    assert_leavers_leave_nothing_behind,
    assert_unfinished_bodies_are_disconnects,
)
from tests.e2e.http.running import Server, total
from tests.servers.process import until

pytestmark = pytest.mark.once

APP = "tests.e2e.http.asgi:app"
SERVERS = {
    "uvicorn": ["uvicorn", APP, "--port", "PORT", "--timeout-graceful-shutdown", "1", "--ws", "wsproto", "--no-access-log"],
    "hypercorn": ["hypercorn", APP, "--bind", "127.0.0.1:PORT", "--graceful-timeout", "1"],
    "granian": ["granian", APP, "--interface", "asgi", "--port", "PORT", "--no-access-log"],
}
ABORTS = {"uvicorn": 1000, "hypercorn": 200, "granian": 200}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Starts a server once, and keeps it for the module."""
    running: dict[str, Server] = {}

    def started(name: str) -> Server:
        if name not in running:
            running[name] = begin(name, tmp_path_factory.mktemp(name))
        return running[name]

    yield started
    for server in running.values():
        server.process.stop()


def begin(name: str, folder: Path) -> Server:
    server = Server(SERVERS[name], folder)
    until((folder / "calls").exists, lambda: server.process.log, 60)
    return server


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, start: Callable[[str], Server]) -> Server:
    return start(request.param)


def test_each_request_is_recorded_once(server: Server) -> None:
    assert_each_is_recorded_once(server, OF_ASGI)


def test_clients_that_leave_in_the_middle_of_a_stream_leave_nothing_behind(server: Server) -> None:
    """P-18."""
    assert_leavers_leave_nothing_behind(server, ABORTS[server.name])


def test_clients_that_leave_before_the_end_of_their_body_are_disconnects(server: Server) -> None:
    assert_unfinished_bodies_are_disconnects(server)


def test_websockets_are_open_while_they_are(server: Server) -> None:
    key = base64.b64encode(bytes(16)).decode()
    upgrade = f"Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: {key}\n"
    connections = [server.connect(f"GET /rooms/{number} HTTP/1.1\nHost: x\n{upgrade}\n") for number in range(5)]
    assert all(b" 101 " in connection.recv(1000) for connection in connections)
    server.until(5, "websocket_connections", endpoint="/rooms/{room}")
    for connection in connections:
        connection.close()
    server.until(0, "websocket_connections", endpoint="/rooms/{room}")
    server.until(5, "websocket_connection_duration_seconds_count", endpoint="/rooms/{room}")


endless = pytest.mark.skipif(sys.version_info >= (3, 12), reason="from Python 3.12 on hypercorn waits for connections without end")


@pytest.mark.parametrize("name", ["uvicorn", pytest.param("hypercorn", marks=endless)])
def test_what_the_shutdown_cancels_is_recorded_as_that_before_the_last_numbers_are_taken(name: str, tmp_path: Path) -> None:
    """Granian kills what does not end by itself."""
    server = begin(name, tmp_path)
    try:
        hanging = [server.connect("GET /hang HTTP/1.1\nHost: x\n\n") for _ in range(3)]
        server.until(3, "http_requests_in_progress", method="GET")
        server.process.stop()
        for connection in hanging:
            connection.close()
    finally:
        server.process.stop()
    page = (tmp_path / "last.prom").read_text()
    assert total(page, "http_requests_failed_total", endpoint="/hang", status="503", error_type="cancelled") == 3
    assert total(page, "http_requests_in_progress") == 0
    assert (tmp_path / "calls").read_text().split() == ["started", "stopping"]
