"""Celery: its signals, translated to the metrics of :mod:`measurand.catalog.celery`.

::

    from measurand.integrations import celery

    celery.instrument()      # where the application is made; workers, clients and beat alike

Celery's signals belong to the process, and so does this: all of its applications are counted. Under the prefork pool a task's run is seen
in the child, a revocation, a hard time limit and a killed child in the parent; as they are one family of processes, their counts add up.

A message carries two headers more: when it was published, and to which queue. They are written at every publication, as a retry would
inherit them otherwise.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from measurand import clock
from measurand.catalog.celery import EAGER, UNKNOWN, CeleryMetrics
from measurand.integrations.handle import Handle, Installations, library, version_of
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["PUBLISHED_AT", "QUEUE", "instrument"]

LOG = logging.getLogger("measurand.integrations")

FLOOR = "5.4"
"""The oldest version that will do."""

PUBLISHED_AT = "measurand_published_at"
"""The header that says when a message was published, in seconds since the Unix epoch."""

QUEUE = "measurand_queue"
"""The header that says to which queue, by its publisher's knowledge."""

DELAYED = re.compile(r"(?:[01]\.){28}")
"""What a routing key begins with when RabbitMQ itself delays the message: one digit for each level, so another one for each delay."""

KEPT = 1024
"""Of how many deliveries it is remembered that their end was told."""

_installed = Installations()


def instrument(target: None = None, *, metrics: CeleryMetrics | None = None, registry: CollectorRegistry = REGISTRY) -> Handle:
    """Count and time what Celery does in this process, whichever its applications; twice is harmless.

    In workers call it in a module that they import, before the pool forks.

    Args:
        target: Nothing else than ``None``: signals are the process'.
        metrics: The metric set; by default one in ``registry``.
        registry: Where the metrics are exposed.

    Returns:
        What takes it back.

    Raises:
        MissingExtra: Celery is not installed, or too old.
        TypeError: A target was given.
    """
    if target is not None:
        raise TypeError("Celery's signals belong to the process: instrument() takes no target, and counts every application")
    signals = library("celery.signals", extra="celery", floor=FLOOR)

    def make() -> Handle:
        kept = metrics if metrics is not None else CeleryMetrics(registry)
        hooks = _Hooks(kept)
        connected = [(getattr(signals, name), hook) for name, hook in hooks.by_signal().items()]
        for signal, hook in connected:
            signal.connect(hook, weak=False)

        def undo(_: Any) -> None:
            for signal, hook in connected:
                signal.disconnect(hook)

        return Handle(f"celery {version_of('celery')}, every application", kept, signals, undo)

    return _installed.once(signals, metrics, make)


class _Run:
    """A task that runs in this thread."""

    __slots__ = ("queue", "started", "task_id")

    def __init__(self, task_id: str, queue: str, started: float) -> None:
        self.task_id = task_id
        self.queue = queue
        self.started = started


class _Here(threading.local):
    """What a thread (or greenlet, where Celery has replaced threads by them) is about. Tasks that run others eagerly make it a stack."""

    def __init__(self) -> None:
        self.runs: list[_Run] = []
        self.last = ""
        """The task that ended last: what is said of it afterwards in this thread is no other end."""


