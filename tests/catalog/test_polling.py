"""The names of polling's metrics."""

from measurand.catalog.polling import PollingMetrics
from measurand.testing.readings import Readings


def test_the_metrics_of_polling_are_by_name(registry) -> None:
    metrics = PollingMetrics(registry)
    metrics.errors.labels("dashboard").inc()
    metrics.duration.labels("dashboard").observe(0.2)
    metrics.age.labels("dashboard").set(3)
    readings = Readings(registry)
    assert readings.value("measurand_poll_errors_total", name="dashboard") == 1
    assert readings.value("measurand_poll_duration_seconds_sum", name="dashboard") == 0.2
    assert readings.value("measurand_poll_age_seconds", name="dashboard") == 3


def test_they_can_be_made_many_times(registry) -> None:
    assert PollingMetrics(registry).errors is PollingMetrics(registry).errors
