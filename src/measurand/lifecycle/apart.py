"""Running other people's code at the end of a program, where nothing may hang.

Python cannot interrupt a function. So each function runs in a daemon thread of its own, and whoever asked waits as long as there is time;
a function that hangs is left alone. Where no thread can be started any more, as at the exit of the interpreter, the caller runs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from measurand import clock

__all__ = ["Apart", "Outcome", "is_apart"]

_here = threading.local()


def is_apart() -> bool:
    """Whether the calling code is being run by this module, so that waiting for its own end would be in vain."""
    return getattr(_here, "apart", False)


@dataclass(slots=True)
class Outcome:
    """What became of one function.

    Attributes:
        value: What it returned, if it did.
        error: What it raised, if it did.
        is_done: Whether it came to its end.
        seconds: How long it took, or has been running.
    """

    value: Any = None
    error: BaseException | None = None
    is_done: bool = False
    seconds: float = 0.0


class Apart:
    """Runs functions, all at the same time.

    Args:
        name: Of the threads.
        calls: The functions.
    """

    def __init__(self, name: str, calls: Sequence[Callable[[], Any]]) -> None:
        self._outcomes = [Outcome() for _ in calls]
        self._changed = threading.Condition()
        self._given_up = False
        self._started = clock.system_monotonic()
        for call, outcome in zip(calls, self._outcomes, strict=True):
            thread = threading.Thread(target=self._run, args=(call, outcome), name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._run(call, outcome)

    def wait(self, limit: float) -> list[Outcome]:
        """What became of each function, when all are done, after ``limit`` seconds, or when :meth:`give_up` is called."""
        deadline = clock.system_monotonic() + limit
        with self._changed:
            while not (self._given_up or all(outcome.is_done for outcome in self._outcomes)):
                left = deadline - clock.system_monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            now = clock.system_monotonic() - self._started
            return [
                Outcome(outcome.value, outcome.error, outcome.is_done, outcome.seconds if outcome.is_done else now)
                for outcome in self._outcomes
            ]

    def give_up(self) -> None:
        """Wait no longer."""
        with self._changed:
            self._given_up = True
            self._changed.notify_all()

    def _run(self, call: Callable[[], Any], outcome: Outcome) -> None:
        before, _here.apart = is_apart(), True
        value, failure = None, None
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's to judge
            failure = error
        finally:
            _here.apart = before
        with self._changed:
            outcome.value, outcome.error = value, failure
            outcome.seconds = clock.system_monotonic() - self._started
            outcome.is_done = True
            self._changed.notify_all()
