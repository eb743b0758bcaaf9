"""Running other people's code with a deadline.

Python cannot interrupt a function, so a function that must not hold up the caller runs in another thread. A :class:`Relay` runs a batch
one after the other in one helper thread; when one of them takes too long, a second helper takes over the rest and the slow one is left
alone. At the deadline the caller gets what is there. A function that still runs from an earlier batch is not started again, so the number
of helpers is bounded by the number of functions. Where no thread can be started, as at the exit of the interpreter, the caller runs them.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
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
        late: Whether it was still running at the deadline, or since an earlier batch.
    """

    value: Any = None
    error: BaseException | None = None
    late: bool = False


@dataclass(slots=True, eq=False)
class _Job:
    key: Hashable
    call: Callable[[], Any]
    outcome: Outcome
    started: float | None = None
    done: bool = False


class Relay:
    """Runs batches of functions with a deadline; safe to use from several threads at once."""

    def __init__(self) -> None:
        self._running: dict[Hashable, _Job] = {}
        self._owner = os.getpid()

    def run(self, batch: Sequence[tuple[Hashable, Callable[[], Any]]], timeout: float) -> list[Outcome]:
        """Run the functions and return what became of each, after at most ``timeout`` seconds.

        Args:
            batch: Pairs of a key, by which a function is recognised between batches, and the function.
            timeout: Seconds for all of them together.
        """
        if self._owner != os.getpid():  # the helpers of the parent do not exist here
            self._running, self._owner = {}, os.getpid()
        jobs = [_Job(key, call, Outcome(late=True)) for key, call in batch]
        waiting = deque(job for job in jobs if job.key not in self._running)
        ready = list(waiting)
        changed = threading.Condition()
        context = contextvars.copy_context()
        current: list[_Job | None] = []

        def work(slot: int, context: contextvars.Context) -> None:
            while True:
                try:
                    job = waiting.popleft()
                except IndexError:
                    return
                job.started = clock.system_monotonic()
                current[slot] = job
                self._running[job.key] = job
                outcome = _outcome(context, job.call)
                self._running.pop(job.key, None)
                current[slot] = None
                with changed:
                    job.outcome, job.done = outcome, True
                    changed.notify_all()
                del job, outcome  # an error's traceback leads to this frame

        def helper() -> bool:
            current.append(None)
            thread = threading.Thread(target=work, args=(len(current) - 1, context.copy()), name="measurand-collect", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system's limit on threads, or the interpreter is about to exit
                current.pop()
                return False
            return True

        deadline = clock.system_monotonic() + timeout
        if ready and not helper():
            current.append(None)
            work(0, context)
        with changed:
            while not all(job.done for job in ready):
                moment = clock.system_monotonic()
                if moment >= deadline:
                    break
                held_up = all(job is not None and job.started is not None and moment - job.started >= PATIENCE for job in current)
                if waiting and held_up:
                    helper()
                changed.wait(min(PATIENCE, deadline - moment) if waiting else deadline - moment)
            waiting.clear()
            return [job.outcome for job in jobs]


def _outcome(context: contextvars.Context, call: Callable[[], Any]) -> Outcome:
    """Call it; in a function of its own, so that an error is held by nobody but its outcome."""
    try:
        return Outcome(value=context.run(call))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's to judge
        return Outcome(error=error)
