"""The last responses ask clients to come back on another connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from measurand.integrations.asgi import install
from measurand.integrations.asgi_closing import closing
from measurand.testing.http import StandIn
from measurand.testing.http_asgi import AsgiDriver
from tests.integrations.test_asgi import make_app

pytestmark = pytest.mark.once


def sent(scope: dict[str, Any], *headers: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The headers that reach the server."""
    messages: list[Any] = []

    async def respond() -> None:
        async def keep(message: Any) -> None:
            messages.append(message)

        send = closing(scope, keep)
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"hello"})

    asyncio.run(respond())
    assert messages[1] == {"type": "http.response.body", "body": b"hello"}
    return list(messages[0]["headers"])


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_header_is_added_to_what_there_is(version: str) -> None:
    assert sent({"http_version": version}, (b"x-a", b"1")) == [(b"x-a", b"1"), (b"connection", b"close")]


def test_an_application_that_says_it_itself_is_left_alone() -> None:
    assert sent({"http_version": "1.1"}, (b"Connection", b"upgrade")) == [(b"Connection", b"upgrade")]


@pytest.mark.parametrize("version", ["2", "3"])
def test_newer_versions_have_no_such_header(version: str) -> None:
    assert sent({"http_version": version}) == []


@pytest.mark.parametrize("is_stopping", [False, True])
def test_a_service_says_it_only_when_it_is_about_to_stop(is_stopping: bool) -> None:
    service = StandIn()
    service.is_stopping = is_stopping
    answer = AsgiDriver(install(make_app(), service)).request("GET", "/stream")
    assert (("connection", "close") in {(name.lower(), value) for name, value in answer.headers}) is is_stopping
