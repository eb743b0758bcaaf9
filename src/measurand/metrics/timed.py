"""One timer for everything: :func:`timed`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, Self, TypeVar, overload, runtime_checkable

from measurand.core import OutcomeTimer, now, wrapping
from measurand.errors import DefinitionError, LabelError
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Gauge, Histogram, Summary
from measurand.metrics.registry import CollectorRegistry

__all__ = ["DEFAULT_NAME", "Stopwatch", "Timed", "TimedSet", "timed"]

F = TypeVar("F", bound=Callable[..., Any])
Target = Histogram | Summary | Gauge

DEFAULT_NAME = "function_duration_seconds"
"""The histogram of functions that are decorated without a name; its label ``function`` tells them apart."""

STATUS = "status"


class Stopwatch(NamedTuple):
    """What happens at the start of something and at its end.

    Attributes:
        enter: Called first; returns the moment, in seconds of the clock of :func:`measurand.core.now`.
        leave: Called at the end with that moment and the exception that left the body, or ``None``; returns the duration in seconds.
    """

    enter: Callable[[], float]
    leave: Callable[[float, BaseException | None], float]


@runtime_checkable
class TimedSet(Protocol):
    """A metric set that :func:`timed` takes as its target."""

    def stopwatch(self, name: str | None, labels: Mapping[str, str]) -> Stopwatch:
        """What records one call after another.

        Args:
            name: What the decorated function is called; ``None`` for a ``with`` block.
            labels: The labels that were given.

        Raises:
            LabelError: They are not those that the set needs.
        """
        ...


class _Starts:
    """When the blocks began that are open: several threads, tasks and calls of a recursion may have one of the same timer."""

    def __init__(self) -> None:
        self._open: dict[object, list[float]] = {}
        self._last = 0.0

    def push(self, start: float) -> None:
        self._last = start
        self._open.setdefault(_whose(), []).append(start)

    def pop(self) -> float:
        who = _whose()
        starts = self._open.get(who)
        if not starts:  # it was opened elsewhere, as a generator's block may be
            self._open.clear()
            return self._last
        start = starts.pop()
        if not starts:
            self._open.pop(who, None)
        return start


def _whose() -> object:
    """The task that runs now, else the thread."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with suppress(RuntimeError):  # no loop runs here
            task = asyncio.current_task()
            if task is not None:
                return task
    return threading.get_ident()


class Timed:
    """What :func:`timed` returns: a context manager and a decorator.

    Attributes:
        duration: Seconds that the last ``with`` block took; ``None`` before its end.
    """

    def __init__(self, made: Callable[[str | None], Stopwatch]) -> None:
        self._made = made
        self._stopwatch: Stopwatch | None = None
        self._starts = _Starts()
        self.duration: float | None = None

    def __enter__(self) -> Self:
        if self._stopwatch is None:
            self._stopwatch = self._made(None)
        self._starts.push(self._stopwatch.enter())
        return self

    def __exit__(self, exc_type: object = None, exc: BaseException | None = None, traceback: object = None) -> None:
        assert self._stopwatch is not None
        self.duration = self._stopwatch.leave(self._starts.pop(), exc)

    def __call__(self, f: F) -> F:
        """Decorate ``f``: each call is timed on its own."""
        return wrapping.around(f, *self._made(_name_of(f)))


class _TimedMetric(Timed):
    """The same for a metric, of which everything is known beforehand."""

    def __init__(self, metric: Target, values: Mapping[str, str]) -> None:
        bound = metric._is_observable()  # one series, or a metric without labels
        if bound and values:
            raise LabelError(f"timed() was given labels, {list(values)}, for a series of {metric.definition.name} that takes none")
        names = () if bound else metric.definition.labelnames
        missing = [name for name in names if name not in values and name != STATUS]
        unknown = [name for name in values if name not in names]
        if missing or unknown:
            raise LabelError(
                f"timed() needs a value for each label of {metric.definition.name}: expected {list(names)}, got {list(values)}"
            )
        succeeded, failed = ([values.get(name, status) for name in names] for status in ("success", "failed"))
        method = "set" if isinstance(metric, Gauge) else "observe"
        self._leave = OutcomeTimer(metric, method, tuple(succeeded), tuple(failed)).since
        self._starts = _Starts()
        self.duration: float | None = None

    def __enter__(self) -> Self:
        self._starts.push(now())
        return self

    def __exit__(self, exc_type: object = None, exc: BaseException | None = None, traceback: object = None) -> None:
        self.duration = self._leave(self._starts.pop(), exc)

    def __call__(self, f: F) -> F:
        """Decorate ``f``: each call is timed on its own."""
        return wrapping.around(f, now, self._leave)


