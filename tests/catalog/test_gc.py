"""The metrics of collections."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry
from measurand.catalog.gc import GENERATIONS, GCMetrics, GCPause


def test_a_pause_is_recorded_by_generation(registry: CollectorRegistry) -> None:
    metrics = GCMetrics(registry, buckets=(0.01, 0.1))
    metrics.record(GCPause(generation=2, duration=0.05))
    metrics.record(GCPause(2, 0.5))
    labels = {"generation": "2"}
    assert registry.get_sample_value("python_gc_pause_seconds_count", labels) == 2
    assert registry.get_sample_value("python_gc_pause_seconds_sum", labels) == pytest.approx(0.55)
    assert registry.get_sample_value("python_gc_pause_seconds_bucket", labels | {"le": "0.1"}) == 1


def test_all_generations_are_there_from_the_start(registry: CollectorRegistry) -> None:
    GCMetrics(registry)
    counts = [registry.get_sample_value("python_gc_pause_seconds_count", {"generation": str(number)}) for number in range(GENERATIONS)]
    assert counts == [0, 0, 0]
