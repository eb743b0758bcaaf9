"""The states of a service, what can be listened for, and who listens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from measurand.lifecycle.plain import drop_awaitable, require_plain

__all__ = ["Event", "Listener", "Listeners", "Named", "State"]

log = logging.getLogger("measurand")

Listener = Callable[[], object]


class Event(StrEnum):
    """What a listener can be called for."""

    STARTUP = "startup"
    """The server is up."""
    PREPARE_SHUTDOWN = "prepare_shutdown"
    """The service was told to stop; it is not ready any more, and still accepts."""
    DRAINING = "draining"
    """It accepts nothing new."""
    SHUTDOWN = "shutdown"
    """The work is done: time to stop pollers, schedulers, pools."""
    AFTER_SHUTDOWN = "after_shutdown"
    """All is flushed."""


class State(StrEnum):
    """Where a service is between its start and its end."""

    STARTING = "starting"
    RUNNING = "running"
    PREPARING = "preparing"
    """Not ready, still accepting."""
    DRAINING = "draining"
    STOPPED = "stopped"


class Named(NamedTuple):
    """A listener and what it is called in logs."""

    name: str
    call: Listener


class Listeners:
    """Who listens to which event, each of which comes once; safe from any thread."""

    def __init__(self) -> None:
        self._listeners: dict[Event, list[Named]] = {event: [] for event in Event}
        self._past: set[Event] = set()
        self._lock = threading.Lock()

    def add(self, event: Event, listener: Listener, name: str | None) -> None:
        """Add a listener; where the event has come already it is called here and now.

        Raises:
            ConfigurationError: It is a coroutine function.
        """
        named = Named(name or str(getattr(listener, "__qualname__", listener)), listener)
        require_plain("listener", named.name, listener)
        with self._lock:
            self._listeners[event].append(named)
            is_past = event in self._past
        if is_past:
            call_here(event, named)

    def take(self, event: Event) -> list[Named]:
        """The listeners to call for an event that comes now, in their order; none if it has come before."""
        with self._lock:
            if event in self._past:
                return []
            self._past.add(event)
            found = list(self._listeners[event])
        return found[::-1] if event is Event.SHUTDOWN else found

    def begin_again(self) -> None:
        """Let every event come once more."""
        with self._lock:
            self._past = set()

    def renew(self) -> None:
        """In a new child process: have a lock that nobody holds."""
        self._lock = threading.Lock()


def call_here(event: Event, listener: Named) -> None:
    """Call a listener in this thread, and log what it raises."""
    try:
        if drop_awaitable(listener.call()):
            log.warning("%s %s is not done: it returned a coroutine, which nothing awaits", event, listener.name)
    except Exception:
        log.warning("%s %s failed; the others are not affected", event, listener.name, exc_info=True)
