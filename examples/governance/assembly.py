"""What several services are put together from; each service's own ``assemble`` is in its module in ``services``.

A service's modules are imported by its process alone, so that it exposes the metrics that it causes and no zeros of others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

from fastapi import FastAPI

from measurand import Runtime
from measurand.health import checks
from measurand.lifecycle.coordinator import Event

from .checks import EventStoreCheck
from .settings import Settings
from .store import EventStore

INTERVALS_TO_MISS = 3
"""How many rounds in a row may fail before who makes them is not ready."""


def assemble(settings: Settings, runtime: Runtime, stack: ExitStack) -> FastAPI:
    """The application of the service that was chosen.

    Args:
        settings: The settings.
        runtime: Gets the checks, the polled functions and the hooks of the service.
        stack: Closes what is opened, after the server and the runtime have ended.
    """
    app: FastAPI = load(settings.service).assemble(settings, runtime, stack)
    return app


def load(service: str) -> Any:
    """The module of a service."""
    return import_module(f".services.{service.replace('-', '_')}", __package__)


def open_store(settings: Settings, runtime: Runtime, stack: ExitStack) -> EventStore:
    """The event store, without which nobody who has one is ready."""
    store = EventStore(settings.database_url, name=f"governance {settings.service}")
    stack.callback(store.close)
    runtime.health.add(checks.sqlalchemy(store.engine))
    runtime.health.add(EventStoreCheck(store))
    return store


def repeat(runtime: Runtime, name: str, work: Callable[[], Awaitable[None]], interval: float) -> None:
    """Call it every so many seconds from when the server is up: its clients belong to the server's event loop."""
    runtime.lifecycle.on(Event.STARTUP, lambda: runtime.polling.register(name, work, interval=interval), name=name)


def closing(app: FastAPI, *closes: Callable[[], Awaitable[None]]) -> FastAPI:
    """Close clients in the event loop that they belong to, when the server ends; the runtime has stopped by then."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        for close in closes:
            await close()

    app.router.lifespan_context = lifespan
    return app


def longest_gap(settings: Settings) -> float:
    """Seconds after which something that is repeated has failed."""
    return INTERVALS_TO_MISS * settings.interval + 1
