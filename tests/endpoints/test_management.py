"""The pages on a port of their own."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess

import pytest

from measurand import CollectorRegistry, Counter
from measurand.endpoints.management import ManagementServer, index_page, is_loopback, protected
from measurand.endpoints.pages import Page, Pages, metrics, text
from measurand.errors import ConfigurationError
from tests.support import wait_until

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")]


def pages(token: str | None = None) -> Pages:
    registry = CollectorRegistry()
    Counter("things_total", "Things", registry=registry).inc(3)
    who = Page(lambda request: text(200, f"{os.getpid()} {request.trusted}"))
    return Pages({"/v1/metrics": protected(metrics(registry), token), "/who": who, "/": index_page("shop", lambda: ["/v1/metrics"])})


def get(url: str, path: str, **headers: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0, token: str | None = None) -> Iterator[ManagementServer]:
    server = ManagementServer(pages(token), host, port)
    server.start()
    try:
        yield server
    finally:
        assert server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_serves_the_pages_and_a_list_of_them() -> None:
    with serving() as server:
        assert get(server.url, "/") == (200, "shop\n\n/v1/metrics\n")
        assert "things_total 3.0\n" in get(server.url, "/v1/metrics/")[1]
        assert get(server.url, "/etc/passwd")[0] == 404
        assert server.is_serving


def test_a_stopped_server_leaves_its_port() -> None:
    with serving() as server:
        port = int(server.url.rpartition(":")[2])
    assert not server.is_serving
    with serving(port=port) as again:
        assert get(again.url, "/who")[0] == 200


@pytest.mark.parametrize(
    ("header", "status"), [("", 401), ("Bearer wrong", 401), ("Basic s3cret", 401), ("Bearer s3cret", 200), ("bearer s3cret", 200)]
)
def test_with_a_token_only_the_token_opens_the_metrics(header: str, status: int) -> None:
    with serving(token="s3cret") as server:
        answered, body = get(server.url, "/v1/metrics", **({"Authorization": header} if header else {}))
        assert answered == status
        assert ("things_total" in body) == (status == 200)
        assert get(server.url, "/who")[0] == 200


@pytest.mark.parametrize(("host", "trusted"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_requests_are_trusted_on_a_port_that_only_this_machine_can_reach(host: str, trusted: bool) -> None:
    with serving(host) as server:
        assert get(server.url, "/who") == (200, f"{os.getpid()} {trusted}")


@pytest.mark.parametrize(("host", "status"), [("evil.example", 403), ("127.0.0.1.evil.io", 403), ("localhost", 200), ("[::1]:80", 200)])
def test_on_loopback_only_names_of_this_machine_are_answered(host: str, status: int) -> None:
    with serving() as server:
        assert get(server.url, "/who", Host=host)[0] == status


def test_everywhere_else_any_name_is_answered() -> None:
    with serving("0.0.0.0") as server:
        assert get(server.url, "/who", Host="metrics.internal:9100")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "LOCALHOST.", "a.localhost"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "", "127.0.0.1.evil.example"])
def test_everything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("answer", [b"HTTP/1.0 404 Not Found\r\n\r\n", b"220 mail.example ESMTP\r\n"])
def test_a_port_that_another_program_has_is_an_error_that_says_what_to_do(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}: another program does; choose another port, or 0"):
            ManagementServer(pages(), "127.0.0.1", port).start()
        thread.join(30)


def test_a_process_that_ends_while_the_next_one_asks_leaves_it_the_port() -> None:
    with socket.socket() as ending:  # bound and refusing, as one that has just begun or is about to end
        ending.bind(("127.0.0.1", 0))
        server = ManagementServer(pages(), "127.0.0.1", ending.getsockname()[1])
        starting = threading.Thread(target=server.start, daemon=True)
        starting.start()
        starting.join(0.3)
        assert starting.is_alive()
    starting.join(30)
    assert server.is_serving
    assert get(server.url, "/who")[0] == 200
    assert server.stop()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_an_error(host: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"the management server cannot listen on {host}:0"):
        ManagementServer(pages(), host, 0).start()


def serve_until_killed(port: int) -> None:
    with serving(port=port):
        signal.pause()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_of_several_processes_one_serves_and_when_it_is_killed_another_does(method: str) -> None:
    """P-11: one server, no exception, another one within 5 s."""
    port = free_port()
    context = multiprocessing.get_context(method)
    workers: list[BaseProcess] = [context.Process(target=serve_until_killed, args=(port,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    by_pid = {worker.pid: worker for worker in workers}

    def server_pid() -> int:
        try:
            return int(get(f"http://127.0.0.1:{port}", "/who")[1].split()[0])
        except (OSError, http.client.HTTPException):
            return 0

    try:
        first = wait_until(server_pid)
        assert wait_until(lambda: all(worker.is_alive() for worker in workers))
        by_pid[first].kill()
        by_pid[first].join()
        second = wait_until(lambda: server_pid() not in {0, first} and server_pid())
        assert second in by_pid
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def test_a_fork_of_the_serving_process_stands_by_and_takes_over() -> None:
    with serving() as server:
        parent = int(get(server.url, "/who")[1].split()[0])
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            signal.pause()
        try:
            assert parent == os.getpid()
            server.stop()
            assert wait_until(lambda: _who(server.url)) == child
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _who(url: str) -> int:
    try:
        return int(get(url, "/who")[1].split()[0])
    except (OSError, http.client.HTTPException):
        return 0
