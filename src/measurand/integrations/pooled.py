"""Calls that wait for a thread: what the integrations of thread pools have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

from measurand.catalog.thread_pools import PoolSeries, ThreadPoolMetrics
from measurand.core import now
from measurand.lifecycle.background import renew_after_fork

__all__ = ["Pool", "PooledCall", "Pools"]


class Pool(NamedTuple):
    """What is shown of a pool.

    Attributes:
        name: What it is called.
        most: Tells how many threads it may have.
        threads: Tells how many it has; ``None`` if nobody knows.
    """

    name: str
    most: Callable[[Any], float]
    threads: Callable[[Any], float] | None = None


class PooledCall:
    """A call that has been handed to a pool, in place of the function. It is called once at most."""

    __slots__ = ("_function", "_series", "_since", "_ticket")

    def __init__(self, function: Callable[..., Any], series: PoolSeries) -> None:
        self._function: Callable[..., Any] | None = function
        self._series = series
        self._ticket = [None]
        self._since = now()
        series.queued()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """What the function returns or raises."""
        function, self._function = self._function, None
        assert function is not None
        series = self._series
        self.leave()
        series.waited(max(now() - self._since, 0.0))
        series.begun()
        try:
            return function(*args, **kwargs)
        finally:
            series.ended()

    def leave(self) -> None:
        """Be out of the queue, because it has begun or will not be waited for; whoever says so first."""
        try:
            self._ticket.pop()
        except IndexError:
            return
        self._series.unqueued()

    def forget(self, _: object) -> None:
        """It is over, or will never begin: nothing is kept alive by it."""
        self.leave()
        self._function = None


class Pools:
    """Where the calls of a pool, or of every pool, are recorded to. Safe from any thread and after a fork.

    Args:
        metrics: The set.
        look: Tells what is shown of a pool; ``None`` if it is not to be recorded.
    """

    def __init__(self, metrics: ThreadPoolMetrics, look: Callable[[Any], Pool | None]) -> None:
        self.metrics = metrics
        self._look = look
        self._series: WeakKeyDictionary[Any, PoolSeries | None] = WeakKeyDictionary()
        self._shown: dict[str, _Sizes] = {}
        renew_after_fork(self)

    def renew(self) -> None:
        """In a new child process: its parent's pools have no threads here."""
        self._series = WeakKeyDictionary()
        for sizes in self._shown.values():
            sizes.remove(self)

    def call(self, pool: Any, function: Callable[..., Any]) -> PooledCall | None:
        """What to hand to a pool in place of a function, at once; ``None`` for the function itself."""
        try:
            series = self._series[pool]
        except KeyError:
            series = self._series[pool] = self._begin(pool)
        return None if series is None else PooledCall(function, series)

    def _begin(self, pool: Any) -> PoolSeries | None:
        shown = self._look(pool)
        if shown is None:
            return None
        label = self.metrics.label(shown.name)
        sizes = self._shown[label] = _sizes.setdefault(self.metrics.threads, {}).setdefault(label, _Sizes())
        sizes.add(pool, shown, self)
        self.metrics.show_sizes(label, sizes.most, None if shown.threads is None else sizes.threads)
        return self.metrics.series(label)

    def end(self) -> None:
        """Show the sizes no longer, but where somebody else does."""
        for label, sizes in self._shown.items():
            if sizes.remove(self):
                self.metrics.hide_sizes(label)


class _Sizes:
    """The sizes of the pools of one name, together."""

    def __init__(self) -> None:
        self._pools: dict[int, tuple[ref[Any], Pool, int]] = {}

    def add(self, pool: Any, shown: Pool, recorded: Pools) -> None:
        key = id(pool)
        gone = lambda _: self._pools.pop(key, None)  # noqa: E731 - nothing to name
        self._pools[key] = ref(pool, gone), shown, id(recorded)  # which has the set, and so the gauge that this is kept for

    def remove(self, recorded: Pools) -> bool:
        """Leave out what is recorded there; returns whether there is nothing else."""
        for key, (_, _, its) in list(self._pools.items()):
            if its == id(recorded):
                self._pools.pop(key, None)
        return not self._pools

    def threads(self) -> float:
        return sum(shown.threads(pool) for pool, shown in self._live() if shown.threads is not None)

    def most(self) -> float:
        return sum(shown.most(pool) for pool, shown in self._live())

    def _live(self) -> list[tuple[Any, Pool]]:
        return [(pool, shown) for kept, shown, _ in list(self._pools.values()) if (pool := kept()) is not None]


_sizes: WeakKeyDictionary[Any, dict[str, _Sizes]] = WeakKeyDictionary()
"""Whose sizes a gauge shows, by label: sets of one registry share it."""
