"""How a service ends: whether it is about to, and how long that takes."""

from __future__ import annotations

from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = ["LifecycleMetrics"]


class LifecycleMetrics:
    """The metrics of a shutdown.

    Args:
        registry: Where they are exposed.

    Attributes:
        shutting_down: 1 from the moment at which the service was told to stop; of several processes that serve, when all of them were.
        shutdown_duration: Seconds from that moment until all work was done and only the last flush was left.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.shutting_down = Gauge(
            "application_shutting_down",
            "Whether the application is shutting down",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.shutdown_duration = Histogram(
            "graceful_shutdown_duration_seconds",
            "Duration of graceful shutdowns, up to the last flush",
            buckets=(0.1, 0.5, 1, 2.5, 5, 7.5, 10, 15, 20, 30, 60, 120),
            registry=registry,
        )
