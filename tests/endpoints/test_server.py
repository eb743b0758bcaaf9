"""The standalone server and the handler for ``http.server``, over real sockets."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import HTTPServer, ThreadingHTTPServer
from typing import Any

import pytest

from measurand import REGISTRY, CollectorRegistry, Counter, MetricsHandler, start_http_server, start_wsgi_server
from tests.endpoints.kit import Answer, connections, fetch, reset, serving
from tests.support import wait_until

# -- where it listens ----------------------------------------------------------------------------------------------------------


def test_it_listens_on_loopback_unless_told(registry: CollectorRegistry) -> None:
    server, thread = start_http_server(0, registry=registry)
    try:
        assert server.server_address[0] == "127.0.0.1"
        assert server.server_port > 0
        assert thread.daemon
        assert thread.is_alive()
        with pytest.raises(OSError, match=r"refused|assign|unreachable"):  # another address of this machine
            socket.create_connection(("127.0.0.2", server.server_port), timeout=5)
    finally:
        server.shutdown()
        server.server_close()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_no_hold_on_the_port(registry: CollectorRegistry) -> None:
    server, _ = start_http_server(0, registry=registry)
    child = os.fork()
    if not child:
        signal.alarm(60)
        signal.pause()
    try:
        assert fetch(server.server_port).status == 200
        server.shutdown()
        server.server_close()
        with pytest.raises(ConnectionRefusedError):  # it would be accepted, and never answered, if the child still listened
            wait_until(lambda: socket.create_connection(("127.0.0.1", server.server_port), timeout=5).close(), timeout=10)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_it_listens_on_every_address_when_told(registry: CollectorRegistry) -> None:
    with serving(registry, addr="0.0.0.0") as port:
        assert fetch(port).status == 200


def test_it_speaks_ipv6(registry: CollectorRegistry) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with serving(registry, addr="::1") as port:
        assert b"\norders_total 3.0\n" in fetch(port, host="::1").body


def test_a_host_name_will_do(registry: CollectorRegistry) -> None:
    with serving(registry, addr="localhost") as port:
        assert fetch(port, host="localhost").status == 200


def test_a_taken_port_is_an_error(registry: CollectorRegistry) -> None:
    with serving(registry) as port, pytest.raises(OSError, match="in use"):
        start_http_server(port, registry=registry)


def test_two_servers_show_two_registries(registry: CollectorRegistry) -> None:
    with serving(registry) as one, serving(CollectorRegistry()) as other:
        assert one != other
        assert (b"orders_total" in fetch(one).body, fetch(other).body) == (True, b"")


def test_both_names_start_the_same_server() -> None:
    assert start_http_server is start_wsgi_server


def test_after_shutdown_the_port_is_free(registry: CollectorRegistry) -> None:
    with serving(registry) as port:
        assert fetch(port).status == 200
    with pytest.raises(ConnectionRefusedError):
        fetch(port)
    server, _ = start_http_server(port, registry=registry)
    server.shutdown()
    server.server_close()


# -- what it answers -----------------------------------------------------------------------------------------------------------


@contextmanager
def handling(registry: Any) -> Iterator[int]:
    """A plain ``http.server`` with our handler."""
    with ThreadingHTTPServer(("127.0.0.1", 0), MetricsHandler.factory(registry)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)


either = pytest.mark.parametrize("start", [serving, handling], ids=["server", "handler"])
Start = Callable[[Any], Any]


@either
def test_a_get_gives_the_metrics_under_any_path(registry: CollectorRegistry, start: Start) -> None:
    with start(registry) as port:
        for path in ("/metrics", "/", "/any?thing"):
            answer = fetch(port, "GET", path)
            assert answer.status == 200
            assert answer.headers["content-length"] == str(len(answer.body))
            assert answer.headers["vary"] == "Accept, Accept-Encoding"
            assert b"\norders_total 3.0\n" in answer.body


@either
def test_a_head_has_the_length_and_no_body(registry: CollectorRegistry, start: Start) -> None:
    with start(registry) as port:
        head, full = fetch(port, "HEAD"), fetch(port)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(full.body))


@either
def test_an_icon_is_empty(registry: CollectorRegistry, start: Start) -> None:
    with start(registry) as port:
        assert fetch(port, "GET", "/favicon.ico")[0::2] == (200, b"")


@either
def test_a_repeated_header_is_one_list(registry: CollectorRegistry, start: Start) -> None:
    repeated = ("Accept-Encoding", "br"), ("accept-encoding", "gzip"), ("Accept", "text/html"), ("ACCEPT", "application/openmetrics-text")
    with start(registry) as port:
        answer = fetch(port, "GET", "/metrics", *repeated)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body).endswith(b"# EOF\n")


@either
def test_names_are_filtered(registry: CollectorRegistry, start: Start) -> None:
    with start(registry) as port:
        body = fetch(port, "GET", "/metrics?name[]=orders_total&name%5B%5D=unknown").body
    assert [line for line in body.splitlines() if not line.startswith(b"#")] == [b"orders_total 3.0"]


@either
def test_a_scraper_in_a_hurry_gets_the_rest_within_its_timeout(registry: CollectorRegistry, start: Start) -> None:
    over = threading.Event()
    waited: list[bool] = []

    class Hanging:
        def collect(self) -> Iterable[Any]:
            waited.append(over.wait(20))
            return []

    registry.register(Hanging())
    with start(registry) as port:
        answer = fetch(port, "GET", "/metrics", ("X-Prometheus-Scrape-Timeout-Seconds", "0.6"))
        assert waited == []
        over.set()
    assert b"\norders_total 3.0\n" in answer.body
    assert b'reason="timeout"} 1.0\n' in answer.body


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("POST", 405), ("DELETE", 405)])
def test_other_methods_learn_what_is_allowed(registry: CollectorRegistry, method: str, status: int) -> None:
    with serving(registry) as port:
        answer = fetch(port, method)
    assert (answer.status, answer.headers["allow"]) == (status, "GET, HEAD, OPTIONS")


def test_scrapes_go_on_while_one_hangs(registry: CollectorRegistry) -> None:
    asked, over = threading.Event(), threading.Event()

    class Hanging:
        def collect(self) -> Iterable[Any]:
            asked.set()
            over.wait(20)
            return []

    hanging = CollectorRegistry()
    hanging.register(Hanging())
    answers: list[Answer] = []
    with serving(hanging) as port:
        first = threading.Thread(target=lambda: answers.append(fetch(port)))
        first.start()
        assert asked.wait(10)
        assert fetch(port, "OPTIONS").status == 200
        assert answers == []
        over.set()
        first.join(10)
    assert answers[0].status == 200


# -- the handler ---------------------------------------------------------------------------------------------------------------


def test_the_handler_shows_the_default_registry_unless_told() -> None:
    counter = Counter("handler_default", "In the default registry")
    assert MetricsHandler.registry is REGISTRY
    try:
        with HTTPServer(("127.0.0.1", 0), MetricsHandler) as server:
            thread = threading.Thread(target=server.handle_request, daemon=True)
            thread.start()
            assert b"handler_default_total 0.0\n" in fetch(server.server_port).body
            thread.join(10)
    finally:
        REGISTRY.unregister(counter)


def test_a_factory_makes_handlers_of_its_own_registry(registry: CollectorRegistry) -> None:
    made = MetricsHandler.factory(registry)
    assert issubclass(made, MetricsHandler)
    assert made.registry is registry
    assert made.__name__ == "MetricsHandler"
    assert MetricsHandler.registry is REGISTRY

    class Own(MetricsHandler):
        pass

    assert issubclass(Own.factory(registry), Own)


def test_a_handler_can_be_extended(registry: CollectorRegistry) -> None:
    class Extended(MetricsHandler.factory(registry)):  # type: ignore[misc]
        def do_GET(self) -> None:
            if self.path == "/health":
                self.send_error(503, "Not yet")
            else:
                super().do_GET()

    with HTTPServer(("127.0.0.1", 0), Extended) as server:
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(2)], daemon=True)
        thread.start()
        assert fetch(server.server_port, "GET", "/health").status == 503
        assert b"orders_total" in fetch(server.server_port).body
        thread.join(10)


def test_nobody_gets_a_line_per_scrape(registry: CollectorRegistry, capfd: pytest.CaptureFixture[str]) -> None:
    for start in (serving, handling):
        with start(registry) as port:
            assert fetch(port).status == 200
    assert capfd.readouterr() == ("", "")


# -- clients that misbehave ----------------------------------------------------------------------------------------------------


def test_silent_clients_do_not_stop_the_others(registry: CollectorRegistry) -> None:
    with serving(registry) as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        assert fetch(port).status == 200
        for client in silent:
            client.close()


def test_a_client_that_stays_silent_is_dropped(registry: CollectorRegistry) -> None:
    class Impatient(MetricsHandler.factory(registry)):  # type: ignore[misc]
        timeout = 0.05

    with HTTPServer(("127.0.0.1", 0), Impatient) as server, socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.settimeout(10)
        server.handle_request()
        assert client.recv(1) == b""
    assert MetricsHandler.timeout is not None


def test_clients_that_go_away_leave_no_trace(registry: CollectorRegistry, capfd: pytest.CaptureFixture[str]) -> None:
    large = Counter("large", "More than the buffers of a socket hold", ["n"], registry=registry, max_series=20_000)
    for number in range(20_000):
        large.labels("x" * 200 + str(number))
    with serving(registry) as port:
        for request in (b"", b"GET /met", b"GET /metrics HTTP/1.0\r\n\r\n", b"GET /metrics HTTP/1.0\r\n\r\n"):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(request)
            if request.endswith(b"\r\n\r\n"):
                assert client.recv(10)  # the answer is on its way
            reset(client)
        wait_until(lambda: not connections())
        assert fetch(port, "HEAD").status == 200
    assert capfd.readouterr() == ("", "")


def test_what_is_no_http_is_answered_as_such(registry: CollectorRegistry) -> None:
    with serving(registry) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in client.recv(1000)
