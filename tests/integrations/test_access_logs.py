"""Probes do not fill access logs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from measurand.endpoints.asgi import serve_page
from measurand.endpoints.pages import Page, text
from measurand.integrations.access_logs import leave_out

pytestmark = pytest.mark.once

PATHS = {"/v1/ready", "/v1/ready/"}


@pytest.fixture
def quiet() -> Iterator[None]:
    undo = leave_out(PATHS)
    yield
    undo()


def logged(caplog: pytest.LogCaptureFixture, logger: str, message: str, *arguments: Any) -> bool:
    caplog.clear()
    with caplog.at_level(logging.INFO, logger):
        logging.getLogger(logger).info(message, *arguments)
    return bool(caplog.records)


@pytest.mark.parametrize(
    ("path", "kept"), [("/v1/ready", False), ("/v1/ready/?format=actuator", False), ("/orders", True), ("/v1/readyz", True)]
)
@pytest.mark.usefixtures("quiet")
def test_each_server_s_log_leaves_out_the_pages_and_nothing_else(caplog: pytest.LogCaptureFixture, path: str, kept: bool) -> None:
    plain = path.partition("?")[0]
    assert logged(caplog, "uvicorn.access", '%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", path, "1.1", 200) is kept
    assert logged(caplog, "gunicorn.access", "%(r)s", {"r": f"GET {path}", "U": plain}) is kept
    assert logged(caplog, "hypercorn.access", "%(R)s", {"R": f"GET {path}", "U": plain}) is kept
    assert logged(caplog, "granian.access", "%(path)s", {"path": plain}) is kept


@pytest.mark.parametrize("arguments", [(), ("one",), ({"other": 1},), (1, 2, 3, 4, 5)])
@pytest.mark.usefixtures("quiet")
def test_what_is_not_known_passes(caplog: pytest.LogCaptureFixture, arguments: tuple[Any, ...]) -> None:
    message = " ".join(["%s"] * len(arguments)) if not isinstance((arguments or [0])[0], dict) else "%(other)s"
    assert logged(caplog, "uvicorn.access", message, *arguments)


def test_it_can_be_ended(caplog: pytest.LogCaptureFixture) -> None:
    leave_out(PATHS)()
    assert logged(caplog, "gunicorn.access", "%(r)s", {"r": "GET", "U": "/v1/ready"})


@pytest.mark.parametrize(("root", "written"), [("/pre", "/pre"), ("/prefix of ours", "/prefix%20of%20ours")])
@pytest.mark.usefixtures("quiet")
def test_a_page_below_a_server_s_root_path_is_left_out_from_its_first_request_on(
    caplog: pytest.LogCaptureFixture, root: str, written: str
) -> None:
    kept: list[bool] = []

    def log(path: str) -> bool:
        return logged(caplog, "uvicorn.access", '%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", path, "1.1", 200)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":  # uvicorn logs here
            kept.append(log(f"{written}/v1/ready"))

    async def receive() -> Any: ...

    scope = {"type": "http", "method": "GET", "path": f"{root}/v1/ready", "root_path": root, "headers": []}
    asyncio.run(serve_page(Page(lambda _: text(200, "ready")), scope, receive, send))
    assert kept == [False]
    assert log(f"{written}/orders")
    assert log("/other/v1/ready")
