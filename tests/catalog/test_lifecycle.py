"""The names of a shutdown's metrics."""

from measurand.catalog.lifecycle import LifecycleMetrics
from measurand.testing.readings import Readings


def test_the_metrics_of_a_shutdown_are_there_from_the_start(registry) -> None:
    LifecycleMetrics(registry)
    readings = Readings(registry)
    assert readings.value("application_shutting_down") == 0
    assert readings.value("graceful_shutdown_duration_seconds_count") == 0


def test_they_can_be_made_many_times(registry) -> None:
    first, second = LifecycleMetrics(registry), LifecycleMetrics(registry)
    assert first.shutting_down is second.shutting_down
    assert first.shutdown_duration is second.shutdown_duration
