"""The pages that orchestrators and load balancers ask: restart me, send me traffic, has it started.

They look at what is known already and never wait, so a dependency that hangs slows none of them. They answer 200 or 503, are never
redirected and never kept by caches; anything but GET and HEAD is 405, an unknown ``?format=`` is 400. What they found in detail is shown
only to those who may see it, and of a failure only a code, never the text of an error.

A process that drains is alive: liveness looks at nothing outside the process, and answers 503 only if the event loop is stuck.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from measurand import clock
from measurand.endpoints.page import Response
from measurand.endpoints.pages import Page, Request, has_token
from measurand.errors import ConfigurationError
from measurand.health.family import FamilyReadiness
from measurand.health.formats import FORMATS, Format
from measurand.health.monitor import HealthMonitor
from measurand.lifecycle.coordinator import Coordinator, State

__all__ = ["POLICIES", "liveness_page", "readiness_page", "startup_page"]

POLICIES = ("never", "authorized", "always")
"""Who sees details besides those who ask over a port that only this machine can reach: nobody, who sends the bearer token, everybody."""

ALLOWED = "GET, HEAD"


class _Found(NamedTuple):
    """What a probe has to say."""

    is_well: bool
    content: dict[str, Any]


def liveness_page(
    health: HealthMonitor,
    lifecycle: Coordinator,
    *,
    details: str = "never",
    token: str | None = None,
    uptime: Callable[[], float] | None = None,
) -> Page:
    """The page that says whether the process works: 200, or 503 while the application's event loop is stuck; with ``uptime_seconds``.

    Args:
        health: Knows of the event loop.
        lifecycle: Not looked at: a process that starts or drains is alive.
        details: As for the other probes; there are none here.
        token: The same.
        uptime: Seconds since the start; by default since the page was made.

    Raises:
        ConfigurationError: ``details`` is none of :data:`POLICIES`.
    """
    since = clock.monotonic()

    def find(form: Format, _: bool) -> _Found:
        seconds = clock.monotonic() - since if uptime is None else uptime()
        is_alive = health.is_alive
        return _Found(is_alive, form.liveness(is_alive, seconds, clock.wall()))

    return _page(find, details, token)


def readiness_page(
    health: HealthMonitor,
    lifecycle: Coordinator,
    *,
    details: str = "never",
    token: str | None = None,
    family: FamilyReadiness | None = None,
) -> Page:
    """The page that says whether to send traffic: 503 before the start is complete, while draining, and while a critical check fails.

    Args:
        health: The checks.
        lifecycle: Where the process is in its life, which decides first.
        details: Who sees the checks; one of :data:`POLICIES`.
        token: The bearer token that authorizes.
        family: Answers for all processes of the service, on a port that is not this process' own.

    Raises:
        ConfigurationError: ``details`` is none of :data:`POLICIES`.
    """

    def find(form: Format, shows_details: bool) -> _Found:
        report = health.readiness(lifecycle.state) if family is None else family.readiness()
        return _Found(report.is_ready, form.readiness(report, shows_details))

    return _page(find, details, token)


def startup_page(
    health: HealthMonitor,
    lifecycle: Coordinator,
    *,
    details: str = "never",
    token: str | None = None,
    family: FamilyReadiness | None = None,
) -> Page:
    """The page that says whether the process has started: 503 while start-up tasks are pending, 200 from then on, to the end.

    Args:
        health: Not looked at: a dependency that is down does not keep a process from having started.
        lifecycle: Where the process is in its life.
        details: Who sees the names of the tasks; one of :data:`POLICIES`.
        token: The bearer token that authorizes.
        family: As for :func:`readiness_page`.

    Raises:
        ConfigurationError: ``details`` is none of :data:`POLICIES`.
    """

    def find(form: Format, shows_details: bool) -> _Found:
        is_starting = lifecycle.state is State.STARTING if family is None else family.is_starting
        pending = lifecycle.startup_pending if is_starting else None
        return _Found(pending is None, form.startup(pending, shows_details))

    return _page(find, details, token)


def _page(find: Callable[[Format, bool], _Found], details: str, token: str | None) -> Page:
    if details not in POLICIES:
        raise ConfigurationError(f"details of probes are shown to {details!r}; it must be one of {', '.join(POLICIES)}")

    def respond(request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return _json(405, {"error": f"use {ALLOWED}"}, "application/json", ("Allow", ALLOWED))
        form = FORMATS.get(_asked_format(request.query))
        if form is None:
            return _json(400, {"error": "there is no such format", "formats": list(FORMATS)}, "application/json")
        shows_details = details == "always" or request.trusted or (details == "authorized" and has_token(request, token))
        is_well, content = find(form, shows_details)
        return _json(200 if is_well else 503, content, form.media_type)

    return Page(respond)


def _asked_format(query: str) -> str:
    """What ``?format=`` names; a plus sign in it is a plus sign."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == "format":
            return unquote(value)
    return "json"


def _json(status: int, content: dict[str, Any], media_type: str, *headers: tuple[str, str]) -> Response:
    body = json.dumps(content).encode()
    return Response(
        status, [("Content-Type", media_type), ("Cache-Control", "no-store"), ("Content-Length", str(len(body))), *headers], body
    )
