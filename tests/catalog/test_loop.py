"""The metrics of event loops."""

from __future__ import annotations

from measurand import CollectorRegistry
from measurand.catalog.loop import LoopLag, LoopMetrics


def test_a_lag_is_recorded(registry: CollectorRegistry) -> None:
    metrics = LoopMetrics(registry, buckets=(0.01, 0.1))
    metrics.record(LoopLag(0.05))
    metrics.observe(0.0)
    assert registry.get_sample_value("asyncio_loop_lag_seconds_count") == 2
    assert registry.get_sample_value("asyncio_loop_lag_seconds_sum") == 0.05
    assert registry.get_sample_value("asyncio_loop_lag_seconds_bucket", {"le": "0.01"}) == 1


def test_tasks_are_counted_when_asked_for(registry: CollectorRegistry) -> None:
    LoopMetrics(registry).tasks.set_function(lambda: 3)
    assert registry.get_sample_value("asyncio_tasks") == 3
