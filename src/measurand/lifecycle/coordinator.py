"""The end of a service, in order and in time.

::

    starting ──> running     started(), and no start-up task is left
    running ──> preparing    begin_shutdown()
    preparing ──> draining   drain()
    draining ──> stopped     shutdown()

*Preparing* means not ready any more and still accepting, so that load balancers notice before anything is refused. *Draining* means no new
work; what is in flight is finished. Then hooks run, and last of all the numbers are flushed.

One budget covers all of it, from ``begin_shutdown()`` on, and it is shared so that nothing that hangs takes all: work in flight is waited
for while less than four fifths of what remains has passed, a hook costs at most half of what remains, and the flushes share the rest. Code
that is not ours runs in threads of its own; what it raises is logged and concerns nobody else. At the end one line of the log says what was
flushed and what was lost.

All methods are safe from any thread. From a signal handler call them through a thread, as ``lifecycle.signals`` does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar, overload

from measurand import clock
from measurand.catalog.lifecycle import LifecycleMetrics
from measurand.errors import ConfigurationError
from measurand.lifecycle.apart import Apart, Outcome, is_apart
from measurand.lifecycle.background import renew_after_fork
from measurand.lifecycle.events import Event, Listener, Listeners, State, call_here
from measurand.lifecycle.plain import add_plain, drop_awaitable
from measurand.lifecycle.report import ShutdownReport, Step
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["Coordinator", "Event", "State"]

log = logging.getLogger("measurand")

L = TypeVar("L", bound=Listener)

PATIENCE = 1.0
"""Seconds that a listener of an event other than SHUTDOWN may hold up what comes after it."""

FOR_WORK = 0.8
"""The part of what remains that work in flight is waited for; the rest belongs to the hooks and flushes."""

BLINK = 0.05
"""Seconds that are always there to see whether something is done, however late it is."""

MARGIN = 0.9
"""The part of the time that there is which waiters and flushes are told of, so that they end and answer before they are given up."""


class _Beginning(NamedTuple):
    """When a shutdown began, by the clock in use and by the system's, and how many seconds it has."""

    clock: float
    system: float
    given: float


