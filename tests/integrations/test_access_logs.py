"""Probes do not fill access logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

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
