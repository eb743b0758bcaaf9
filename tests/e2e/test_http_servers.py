"""What is recorded of requests on real servers: clients that leave, streams, websockets, and what a shutdown cancels."""

from __future__ import annotations

import base64
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.servers.process import Missing, Process, free_port, require, until

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
APP = "tests.e2e.http.asgi:app"
SERVERS = {
    "uvicorn": ["uvicorn", APP, "--port", "PORT", "--timeout-graceful-shutdown", "1", "--ws", "wsproto", "--no-access-log"],
    "hypercorn": ["hypercorn", APP, "--bind", "127.0.0.1:PORT", "--graceful-timeout", "1"],
    "granian": ["granian", APP, "--interface", "asgi", "--port", "PORT", "--no-access-log"],
}
ABORTS = {"uvicorn": 1000, "hypercorn": 200, "granian": 200}


class Server:
    """A running server with the application, and what it has recorded."""

    def __init__(self, name: str, port: int, folder: Path, process: Process) -> None:
        self.name = name
        self.folder = folder
        self.process = process
        self._port = port

    def ask(self, method: str, path: str, body: bytes | None = None) -> int:
        """The status of an answer that is read to its end, however it ends."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request(method, path, body)
            response = connection.getresponse()
            with suppress(HTTPException, ConnectionError):
                response.read()
            return response.status

    def connect(self, request: str) -> socket.socket:
        """A connection on which a request, or its beginning, has been sent."""
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        connection.sendall(request.replace("\n", "\r\n").encode())
        return connection

    def recorded(self, name: str, **labels: str) -> float:
        """The sum of a metric's series with these labels."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request("GET", "/v1/metrics")
            return total(connection.getresponse().read().decode(), name, **labels)

    def until(self, expected: float, name: str, **labels: str) -> None:
        """Wait until the metric is what it should be."""
        until(lambda: self.recorded(name, **labels) == expected, lambda: f"{name} is {self.recorded(name, **labels)}", 60)


def total(page: str, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(page)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


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
    if find_spec(name) is None:
        require(Missing(name, f"pip install {name}"))
    port = free_port()
    command = [sys.executable, "-m", *(part.replace("PORT", str(port)) for part in SERVERS[name])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
        process = Process(command, folder)
    until((folder / "calls").exists, lambda: process.log, 60)
    server = Server(name, port, folder, process)

    def answers() -> bool:
        try:
            return server.ask("GET", "/v1/metrics") == 200
        except OSError:
            return False

    until(answers, lambda: process.log, 60)
    return server


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, start: Callable[[str], Server]) -> Server:
    return start(request.param)


def test_each_request_is_recorded_once(server: Server) -> None:
    asked = [
        ("GET", "/api/v1/items/7", 200, "/api/v1/items/{item}", ""),
        ("GET", "/api/v1/items/8", 200, "/api/v1/items/{item}", ""),
        ("PUT", "/api/v1/items/8", 405, "/api/v1/items/{item}", "client_error"),
        ("GET", "/wp-login.php", 404, "__unmatched__", "not_found"),
        ("GET", "/boom", 500, "/boom", "Boom"),
        ("GET", "/broken", 200, "/broken", "Boom"),
    ]
    for method, path, status, endpoint, error_type in asked:
        requests = {"method": method, "endpoint": endpoint, "status": str(status)}
        counted, failed = (server.recorded(name, **requests) for name in ("http_requests_total", "http_requests_failed_total"))
        assert server.ask(method, path) == status
        server.until(counted + 1, "http_requests_total", **requests)
        if error_type:
            server.until(failed + 1, "http_requests_failed_total", **requests, error_type=error_type)
    assert server.recorded("http_requests_in_progress") == 0
    assert server.recorded("http_requests_total", endpoint="/v1/metrics") == 0


def test_clients_that_leave_in_the_middle_of_a_stream_leave_nothing_behind(server: Server) -> None:
    """P-18."""
    for _ in range(ABORTS[server.name]):
        with server.connect("GET /endless HTTP/1.1\nHost: x\n\n") as connection:
            assert connection.recv(1000)
    server.until(ABORTS[server.name], "http_client_disconnects_total", endpoint="/endless")
    server.until(0, "http_requests_in_progress")
    assert server.recorded("http_requests_total", endpoint="/endless", status="200") == ABORTS[server.name]
    assert server.recorded("http_requests_failed_total", endpoint="/endless") == 0


def test_clients_that_leave_before_the_end_of_their_body_are_disconnects(server: Server) -> None:
    for _ in range(20):
        server.connect("POST /upload HTTP/1.1\nHost: x\nContent-Length: 1000\n\nonly this").close()
    server.until(20, "http_client_disconnects_total", endpoint="/upload")
    server.until(0, "http_requests_in_progress")
    assert server.recorded("http_requests_total", endpoint="/upload", status="499") == 20
    assert server.recorded("http_requests_failed_total", endpoint="/upload") == 0


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


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn"])
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
