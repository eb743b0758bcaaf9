"""The names of background tasks' metrics."""

import asyncio

import pytest

from measurand import timed
from measurand.catalog.tasks import TaskMetrics, TaskRun
from measurand.errors import LabelError
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


def test_a_task_that_never_began_has_no_duration(registry) -> None:
    metrics = TaskMetrics(registry)
    metrics.record(TaskRun("import", "cancelled"))
    metrics.record(TaskRun("import", "failed", 0.5))
    readings = Readings(registry)
    assert readings.value("background_tasks_total", task="import", status="cancelled") == 1
    assert readings.value("background_tasks_total", task="import", status="failed") == 1
    assert readings.value("background_task_duration_seconds_count", task="import") == 1


def test_timed_takes_the_set(registry, still_clock) -> None:
    metrics, readings = TaskMetrics(registry), Readings(registry)
    async def nightly() -> float:
        still_clock.advance(2)
        await asyncio.sleep(0)
        return readings.value("background_tasks_in_progress", task=name)

    name = f"{nightly.__module__}.{nightly.__qualname__}"
    assert asyncio.run(timed(metrics)(nightly)()) == 1
    assert readings.value("background_tasks_in_progress", task=name) == 0
    assert readings.value("background_tasks_total", task=name, status="success") == 1
    assert readings.value("background_task_duration_seconds_sum", task=name) == 2


@pytest.mark.parametrize(("error", "status"), [(KeyError(), "failed"), (asyncio.CancelledError(), "cancelled")])
def test_a_block_that_fails_or_is_cancelled_is_told_apart(registry, error, status) -> None:
    metrics = TaskMetrics(registry)
    with pytest.raises(type(error)), timed(metrics, labels={"task": "block"}):
        raise error
    readings = Readings(registry)
    assert readings.value("background_tasks_total", task="block", status=status) == 1
    assert readings.value("background_tasks_in_progress", task="block") == 0


@pytest.mark.parametrize("labels", [None, {"kind": "a"}, {"task": "a", "kind": "b"}])
def test_labels_that_a_task_does_not_have_are_refused(registry, labels) -> None:
    with pytest.raises(LabelError, match="takes 'task' as labels for a task"), timed(TaskMetrics(registry), labels=labels):
        pass
