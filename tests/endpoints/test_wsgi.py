"""The metrics page as a WSGI application, under the standard library's own validator."""

from __future__ import annotations

import gzip
import io
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from measurand import REGISTRY, CollectorRegistry, Counter, make_wsgi_app


def call(app: Any, method: str = "GET", path: str = "/metrics", query: str = "", **environ: str) -> tuple[str, dict[str, str], bytes]:
    """What a server gets from the application: status, headers, body. The validator objects to what PEP 3333 forbids."""
    request: dict[str, Any] = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query, **environ}
    setup_testing_defaults(request)
    request["wsgi.errors"] = io.StringIO()
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, headers))
        return lambda data: None

    answer = validator(app)(request, start_response)
    try:
        body = b"".join(answer)
    finally:
        answer.close()  # type: ignore[attr-defined]
    ((status, headers),) = started
    assert len(dict(headers)) == len(headers)
    return status, dict(headers), body


def test_a_get_gives_the_metrics(registry: CollectorRegistry) -> None:
    status, headers, body = call(make_wsgi_app(registry))
    assert status == "200 OK"
    assert headers["Content-Length"] == str(len(body))
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"\norders_total 3.0\n" in body


def test_a_head_has_the_headers_only(registry: CollectorRegistry) -> None:
    app = make_wsgi_app(registry)
    assert call(app, "HEAD") == (*call(app)[:2], b"")


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", "200 OK"), ("POST", "405 Method Not Allowed")])
def test_other_methods_learn_what_is_allowed(registry: CollectorRegistry, method: str, status: str) -> None:
    answered, headers, body = call(make_wsgi_app(registry), method)
    assert (answered, headers["Allow"]) == (status, "GET, HEAD, OPTIONS")
    assert headers["Content-Length"] == str(len(body))


def test_an_icon_is_empty(registry: CollectorRegistry) -> None:
    assert call(make_wsgi_app(registry), path="/favicon.ico")[0::2] == ("200 OK", b"")


def test_the_requests_headers_count(registry: CollectorRegistry) -> None:
    _, headers, body = call(make_wsgi_app(registry), HTTP_ACCEPT="application/openmetrics-text", HTTP_ACCEPT_ENCODING="gzip")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert (headers["Content-Encoding"], headers["Content-Length"]) == ("gzip", str(len(body)))
    assert gzip.decompress(body).endswith(b"# EOF\n")


def test_names_are_filtered(registry: CollectorRegistry) -> None:
    body = call(make_wsgi_app(registry), query="name[]=orders_total&name[]=unknown")[2]
    assert [line for line in body.splitlines() if not line.startswith(b"#")] == [b"orders_total 3.0"]


def test_compression_can_be_turned_off(registry: CollectorRegistry) -> None:
    _, headers, body = call(make_wsgi_app(registry, disable_compression=True), HTTP_ACCEPT_ENCODING="gzip")
    assert "Content-Encoding" not in headers
    assert body.startswith(b"# HELP")


def test_a_failing_collector_is_no_server_error(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def collect(self) -> Any:
            raise RuntimeError("no connection")

    registry.register(Failing())
    status, _, body = call(make_wsgi_app(registry))
    assert status == "200 OK"
    assert b"\norders_total 3.0\n" in body
    assert b'reason="error"} 1.0\n' in body
    assert "no connection" in caplog.text


def test_an_environment_with_only_what_is_required_is_enough(registry: CollectorRegistry) -> None:
    started: list[str] = []
    environ = {"REQUEST_METHOD": "GET"}
    body = make_wsgi_app(registry)(environ, lambda status, headers: started.append(status))
    assert started == ["200 OK"]
    assert b"orders_total" in b"".join(body)


def test_the_default_registry_is_shown_by_default() -> None:
    counter = Counter("wsgi_default", "In the default registry")
    try:
        assert b"wsgi_default_total 0.0\n" in call(make_wsgi_app())[2]
    finally:
        REGISTRY.unregister(counter)
