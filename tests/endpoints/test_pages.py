"""Pages by path, and what every page has in common."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter
from measurand.endpoints.asgi import serve_page as serve_asgi
from measurand.endpoints.page import Response
from measurand.endpoints.pages import Page, Pages, Request, answer, has_token, metrics, text
from measurand.endpoints.wsgi import serve_page as serve_wsgi
from measurand.errors import ConfigurationError

pytestmark = pytest.mark.once

HELLO = Page(lambda request: text(200, f"hello {request.query}\n", ("X-Seen", str(request.trusted))))


def get(path: str = "/hello", method: str = "GET", **headers: str) -> Request:
    return Request(method, path, "", headers)


@pytest.mark.parametrize(
    ("route", "asked", "found"),
    [
        ("/v1/ready", "/v1/ready", True),
        ("/v1/ready", "/v1/ready/", True),
        ("/v1/ready/", "/v1/ready", True),
        ("/", "/", True),
        ("/v1/ready", "/v1/readyz", False),
        ("/v1/ready", "/v1/ready/more", False),
        ("/v1/ready", "", False),
    ],
)
def test_a_page_stands_at_its_path_with_and_without_a_trailing_slash(route: str, asked: str, found: bool) -> None:
    assert (Pages({route: HELLO}).find(asked) is HELLO) == found


def test_every_spelling_is_listed() -> None:
    pages = Pages({"/a": HELLO, "/b/": HELLO})
    assert pages.paths == {"/a", "/a/", "/b", "/b/"}
    assert dict(pages) == dict.fromkeys(pages.paths, HELLO)


@pytest.mark.parametrize("path", ["v1/ready", "", "/v1/ready?all", "//ready"])
def test_a_path_that_no_request_can_have_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write it as '/v1/metrics'"):
        Pages({path: HELLO})


def test_two_pages_at_one_path_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"two pages are to stand at '/ready/'; give one of them another path"):
        Pages({"/ready": HELLO, "/ready/": HELLO})


def test_a_failing_page_answers_500_without_the_reason_and_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: Request) -> Response:
        raise OSError("password=hunter2")

    with caplog.at_level(logging.ERROR, "measurand"):
        response = answer(Page(fail), get())
    assert response.status == 500
    assert b"hunter2" not in response.body
    assert "hunter2" in caplog.text


def test_head_has_the_headers_of_get_and_no_body() -> None:
    assert answer(HELLO, get(method="HEAD")) == answer(HELLO, get())._replace(body=b"")


@pytest.mark.parametrize(
    ("header", "token", "right"),
    [
        ("Bearer s3cret", "s3cret", True),
        ("bearer  s3cret", "s3cret", True),
        ("Bearer S3cret", "s3cret", False),
        ("Bearer s3cre", "s3cret", False),
        ("Bearer", "s3cret", False),
        ("Basic s3cret", "s3cret", False),
        ("", "s3cret", False),
        ("Bearer ", "", False),
        ("Bearer None", None, False),
        ("Bearer \xff", "s3cret", False),
    ],
)
def test_only_the_right_bearer_token_opens(header: str, token: str | None, right: bool) -> None:
    assert has_token(get(authorization=header), token) is right


def test_no_header_is_no_token() -> None:
    assert has_token(get(), "s3cret") is False


def test_the_metrics_page_is_quick_until_its_registry_runs_other_code() -> None:
    registry = CollectorRegistry()
    counter = Counter("things_total", "Things", registry=registry)
    counter.inc(3)
    page = metrics(registry)
    assert page.is_quick()
    assert b"things_total 3.0\n" in answer(page, get()).body

    class Slow:
        def collect(self) -> list[Any]:
            return []

    registry.register(Slow())
    assert not page.is_quick()


def test_trust_reaches_the_page_as_wsgi() -> None:
    seen: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/hello", "QUERY_STRING": "you"}
    body = serve_wsgi(HELLO, environ, lambda *answered: seen.append(answered), trusted=True)
    assert b"".join(body) == b"hello you\n"
    ((status, headers),) = seen
    assert status == "200 OK"
    assert dict(headers)["X-Seen"] == "True"
    assert dict(headers)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("quick", [True, False])
def test_trust_reaches_the_page_as_asgi(quick: bool) -> None:


    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/hello", "query_string": b"you", "headers": []}
    page = HELLO._replace(is_quick=lambda: quick)
    asyncio.run(serve_asgi(page, scope, lambda: None, send, trusted=True))  # type: ignore[arg-type]
    assert sent[0]["status"] == 200
    assert (b"x-seen", b"True") in sent[0]["headers"]
    assert sent[1]["body"] == b"hello you\n"
