"""The garbage collector's pauses: for how long a collection holds up the thread that it comes upon, and with it whoever waits for that.

How many objects are collected, and how often, is :class:`measurand.catalog.runtime.GCCollector`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = ["BUCKETS", "GENERATIONS", "GCMetrics", "GCPause"]

BUCKETS = (0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)

GENERATIONS = 3
"""How many generations of objects there are."""


@dataclass(frozen=True, slots=True)
class GCPause:
    """One collection.

    Attributes:
        generation: The oldest generation that was looked through, 0 to 2.
        duration: Seconds that it took, the callbacks and finalizers that ran meanwhile included.
    """

    generation: int
    duration: float


class GCMetrics:
    """The metrics of collections.

    ===========================  =========  ==========
    ``python_gc_pause_seconds``  histogram  generation
    ===========================  =========  ==========

    Safe from any thread, and from within a collection.

    Args:
        registry: Where they are exposed.
        buckets: Upper bounds of the durations, in seconds.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, buckets: Sequence[float] = BUCKETS) -> None:
        pauses = Histogram("python_gc_pause_seconds", "Duration of garbage collections", ["generation"], registry=registry, buckets=buckets)
        self.observers: Sequence[Callable[[float], None]] = [pauses.labels(str(number)).observe for number in range(GENERATIONS)]
        """What observes seconds, by generation."""

    def record(self, event: GCPause) -> None:
        """Record a collection."""
        self.observers[event.generation](event.duration)
