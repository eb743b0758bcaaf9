"""Running other people's code with a deadline.

Python cannot interrupt a function, so a function that must not hold up the caller runs in another thread. A :class:`Relay` runs a batch
one after the other in one helper thread; when one of them takes too long, a second helper takes over the rest and the slow one is left
alone. At the deadline the caller gets what is there. Where no thread can be started, as at the exit of the interpreter, the caller runs
them.

No function runs twice at once. One that another batch is running is waited for; those who waited run it once more, once for all of them, as
what it returns may be older than the question, or take what it returned if there is no time for that. One that has been running for longer
than a batch may take is late there at once, and not started again while it runs, so the number of helpers is bounded by the number of
functions. A function that asks for a batch itself waits for nobody: two of them might wait for each other.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Hashable, Sequence
from contextvars import Context, ContextVar
from dataclasses import dataclass
from math import inf
from typing import Any

from measurand import clock

__all__ = ["Outcome", "Relay"]

PATIENCE = 0.1
"""Seconds that a function may run before the rest of its batch goes on without it."""


@dataclass(slots=True)
class Outcome:
    """What became of one function.

    Attributes:
        value: What it returned, if it did.
        error: What it raised, if it did.
        late: Whether it was still running at the deadline, or has been running for longer than its batch would wait.
        nested: Whether it asked for itself, so that it was not run.
    """

    value: Any = None
    error: BaseException | None = None
    late: bool = False
    nested: bool = False


@dataclass(slots=True, eq=False)
class _Job:
    key: Hashable
    call: Callable[[], Any]
    outcome: Outcome
    started: float = inf
    ended: bool = False  # its batch has
    older: Outcome | None = None  # of a run that began before its batch asked


_inside: ContextVar[tuple[Hashable, ...]] = ContextVar("measurand_relay", default=())
"""What this thread is running for a batch: a batch within that would wait for it in vain."""


class Relay:
    """Runs batches of functions with a deadline; safe to use from several threads at once."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.running: dict[Hashable, _Job] = {}
        self.batches: list[_Batch] = []
        self.changed = threading.Condition()
        """Held to look at, and to change, all of this and the batches."""
        self._owner = os.getpid()

    def run(self, batch: Sequence[tuple[Hashable, Callable[[], Any]]], timeout: float) -> list[Outcome]:
        """Run the functions and return what became of each, after at most ``timeout`` seconds.

        Args:
            batch: Pairs of a key, by which a function is recognised between batches, and the function.
            timeout: Seconds for all of them together.

        Returns:
            Their outcomes, in the order of the batch. Batches that ran at once may share one.
        """
        if self._owner != os.getpid():  # the helpers of the parent do not exist here, and one may have held the condition
            self._start()
        return _Batch(self, batch, timeout).run()


class _Batch:
    """The functions of one call, and the helpers that run them."""

    def __init__(self, relay: Relay, batch: Sequence[tuple[Hashable, Callable[[], Any]]], timeout: float) -> None:
        self._relay = relay
        self._changed = relay.changed
        self._asked = clock.system_monotonic()
        self._timeout = timeout
        self._deadline = self._asked + timeout
        self._context = contextvars.copy_context()
        self._inside = _inside.get()
        self._jobs = [_Job(key, call, Outcome(late=True, nested=key in self._inside)) for key, call in batch]
        self._waiting = [job for job in self._jobs if not job.outcome.nested]
        self._mine: list[_Job] = []  # that run now
        self._idle = 0  # helpers that have not begun yet

    def run(self) -> list[Outcome]:
        with self._changed:
            self._relay.batches.append(self)
            try:
                while self._has_more() and (moment := clock.system_monotonic()) < self._deadline:
                    is_free = any(map(self._is_free, self._waiting))
                    if is_free and not self._idle and all(moment - job.started >= PATIENCE for job in self._mine):
                        self._start_helper()
                        continue
                    self._changed.wait(min(PATIENCE, self._deadline - moment) if self._waiting else self._deadline - moment)
            finally:
                self._relay.batches.remove(self)
                for job in [*self._waiting, *self._mine]:
                    job.outcome = job.older or job.outcome
                    job.ended = True
                self._waiting.clear()
                self._changed.notify_all()
                jobs, self._jobs = self._jobs, []  # a helper that is about to end must not keep what they belong to
            return [job.outcome for job in jobs]

    def _has_more(self) -> bool:
        now = clock.system_monotonic()
        for job in list(self._waiting):
            other = self._relay.running.get(job.key)
            if other is not None and now - other.started >= self._timeout:
                self._waiting.remove(job)
        return bool(self._waiting or self._mine)

    def _is_free(self, job: _Job) -> bool:
        return job.key not in self._relay.running or (bool(self._inside) and self._relay.running[job.key] not in self._mine)

    def _start_helper(self) -> None:
        thread = threading.Thread(target=self._help, args=(self._context.copy(),), name="measurand-collect", daemon=True)
        self._idle += 1
        try:
            thread.start()
        except RuntimeError:  # the system's limit on threads, or the interpreter is about to exit
            self._changed.release()
            try:
                self._help(self._context)
            finally:
                self._changed.acquire()

    def _help(self, context: Context) -> None:
        with self._changed:
            self._idle -= 1
            while (job := next(filter(self._is_free, self._waiting), None)) is not None:
                self._waiting.remove(job)
                self._mine.append(job)
                self._relay.running[job.key] = job
                job.started = clock.system_monotonic()
                self._changed.release()
                try:
                    outcome = _outcome(context, job.key, job.call)
                finally:
                    self._changed.acquire()
                self._settle(job, outcome)
                del job, outcome

    def _settle(self, job: _Job, outcome: Outcome) -> None:
        self._mine.remove(job)
        if self._relay.running.get(job.key) is job:
            del self._relay.running[job.key]
        if not job.ended:
            job.outcome = outcome
        for batch in self._relay.batches:
            if batch is not self:
                batch._take(job, outcome)
        self._changed.notify_all()

    def _take(self, other: _Job, outcome: Outcome) -> None:
        """Have what another batch was told: if that is new enough, or there is no time to ask once more."""
        now = clock.system_monotonic()
        for job in [job for job in self._waiting if job.key == other.key]:
            job.older = outcome
            if other.started >= self._asked or now + (now - other.started) >= self._deadline:
                job.outcome = outcome
                self._waiting.remove(job)


def _outcome(context: Context, key: Hashable, call: Callable[[], Any]) -> Outcome:
    """Call it; in a function of its own, whose frame an error leads to, so that the error is held by nobody but its outcome."""
    try:
        return Outcome(value=context.run(_enter, key, call))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's to judge
        return Outcome(error=error)


def _enter(key: Hashable, call: Callable[[], Any]) -> Any:
    token = _inside.set((*_inside.get(), key))
    try:
        return call()
    finally:
        _inside.reset(token)
