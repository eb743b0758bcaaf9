"""The driver plays a server as servers are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from measurand.testing.http import Boom
from measurand.testing.http_asgi import AsgiDriver, Exchange
from tests.integrations.test_asgi import LAST, PART, START, make_app, steps

pytestmark = pytest.mark.once


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Path", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": body})


def test_it_asks_and_reads_the_answer() -> None:
    answer = AsgiDriver(echo).request("POST", "/a%20b?x=1", b"y" * 40_000)
    assert (answer.status, answer.headers, len(answer.body)) == (200, [("x-path", "/a b")], 40_000)


def test_the_scope_is_that_of_a_server() -> None:
    exchange = Exchange(echo, "GET", "/a%20b?c=d", headers=((b"x", b"y"),), root_path="/root")
    scope = exchange.scope
    assert (scope["path"], scope["raw_path"], scope["query_string"], scope["root_path"]) == ("/a b", b"/a%20b", b"c=d", "/root")
    assert scope["headers"][-1] == (b"x", b"y")


def test_a_head_has_no_body() -> None:
    answer = AsgiDriver(steps(START, LAST)).request("HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")


def test_an_exception_is_500_before_the_headers_and_the_end_of_the_stream_after() -> None:
    assert AsgiDriver(steps(Boom())).request("GET", "/").status == 500
    answer = AsgiDriver(steps(START, PART, Boom())).request("GET", "/")
    assert (answer.status, answer.body) == (200, b"part")
    exchange = Exchange(steps(START, Boom()), "GET", "/")
    asyncio.run(exchange.run())
    assert isinstance(exchange.error, Boom)


def test_an_application_that_says_nothing_has_no_status() -> None:
    assert AsgiDriver(steps()).request("GET", "/").status == 0


def test_a_client_that_leaves_is_told_of_and_gets_nothing_more() -> None:
    exchange = Exchange(make_app(), "GET", "/endless", leave_after=1)
    answer = asyncio.run(exchange.run())
    assert answer.body == b"one"


def test_a_client_that_leaves_while_it_sends_is_told_of_after_what_it_sent() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while not seen or seen[-1] != "http.disconnect":
            seen.append((await receive())["type"])

    AsgiDriver(app).leave_while_sending("/upload")
    assert seen == ["http.request", "http.request", "http.disconnect"]


def test_the_end_of_a_response_is_the_end_for_whoever_listens() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(LAST)
        assert (await receive())["type"] == "http.disconnect"

    exchange = Exchange(app, "GET", "/")
    asyncio.run(exchange.run())
    assert exchange.error is None
