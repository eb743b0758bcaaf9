"""Evaluates checks in the background, so that whether the service is ready is known before anybody asks.

Each check runs every few seconds, with a timeout of its own, in a thread of its own or in the application's event loop. One that still
runs is not started again. Readers get the latest results at once, without a lock: a dependency that hangs never slows a probe.
"""

from __future__ import annotations

import asyncio
import difflib
import threading
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeVar, overload

from measurand import clock
from measurand.catalog.health import HealthMetrics
from measurand.errors import ConfigurationError
from measurand.health.check import Check
from measurand.health.entry import Entry
from measurand.health.loops import Loops
from measurand.health.report import CheckResult, Report
from measurand.lifecycle.background import BackgroundThread, renew_after_fork
from measurand.lifecycle.coordinator import State
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["HEARTBEAT_TIMEOUT", "INTERVAL", "HealthMonitor"]

INTERVAL = 5.0
"""Seconds from one run of a check to the next."""

HEARTBEAT_TIMEOUT = 60.0
"""Seconds without a sign of life from the event loop after which the process counts as broken."""

C = TypeVar("C")


class HealthMonitor:
    """The checks of a process, and what they say.

    All methods are safe from any thread. After a fork the child evaluates its checks itself if the parent did.

    Args:
        interval: Seconds from one run of a check to the next, for checks without one of their own; a run may come up to a tenth earlier.
        registry: Where the metrics are exposed.
        state: Where the process is in its life, for ``service_ready`` and for :meth:`readiness`; running, by default.
        heartbeat_timeout: Seconds that the application's event loop may be stuck before :attr:`is_alive` is false.

    Raises:
        ConfigurationError: A number of seconds is not greater than zero.
    """

    def __init__(
        self,
        *,
        interval: float = INTERVAL,
        registry: CollectorRegistry = REGISTRY,
        state: Callable[[], State] = lambda: State.RUNNING,
        heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
    ) -> None:
        for what, seconds in (("interval of health checks", interval), ("timeout of the event loop's heartbeat", heartbeat_timeout)):
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not isfinite(seconds) or seconds <= 0:
                raise ConfigurationError(f"the {what} must be a number of seconds greater than zero, got {seconds!r}")
        self._interval = interval
        self._heartbeat_timeout = heartbeat_timeout
        self._state = state
        self._metrics = HealthMetrics(registry)
        self._entries: dict[str, Entry] = {}  # replaced as a whole at each change, so that readers need no lock
        self._loops = Loops()
        self._thread = BackgroundThread("measurand-health", self._evaluate)
        self._is_running = False
        self._wake = threading.Event()
        self._lock = threading.Lock()
        renew_after_fork(self)

    # -- registration ----------------------------------------------------------------------------------------------------------

    @overload
    def add(
        self,
        check: C,
        *,
        name: str | None = None,
        criticality: str | None = None,
        timeout: float | None = None,
        interval: float | None = None,
    ) -> C: ...

    @overload
    def add(
        self,
        *,
        name: str | None = None,
        criticality: str | None = None,
        timeout: float | None = None,
        interval: float | None = None,
    ) -> Callable[[C], C]: ...

    def add(
        self,
        check: Any = None,
        *,
        name: str | None = None,
        criticality: str | None = None,
        timeout: float | None = None,
        interval: float | None = None,
    ) -> Any:
        """Register a check; it runs at once if the monitor does. Also a decorator, with or without arguments.

        ::

            health.add(checks.sqlalchemy(engine))


            @health.add(criticality="degraded")
            async def search() -> bool:
                return await client.ping()

        Args:
            check: A :class:`~measurand.health.check.Check`, an object with ``run()``, or a callable, sync or async.
            name: Its name; by default its own, or that of the function.
            criticality: "critical", "degraded" or "info"; by default its own, or "critical".
            timeout: Seconds that a run may take; by default its own, or 0.5.
            interval: Seconds from one run to the next; by default its own, or the monitor's.

        Returns:
            What was given.

        Raises:
            ConfigurationError: It cannot be run, a setting is not usable, or the name is taken.
        """
        if check is None:
            return lambda given: self.add(given, name=name, criticality=criticality, timeout=timeout, interval=interval)
        made = Check.of(check, name=name, criticality=criticality, timeout=timeout, interval=interval)
        entry = Entry(made, made.interval or self._interval, self._metrics, self._loops, self._hurry)
        with self._lock:
            if made.name in self._entries:
                raise ConfigurationError(f"there is a health check {made.name!r} already; give this one another name: name='…'")
            self._entries = {**self._entries, made.name: entry}
        self._hurry()
        return check

    def remove(self, name: str) -> None:
        """Forget a check; what it counted stays.

        Raises:
            ConfigurationError: There is none of that name.
        """
        with self._lock:
            if name not in self._entries:
                similar = difflib.get_close_matches(name, self._entries, 1) if isinstance(name, str) else []
                hint = f"did you mean {similar[0]!r}?" if similar else f"there are: {', '.join(self._entries) or 'none'}"
                raise ConfigurationError(f"there is no health check {name!r}; {hint}")
            entry = self._entries[name]
            self._entries = {other: kept for other, kept in self._entries.items() if other != name}
        entry.remove()
        self._metrics.forget(name)

    @property
    def names(self) -> list[str]:
        """The names of the checks, in the order of their registration."""
        return list(self._entries)

    # -- evaluation ------------------------------------------------------------------------------------------------------------

    def start(self, *, wait_for_loop: float = 0.0) -> None:
        """Evaluate the checks in the background from now on; does nothing if that is so already.

        Args:
            wait_for_loop: Seconds to wait for :meth:`attach` before async checks run in a private event loop. For a program that is about
                to start its own: connections that a check opens in one loop cannot be used in another.
        """
        with self._lock:
            if self._is_running and self._thread.is_alive:
                return
            self._is_running = True
        if wait_for_loop > 0:
            self._loops.wait(wait_for_loop)
        if self._state() is State.STARTING:
            self._metrics.wait()
        else:
            self.announce()
        for entry in self._entries.values():
            entry.hasten()
        self._thread.start()

    def announce(self) -> None:
        """This process serves: let its readiness and its checks count as the service's. :meth:`start` does so unless it is starting."""
        self._metrics.follow(lambda: self.readiness().is_ready)

    def stop(self, timeout: float = 5.0) -> bool:
        """Evaluate no more; checks that run are given up, those in an event loop are cancelled.

        Args:
            timeout: Seconds to wait at most for the threads to end. That of a check that hangs is not waited for.

        Returns:
            Whether they have ended.
        """
        deadline = clock.system_monotonic() + timeout
        with self._lock:
            self._is_running = False
        self._hurry()
        ended = self._thread.stop(timeout)
        for entry in self._entries.values():
            entry.pause()
        return self._loops.stop(max(deadline - clock.system_monotonic(), 0.0)) and ended

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Run async checks in the application's event loop, and watch that loop for :attr:`is_alive`.

        Once there was such a loop they run nowhere else: when it has been closed they wait for the next one.

        Args:
            loop: The loop; ``None`` if the application has none, and a private one is to be used.
        """
        self._loops.attach(loop)
        for entry in self._entries.values():
            if entry.check.is_async:
                entry.hasten()
        self._hurry()

    def tick(self) -> float:
        """Do what is to be done at this moment: start what is due, give up what took too long.

        The background thread calls this; a program or a test that drives time itself calls it instead of :meth:`start`, from one thread.

        Returns:
            Seconds until there may be something to do again.
        """
        self._loops.ask()
        self._metrics.hide()
        soonest = clock.monotonic() + min(self._interval, self._heartbeat_timeout / 4)
        for entry in self._entries.values():
            soonest = min(soonest, entry.advance())
        return max(soonest - clock.monotonic(), 0.0)

    # -- reading ---------------------------------------------------------------------------------------------------------------

    def results(self) -> dict[str, CheckResult]:
        """What is known of each check at this moment; never waits."""
        return {name: entry.result() for name, entry in self._entries.items()}

    def readiness(self, state: State | None = None) -> Report:
        """Whether the service is ready; never waits.

        Args:
            state: Where the process is in its life; by default what the monitor was told to ask.
        """
        return Report.of(self._state() if state is None else state, self.results())

    @property
    def is_alive(self) -> bool:
        """Whether the process works: false only while the application's event loop has been stuck for the heartbeat's timeout."""
        return self._loops.silence <= self._heartbeat_timeout

    # -- the rest --------------------------------------------------------------------------------------------------------------

    def _hurry(self) -> None:
        self._wake.set()

    def _evaluate(self, stop: threading.Event) -> None:
        while self._is_running and not stop.is_set():
            self._wake.clear()
            self._wake.wait(self.tick())

    def renew(self) -> None:
        """In a new child process, before anything else runs there: have locks that nobody holds, and forget what ran in the parent."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._loops.renew()
        self._metrics.renew()
        for entry in self._entries.values():
            entry.renew()
