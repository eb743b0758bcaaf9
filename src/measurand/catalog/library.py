"""What this library knows of itself: how many series each metric has, what the limits kept out, and how the processes stand together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from measurand import core
from measurand.metrics import shared
from measurand.metrics.definition import definition_of, is_plain
from measurand.metrics.domains import REGISTRY
from measurand.metrics.families import CounterMetricFamily, GaugeMetricFamily, Metric
from measurand.metrics.registry import CollectorRegistry

__all__ = ["LibraryCollector"]


class LibraryCollector:
    """Exposes ``measurand_series{metric}`` and ``measurand_series_dropped_total{metric}`` for the metrics with labels of a registry.

    And of the process that answers: ``measurand_processes``, of how many processes it shows the numbers;
    ``measurand_quarantined_lanes``, of how many what they recorded is damaged and left out, wholly or in part;
    ``measurand_sharing_failed``, 1 where it shows its own numbers only, or others do not see all of them, for want of something;
    ``measurand_unshared_series``, how many series those are in all processes.

    A label set is dropped when the metric has reached its ``max_series``: it is then recorded in the overflow series. The counter
    counts look-ups of such label sets, not distinct ones, as remembering those would need the memory that the limit saves.

    Args:
        registry: The registry to describe, and to register with.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        registry.register(self)

    def describe(self) -> tuple[Metric, ...]:
        """The families without samples."""
        return (
            GaugeMetricFamily("measurand_series", "Series of each metric with labels", labels=["metric"]),
            CounterMetricFamily("measurand_series_dropped", "Look-ups answered with the overflow series", labels=["metric"]),
            GaugeMetricFamily("measurand_processes", "Processes of the service whose numbers are shown"),
            GaugeMetricFamily("measurand_quarantined_lanes", "Processes' records that are damaged and left out, wholly or in part"),
            GaugeMetricFamily("measurand_sharing_failed", "Whether numbers are shown by one process only, for want of something"),
            GaugeMetricFamily("measurand_unshared_series", "Series that only the process shows that recorded them"),
        )

    def collect(self) -> Iterable[Metric]:
        """The families."""
        described: Any = self.describe()
        series, dropped, processes, quarantined, failed, unshared = described
        for collector in self._registry.collectors():
            definition = definition_of(collector)
            if definition is not None and definition.labelnames and is_plain(collector):
                series.add_metric([definition.name], len(core.children(collector)))
                dropped.add_metric([definition.name], core.dropped(collector))
        part = shared.company() or shared.current()
        state = part.state() if part is not None else None
        processes.add_metric([], state.processes if state is not None else 1)
        quarantined.add_metric([], state.quarantined if state is not None else 0)
        failed.add_metric([], 1 if shared.trouble() or (state is not None and state.reason) else 0)
        unshared.add_metric([], state.unshared if state is not None else 0)
        return list(described)
