"""What a broker knows of Celery's queues: how long each is, and how many workers consume from it.

::

    measurand.register_for_polling("celery_queues", celery_queues.poller(app), interval=15)

Works with every broker that Celery works with, as the broker is asked through Celery's own library; Redis' priorities are added up. Polling
sees to it that one process of the service asks, in the background. Each time a connection is made and closed.

Celery's library has locks that a fork copies as they are. A child that was forked while another thread asks would wait for ever for one
that nobody in it holds; so a fork waits until the answers are there, for :data:`PATIENCE` at most.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from measurand.catalog.celery import CeleryMetrics, QueueSnapshot
from measurand.integrations.celery import FLOOR
from measurand.integrations.handle import library
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["PATIENCE", "CeleryQueues", "asking", "poller"]

PATIENCE = 3.0
"""Seconds that a fork waits at most until nobody asks; asking takes about as long as workers have for their answers."""

NOT_FOUND = "404"
"""The code with which AMQP says that there is no such queue."""


class CeleryQueues:
    """An application's queues on its broker: a :class:`~measurand.catalog.celery.QueueMonitor`. Safe from any thread and after a fork.

    Args:
        app: The Celery application.
        queues: Names of queues; by default those that the application is configured with at that moment.
        patience: Seconds to wait for workers' answers. One that is too busy to answer in time is not counted.
        timeout: Seconds that a connection may take.
        max_queues: How many queues are asked for at most.

    Raises:
        MissingExtra: Celery is not installed, or too old.
    """

    def __init__(
        self, app: Any, queues: Iterable[str] | None = None, *, patience: float = 1.0, timeout: float = 4.0, max_queues: int = 100
    ) -> None:
        library("celery", extra="celery", floor=FLOOR)
        self._app = app
        self._queues = None if queues is None else tuple(queues)
        self._patience = patience
        self._timeout = timeout
        self._max_queues = max_queues

    def snapshot(self) -> QueueSnapshot:
        """Ask the broker and the workers.

        Raises:
            Exception: As the broker's library raises it: it cannot be reached, it refuses.
        """
        with asking():
            return self._snapshot()

    def _snapshot(self) -> QueueSnapshot:
        names = list(self._app.amqp.queues if self._queues is None else self._queues)[: self._max_queues]
        with self._app.connection_for_read(connect_timeout=self._timeout) as connection:
            # no second attempt: zero retries would do, but older versions of kombu read zero as "for ever"
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0, timeout=self._timeout)
            lengths = {name: length for name in names if (length := _length(connection, name)) is not None}
            workers = self._workers(connection, names)
        return QueueSnapshot(lengths, workers)

    def _workers(self, connection: Any, names: Iterable[str]) -> dict[str, int]:
        answers = self._app.control.inspect(timeout=self._patience, connection=connection).active_queues() or {}
        consumed = [{queue["name"] for queue in queues} for queues in answers.values()]
        return {name: sum(name in theirs for theirs in consumed) for name in names}


def poller(
    app: Any,
    queues: Iterable[str] | None = None,
    *,
    metrics: CeleryMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
    patience: float = 1.0,
    timeout: float = 4.0,
) -> Callable[[], None]:
    """What ``measurand.register_for_polling`` is to call.

    Args:
        app: The Celery application.
        queues: As for :class:`CeleryQueues`, and so are ``patience`` and ``timeout``.
        metrics: The metric set; by default one in ``registry``.
        registry: Where the gauges are exposed.
        patience: Seconds to wait for workers' answers.
        timeout: Seconds that a connection may take.

    Raises:
        MissingExtra: Celery is not installed, or too old.
    """
    monitor = CeleryQueues(app, queues, patience=patience, timeout=timeout)
    kept = metrics if metrics is not None else CeleryMetrics(registry)

    def poll() -> None:
        kept.poll(monitor)

    return poll


def _length(connection: Any, name: str) -> int | None:
    """Messages that wait in a queue; ``None`` if the broker has no such queue."""
    channel = connection.channel()
    try:
        return int(channel.queue_declare(queue=name, passive=True).message_count)
    except connection.channel_errors as reason:
        if str(getattr(reason, "reply_code", "")) != NOT_FOUND:
            raise
        return 0 if connection.transport.driver_type == "redis" else None  # an empty list of Redis' is none
    finally:
        channel.close()


class _Asking:
    """Who asks now, and forks that wait for that."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._is_watching = self._has_waited = False

    def watch_forks(self) -> None:
        if not self._is_watching and hasattr(os, "register_at_fork"):
            self._is_watching = True
            os.register_at_fork(before=self._wait, after_in_parent=self._go_on, after_in_child=self._renew)

    def _wait(self) -> None:
        self._has_waited = self.lock.acquire(timeout=PATIENCE)

    def _go_on(self) -> None:
        if self._has_waited:
            self.lock.release()

    def _renew(self) -> None:
        self.lock = threading.RLock()


_asking = _Asking()


@contextmanager
def asking() -> Iterator[None]:
    """A context in which a broker is asked by Celery's library: one at a time, and a fork of this process waits for its end."""
    _asking.watch_forks()
    with _asking.lock:
        yield
