"""The names of background tasks' metrics."""

from measurand.catalog.tasks import TaskMetrics
from measurand.testing.readings import Readings


def test_the_metrics_of_tasks_are_by_task_and_outcome(registry) -> None:
    metrics = TaskMetrics(registry)
    metrics.tasks.labels("import", "success").inc()
    metrics.duration.labels("import").observe(2)
    metrics.in_progress.labels("import").inc()
    readings = Readings(registry)
    assert readings.value("background_tasks_total", task="import", status="success") == 1
    assert readings.value("background_task_duration_seconds_sum", task="import") == 2
    assert readings.value("background_tasks_in_progress", task="import") == 1
    assert readings.value("active_tasks_at_shutdown") == 0


def test_they_can_be_made_many_times(registry) -> None:
    assert TaskMetrics(registry).tasks is TaskMetrics(registry).tasks
