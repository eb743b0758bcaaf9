"""Functions that are called again and again in the background.

::

    polling = Polling()
    polling.register("dashboard", refresh_gauges, interval=60, within=session_scope)
    polling.start()

One daemon thread keeps the schedule. The functions run one after the other in a second thread, which is there only while something runs;
when one takes longer than a second, another thread goes on with the rest. Each is kept apart from the others: what it raises is logged
(once, until it works again), counted, and tried again at its next tick; what hangs is not started again, and costs that one function and
nothing else. The schedule does not drift: ticks are multiples of the interval, and one that could not be kept is left out.

Of several processes of a service one calls a function, its leader: each asks before each tick (see ``turns``), and when the leader ends,
however it ends, another one is there for the next tick, on the same schedule. A function that hangs keeps its leader: another process would
only hang with it. What every process has to see to itself is registered with ``per_process=True``. After a fork all this goes on in the
child too. All methods are safe from any thread.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import floor
from typing import TYPE_CHECKING, Any, Literal

from measurand import clock
from measurand.catalog.polling import PollingMetrics
from measurand.errors import ConfigurationError
from measurand.lifecycle.background import BackgroundThread, renew_after_fork
from measurand.lifecycle.calling import Call, Loops
from measurand.lifecycle.turns import Turns
from measurand.metrics.domains import REGISTRY
from measurand.metrics.here import remove_here
from measurand.metrics.registry import CollectorRegistry

if TYPE_CHECKING:
    import asyncio

__all__ = ["Polling"]

log = logging.getLogger("measurand")

PATIENCE = 1.0
"""Seconds that a function may run before another thread goes on with the others."""

LONGEST_WAIT = 3600.0
"""Seconds between two looks at the schedule at most."""

LOOK_AGAIN = 0.1
"""Seconds after which a process looks again for a leader whose turn it is and who has not been seen to take it: it may be dying."""

LOOK_FOR = 2.0
"""Seconds for which it does so."""

ROUNDING = 1e-6
"""The part of an interval by which a tick may seem not to have come."""


@dataclass(eq=False, slots=True)
class _Run:
    """A call that is under way."""

    call: Call
    started: float
    """By the system's clock: how long it has been running is a matter of real threads."""
    is_late: bool = False


@dataclass(eq=False, slots=True)
class _Poller:
    """One registered function."""

    name: str
    callback: Callable[..., Any]
    interval: float
    timeout: float
    waits_at_first: bool
    within: Callable[[], Any] | None
    turns: Turns
    ahead: float = 0.0
    """Seconds by which the first call after one interval comes earlier."""
    due: float = 0.0
    not_before: float = 0.0
    """When to ask once more whose turn it is, if later than that."""
    leads: bool = False
    fresh_at: float = 0.0
    """When it last succeeded here; before the first time, when polling began."""
    is_queued: bool = False
    run: _Run | None = None
    failures: int = field(default=0)
    """In a row."""


