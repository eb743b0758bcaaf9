"""What this library knows of itself: how many series each metric has, and what the limits kept out."""

from __future__ import annotations

from collections.abc import Iterable

from measurand import core
from measurand.metrics.definition import definition_of, is_plain
from measurand.metrics.domains import REGISTRY
from measurand.metrics.families import CounterMetricFamily, GaugeMetricFamily, Metric
from measurand.metrics.registry import CollectorRegistry

__all__ = ["LibraryCollector"]


class LibraryCollector:
    """Exposes ``measurand_series{metric}`` and ``measurand_series_dropped_total{metric}`` for the metrics with labels of a registry.

    A label set is dropped when the metric has reached its ``max_series``: it is then recorded in the overflow series. The counter
    counts look-ups of such label sets, not distinct ones, as remembering those would need the memory that the limit saves.

    Args:
        registry: The registry to describe, and to register with.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        registry.register(self)

    def describe(self) -> tuple[GaugeMetricFamily, CounterMetricFamily]:
        """The families without samples."""
        return (
            GaugeMetricFamily("measurand_series", "Series of each metric with labels", labels=["metric"]),
            CounterMetricFamily("measurand_series_dropped", "Look-ups answered with the overflow series", labels=["metric"]),
        )

    def collect(self) -> Iterable[Metric]:
        """The families."""
        series, dropped = self.describe()
        for collector in self._registry.collectors():
            definition = definition_of(collector)
            if definition is not None and definition.labelnames and is_plain(collector):
                series.add_metric([definition.name], len(core.children(collector)))
                dropped.add_metric([definition.name], core.dropped(collector))
        return [series, dropped]
