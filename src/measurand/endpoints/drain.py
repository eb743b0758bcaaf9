"""The page that takes a service out of service, with all its processes, before it is told to stop.

For servers whose signals cannot be hooked, and for orchestrators that call before they signal (a preStop hook)::

    POST /v1/drain   readiness answers 503 from now on; requests are still served
    GET  /v1/drain   how far it is: {"state": "preparing", "drained": false, "in_flight": 3}

``drained`` is true when load balancers have had their time to notice and no request is in flight in any process. There is no way back but a
new start.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from measurand.endpoints.page import Response
from measurand.endpoints.pages import Page, Request, has_token, text

__all__ = ["COMMAND", "Progress", "drain_page"]

COMMAND = "measurand-command"
"""A header that a POST has to carry, with the value ``drain``. A web page cannot make a visitor's browser send it unasked."""


class Progress(NamedTuple):
    """How far a drain is.

    Attributes:
        state: The lifecycle's state.
        drained: Whether the service can be stopped without anybody noticing.
        in_flight: Requests being answered, by all processes.
    """

    state: str
    drained: bool
    in_flight: int


def drain_page(begin: Callable[[], None], progress: Callable[[], Progress], token: str | None) -> Page:
    """Make the page.

    Args:
        begin: Begins the drain; called at every POST.
        progress: Says how far it is.
        token: The bearer token that opens it; without one, only requests over a loopback-only port are heard.
    """

    def respond(request: Request) -> Response:
        if not (has_token(request, token) or (token is None and request.trusted)):
            hint = "send the bearer token" if token is not None else "only a management server on loopback, or a token, opens this page"
            status = HTTPStatus.UNAUTHORIZED if token is not None else HTTPStatus.FORBIDDEN
            return text(status, f"{hint}\n", *([("WWW-Authenticate", "Bearer")] if token is not None else []))
        if request.method == "POST":
            if request.headers.get(COMMAND) != "drain":
                return text(HTTPStatus.BAD_REQUEST, f"to drain this service, send the header {COMMAND.title()}: drain\n")
            begin()
        elif request.method not in {"GET", "HEAD"}:
            return text(HTTPStatus.METHOD_NOT_ALLOWED, "use GET, HEAD or POST\n", ("Allow", "GET, HEAD, POST"))
        body = json.dumps(progress()._asdict()).encode() + b"\n"
        status = HTTPStatus.ACCEPTED if request.method == "POST" else HTTPStatus.OK
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Content-Length", str(len(body)))]
        return Response(status, headers, body)

    return Page(respond)
