"""Tasks of Celery: how many were published and how they ended, how long they ran and waited, what is queued, and who works.

Signals of Celery tell it of each step with plain arguments (:meth:`CeleryMetrics.published`, :meth:`~CeleryMetrics.started`, …), on series
that are kept at hand; anybody else hands over a finished :class:`CeleryTask`. What the broker knows comes through the port
:class:`QueueMonitor`. Names of workers, process ids and task ids are no labels. Names of tasks, queues and exceptions are bounded.

Everything here is safe from any thread and after a fork; no call blocks, except that :meth:`CeleryMetrics.poll` asks its monitor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from measurand.catalog.failure import failure_name
from measurand.catalog.limited import Limited
from measurand.catalog.timing import named, stopwatch
from measurand.core import OVERFLOW_VALUE
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry
from measurand.metrics.timed import Stopwatch

__all__ = ["AT_HAND", "BUCKETS", "EAGER", "OTHER", "STATES", "UNKNOWN", "CeleryMetrics", "CeleryTask", "QueueMonitor", "QueueSnapshot"]

LOG = logging.getLogger("measurand.celery")

STATES = ("SUCCESS", "FAILURE", "RETRY", "REVOKED", "REJECTED", "IGNORED")
"""How a task, or one attempt at it, can end; as Celery names it."""

UNKNOWN = "__unknown__"
"""The label value of a task that the worker does not have, and of a queue that cannot be told."""

EAGER = "__eager__"
"""The label value of the queue where a task ran in its caller's process, through none."""

OTHER = "_OTHER"
"""The label value of a state outside :data:`STATES`, and of exceptions beyond the limit."""

BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)

AT_HAND = 4096
"""How many combinations of labels are kept with their series; further ones are looked up each time."""

Ending = tuple[Callable[[], None], Callable[[float], None]]
"""What counts a task that has ended, and observes its duration."""


@dataclass(frozen=True, slots=True)
class CeleryTask:
    """One run of a task that has ended, or its refusal.

    Attributes:
        task: The task's name.
        queue: The queue that it came through.
        state: How it ended, from :data:`STATES`.
        duration: Seconds that it ran; ``None`` if it did not run, or nobody knows.
        queue_wait: Seconds from when it was published, or was to begin, until it began.
        error_type: The name of the exception's class if it failed.
    """

    task: str
    queue: str
    state: str
    duration: float | None = None
    queue_wait: float | None = None
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """What a broker knew at one moment.

    Attributes:
        lengths: Messages that wait, by queue. A queue that is not there is not in it.
        workers: Workers that consume, by queue.
    """

    lengths: Mapping[str, int] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)


class QueueMonitor(Protocol):
    """The port through which queues are seen. ``measurand.testing.queues`` has a stub."""

    def snapshot(self) -> QueueSnapshot:
        """Ask. It may block, and it raises what went wrong; it never makes a number up."""
        ...


