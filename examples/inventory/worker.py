"""One serving process: the application, and the library's runtime beside it. The one place where the two are put together.

Promises: what is opened here is closed when the runtime has shut down, in order: streams end when nothing new is accepted, background tasks
are finished, and the database is closed when nothing asks for it any more.
"""

from __future__ import annotations

import contextlib
from importlib.metadata import PackageNotFoundError, version

from flask import Flask

import measurand
from measurand.bootstrap.runtime import Runtime
from measurand.health import checks
from measurand.lifecycle.coordinator import Event

from . import dashboard, kits
from .app import create_app
from .events import Events
from .services import Services
from .settings import Settings
from .tasks import Tasks

BUDGET = 20  # seconds for a whole shutdown, the drain delay included
REFRESH_TIMEOUT = 10  # seconds that reading the numbers for the gauges may take, however often that is


def begin(settings: Settings) -> tuple[Runtime, Flask]:
    """Start the runtime of this process, and make the application that it measures.

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
        events = Events(heartbeat=settings.heartbeat)
        services = Services(database, events, Tasks(database, runtime.tasks, events), ai, distributor, oidc)
        for name, refresh in (("dashboard", dashboard.refresh), ("kits", kits.publish_counts)):
            pace = {"interval": settings.refresh_interval, "timeout": REFRESH_TIMEOUT}
            runtime.register_for_polling(name, refresh, within=database.reading, **pace)
        app: Flask = measurand.flask(create_app(services), runtime)
        stack.pop_all()
    runtime.lifecycle.on(Event.DRAINING, events.close, name="event streams")
    for client in (ai, distributor, oidc, database):
        if client is not None:
            runtime.lifecycle.on(Event.AFTER_SHUTDOWN, client.close)
    return runtime, app


def _version() -> str:
    try:
        return version("measurand")
    except PackageNotFoundError:
        return "unknown"
