"""One serving process of several: the application, and the library's runtime beside it. The one place where the two are put together.

Promises: what is opened here is closed when the runtime has shut down, in order: streams end when nothing new is accepted, background tasks
are finished, and the database is closed when nothing asks for it any more. Nothing here knows how many workers there are: the metrics of
all are those of one service, and of what is polled the library makes sure that one worker does it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from flask import Flask

import measurand
from measurand.bootstrap.runtime import Runtime
from measurand.health import checks
from measurand.lifecycle.coordinator import Event

from . import dashboard, kits
from .app import create_app
from .events import Events
from .relay import Relay
from .services import Services
from .settings import Settings
from .tasks import Tasks

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

BUDGET = 20  # seconds for a whole shutdown, the drain delay included
REFRESH_TIMEOUT = 10  # seconds that reading the numbers for the gauges may take, however often that is


def begin(settings: Settings, relay: Relay | None = None, place: int | None = None) -> tuple[Runtime, Flask]:
    """Start the runtime of this process, and make the application that it measures.

    Args:
        settings: The settings.
        relay: Connects the workers.
        place: That of this worker in it; ``None`` for none.

    Raises:
        InvalidError: A setting cannot be used.
        measurand.ConfigurationError: One of the library's settings cannot be used.
    """
    with contextlib.ExitStack() as stack:
        database, ai, distributor, oidc = settings.open(stack)
        runtime = measurand.start(
            "inventory",
            version=_version(),
            metrics_path="/metrics",
            common_labels={},  # one metric has a label "service" of its own; the scraper names the service
            drain_delay=settings.drain_delay,
            shutdown_budget=BUDGET,
            checks=[checks.sqlalchemy(database.engine)],
        )
        stack.callback(runtime.stop)
        events = Events(relay, heartbeat=settings.heartbeat)
        services = Services(database, events, Tasks(database, runtime.tasks, events), ai, distributor, oidc)
        for name, refresh in (("dashboard", dashboard.refresh), ("kits", kits.publish_counts)):
            pace = {"interval": settings.refresh_interval, "timeout": REFRESH_TIMEOUT}
            runtime.register_for_polling(name, refresh, within=database.reading, **pace)
        app: Flask = measurand.flask(create_app(services), runtime)
        app.wsgi_app = signed(app.wsgi_app)  # type: ignore[method-assign]
        if relay is not None and place is not None:
            relay.take(place, events.hear)
            runtime.lifecycle.on(Event.DRAINING, relay.close, name="relay")
        stack.pop_all()
    runtime.lifecycle.on(Event.DRAINING, events.close, name="event streams")
    for client in (ai, distributor, oidc, database):
        if client is not None:
            runtime.lifecycle.on(Event.AFTER_SHUTDOWN, client.close)
    return runtime, app


def signed(app: WSGIApplication) -> WSGIApplication:
    """Have every answer say which worker gave it, in ``X-Worker``: nobody could tell by the numbers."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, ("X-Worker", str(os.getpid()))], *error)

        return app(environ, start)

    return application


def _version() -> str:
    try:
        return version("measurand")
    except PackageNotFoundError:
        return "unknown"
