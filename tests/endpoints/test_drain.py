"""Taking a process out of service over HTTP."""

from __future__ import annotations

import json

import pytest

from measurand.endpoints.drain import COMMAND, Progress, drain_page
from measurand.endpoints.page import Response
from measurand.endpoints.pages import Request, answer

pytestmark = pytest.mark.once


class Process:
    def __init__(self, token: str | None = None) -> None:
        self.begun = 0
        self.page = drain_page(self.begin, self.progress, token)

    def begin(self) -> None:
        self.begun += 1

    def progress(self) -> Progress:
        return Progress("preparing" if self.begun else "running", False, 3)

    def asked(self, method: str, *, trusted: bool = True, **headers: str) -> Response:
        return answer(self.page, Request(method, "/v1/drain", "", headers, trusted))


def test_a_post_with_the_command_begins_the_drain() -> None:
    process = Process()
    response = process.asked("POST", **{COMMAND: "drain"})
    assert (response.status, process.begun) == (202, 1)
    assert json.loads(response.body) == {"state": "preparing", "drained": False, "in_flight": 3}
    assert dict(response.headers)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_asking_begins_nothing(method: str) -> None:
    process = Process()
    assert (process.asked(method).status, process.begun) == (200, 0)


@pytest.mark.parametrize("headers", [{}, {COMMAND: "yes"}])
def test_a_post_that_a_browser_could_be_tricked_into_begins_nothing(headers: dict[str, str]) -> None:
    process = Process()
    response = process.asked("POST", **headers)
    assert (response.status, process.begun) == (400, 0)
    assert b"send the header Measurand-Command: drain" in response.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused_with_those_that_there_are(method: str) -> None:
    response = Process().asked(method)
    assert response.status == 405
    assert dict(response.headers)["Allow"] == "GET, HEAD, POST"


def test_a_client_from_elsewhere_is_not_heard_without_a_token() -> None:
    process = Process()
    response = process.asked("POST", trusted=False, **{COMMAND: "drain"})
    assert (response.status, process.begun) == (403, 0)


@pytest.mark.parametrize("trusted", [True, False])
def test_with_a_token_only_the_token_opens(trusted: bool) -> None:
    process = Process("s3cret")
    response = process.asked("POST", trusted=trusted, **{COMMAND: "drain"})
    assert (response.status, process.begun, dict(response.headers)["WWW-Authenticate"]) == (401, 0, "Bearer")
    assert process.asked("POST", trusted=trusted, authorization="Bearer s3cret", **{COMMAND: "drain"}).status == 202
    assert process.begun == 1