class _Hooks:
    """What is connected to the signals."""

    def __init__(self, metrics: CeleryMetrics) -> None:
        self._metrics = metrics
        self._here = _Here()
        self._told: dict[Any, None] = {}
        """Tasks' ids, of deliveries whose end the main process has told. What it hears of one again, as of a hard time limit and then of
        the process that was killed for it, is no other end."""
        self._has_complained = False

    def by_signal(self) -> dict[str, Callable[..., None]]:
        """The receivers, by the signal that each is for."""
        hooks: tuple[Callable[..., None], ...] = (
            self.before_task_publish,
            self.after_task_publish,
            self.task_received,
            self.task_prerun,
            self.task_postrun,
            self.task_failure,
            self.task_retry,
            self.task_revoked,
            self.task_rejected,
            self.task_unknown,
        )
        return {hook.__name__: self._guarded(hook) for hook in hooks}

    def _guarded(self, hook: Callable[..., None]) -> Callable[..., None]:
        """The hook, that never raises into Celery."""

        @wraps(hook)
        def receive(**given: Any) -> None:
            try:
                hook(**given)
            except Exception:
                if not self._has_complained:
                    self._has_complained = True
                    LOG.warning("a task could not be recorded; further failures are not logged", exc_info=True)

        return receive

    # -- where tasks come from -------------------------------------------------------------------------------------------------

    def before_task_publish(
        self, headers: Any = None, exchange: Any = None, routing_key: Any = None, declare: Any = None, **_: Any
    ) -> None:
        """Write the headers."""
        if headers is not None:
            headers[PUBLISHED_AT] = clock.wall()
            headers[QUEUE] = _destination(declare, exchange, routing_key)

    def after_task_publish(self, sender: Any = None, headers: Any = None, exchange: Any = None, routing_key: Any = None, **_: Any) -> None:
        """The broker has it."""
        queue = (headers or {}).get(QUEUE) or _destination(None, exchange, routing_key)
        self._metrics.published(str(sender), queue)

    # -- where they run --------------------------------------------------------------------------------------------------------

    def task_received(self, request: Any = None, **_: Any) -> None:
        """A worker's main process has a message: a new delivery, whatever became of earlier ones."""
        if self._told:
            self._told.pop(request.id, None)

    def task_prerun(self, task_id: Any = None, task: Any = None, **_: Any) -> None:
        """A task begins."""
        request, self._here.last = task.request, ""
        queue = self._queue_of(task.app, request)
        wait = None if request.is_eager else _waited(request)
        self._here.runs.append(_Run(task_id, queue, clock.monotonic()))
        self._metrics.started(queue, wait)

    def task_postrun(self, task_id: Any = None, task: Any = None, state: Any = None, **_: Any) -> None:
        """A task has ended; or its process does, and there is no state."""
        here = self._here
        run = next((run for run in reversed(here.runs) if run.task_id == task_id), None)
        if run is not None:
            here.runs.remove(run)
        if run is None:  # its begin was not heard of
            if state:
                self._metrics.ended(task.name, self._queue_of(task.app, task.request), state)
        elif state:
            self._metrics.finished(task.name, run.queue, state, clock.monotonic() - run.started)
        else:
            self._metrics.abandoned(run.queue)
        here.last = task_id if state else ""

    def task_failure(self, sender: Any = None, task_id: Any = None, exception: Any = None, **_: Any) -> None:
        """A task has failed: within its run, or, in the worker's main process, as its process was killed."""
        error_type = type(exception).__name__
        if self._is_told(task_id) or error_type == "Reject":  # a run that was rejected has ended with that state
            self._metrics.failed(sender.name, error_type)
        elif self._is_news(task_id):
            self._metrics.failed(sender.name, error_type)
            self._metrics.ended(sender.name, self._queue_of(sender.app, sender.request), "FAILURE")

    def task_retry(self, sender: Any = None, request: Any = None, **_: Any) -> None:
        """A task will be tried again: said within its run, which then ends so, or by the main process that lost its connection or child."""
        if not self._is_told(request.id) and self._is_news(request.id):
            self._metrics.ended(sender.name, self._queue_of(sender.app, request), "RETRY")

    def task_revoked(self, sender: Any = None, request: Any = None, **_: Any) -> None:
        """A task was revoked before or while it ran, or had expired."""
        self._is_news(request.id)  # the end of its process will not be
        self._metrics.ended(sender.name, self._queue_of(sender.app, request), "REVOKED")

    def task_rejected(self, sender: Any = None, message: Any = None, **_: Any) -> None:
        """A worker cannot make sense of a message."""
        self._refused(sender, message)

    def task_unknown(self, sender: Any = None, message: Any = None, **_: Any) -> None:
        """A worker does not have the task."""
        self._refused(sender, message)

    # -- the rest --------------------------------------------------------------------------------------------------------------

    def _is_told(self, task_id: Any) -> bool:
        """Whether the end of the run is told by itself."""
        here = self._here
        return here.last == task_id or any(run.task_id == task_id for run in here.runs)

    def _is_news(self, task_id: Any) -> bool:
        """Whether the main process has not told the end of this delivery before; it has now."""
        if task_id in self._told:
            return False
        if len(self._told) >= KEPT:
            self._told.pop(next(iter(self._told)), None)
        self._told[task_id] = None
        return True

    def _refused(self, consumer: Any, message: Any) -> None:
        app = consumer.app
        headers = message.headers if isinstance(message.headers, dict) else {}
        name, info = headers.get("task"), message.delivery_info or {}
        queue = _recognized(app.amqp.queues, headers.get(QUEUE), info)
        self._metrics.ended(name if isinstance(name, str) and name in app.tasks else UNKNOWN, queue, "REJECTED")

    def _queue_of(self, app: Any, request: Any) -> str:
        if request.is_eager:
            return EAGER
        return _recognized(app.amqp.queues, request.get(QUEUE), request.delivery_info or {})


def _recognized(queues: Any, said: Any, info: Any) -> str:
    """The queue of a message: one that this worker consumes, if that can be told; never a name that only the message knows."""
    consumed = queues.consume_from
    exchange, routing_key = info.get("exchange"), _undelayed(info.get("routing_key"))
    for name in (said, routing_key):
        if isinstance(name, str) and name in consumed:
            return name
    if len(consumed) == 1:
        return str(next(iter(consumed)))
    fitting = [name for name, queue in consumed.items() if exchange and getattr(queue.exchange, "name", None) == exchange]
    exact = [name for name in fitting if consumed[name].routing_key == routing_key] or fitting
    if len(exact) == 1:
        return str(exact[0])
    return said if isinstance(said, str) and said in queues else UNKNOWN


def _destination(declare: Any, exchange: Any, routing_key: Any) -> str:
    """Where a message goes: to a queue, or else to an exchange; routing keys may be many. What is declared with it may be another queue."""
    name, key = getattr(exchange, "name", exchange), _undelayed(routing_key)
    if name and key == routing_key:
        queue = declare[0] if declare else None
        if queue is None or queue.exchange.name != name or queue.routing_key != routing_key:
            return str(name)
        key = queue.name
    return str(key or UNKNOWN)


def _undelayed(routing_key: Any) -> Any:
    return DELAYED.sub("", routing_key, count=1) if isinstance(routing_key, str) else routing_key


def _waited(request: Any) -> float | None:
    """Seconds since the message was published, or since it was to run; ``None`` if that is not known, or it is not its first delivery."""
    published_at = request.get(PUBLISHED_AT)
    if not isinstance(published_at, (int, float)) or (request.delivery_info or {}).get("redelivered"):
        return None
    due = float(published_at)
    if isinstance(request.eta, str):
        eta = datetime.fromisoformat(request.eta)
        due = max(due, (eta if eta.tzinfo else eta.replace(tzinfo=UTC)).timestamp())
    return clock.wall() - due
