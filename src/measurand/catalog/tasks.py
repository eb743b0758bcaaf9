"""Background tasks of an application: how many, how long, with what outcome, and how many were left when it had to stop."""

from __future__ import annotations

from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = ["TaskMetrics"]


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
