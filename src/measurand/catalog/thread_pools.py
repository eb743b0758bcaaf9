"""Thread pools: how many threads they have, how many are busy, how much waits for one, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from measurand.catalog.limited import Limited
from measurand.core import OVERFLOW_VALUE
from measurand.metrics.domains import REGISTRY
from measurand.metrics.here import remove_here
from measurand.metrics.instruments import Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = ["BUCKETS", "PoolSeries", "PoolWork", "ThreadPoolMetrics"]

BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True, slots=True)
class PoolWork:
    """Something that a pool has begun to do.

    Attributes:
        pool: What the pool is called.
        wait: Seconds that it waited for a thread.
    """

    pool: str
    wait: float


class PoolSeries(NamedTuple):
    """What records the work of one pool.

    Attributes:
        queued: Counts what waits for a thread in.
        unqueued: Counts it out.
        waited: Observes for how many seconds it waited.
        begun: Counts a busy thread in.
        ended: Counts it out.
    """

    queued: Callable[[], None]
    unqueued: Callable[[], None]
    waited: Callable[[float], None]
    begun: Callable[[], None]
    ended: Callable[[], None]


class ThreadPoolMetrics:
    """The metrics of thread pools.

    =============================  =========  ====
    ``thread_pool_threads``        gauge      pool
    ``thread_pool_threads_max``    gauge      pool
    ``thread_pool_threads_busy``   gauge      pool
    ``thread_pool_queue_length``   gauge      pool
    ``thread_pool_wait_seconds``   histogram  pool
    =============================  =========  ====

    Pools of one name are shown together. Safe from any thread.

    Args:
        registry: Where they are exposed.
        max_pools: How many names of pools are told apart; further ones are ``__other__``.
        buckets: Upper bounds of the waits, in seconds.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, max_pools: int = 50, buckets: Sequence[float] = BUCKETS) -> None:
        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(f"thread_pool_{name}", documentation, ["pool"], registry=registry, multiprocess_mode="livesum")

        self.threads = gauge("threads", "Threads that pools have")
        self.most = gauge("threads_max", "Threads that pools may have")
        self.busy = gauge("threads_busy", "Threads of pools that do something")
        self.queue = gauge("queue_length", "Calls that wait for a thread of a pool")
        self.wait = Histogram(
            "thread_pool_wait_seconds", "Time that calls waited for a thread", ["pool"], registry=registry, buckets=buckets
        )
        self._names = Limited(max_pools, OVERFLOW_VALUE, {OVERFLOW_VALUE})

    def label(self, pool: str) -> str:
        """A pool's name as it is labelled."""
        return self._names.label(pool)

    def series(self, pool: str) -> PoolSeries:
        """What records the work of a pool, to be kept."""
        label = self.label(pool)
        queue, busy = self.queue.labels(label), self.busy.labels(label)
        return PoolSeries(queue.inc, queue.dec, self.wait.labels(label).observe, busy.inc, busy.dec)

    def record(self, event: PoolWork) -> None:
        """Record for how long something waited, which does not change what waits or is under way."""
        self.wait.labels(self.label(event.pool)).observe(event.wait)

    def show_sizes(self, pool: str, most: Callable[[], float], threads: Callable[[], float] | None = None) -> None:
        """Ask functions for the sizes of a pool at each scrape, in a thread of the scrape's.

        Args:
            pool: The pool's name.
            most: Tells how many threads it may have.
            threads: Tells how many it has, if anybody knows.
        """
        label = self.label(pool)
        self.most.labels(label).set_function(most)
        if threads is not None:
            self.threads.labels(label).set_function(threads)

    def hide_sizes(self, pool: str) -> None:
        """Show the sizes of a pool no longer."""
        for gauge in (self.threads, self.most):
            with suppress(KeyError):  # that one was not shown
                remove_here(gauge, self.label(pool))
