"""One registered check between its runs: when it is due, what runs, what it counts as.

An entry is advanced by one thread, the monitor's; its runs end in any thread; it is read from any thread without a lock.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from measurand import clock
from measurand.catalog.health import HealthMetrics, HealthResult
from measurand.health.check import Check, Criticality
from measurand.health.loops import Loops
from measurand.health.reasons import Reason
from measurand.health.report import CheckResult
from measurand.health.running import Ending, Run, Worker
from measurand.health.verdict import Verdict

__all__ = ["Entry"]

LOG = logging.getLogger("measurand.health")

JITTER = 0.1
"""The part of an interval by which a run may come early, so that the processes of a service do not all ask at the same moment."""


class Entry:
    """A check and its state.

    Args:
        check: The check.
        interval: Seconds from one run to the next.
        metrics: Where its results are recorded.
        loops: Where it runs if it is async.
        wake: Called when it may have to be advanced earlier than it said.
    """

    def __init__(self, check: Check, interval: float, metrics: HealthMetrics, loops: Loops, wake: Callable[[], None]) -> None:
        self.check = check
        self.verdict = Verdict()
        self._interval = interval
        self._lifetime = max(interval, check.timeout)  # a check that may take longer than its interval has results more rarely
        self._metrics = metrics
        self._loops = loops
        self._wake = wake
        self._due = clock.monotonic()
        self._run: Run | None = None
        self._worker = Worker(check.name)
        self._is_removed = False
        self._lock = threading.Lock()

    # -- for readers -----------------------------------------------------------------------------------------------------------

    def result(self) -> CheckResult:
        """What is known of the check at this moment."""
        verdict = self.verdict
        stale = verdict.is_stale(clock.monotonic(), self._lifetime)
        healthy, reason = (False, Reason.STALE) if stale and verdict.healthy else (verdict.healthy, verdict.reason)
        criticality = Criticality(self.check.criticality)
        return CheckResult(self.check.name, healthy, criticality, reason, verdict.latency, verdict.date)

    # -- for the monitor -------------------------------------------------------------------------------------------------------

    def advance(self) -> float:
        """Give up what took too long and start what is due.

        Returns:
            When to be advanced again, on the monotonic clock.
        """
        now = clock.monotonic()
        if (run := self._run) is not None and run.loop is not None and self._loops.has_left(run.loop):
            self._end(run, Ending(is_void=True))
        if (run := self._run) is not None:
            return self._advance_running(run, now)
        if self.verdict.is_stale(now, self._lifetime):
            self._record(Reason.STALE, None, None, now)
        if now >= self._due:
            self._due = self._next(now)
            self._start()
        run = self._run
        return self._due if run is None else min(self._due, run.submitted + self.check.timeout)

    def hasten(self) -> None:
        """Be due at once."""
        self._due = clock.monotonic()

    def pause(self) -> None:
        """Give up what runs and need no thread until the next run."""
        if (run := self._run) is not None and not run.is_given_up:
            run.give_up()
        worker, self._worker = self._worker, Worker(self.check.name)
        worker.retire()

    def remove(self) -> None:
        """Record nothing any more."""
        with self._lock:
            self._is_removed = True
        self.pause()

    def renew(self) -> None:
        """In a new child process: nothing runs here, and the check is due."""
        self._lock = threading.Lock()
        self._run = None
        self._worker = Worker(self.check.name)
        self.hasten()

    # -- the rest --------------------------------------------------------------------------------------------------------------

    def _advance_running(self, run: Run, now: float) -> float:
        if not run.is_given_up:
            deadline = run.deadline(self._interval)
            if now < deadline:
                return deadline
            with self._lock:
                late = self._run is run  # or it has just ended
                if late:
                    run.give_up()
            if late:
                self._record(Reason.TIMEOUT, None, None if run.begun is None else now - run.begun, now)
                self._due = self._next(now) if now >= self._due else self._due
        elif now >= self._due:  # it still hangs: one more failure, and no second one is started beside it
            self._due = self._next(now)
            self._record(Reason.TIMEOUT, None, None, now)
        return self._due

    def _start(self) -> None:
        self._run = run = Run(self.check, self._end)
        try:
            if not self.check.is_async:
                is_under_way = self._worker.submit(lambda: run.in_thread(self._loops.find))
            elif is_under_way := (loop := self._loops.find()) is not None:
                run.in_loop(loop)
        except RuntimeError as error:  # the system has no thread left
            self._end(run, Ending(Reason.ERROR, error))
        else:
            if not is_under_way:
                self._end(run, Ending(is_void=True))

    def _end(self, run: Run, ending: Ending) -> None:
        """A run has ended, in whatever thread this is."""
        now = clock.monotonic()
        with self._lock:
            if self._run is not run:
                return
            self._run = None
            if run.is_given_up or ending.is_void:
                return
        latency = None if run.begun is None else now - run.begun
        in_time = latency is None or latency <= self.check.timeout
        self._record(ending.failure if in_time else Reason.TIMEOUT, ending.error, latency, now)
        if now >= self._due:
            self._wake()

    def _record(self, failure: Reason | None, error: BaseException | None, latency: float | None, now: float) -> None:
        with self._lock:
            if self._is_removed:
                return
            before = self.verdict
            after = before.after(failure, latency, now, clock.wall())
            self._metrics.record(HealthResult(self.check.name, after.healthy, latency, failure))
            self.verdict = after  # who sees it may rely on its being recorded
        if after.healthy != before.healthy or before.at is None:
            self._log(before, after, error)

    def _log(self, before: Verdict, after: Verdict, error: BaseException | None) -> None:
        name, is_info = self.check.name, self.check.criticality == Criticality.INFO
        if not after.healthy:
            level = logging.INFO if is_info else logging.WARNING
            LOG.log(level, "the health check %s fails: %s", name, after.reason, exc_info=error)
        elif before.at is not None:
            LOG.info("the health check %s passes again, after %d failures", name, before.failures)

    def _next(self, now: float) -> float:
        return now + self._interval * (1 - JITTER * random.random())
