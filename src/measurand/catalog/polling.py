"""How the callbacks fare that are called again and again in the background."""

from __future__ import annotations

from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = ["PollingMetrics"]


class PollingMetrics:
    """The metrics of polling.

    Args:
        registry: Where they are exposed.

    Attributes:
        errors: Calls that raised or took too long, and ticks left out because an earlier call still hung.
        duration: Seconds per call, failed ones included.
        age: Seconds since the last success in any process of the service, computed at each scrape by the process that answers; before the
            first one, since polling began.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.errors = Counter(
            "measurand_poll_errors_total",
            "Calls of a polling callback that raised, took too long or could not start",
            ["name"],
            registry=registry,
        )
        self.duration = Histogram(
            "measurand_poll_duration_seconds",
            "Duration of the calls of a polling callback",
            ["name"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=registry,
        )
        self.age = Gauge(
            "measurand_poll_age_seconds",
            "Time since a polling callback last succeeded",
            ["name"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
