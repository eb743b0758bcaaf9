"""Event loops: how late they come to what is due, and how many tasks they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = ["BUCKETS", "LoopLag", "LoopMetrics"]

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class LoopLag:
    """One look at a loop.

    Attributes:
        seconds: How much later than it should have been the loop came to a timer.
    """

    seconds: float


class LoopMetrics:
    """The metrics of event loops, those of all loops together.

    ============================  =========
    ``asyncio_loop_lag_seconds``  histogram
    ``asyncio_tasks``             gauge
    ============================  =========

    Safe from any thread.

    Args:
        registry: Where they are exposed.
        buckets: Upper bounds of the lag, in seconds. Timers are up to a millisecond late on a loop that has nothing else to do.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, buckets: Sequence[float] = BUCKETS) -> None:
        lag = Histogram("asyncio_loop_lag_seconds", "How late event loops come to a timer", registry=registry, buckets=buckets)
        self.observe: Callable[[float], None] = lag.observe
        """Observes a lag in seconds."""
        self.tasks = Gauge("asyncio_tasks", "Tasks that have not ended", registry=registry, multiprocess_mode="livesum")
        """The number of tasks, which is counted at each scrape."""

    def record(self, event: LoopLag) -> None:
        """Record a look at a loop."""
        self.observe(event.seconds)
