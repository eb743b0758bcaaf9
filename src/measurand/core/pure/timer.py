"""Timing blocks and functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from measurand import clock
from measurand.core import wrapping

F = TypeVar("F", bound=Callable[..., Any])


def now() -> float:
    """The monotonic clock, in seconds; what timers read."""
    return clock.monotonic()


class Timer:
    """Times a ``with`` block, or each call of a decorated function, and hands the seconds to an instrument.

    Made by ``time()``. As a decorator it fits functions, coroutine functions, generators and asynchronous generators.

    Attributes:
        duration: Seconds that the last ``with`` block took; ``None`` before its end.
    """

    __slots__ = ("_method", "_series", "_start", "duration")

    def __init__(self, metric: Any, callback_name: str) -> None:
        self._series = metric
        self._method = callback_name
        self._start = 0.0
        self.duration: float | None = None

    def __enter__(self) -> Self:
        self._start = clock.monotonic()
        return self

    def __exit__(self, exc_type: object = None, exc: object = None, traceback: object = None) -> None:
        self.duration = duration = max(clock.monotonic() - self._start, 0.0)
        getattr(self._series, self._method)(duration)

    def labels(self, /, *labelvalues: object, **labelkwargs: object) -> None:
        """Choose the series to record on, inside the block, when its labels are known only then."""
        self._series = self._series.labels(*labelvalues, **labelkwargs)

    def since(self, start: float, exc: object = None) -> None:
        """Record the seconds from ``start`` (a value of ``now()``) to now."""
        getattr(self._series, self._method)(max(clock.monotonic() - start, 0.0))

    def __call__(self, f: F) -> F:
        """Decorate ``f``: each call is timed on its own."""
        return wrapping.around(f, now, self.since)


class OutcomeTimer:
    """Hands durations to one of two series of a metric, after what became of the thing timed.

    The series is the one that ``labels()`` leads to at that moment, so that one that was removed comes back.

    Args:
        metric: The metric.
        callback_name: Which of the series' methods takes the seconds.
        succeeded: The label values of what ended well; empty for a metric that needs none.
        failed: Those of what an exception ended.
    """

    __slots__ = ("_failed", "_method", "_metric", "_succeeded")

    def __init__(self, metric: Any, callback_name: str, succeeded: tuple[str, ...], failed: tuple[str, ...]) -> None:
        self._metric = metric
        self._method = callback_name
        self._succeeded = succeeded
        self._failed = failed

    def since(self, start: float, exc: object = None) -> float:
        """Record the seconds from ``start`` (a value of ``now()``) to now, and return them."""
        elapsed = clock.monotonic() - start
        duration = elapsed if elapsed > 0.0 else 0.0
        series, key = self._metric, self._succeeded if exc is None else self._failed
        if key:
            series = series.labels(*key)
        if self._method == "observe":
            series.observe(duration)  # several times as fast as by name
        else:
            getattr(series, self._method)(duration)
        return duration