class Polling:
    """Calls functions at intervals; see the module.

    Before :meth:`start` registrations are only noted.

    Args:
        interval: Seconds between two calls of a function, where it does not say otherwise.
        registry: Where the metrics of polling are exposed.

    Raises:
        ConfigurationError: The interval is not positive.
    """

    def __init__(self, *, interval: float = 60.0, registry: CollectorRegistry = REGISTRY) -> None:
        self._interval = _positive("the polling interval", interval)
        self._metrics = PollingMetrics(registry)
        self._pollers: dict[str, _Poller] = {}
        self._queue: deque[_Poller] = deque()
        self._runner: threading.Thread | None = None
        """The thread that works on the queue. Others may be left behind with a call that takes long."""
        self._running: dict[threading.Thread, _Run] = {}
        self._is_started = False
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._loops = Loops("measurand-poll-loop")
        self._thread = BackgroundThread("measurand-poll", self._keep_the_schedule)
        renew_after_fork(self)

    def register(
        self,
        name: str,
        callback: Callable[..., Any],
        *,
        interval: float | None = None,
        timeout: float | None = None,
        first: Literal["now", "after-interval"] = "now",
        within: Callable[[], Any] | None = None,
        per_process: bool = False,
        jitter: float = 0.0,
    ) -> None:
        """Call a function again and again, in one process of the service at a time.

        Args:
            name: What it is called in logs and metrics.
            callback: The function: plain, in a thread of ours, or a coroutine function, in the attached event loop or one of ours.
            interval: Seconds between two calls.
            timeout: Seconds after which a call counts as failed; a coroutine is cancelled then, a plain function is left alone and not
                started again before it ends. The interval by default.
            first: When to call it first: as soon as polling starts, or one interval later.
            within: Makes a context manager for each call, plain or asynchronous, whose value the function is given, such as a session
                that commits, or rolls back if the function raises, and is released in any case.
            per_process: Call it in every process of the service, each by its own schedule.
            jitter: By which part of the interval, as a ratio 0 to 1, the first call after one interval may come earlier, at random, so that
                services that were started together do not call together ever after.

        Raises:
            ConfigurationError: The name is taken, or a setting cannot be used.
        """
        every = self._interval if interval is None else _positive(f"the interval of {name!r}", interval)
        limit = every if timeout is None else _positive(f"the timeout of {name!r}", timeout)
        if first not in ("now", "after-interval"):
            raise ConfigurationError(f"first of {name!r} must be 'now' or 'after-interval', not {first!r}")
        if not callable(callback):
            raise ConfigurationError(f"the callback of {name!r} must be a function, not {callback!r}")
        turns = Turns(f"poll {name}", per_process=per_process)
        ahead = every * jitter * random.random()
        poller = _Poller(name, callback, every, limit, first == "after-interval", within, turns, ahead)
        with self._lock:
            if name in self._pollers:
                raise ConfigurationError(f"{name!r} is polled already; unregister it first, or choose another name")
            self._pollers[name] = poller
            if self._is_started:
                self._begin(poller)
        self._wake.set()

    def unregister(self, name: str) -> None:
        """Call the function no more. A call that is under way goes on to its end.

        Raises:
            ConfigurationError: Nothing of this name is registered.
        """
        with self._lock:
            poller = self._pollers.pop(name, None)
            if poller is None:
                raise ConfigurationError(f"{name!r} is not polled; these are: {', '.join(map(repr, self._pollers)) or 'none'}")
            if poller in self._queue:
                self._queue.remove(poller)
            if self._is_started:
                remove_here(self._metrics.age, name)
        poller.turns.give_up()

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Run coroutine functions in this event loop, as long as it runs; where there is none they run in a loop of their own."""
        self._loops.attach(loop)

    def start(self, *, wait_for_loop: float = 0.0) -> None:
        """Begin to call what is registered, unless that has begun already.

        Args:
            wait_for_loop: Seconds to wait for :meth:`attach` before coroutine functions run in a loop of their own.
        """
        with self._lock:
            if not self._is_started:
                self._is_started = True
                self._loops.expect(wait_for_loop)
                for poller in self._pollers.values():
                    self._begin(poller)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Start no more calls, cancel coroutines, and wait for what runs.

        Args:
            timeout: Seconds to wait at most; what hangs is left behind.

        Returns:
            Whether everything has ended.
        """
        deadline = clock.system_monotonic() + timeout
        with self._lock:
            if not self._is_started:
                return True
            self._is_started = False
            for poller in self._queue:
                poller.is_queued = False
            self._queue.clear()
            for name in self._pollers:
                remove_here(self._metrics.age, name)
            running = dict(self._running)
            pollers = list(self._pollers.values())
        self._wake.set()
        ended = self._thread.stop(timeout)
        for run in running.values():
            run.call.cancel()
        for thread in running:
            if thread is not threading.current_thread():
                thread.join(max(deadline - clock.system_monotonic(), 0.0))
            ended = ended and not thread.is_alive()
        for poller in pollers:
            poller.leads = False
            poller.turns.give_up()
        return self._loops.stop(max(deadline - clock.system_monotonic(), 0.0)) and ended

    # -- the schedule --------------------------------------------------------------------------------------------------------

    def _begin(self, poller: _Poller) -> None:
        now = clock.monotonic()
        poller.due = now + poller.interval - poller.ahead if poller.waits_at_first else now
        poller.fresh_at = now
        poller.not_before, poller.leads = 0.0, False
        self._metrics.errors.labels(poller.name)
        self._metrics.duration.labels(poller.name)
        self._metrics.age.labels(poller.name).set_function(lambda: _age(poller))

    def _keep_the_schedule(self, stop: threading.Event) -> None:
        while self._is_started and not stop.is_set():
            self._wake.wait(self.run_due())
            self._wake.clear()

    def run_due(self) -> float:
        """Start what is due, and see to what takes too long: what the thread does whenever it wakes up.

        For tests that move the clock: the thread itself looks again only when the time is over by the system's clock. It waits for nothing.

        Returns:
            Seconds until there is something to do again.
        """
        now, system_now = clock.monotonic(), clock.system_monotonic()
        late: list[_Poller] = []
        wait = LONGEST_WAIT
        with self._lock:
            if not self._is_started:
                return wait
            for poller in self._pollers.values():
                if poller.run is not None:
                    if not poller.run.is_late and system_now - poller.run.started >= poller.timeout:
                        poller.run.is_late = True
                        late.append(poller)
                    elif not poller.run.is_late:
                        wait = min(wait, poller.run.started + poller.timeout - system_now)
                if now >= max(poller.due, poller.not_before) and self._is_ours(poller, now):
                    if poller.run is None and not poller.is_queued:
                        poller.is_queued = True
                        self._queue.append(poller)
                    elif poller.run is not None and poller.run.is_late and poller not in late:
                        late.append(poller)
                wait = min(wait, max(poller.due, poller.not_before) - now)
            if self._queue:
                wait = min(wait, self._see_to_a_runner(system_now))
        for poller in late:
            self._fail(poller, f"has been running for more than {poller.timeout:g} s", None)
            if poller.run is not None:
                poller.run.call.cancel()
        return max(wait, 0.0)

    def _is_ours(self, poller: _Poller, now: float) -> bool:
        """Whether to call the function now that a tick has come; in any case know of the next one. Called with the lock."""
        tick = poller.due + poller.interval * floor((now - poller.due) / poller.interval)
        is_ours, led = poller.turns.are_ours(), poller.leads
        poller.leads = is_ours
        done = poller.turns.done() if is_ours != led or not is_ours else None
        if done is not None and 0 < done.turn <= now and not poller.turns.per_process:  # keep to the schedule of who leads, or has led
            missed = floor((now - done.turn) / poller.interval + ROUNDING)
            tick = done.turn + missed * poller.interval
            if not missed:
                is_ours = False
            elif not is_ours and now - tick < LOOK_FOR:
                poller.due, poller.not_before = tick, now + min(LOOK_AGAIN, poller.interval / 4)
                return False
        poller.due = tick + poller.interval
        if is_ours:
            poller.turns.note(turn=tick, success=None if done is not None and done.success else poller.fresh_at)
        return is_ours

    def _see_to_a_runner(self, now: float) -> float:
        """Have a thread that works on the queue, and return the seconds until it may be held up. Called with the lock."""
        if self._runner is not None and self._runner.is_alive():
            busy = self._running.get(self._runner)
            if busy is None or now - busy.started < PATIENCE:
                return PATIENCE if busy is None else busy.started + PATIENCE - now
        self._runner = threading.Thread(target=self._work, name="measurand-poll-run", daemon=True)
        try:
            self._runner.start()
        except RuntimeError as reason:  # no thread is left
            self._runner = None
            log.warning("polling is held up: %s", reason)
        return PATIENCE

    # -- the calls -----------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """What a runner does: one function after the other, until there is none, or another runner has taken over."""
        me = threading.current_thread()
        while True:
            with self._lock:
                if self._runner is not me:
                    return
                if not self._queue:
                    self._runner = None
                    return
                poller = self._queue.popleft()
                poller.is_queued = False
                run = poller.run = self._running[me] = _Run(Call(poller.callback, poller.within), clock.system_monotonic())
            seconds = self._call(poller, run)
            with self._lock:
                poller.run = None
                del self._running[me]
            self._metrics.duration.labels(poller.name).observe(seconds)  # who sees it counted may rely on its being over

    def _call(self, poller: _Poller, run: _Run) -> float:
        """Call the function; the seconds that it took."""
        started = clock.monotonic()
        try:
            run.call.run(self._loops)
        except BaseException as error:  # noqa: BLE001 - counted and logged
            if not run.is_late:  # otherwise it has been counted
                self._fail(poller, "failed", error)
        else:
            poller.fresh_at = clock.monotonic()
            poller.turns.note(success=poller.fresh_at)
            if poller.failures:
                log.info("polling %s works again, after %d failures", poller.name, poller.failures)
                poller.failures = 0
        return max(clock.monotonic() - started, 0.0)

    def _fail(self, poller: _Poller, what: str, error: BaseException | None) -> None:
        self._metrics.errors.labels(poller.name).inc()
        poller.failures += 1
        if poller.failures == 1:
            log.warning(
                "polling %s %s; it is tried again every %g s, and the others are not affected. Further failures are only counted.",
                poller.name,
                what,
                poller.interval,
                exc_info=error,
            )

    def renew(self) -> None:
        """In a new child process: nothing runs here yet."""
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._queue.clear()
        self._runner, self._running = None, {}
        for poller in self._pollers.values():
            poller.is_queued, poller.run = False, None
            poller.leads = False


def _age(poller: _Poller) -> float:
    """Seconds since the last success in any process, or since it was first due."""
    done = poller.turns.done()
    return max(clock.monotonic() - (done.success if done is not None and done.success else poller.fresh_at), 0.0)


def _positive(what: str, seconds: float) -> float:
    if not (isinstance(seconds, int | float) and 0 < seconds < float("inf")):
        raise ConfigurationError(f"{what} must be a number of seconds greater than zero, not {seconds!r}")
    return float(seconds)
