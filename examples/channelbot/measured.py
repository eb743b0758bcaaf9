"""What of the libraries is measured, in one place: each line is one of measurand's integrations, on the container's registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from measurand import Runtime
from measurand.integrations import aiogram, asyncio, celery, celery_queues, httpx, redis, sqlalchemy, system
from measurand.lifecycle.coordinator import Event

from .container import Container
from .settings import IN_PROCESS
from .tasks import QUEUES

SECONDS_BETWEEN_LOOKS = 2.0
"""At least: the workers have a second to answer when they are asked for."""


@contextmanager
def measuring(container: Container) -> Iterator[None]:
    """Measure what the application uses while the block lasts."""
    chosen, registry = container.settings(), container.registry()
    with ExitStack() as stack:
        stack.enter_context(sqlalchemy.instrument(container.database().engine, name="channelbot", registry=registry))
        stack.enter_context(celery.instrument(registry=registry))
        stack.enter_context(aiogram.instrument(registry=registry))  # also the bots that tasks make
        stack.enter_context(asyncio.instrument(registry=registry))
        if chosen.views_url is not None:
            host = urlsplit(chosen.views_url).hostname or ""
            stack.enter_context(httpx.instrument(hosts=[host], registry=registry))
        if chosen.broker_url != IN_PROCESS:
            stack.enter_context(redis.instrument(registry=registry))
        yield


def look(container: Container, runtime: Runtime) -> None:
    """Look at the machine and at the queues from now on, until the runtime stops."""
    registry, pace = container.registry(), max(container.settings().interval, SECONDS_BETWEEN_LOOKS)
    handle = system.instrument(runtime.polling, registry=registry, interval=pace)
    runtime.lifecycle.on(Event.AFTER_SHUTDOWN, handle.uninstrument, name="system metrics")
    runtime.polling.register("celery queues", celery_queues.poller(container.celery(), QUEUES, registry=registry), interval=pace)
