"""Puts each service together: its parts, what being ready means for it, what it does again and again, how it ends.

One function a service; each is given the running runtime and returns the application. What it opens is closed by the stack, after the
server and the runtime have ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

from fastapi import FastAPI

from measurand import Check, Runtime
from measurand.health import checks
from measurand.lifecycle.coordinator import Event

from . import handover
from .checks import EventStoreCheck
from .following import Follower
from .handover import Measured
from .intake import Intake
from .observer import Observer
from .services import api, event_writer, observer, watchdog
from .settings import Settings
from .store import EventStore
from .watchdog import Watchdog
from .writer import Writer

INTERVALS_TO_MISS = 3
"""How many rounds in a row may fail before who makes them is not ready."""


def assemble(settings: Settings, runtime: Runtime, stack: ExitStack) -> FastAPI:
    """The application of the service that was chosen."""
    return {"api": _api, "event-writer": _event_writer, "observer": _observer, "watchdog": _watchdog}[settings.service](
        settings, runtime, stack
    )


def _api(settings: Settings, runtime: Runtime, stack: ExitStack) -> FastAPI:
    store = _store(settings, runtime, stack)
    way = _handover(settings, runtime)
    return _closing(api.create_app(store, Follower(store, settings.constitution), way), way.close)


def _event_writer(settings: Settings, runtime: Runtime, stack: ExitStack) -> FastAPI:
    store = _store(settings, runtime, stack)
    writer = Writer(store, settings.constitution)
    runtime.polling.register("event_store_tables", writer.prepare, interval=settings.interval)
    if settings.redis_url:
        intake = Intake(settings.redis_url, writer)
        stack.callback(intake.client.close)
        runtime.health.add(checks.redis(intake.client))
        runtime.health.add(Check("intake", lambda: intake.is_running))
        runtime.polling.register("event_queue", intake.measure, interval=settings.interval)
        runtime.lifecycle.on(Event.STARTUP, intake.start)
        runtime.lifecycle.add_waiter("intake", intake.stop)  # when draining: take no more, and wait for the act under way
    return event_writer.create_app(writer)


def _observer(settings: Settings, runtime: Runtime, stack: ExitStack) -> FastAPI:
    settings.state_directory.mkdir(parents=True, exist_ok=True)
    store = _store(settings, runtime, stack)
    watching = Observer(store, settings.constitution, note=settings.state_directory / "observed.json")
    way = _handover(settings, runtime)
    first_pass_is_done = runtime.lifecycle.add_startup_task("first pass over the log")
    look = observer.create_pass(watching, way)

    async def look_again() -> None:
        await look()
        first_pass_is_done()

    _repeat(runtime, "observation", look_again, settings.interval)
    runtime.health.add(Check("observation", lambda: watching.seconds_since_last_pass < _longest_gap(settings)))
    return _closing(observer.create_app(watching), way.close)


def _watchdog(settings: Settings, runtime: Runtime, _stack: ExitStack) -> FastAPI:
    way = _handover(settings, runtime)
    dog = Watchdog(settings.watched, way, patience=settings.patience)
    _repeat(runtime, "watchdog_round", dog.round, settings.interval)
    runtime.health.add(Check("rounds", lambda: dog.seconds_since_last_round < _longest_gap(settings)))
    return _closing(watchdog.create_app(dog, way), dog.close, way.close)


# --- what several have ----------------------------------------------------------------------------------------------------------


def _store(settings: Settings, runtime: Runtime, stack: ExitStack) -> EventStore:
    store = EventStore(settings.database_url, name=f"governance {settings.service}")
    stack.callback(store.close)
    runtime.health.add(checks.sqlalchemy(store.engine))
    runtime.health.add(EventStoreCheck(store))
    return store


def _handover(settings: Settings, runtime: Runtime) -> Measured:
    """The way to the event writer. Without it reading still works, so a writer that is away is a warning; a queue should never be."""
    way = handover.connect(redis_url=settings.redis_url, event_writer_url=settings.event_writer)
    if way.client is not None:
        redis = checks.redis(way.client)
        runtime.lifecycle.on(Event.STARTUP, lambda: runtime.health.add(redis), name="redis check")
    else:
        runtime.health.add(checks.http(f"{settings.event_writer}/v1/health", name="event_writer", criticality="degraded"))
    return way


def _repeat(runtime: Runtime, name: str, work: Callable[[], Awaitable[None]], interval: float) -> None:
    """Call it from when the server is up: its clients belong to the server's event loop."""
    runtime.lifecycle.on(Event.STARTUP, lambda: runtime.polling.register(name, work, interval=interval), name=name)


def _closing(app: FastAPI, *closes: Callable[[], Awaitable[None]]) -> FastAPI:
    """Close clients in the event loop that they belong to, when the server ends; the runtime has stopped by then."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        for close in closes:
            await close()

    app.router.lifespan_context = lifespan
    return app


def _longest_gap(settings: Settings) -> float:
    return INTERVALS_TO_MISS * settings.interval + 1
