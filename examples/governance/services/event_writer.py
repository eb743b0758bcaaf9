"""Takes acts and appends them: over HTTP, and from the queue where there is one."""

from __future__ import annotations

from contextlib import ExitStack
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

from measurand import Check, Runtime
from measurand.health import checks
from measurand.lifecycle.coordinator import Event

from ..assembly import open_store
from ..events import Act
from ..settings import Settings
from ..web import prepare, said
from ..writer import Writer


def assemble(settings: Settings, runtime: Runtime, stack: ExitStack) -> FastAPI:
    """See ``assembly.assemble``."""
    writer = Writer(open_store(settings, runtime, stack), settings.constitution)
    runtime.polling.register("event_store_table", writer.prepare, interval=settings.interval)  # tries until the database is there
    if settings.redis_url:
        _take_from_queue(settings.redis_url, settings.interval, writer, runtime, stack)
    return create_app(writer)


def _take_from_queue(url: str, interval: float, writer: Writer, runtime: Runtime, stack: ExitStack) -> None:
    from ..intake import Intake  # noqa: PLC0415 - where there is no queue there are no metrics of it, rather than zeros

    intake = Intake(url, writer)
    stack.callback(intake.client.close)
    runtime.health.add(checks.redis(intake.client))
    runtime.health.add(Check("intake", lambda: intake.is_running))
    runtime.polling.register("event_queue", intake.measure, interval=interval)
    runtime.lifecycle.on(Event.STARTUP, intake.start)
    runtime.lifecycle.add_waiter("intake", intake.stop)  # when draining: take no more, and wait for the act under way


def create_app(writer: Writer) -> FastAPI:
    """The application."""
    app = prepare(FastAPI(title="Governance: event-writer"))

    @app.post("/v1/events", status_code=201)
    def append(value: Annotated[dict[str, Any], Body()]) -> JSONResponse:
        """Record an act. Runs in a worker thread, since it waits for the database."""
        try:
            act = Act.from_json(value)
        except ValueError as reason:
            return said(HTTPStatus.BAD_REQUEST, "not_an_act", str(reason))
        return JSONResponse(writer.record(act).as_json(), HTTPStatus.CREATED)

    return app
