"""Thread pools of ``concurrent.futures``: event loops' own ones, and any other.

What is submitted is counted from then until a thread takes it or it is cancelled, and from there until it ends. It runs in the thread, with
the arguments and the outcome that it would have had; nothing is kept of it that the pool would not have kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary, ref

from measurand.catalog.thread_pools import PoolSeries, ThreadPoolMetrics
from measurand.core import now
from measurand.integrations.handle import Handle, Installations
from measurand.integrations.seams import Guarded, Seam, Seams
from measurand.lifecycle.background import renew_after_fork
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["instrument"]

NUMBER = re.compile(r"[-_.]?\d+$")
"""What a pool's own name ends with, and does not make it another pool."""

_installations = Installations()
_guarded = Guarded("thread pools")


class _Work:
    """A call that has been submitted, in place of the function."""

    __slots__ = ("_function", "_series", "_since", "_waits")

    def __init__(self, function: Callable[..., Any], series: PoolSeries) -> None:
        self._function: Callable[..., Any] | None = function
        self._series = series
        self._waits = True
        self._since = now()
        series.queued()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        function, series = self._function, self._series
        assert function is not None
        self.leave(None)
        series.waited(max(now() - self._since, 0.0))
        series.begun()
        try:
            return function(*args, **kwargs)
        finally:
            series.ended()

    def leave(self, _: Future[Any] | None) -> None:
        """Be out of the queue, because it has begun, or will never begin. Of the two only one happens first."""
        self._function = None
        if self._waits:
            self._waits = False
            self._series.unqueued()


class _Choice:
    """Where the work of a pool, or of every pool, is recorded to, and under which name."""

    def __init__(self, metrics: ThreadPoolMetrics, name: str | None) -> None:
        self.metrics = metrics
        self._name = name
        self._series: WeakKeyDictionary[ThreadPoolExecutor, PoolSeries | None] = WeakKeyDictionary()
        self._shown: dict[str, _Sizes] = {}
        renew_after_fork(self)

    def renew(self) -> None:
        """In a new child process: its parent's pools have no threads here."""
        self._series = WeakKeyDictionary()
        for sizes in self._shown.values():
            sizes.remove(self)

    def work(self, pool: ThreadPoolExecutor, function: Callable[..., Any]) -> _Work | None:
        try:
            series = self._series[pool]
        except KeyError:
            series = self._series[pool] = self._begin(pool)
        return None if series is None else _Work(function, series)

    def _begin(self, pool: ThreadPoolExecutor) -> PoolSeries | None:
        if any(cls.__name__ == "InterpreterPoolExecutor" for cls in type(pool).__mro__):
            return None  # what is submitted goes to another interpreter, where we are not
        name = self._name or NUMBER.sub("", str(getattr(pool, "_thread_name_prefix", ""))) or "ThreadPoolExecutor"
        label = self.metrics.label(name)
        sizes = self._shown[label] = _sizes.setdefault(self.metrics.threads, {}).setdefault(label, _Sizes())
        sizes.add(pool, self)
        self.metrics.show_sizes(label, sizes.threads, sizes.most)
        return self.metrics.series(label)

    def end(self) -> None:
        """Show the sizes no longer, but where somebody else does."""
        for label, sizes in self._shown.items():
            if sizes.remove(self):
                self.metrics.hide_sizes(label)


class _Sizes:
    """The sizes of the pools of one name, together."""

    def __init__(self) -> None:
        self._pools: dict[int, tuple[ref[ThreadPoolExecutor], int]] = {}

    def add(self, pool: ThreadPoolExecutor, choice: _Choice) -> None:
        key = id(pool)
        self._pools[key] = ref(pool, lambda _: self._pools.pop(key, None)), id(choice)  # which has the set, and so the gauge

    def remove(self, choice: _Choice) -> bool:
        """Leave out the pools of a choice; returns whether there are no others."""
        for key, (_, its) in list(self._pools.items()):
            if its == id(choice):
                self._pools.pop(key, None)
        return not self._pools

    def threads(self) -> int:
        return sum(sum(thread.is_alive() for thread in list(getattr(pool, "_threads", ()))) for pool in self._live())

    def most(self) -> int:
        return sum(getattr(pool, "_max_workers", 0) for pool in self._live() if not getattr(pool, "_shutdown", False))

    def _live(self) -> list[ThreadPoolExecutor]:
        return [pool for kept, _ in list(self._pools.values()) if (pool := kept()) is not None]


_sizes: WeakKeyDictionary[Any, dict[str, _Sizes]] = WeakKeyDictionary()
"""Whose sizes a gauge shows, by label: sets of one registry share it."""


def _replace(original: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        choice = _seams.metrics_of(self)
        work = None if choice is None else _guarded(choice.work, self, fn)
        if work is None:
            return original(self, fn, *args, **kwargs)
        try:
            future = original(self, work, *args, **kwargs)
        except BaseException:
            work.leave(None)
            raise
        future.add_done_callback(work.leave)
        return future

    return submit


_seams = Seams(lambda: [Seam(ThreadPoolExecutor, "submit", _replace)])


def instrument(
    target: ThreadPoolExecutor | None = None,
    *,
    metrics: ThreadPoolMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
    name: str | None = None,
) -> Handle:
    """Record the work of thread pools, from the next call that is submitted on. Safe from any thread.

    Args:
        target: A pool. By default every pool, also those that are made later: event loops' own ones are called ``asyncio``.
        metrics: The set to record to.
        registry: Where the metrics are exposed, if no set is given.
        name: What the pool is called; by default the prefix of its threads' names without a number at its end.
    """

    def make() -> Handle:
        choice = _Choice(metrics or ThreadPoolMetrics(registry), name)
        _seams.record(target, choice)

        def undo(given: Any) -> None:
            _seams.drop(None if given is ThreadPoolExecutor else given, choice)
            choice.end()

        what = "every pool" if target is None else f"the pool {name or ''}".strip()
        return Handle(f"thread pools, {what}", choice.metrics, target or ThreadPoolExecutor, undo)

    return _installations.once(target or ThreadPoolExecutor, metrics, make)
