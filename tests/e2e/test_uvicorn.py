"""The ASGI application under a real server."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest
import uvicorn

from measurand import CollectorRegistry, Counter, make_asgi_app
from tests.support import wait_until


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server with its lifespan switched on, so that a start that is not acknowledged fails."""
    registry = CollectorRegistry()
    jobs = Counter("jobs_total", "Jobs done", ["kind"], registry=registry)
    for number in range(600):  # too many for the quick answer in the loop: the page is made in another thread
        jobs.labels(str(number)).inc(number)
    app = make_asgi_app(registry)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="on", log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive())
    assert server.started
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def ask(port: int, method: str, path: str = "/metrics", **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_a_scraper_gets_its_format_compressed(port: int) -> None:
    response, body = ask(port, "GET", Accept="application/openmetrics-text;version=1.0.0", **{"Accept-Encoding": "gzip"})
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    assert gzip.decompress(body).endswith(b'jobs_total{kind="599"} 599.0\n# EOF\n')


def test_head_has_the_length_and_no_body(port: int) -> None:
    _, body = ask(port, "GET")
    response, nothing = ask(port, "HEAD")
    assert (response.status, response.headers["Content-Length"], nothing) == (200, str(len(body)), b"")


def test_names_are_filtered(port: int) -> None:
    assert b"jobs" not in ask(port, "GET", "/metrics?name[]=other")[1]


def test_other_methods_learn_what_is_allowed(port: int) -> None:
    response, _ = ask(port, "DELETE")
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_scrapes_at_once_are_all_answered(port: int) -> None:
    bodies: list[bytes] = []
    threads = [threading.Thread(target=lambda: bodies.append(ask(port, "GET")[1])) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(bodies) == 20
    assert len(set(bodies)) == 1
    assert bodies[0].count(b"\njobs_total{") == 600
