"""What a service says of itself: what it is, since when it runs, how often it has been started."""

from __future__ import annotations

from collections.abc import Iterable

from measurand import clock
from measurand.metrics.domains import REGISTRY
from measurand.metrics.families import CounterMetricFamily, GaugeMetricFamily, Metric
from measurand.metrics.registry import CollectorRegistry

__all__ = ["ServiceCollector"]


class ServiceCollector:
    """Exposes ``app_info{version, environment}``, ``uptime_seconds`` and ``service_starts_total``, read at every scrape.

    Args:
        version: The service's version.
        environment: Where it runs, such as ``production``.
        starts: How often the service has been started, over all its lives; ``None`` if that is not known: then the counter is absent,
            because one that always says 1 would say nothing.
        registry: Where to register.
        age: Seconds since the service was started, where another process of it was the first.

    The process that answers a scrape shows its own, which are the same in all of them.
    """

    def __init__(
        self, version: str, environment: str, starts: int | None, registry: CollectorRegistry = REGISTRY, *, age: float = 0.0
    ) -> None:
        self._facts = {"version": version, "environment": environment}
        self._starts = starts
        self._since = clock.monotonic() - age
        registry.register(self)

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return clock.monotonic() - self._since

    def describe(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, CounterMetricFamily]:
        """The families without samples."""
        return (
            GaugeMetricFamily("app_info", "What runs here; the value is always 1", labels=list(self._facts)),
            GaugeMetricFamily("uptime_seconds", "Time since the service was started", labels=[]),
            CounterMetricFamily("service_starts_total", "Starts of the service, over all its lives", labels=[]),
        )

    def collect(self) -> Iterable[Metric]:
        """The families."""
        info, uptime, starts = self.describe()
        info.add_metric(list(self._facts.values()), 1)
        uptime.add_metric([], self.uptime)
        if self._starts is None:
            return [info, uptime]
        starts.add_metric([], self._starts)
        return [info, uptime, starts]