class Coordinator:
    """Leads a service from its start to its end; see the module.

    Args:
        budget: Seconds for the whole shutdown; keep it below the time after which the process is killed.
        drain_delay: Seconds between being not ready and accepting nothing, for load balancers to notice; less than the budget.
        registry: Where its metrics are exposed.
        is_told: Whether the service was told to stop through another of its processes: then this one is not ready either, from that moment.

    Raises:
        ConfigurationError: The budget is not positive, or the drain delay is negative or takes all of it.
    """

    def __init__(
        self,
        *,
        budget: float = 30.0,
        drain_delay: float = 5.0,
        registry: CollectorRegistry = REGISTRY,
        is_told: Callable[[], bool] = lambda: False,
    ) -> None:
        if not budget > 0:
            raise ConfigurationError(f"the shutdown budget must be a number of seconds greater than zero, not {budget!r}")
        if not 0 <= drain_delay < budget:
            raise ConfigurationError(
                f"the drain delay must be at least 0 and less than the shutdown budget of {budget:g} s, not {drain_delay!r}"
            )
        self.budget = budget
        self.drain_delay = drain_delay
        self._metrics = LifecycleMetrics(registry)
        self._is_told = is_told
        self._state = State.STARTING
        self._is_up = False
        self._pending: list[str] = []
        self._listeners = Listeners()
        self._waiters: dict[str, Callable[[float], bool]] = {}
        self._flushes: dict[str, Callable[[float], str | None]] = {}
        self._beginning: _Beginning | None = None
        self._is_hurried = False
        self._is_closing = False
        self._work: Apart | None = None
        self._steps: list[Step] = []
        self._duration: float | None = None
        self._lock = threading.Lock()  # held for a moment
        self._turn = threading.RLock()  # held while listeners are called: the next event waits for them
        self._no_wait = threading.Event()
        self._closing = threading.Event()
        self._ended = threading.Event()
        renew_after_fork(self)

    # -- start ---------------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the service is."""
        state = self._state
        return State.PREPARING if state is State.RUNNING and self._is_told() else state

    @property
    def is_ready(self) -> bool:
        """Whether the service wants traffic, as far as its life is concerned."""
        return self.state is State.RUNNING

    @property
    def startup_pending(self) -> list[str]:
        """The start-up tasks that are not done."""
        return list(self._pending)

    def add_startup_task(self, name: str) -> Callable[[], None]:
        """Announce work that has to be done before the service is ready, such as filling a cache.

        Args:
            name: What to show until it is done.

        Returns:
            A function to call when it is done; more calls do nothing.

        Raises:
            ConfigurationError: A task of this name is pending.
        """
        with self._lock:
            if name in self._pending:
                raise ConfigurationError(f"a start-up task {name!r} is pending already; give each a name of its own")
            if self._state is not State.STARTING:
                log.warning("the start-up task %r comes too late: the service is %s, and stays so", name, self._state)
                return lambda: None
            self._pending.append(name)

        def done() -> None:
            with self._lock:
                if name in self._pending:
                    self._pending.remove(name)
                self._run_if_ready()

        return done

    def started(self) -> None:
        """Say that the server is up: calls the listeners of STARTUP, here and now; the service runs when no start-up task is left."""
        with self._lock:
            if self._is_up:
                return
            self._is_up = True
            if self._beginning is None:
                self._metrics.shutting_down.set(0)  # this process has a say in it from now on: one that only started others has none
        for listener in self._listeners.take(Event.STARTUP):
            call_here(Event.STARTUP, listener)
        with self._lock:
            self._run_if_ready()

    def _run_if_ready(self) -> None:
        if self._state is State.STARTING and self._is_up and not self._pending:
            self._state = State.RUNNING

    # -- what is told, waited for and flushed --------------------------------------------------------------------------------

    @overload
    def on(self, event: Event, listener: L, *, name: str | None = None) -> L: ...
    @overload
    def on(self, event: Event, listener: None = None, *, name: str | None = None) -> Callable[[L], L]: ...
    def on(self, event: Event, listener: L | None = None, *, name: str | None = None) -> L | Callable[[L], L]:
        """Call ``listener`` when ``event`` comes; without a listener, a decorator.

        Listeners are called one after the other in the order in which they were registered, those of SHUTDOWN in the reverse order: what
        was started last is stopped first. What one raises is logged. One that takes too long is left behind while the others go on: after
        a second, or for SHUTDOWN after half of the time that remains. Where the event has come already, the listener is called at once.

        Args:
            event: What for.
            listener: A plain function without arguments.
            name: What to call it in logs; its own name by default.

        Raises:
            ConfigurationError: The listener is a coroutine function.
        """
        if listener is None:
            return partial(self.on, event, name=name)
        self._listeners.add(event, listener, name)
        return listener

    def add_waiter(self, name: str, wait: Callable[[float], bool]) -> None:
        """Wait for work in flight before anything is stopped; all waiters wait at the same time.

        Args:
            name: What is waited for.
            wait: Given the seconds that there are, waits for the work and returns whether it is done.

        Raises:
            ConfigurationError: There is a waiter of this name, or it is a coroutine function.
        """
        with self._lock:
            add_plain(self._waiters, "waiter", name, wait)

    def add_flush(self, name: str, flush: Callable[[float], str | None]) -> None:
        """Deliver the last numbers at the very end; all flushes run at the same time.

        Args:
            name: What it is.
            flush: Given the seconds that there are, delivers and returns what was lost in a few words, or ``None``.

        Raises:
            ConfigurationError: There is a flush of this name, or it is a coroutine function.
        """
        with self._lock:
            add_plain(self._flushes, "flush", name, flush)

    def remove_flush(self, name: str) -> None:
        """Deliver no last numbers under this name; unknown names are ignored."""
        self._flushes.pop(name, None)

    # -- end -----------------------------------------------------------------------------------------------------------------

    def begin_shutdown(self) -> None:
        """Be not ready from now on, start the clock of the budget, and call the listeners of PREPARE_SHUTDOWN; once."""
        self._begin(self.budget)

    def _begin(self, given: float) -> None:
        with self._lock:
            if self._beginning is None:
                self._state = State.PREPARING
                self._beginning = _Beginning(clock.monotonic(), clock.system_monotonic(), given)
                self._metrics.shutting_down.set(1)
            elif given < self.remaining():
                elapsed = clock.system_monotonic() - self._beginning.system
                self._beginning = self._beginning._replace(given=elapsed + given)
        self._raise(Event.PREPARE_SHUTDOWN)

    def remaining(self) -> float:
        """Seconds that are left of the budget; all of it before the shutdown begins."""
        if self._beginning is None:
            return self.budget
        return max(self._beginning.system + self._beginning.given - clock.system_monotonic(), 0.0)

    def wait_for_drain_delay(self) -> None:
        """Wait until the drain delay is over, ``skip_waits()`` is called or draining begins; at once if no shutdown has begun."""
        if self._beginning is not None:
            self._no_wait.wait(max(self._beginning.system + self.drain_delay - clock.system_monotonic(), 0.0))

    def skip_waits(self) -> None:
        """Wait no longer, neither for the drain delay nor for work in flight; hooks and flushes still run."""
        with self._lock:
            self._is_hurried = True
            work = self._work
        self._no_wait.set()
        if work is not None:
            work.give_up()

    def drain(self) -> None:
        """Say that nothing new is accepted any more, and call the listeners of DRAINING; once."""
        self.begin_shutdown()
        with self._lock:
            if self._state is State.PREPARING:
                self._state = State.DRAINING
        self._no_wait.set()
        self._raise(Event.DRAINING)

    def wait_for_shutdown(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for somebody to call :meth:`shutdown`, and return whether that has happened."""
        return self._closing.wait(max(timeout, 0.0))

    def shutdown(self, timeout: float | None = None) -> ShutdownReport:
        """Do whatever remains: wait for work in flight, run the hooks, flush, and write one line to the log; once.

        Concurrent and later calls wait for the first one and return its report. It does not wait for the drain delay: whoever stops a
        server that accepts has done so before.

        Args:
            timeout: Seconds, if there are fewer than are left of the budget.

        Returns:
            What was done. A call from a listener, waiter or flush returns what was done up to now.
        """
        if is_apart():
            return self._report()
        self._begin(self.budget if timeout is None else min(timeout, self.budget))
        with self._lock:
            is_first, self._is_closing = not self._is_closing, True
        if not is_first:
            self._ended.wait(self.remaining() + PATIENCE)
            return self._report()
        self._closing.set()
        try:
            self.drain()
            self._finish_work()
            self._raise(Event.SHUTDOWN)
            self._metrics.shutdown_duration.observe(self._elapsed())
            self._flush()
            self._state = State.STOPPED
            self._raise(Event.AFTER_SHUTDOWN)
        finally:
            self._state, self._duration = State.STOPPED, self._elapsed()
            self._ended.set()
        report = self._report()
        log.log(logging.INFO if report.is_clean else logging.WARNING, "%s", report)
        return report

    def restart(self) -> None:
        """After the end, begin again: *starting*, with the listeners, waiters and flushes that there are; before the end, do nothing.

        For processes that serve several times, as a test client does with one application.
        """
        with self._lock:
            if self._duration is None:
                return
            self._state, self._duration, self._beginning, self._work = State.STARTING, None, None, None
            self._is_up = self._is_hurried = self._is_closing = False
            self._steps = []
            self._listeners.begin_again()
            self._metrics.shutting_down.set(0)
            self._no_wait, self._closing, self._ended = threading.Event(), threading.Event(), threading.Event()

    def _elapsed(self) -> float:
        return 0.0 if self._beginning is None else clock.monotonic() - self._beginning.clock

    def _report(self) -> ShutdownReport:
        with self._lock:
            given = self.budget if self._beginning is None else self._beginning.given
            elapsed = self._elapsed() if self._duration is None else self._duration
            return ShutdownReport(self._duration is not None, elapsed, given, tuple(self._steps))

    def _raise(self, event: Event) -> None:
        """Call the listeners of an event, once; return when they have been called, whoever called them."""
        if is_apart():  # a listener that asks for what is being done already
            return
        with self._turn:
            for name, call in self._listeners.take(event):
                half = self.remaining() / 2
                limit = max(half if event is Event.SHUTDOWN else min(PATIENCE, half), BLINK)
                (outcome,) = Apart("measurand-shutdown", [call]).wait(limit)
                self._note(event, name, outcome, None)

    def _finish_work(self) -> None:
        with self._lock:
            waiters = dict(self._waiters)
            limit = 0.0 if self._is_hurried else self.remaining() * FOR_WORK
        work = Apart("measurand-shutdown", [partial(wait, limit * MARGIN) for wait in waiters.values()])
        with self._lock:
            self._work = work
            limit = BLINK if self._is_hurried else max(limit, BLINK)
        for name, outcome in zip(waiters, work.wait(limit), strict=True):
            self._note("waiter", name, outcome, None if outcome.value else "not done")

    def _flush(self) -> None:
        with self._lock:
            flushes = dict(self._flushes)
        seconds = self.remaining()
        outcomes = Apart("measurand-shutdown", [partial(flush, seconds * MARGIN) for flush in flushes.values()]).wait(max(seconds, BLINK))
        for name, outcome in zip(flushes, outcomes, strict=True):
            self._note("flush", name, outcome, None if outcome.value is None else str(outcome.value))

    def _note(self, kind: str, name: str, outcome: Outcome, problem: str | None) -> None:
        if not outcome.is_done:
            problem = f"still running after {outcome.seconds:.2f} s"
            log.warning("%s %s: %s; going on without it", kind, name, problem)
        elif outcome.error is not None:
            problem = f"raised {type(outcome.error).__name__}"
            log.warning("%s %s failed; the others are not affected", kind, name, exc_info=outcome.error)
        elif drop_awaitable(outcome.value):
            problem = "not done: it returned a coroutine, which nothing awaits"
            log.warning("%s %s is %s", kind, name, problem)
        with self._lock:
            self._steps.append(Step(kind, name, outcome.seconds, problem))

    def renew(self) -> None:
        """In a new child process: have locks that nobody holds."""
        self._lock, self._turn = threading.Lock(), threading.RLock()
        self._listeners.renew()
        for name in ("_no_wait", "_closing", "_ended"):
            old, new = getattr(self, name), threading.Event()
            if old.is_set():
                new.set()
            setattr(self, name, new)