class CeleryMetrics:
    """The metrics of tasks.

    ==================================  =========  ===================
    ``celery_tasks_published_total``    counter    task, queue
    ``celery_tasks_total``              counter    task, queue, state
    ``celery_tasks_failed_total``       counter    task, error_type
    ``celery_task_duration_seconds``    histogram  task, state
    ``celery_task_queue_wait_seconds``  histogram  queue
    ``celery_tasks_in_progress``        gauge      queue
    ``celery_queue_length``             gauge      queue
    ``celery_workers``                  gauge      queue
    ==================================  =========  ===================

    Args:
        registry: Where they are exposed.
        buckets: The upper bounds of both histograms, in seconds.
        max_tasks: How many names of tasks are told apart; further ones are recorded as ``__other__``.
        max_queues: The same for queues.
        max_exceptions: How many names of exceptions are told apart; further ones are ``_OTHER``.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        buckets: Sequence[float] = BUCKETS,
        max_tasks: int = 500,
        max_queues: int = 100,
        max_exceptions: int = 50,
    ) -> None:
        where: dict[str, Any] = {"registry": registry, "max_series": 20 * max_tasks}
        by_queue: dict[str, Any] = {"registry": registry, "max_series": max_queues + 10}
        self._published = Counter("celery_tasks_published_total", "Tasks handed to the broker", ["task", "queue"], **where)
        self._tasks = Counter(
            "celery_tasks_total", "Runs of tasks that ended, and tasks that were refused", ["task", "queue", "state"], **where
        )
        self._failed = Counter("celery_tasks_failed_total", "Runs of tasks that failed", ["task", "error_type"], **where)
        self._duration = Histogram("celery_task_duration_seconds", "Time that a task ran", ["task", "state"], buckets=buckets, **where)
        self._wait = Histogram(
            "celery_task_queue_wait_seconds",
            "Time from when a task was published, or was to begin, until it began",
            ["queue"],
            buckets=buckets,
            **by_queue,
        )
        self._in_progress = Gauge("celery_tasks_in_progress", "Tasks that run", ["queue"], multiprocess_mode="livesum", **by_queue)
        self._length = Gauge(
            "celery_queue_length", "Messages that wait in the broker", ["queue"], multiprocess_mode="mostrecent", **by_queue
        )
        self._workers = Gauge(
            "celery_workers", "Workers that consume from the queue", ["queue"], multiprocess_mode="mostrecent", **by_queue
        )
        self._task_names = Limited(max_tasks, OVERFLOW_VALUE, {UNKNOWN, OVERFLOW_VALUE}, _say_tasks)
        self._queue_names = Limited(max_queues, OVERFLOW_VALUE, {UNKNOWN, EAGER, OVERFLOW_VALUE}, _say_queues)
        self._errors = Limited(max_exceptions, OTHER, {OTHER})
        self._endings: dict[tuple[str, str, str], Ending] = {}
        self._sendings: dict[tuple[str, str], Callable[[], None]] = {}

    # -- for signals -----------------------------------------------------------------------------------------------------------

    def published(self, task: str, queue: str) -> None:
        """The broker has taken a task."""
        inc = self._sendings.get((task, queue))
        if inc is None:
            inc = self._published.labels(self._task_names.label(task), self._queue_names.label(queue)).inc
            if len(self._sendings) < AT_HAND:
                self._sendings[task, queue] = inc
        inc()

    def started(self, queue: str, wait: float | None = None) -> None:
        """A task begins to run; :meth:`finished` or :meth:`abandoned` must follow, once for each start.

        Args:
            queue: The queue that it came through.
            wait: Seconds that it waited, if known; less than none counts as none, as clocks of two machines differ.
        """
        label = self._queue_names.label(queue)
        self._in_progress.labels(label).inc()
        if wait is not None:
            self._wait.labels(label).observe(max(wait, 0.0))

    def finished(self, task: str, queue: str, state: str, duration: float) -> None:
        """A task that was :meth:`started` has ended.

        Args:
            task: The task's name.
            queue: As it was given to :meth:`started`.
            state: How it ended.
            duration: Seconds that it ran.
        """
        self.abandoned(queue)
        inc, observe = self._ending(task, queue, state)
        inc()
        observe(duration)

    def abandoned(self, queue: str) -> None:
        """A task that was :meth:`started` does not run any more, and how it ends is for another process to say."""
        self._in_progress.labels(self._queue_names.label(queue)).dec()

    def ended(self, task: str, queue: str, state: str) -> None:
        """A task has ended that did not run here: revoked, refused, or killed."""
        self._ending(task, queue, state)[0]()

    def failed(self, task: str, error_type: str) -> None:
        """A task has failed; that it has ended is told besides.

        Args:
            task: The task's name.
            error_type: The name of the exception's class.
        """
        self._failed.labels(self._task_names.label(task), self._errors.label(error_type)).inc()

    # -- for everybody ---------------------------------------------------------------------------------------------------------

    def record(self, event: CeleryTask) -> None:
        """Record a run, which does not change what is in progress."""
        inc, observe = self._ending(event.task, event.queue, event.state)
        inc()
        if event.duration is not None:
            observe(event.duration)
        if event.queue_wait is not None:
            self._wait.labels(self._queue_names.label(event.queue)).observe(max(event.queue_wait, 0.0))
        if event.error_type is not None:
            self.failed(event.task, event.error_type)

    def record_queues(self, snapshot: QueueSnapshot) -> None:
        """Show what a broker knew: all queues in one step, and those that are not in it no more."""
        self._length.replace(self._by_label(snapshot.lengths))
        self._workers.replace(self._by_label(snapshot.workers))

    def poll(self, monitor: QueueMonitor) -> None:
        """Ask a monitor and show what it says; to be called again and again, as by ``measurand.register_for_polling``.

        Raises:
            Exception: What the monitor raised. The gauges then show nothing: a length that nobody knows is no zero.
        """
        try:
            snapshot = monitor.snapshot()
        except BaseException:
            self.record_queues(QueueSnapshot())
            raise
        self.record_queues(snapshot)

    def stopwatch(self, name: str | None, labels: Mapping[str, str]) -> Stopwatch:
        """For :func:`measurand.timed`: each call is the run of a task, whoever calls it.

        The labels are ``task``, by default what the function is called, and ``queue``, by default :data:`EAGER`.

        Raises:
            LabelError: There is another label, or a ``with`` block without ``task``.
        """
        found = named("a task of Celery", labels, task=name, queue=EAGER)
        task, queue = found["task"], found["queue"]

        def end(duration: float, error: BaseException | None) -> None:
            self.finished(task, queue, "SUCCESS" if error is None else "FAILURE", duration)
            if error is not None:
                self.failed(task, failure_name(error))

        return stopwatch(end, lambda: self.started(queue))

    # -- the rest --------------------------------------------------------------------------------------------------------------

    def _ending(self, task: str, queue: str, state: str) -> Ending:
        ending = self._endings.get((task, queue, state))
        if ending is None:
            name, label = self._task_names.label(task), state if state in STATES else OTHER
            inc = self._tasks.labels(name, self._queue_names.label(queue), label).inc
            ending = inc, _Duration(self._duration, name, label)
            if len(self._endings) < AT_HAND:
                self._endings[task, queue, state] = ending
        return ending

    def _by_label(self, numbers: Mapping[str, int]) -> dict[str, int]:
        added: dict[str, int] = {}
        for queue, number in numbers.items():
            label = self._queue_names.label(queue)
            added[label] = added.get(label, 0) + number
        return added


class _Duration:
    """Observes on a series that is made when it is first needed: what never ran has no duration."""

    __slots__ = ("_histogram", "_labels", "_observe")

    def __init__(self, histogram: Histogram, *labels: str) -> None:
        self._histogram = histogram
        self._labels = labels
        self._observe: Callable[[float], None] | None = None

    def __call__(self, seconds: float) -> None:
        observe = self._observe
        if observe is None:
            observe = self._observe = self._histogram.labels(*self._labels).observe
        observe(seconds)


def _say_tasks(limit: int, first_beyond: str) -> None:
    LOG.warning("Celery metrics have %d names of tasks, the limit; %r and further ones are %r", limit, first_beyond[:200], OVERFLOW_VALUE)


def _say_queues(limit: int, first_beyond: str) -> None:
    LOG.warning("Celery metrics have %d queues, the limit; %r and further ones are %r", limit, first_beyond[:200], OVERFLOW_VALUE)
