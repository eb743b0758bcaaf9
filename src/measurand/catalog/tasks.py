"""Background tasks of an application: how many, how long, with what outcome, and how many were left when it had to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from measurand.catalog.timing import named, stopwatch
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry
from measurand.metrics.timed import Stopwatch

__all__ = ["Status", "TaskMetrics", "TaskRun", "status_of"]

Status = Literal["success", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One task that has ended.

    Attributes:
        task: What it is called.
        status: How it ended.
        duration: Seconds that it ran; ``None`` for one that never began.
    """

    task: str
    status: Status
    duration: float | None = None


def status_of(error: BaseException | None) -> Status:
    """How something ended that this exception has left."""
    return "success" if error is None else "cancelled" if type(error).__name__ == "CancelledError" else "failed"


class TaskMetrics:
    """The metrics of background tasks.

    Args:
        registry: Where they are exposed.

    Attributes:
        tasks: Tasks that ended, by outcome: ``success``, ``failed``, ``cancelled``.
        duration: Seconds that tasks ran, whatever the outcome; time in the queue is not part of it.
        in_progress: Tasks that run now.
        active_at_shutdown: Tasks that ran or were queued when the service was told to stop.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.tasks = Counter("background_tasks_total", "Background tasks that ended, by outcome", ["task", "status"], registry=registry)
        self.duration = Histogram(
            "background_task_duration_seconds",
            "Duration of background tasks",
            ["task"],
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900),
            registry=registry,
        )
        self.in_progress = Gauge(
            "background_tasks_in_progress", "Background tasks that run now", ["task"], registry=registry, multiprocess_mode="livesum"
        )
        self.active_at_shutdown = Gauge(
            "active_tasks_at_shutdown",
            "Background tasks that ran or were queued when the application was told to stop",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def record(self, run: TaskRun) -> None:
        """Record a task that has ended; what is in progress does not change."""
        self.tasks.labels(run.task, run.status).inc()
        if run.duration is not None:
            self.duration.labels(run.task).observe(run.duration)

    def stopwatch(self, name: str | None, labels: Mapping[str, str]) -> Stopwatch:
        """For :func:`measurand.timed`: each call is a task, called as the function is, or by the label ``task``.

        Raises:
            LabelError: There is another label, or a ``with`` block without this one.
        """
        task = named("a task", labels, task=name)["task"]
        in_progress = self.in_progress.labels(task)

        def end(duration: float, error: BaseException | None) -> None:
            in_progress.dec()
            self.record(TaskRun(task, status_of(error), duration))

        return stopwatch(end, in_progress.inc)
