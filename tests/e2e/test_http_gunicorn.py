"""What is recorded of requests to a Flask application on a real gunicorn, and that its answers stay as they are."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.http.requests import (
    OF_WSGI,
    assert_each_is_recorded_once,
    assert_leavers_leave_nothing_behind,
    assert_same_bytes,
    assert_unfinished_bodies_are_disconnects,
)
from tests.e2e.http.running import Server, total
from tests.servers.process import until
from tests.support import SCALE

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn does not run on this system")]

APP = "tests.e2e.http.wsgi:app"
WORKERS = {
    "sync": ["gunicorn", APP, "--bind", "127.0.0.1:PORT", "--worker-class", "sync"],
    "gthread": ["gunicorn", APP, "--bind", "127.0.0.1:PORT", "--worker-class", "gthread", "--threads", "8"],
}
ABORTS = int(min(1000, 250 * SCALE))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts a server once, and keeps it for the module."""
    running: dict[tuple[str, str], Server] = {}

    def started(worker: str, bare: str = "0") -> Server:
        if (worker, bare) not in running:
            folder = tmp_path_factory.mktemp(worker)
            running[worker, bare] = Server(WORKERS[worker], folder, "/api/v1/items/7", BARE=bare)
        return running[worker, bare]

    yield started
    for server in running.values():
        server.process.stop()


@pytest.fixture(params=WORKERS)
def server(request: pytest.FixtureRequest, start: Callable[..., Server]) -> Server:
    return start(request.param)


def test_each_request_is_recorded_once(server: Server) -> None:
    assert_each_is_recorded_once(server, OF_WSGI)


@pytest.mark.parametrize("worker", WORKERS)
def test_every_byte_of_every_answer_is_what_it_is_without_us(worker: str, start: Callable[..., Server]) -> None:
    measured, bare = start(worker), start(worker, "1")
    assert_same_bytes(measured, bare)
    chunked = "POST /upload HTTP/1.1\nHost: x\nConnection: close\nTransfer-Encoding: chunked\n\n3\nabc\n4\ndefg\n0\n\n"
    assert measured.raw(chunked) == bare.raw(chunked)
    assert measured.raw(chunked).endswith(b"7")


def test_a_file_is_sent_without_being_read(server: Server) -> None:
    assert server.raw("GET /file HTTP/1.0\n\n").endswith(Path(__file__).with_name("http").joinpath("wsgi.py").read_bytes())
    assert not (server.folder / "read").exists()


def test_clients_that_leave_in_the_middle_of_a_stream_leave_nothing_behind(server: Server) -> None:
    """P-18."""
    assert_leavers_leave_nothing_behind(server, ABORTS)


def test_clients_that_leave_before_the_end_of_their_body_are_disconnects(server: Server) -> None:
    assert_unfinished_bodies_are_disconnects(server)


def test_requests_under_way_are_in_progress(start: Callable[..., Server]) -> None:
    server = start("gthread")
    streams = [server.connect("GET /endless HTTP/1.1\nHost: x\n\n") for _ in range(3)]
    assert all(connection.recv(10) for connection in streams)
    server.until(3, "http_requests_in_progress", method="GET")
    for connection in streams:
        connection.close()
    server.until(0, "http_requests_in_progress", method="GET")


@pytest.mark.parametrize("worker", WORKERS)
def test_every_worker_announces_the_server_once_and_the_process_that_forks_them_never(worker: str, tmp_path: Path) -> None:

    def pids() -> list[str]:
        server.ask("GET", "/v1/metrics")
        return (tmp_path / "started").read_text().split()

    with Server([*WORKERS[worker], "--preload", "--workers", "2"], tmp_path) as server:
        until(lambda: len(set(pids())) == 2, lambda: f"{pids()}; {server.process.log}")
        assert len(pids()) == 2
        assert str(server.process.pid) not in pids()
        os.kill(int(pids()[0]), signal.SIGKILL)
        until(lambda: len(set(pids())) == 3, lambda: f"{pids()}; {server.process.log}")


def test_a_worker_that_is_stopped_in_a_request_records_it_as_cancelled(tmp_path: Path) -> None:
    """The worker's time for a request is over, and gunicorn makes it exit where it stands."""
    with Server([*WORKERS["sync"], "--timeout", "1"], tmp_path) as server:
        with server.connect("GET /hang HTTP/1.1\nHost: x\n\n") as connection:
            connection.recv(100)
        until((tmp_path / "last.prom").exists, lambda: server.process.log)
        page = (tmp_path / "last.prom").read_text()
    assert total(page, "http_requests_failed_total", endpoint="/hang", status="503", error_type="cancelled") == 1, page
    assert total(page, "http_requests_in_progress") == 0