def _name_of(f: Any) -> str:
    """What a function is called by its full name: ``shop.orders.accept``."""
    plain = f.__func__ if isinstance(f, staticmethod | classmethod) else f
    return f"{getattr(plain, '__module__', '')}.{getattr(plain, '__qualname__', type(plain).__qualname__)}"


class _Unnamed:
    """``timed()`` without a name: the function that it decorates gives the label."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def __call__(self, f: F) -> F:
        """Decorate ``f``."""
        metric = Histogram.get_or_create(DEFAULT_NAME, "Duration of functions", ["function", STATUS], registry=self._registry)
        return _TimedMetric(metric, {"function": _name_of(f)})(f)


@overload
def timed(target: F) -> F: ...
@overload
def timed(target: None = None, *, registry: CollectorRegistry = ...) -> _Unnamed: ...
@overload
def timed(
    target: str | Target | TimedSet,
    *,
    labels: Mapping[str, object] | None = ...,
    documentation: str = ...,
    registry: CollectorRegistry = ...,
    **options: Any,
) -> Timed: ...
def timed(
    target: Any = None,
    *,
    labels: Mapping[str, object] | None = None,
    documentation: str = "",
    registry: CollectorRegistry = REGISTRY,
    **options: Any,
) -> Any:
    """Time a block or a function, and tell success from failure.

    ::

        @timed                                         # function_duration_seconds{function="shop.orders.accept", status="success"}
        async def accept(order): ...

        @timed("import_duration_seconds", labels={"kind": "csv"})
        def rows(path):
            yield ...

        with timed(LATENCY) as timer:
            ...
        print(timer.duration)

        @timed(TaskMetrics())                          # all that the set records of a task
        def nightly(): ...

    As a decorator it fits functions, coroutine functions, generators, asynchronous generators, methods, ``staticmethod`` and
    ``classmethod``; an asynchronous or generating function is timed to its end. Durations are in seconds, from a monotonic clock. Safe
    from any thread.

    Args:
        target: A metric (histogram, summary or gauge) or one of its series, the name of a histogram that is made at first use, a metric
            set that has a ``stopwatch`` (:class:`TimedSet`), or nothing.
        labels: Label values; those that a set needs are said at its ``stopwatch``. The label ``status``, with the values ``success`` and
            ``failed``, is added to a histogram made here, and filled in on a given metric that has it.
        documentation: What a histogram made here means.
        registry: Where a histogram made here is exposed.
        **options: Further options of a histogram made here, such as ``buckets``.

    Returns:
        A :class:`Timed`, or the decorated function if used as ``@timed``.

    Raises:
        LabelError: The labels are not those of the metric.
        DuplicateTimeseries: The name belongs to another metric.
    """
    values = {name: str(value) for name, value in (labels or {}).items()}
    if target is None:
        if values or options or documentation:
            raise DefinitionError("timed() with labels or options needs a name: timed('import_duration_seconds', labels={…})")
        return _Unnamed(registry)
    if isinstance(target, str):
        if STATUS in values:
            raise LabelError(f"timed() fills in the label {STATUS!r} itself; use another name")
        metric = Histogram.get_or_create(target, documentation or f"Duration of {target}", [*values, STATUS], registry=registry, **options)
        return _TimedMetric(metric, values)
    if isinstance(target, Histogram | Summary | Gauge):
        return _TimedMetric(target, values)
    if isinstance(target, TimedSet) and not isinstance(target, type):
        if documentation or options:
            raise DefinitionError("timed() takes a documentation and options for a histogram that it makes, and a set has its own metrics")
        return Timed(lambda name: target.stopwatch(name, values))
    if callable(target) or isinstance(target, staticmethod | classmethod):
        return _Unnamed(registry)(target)
    raise TypeError(f"timed() takes a histogram, summary or gauge, the name of one, or a metric set, not {type(target).__name__}")
