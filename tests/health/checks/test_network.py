"""Ports and HTTP endpoints, on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from measurand import CollectorRegistry
from measurand.errors import ConfigurationError
from measurand.health import checks
from tests.endpoints.kit import make_certificates
from tests.endpoints.kit import serving as metrics_served
from tests.health.kit import Running
from tests.servers.process import free_port

pytestmark = pytest.mark.once

ONCE: Any = {"timeout": 30.0, "interval": 3600.0}


@contextmanager
def serving(status: int = 200, **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers everything with one status; yields its address and the requests that it got."""
    requests: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


class TestTcp:
    def test_a_port_that_accepts_passes(self, running: Running) -> None:
        with silent() as port:
            running.monitor.add(checks.tcp("127.0.0.1", port, timeout=30.0))
            running.wait_for("tcp", None)

    def test_a_port_that_refuses_fails(self, running: Running) -> None:
        running.monitor.add(checks.tcp("127.0.0.1", free_port(), timeout=30.0))
        running.wait_for("tcp", "connection_refused")

    def test_a_name_without_an_address_fails(self, running: Running) -> None:
        running.monitor.add(checks.tcp("name.invalid", 80, timeout=30.0))
        running.wait_for("tcp", "dns")

    @pytest.mark.parametrize(("host", "port"), [("", 80), (None, 80), ("localhost", 0), ("localhost", 65536), ("localhost", "80")])
    def test_what_is_no_address_is_refused(self, host: Any, port: Any) -> None:
        with pytest.raises(ConfigurationError, match="'mail' needs a host and a port from 1 to 65535"):
            checks.tcp(host, port, name="mail")


class TestHttp:
    @pytest.mark.parametrize("status", [200, 204, 299])
    def test_success_passes(self, running: Running, status: int) -> None:
        with serving(status) as (url, requests):
            running.monitor.add(checks.http(f"{url}/health?full=1", headers={"Authorization": "Bearer x"}, **ONCE))
            running.wait_for("http", None)
        (request,) = requests
        assert (request.command, request.path, request.headers["Authorization"]) == ("GET", "/health?full=1", "Bearer x")

    @pytest.mark.parametrize("status", [400, 404, 500, 503])
    def test_any_other_status_fails(self, running: Running, status: int) -> None:
        with serving(status) as (url, _):
            running.monitor.add(checks.http(url, **ONCE))
            running.wait_for("http", "unexpected_status")

    def test_a_redirect_is_not_followed(self, running: Running) -> None:
        with serving() as (target, followed), serving(302, Location=target) as (url, requests):
            running.monitor.add(checks.http(url, **ONCE))
            running.wait_for("http", "redirected")
        assert (len(requests), len(followed)) == (1, 0)

    def test_other_statuses_and_methods_can_be_expected(self, running: Running) -> None:
        with serving(405) as (url, requests):
            running.monitor.add(checks.http(url, method="POST", statuses={405}, **ONCE))
            running.wait_for("http", None)
        assert requests[0].command == "POST"

    def test_no_proxy_is_used(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        with serving() as (url, _):
            running.monitor.add(checks.http(url, **ONCE))
            running.wait_for("http", None)

    def test_a_server_that_does_not_answer_in_time_fails(self, running: Running) -> None:
        with silent() as port:
            running.monitor.add(checks.http(f"http://127.0.0.1:{port}", timeout=0.1))
            running.wait_for("http", "timeout")

    def test_a_server_that_does_not_speak_tls_fails(self, running: Running) -> None:
        with serving() as (url, _):
            running.monitor.add(checks.http(url.replace("http:", "https:"), **ONCE))
            running.wait_for("http", "tls")

    def test_certificates_are_checked_against_whom_one_trusts(self, running: Running, tmp_path: Path) -> None:
        certificates = make_certificates(tmp_path)
        with metrics_served(CollectorRegistry(), certfile=str(certificates.certificate), keyfile=str(certificates.key)) as port:
            url = f"https://127.0.0.1:{port}/"
            running.monitor.add(checks.http(url, name="strict", **ONCE))
            running.monitor.add(checks.http(url, name="trusting", tls=certificates.trusting(), **ONCE))
            running.wait_for("strict", "tls")
            running.wait_for("trusting", None)

    @pytest.mark.parametrize("url", ["", "localhost", "ftp://localhost/", "http://", "http://h:port/", "http://h:99999/", None, 5])
    def test_what_is_no_url_is_refused(self, url: Any) -> None:
        with pytest.raises(ConfigurationError, match="'search' needs a URL"):
            checks.http(url, name="search")

    def test_credentials_in_a_url_are_refused_and_not_repeated(self) -> None:
        with pytest.raises(ConfigurationError, match="pass headers=") as refused:
            checks.http("http://admin:hunter2@localhost/", name="search")
        assert "hunter2" not in str(refused.value)
