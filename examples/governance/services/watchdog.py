"""Halting and lifting by order, and what the watchdog sees."""

from __future__ import annotations

from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from measurand import Check, Runtime

from .. import halting
from ..assembly import closing, longest_gap, repeat
from ..constitution import Kind
from ..events import Act
from ..handover import Handover, connect
from ..settings import Settings
from ..watchdog import Watchdog
from ..web import Body, Text, prepare, said


class Ordered(Body):
    """An order."""

    reason: Text


def assemble(settings: Settings, runtime: Runtime, _stack: ExitStack) -> FastAPI:
    """See ``assembly.assemble``."""
    way = connect(settings, runtime)
    watchdog = Watchdog(settings.watched, way, patience=settings.patience)
    repeat(runtime, "watchdog_round", watchdog.round, settings.interval)
    runtime.health.add(Check("rounds", lambda: watchdog.seconds_since_last_round < longest_gap(settings)))
    return closing(create_app(watchdog, way), watchdog.close, way.close)


def create_app(watchdog: Watchdog, handover: Handover) -> FastAPI:
    """The application."""
    app = prepare(FastAPI(title="Governance: watchdog"))

    @app.get("/v1/targets")
    def targets() -> dict[str, Any]:
        """What the last round saw of each service."""
        return {"targets": {name: {"alive": sight.alive, "ready": sight.ready} for name, sight in watchdog.sights.items()}}

    @app.post("/v1/halt", status_code=201)
    async def halt(body: Ordered) -> dict[str, Any]:
        """Halt decisions, as an authority."""
        return await halting.order(handover, body.actor, body.reason)

    @app.post("/v1/lift", status_code=201)
    async def lift(body: Ordered) -> Any:
        """Lift the halt, as an authority; not while nobody observes the log."""
        if not watchdog.is_observed:
            return said(HTTPStatus.CONFLICT, "unobserved", "nobody observes the log; bring the observer back first")
        return await handover.submit(Act(Kind.LIFT, body.actor, text=body.reason))

    return app
