"""A worker in a thread of this process, for a broker that is in its memory.

Promises: what was begun is finished before it has stopped; what is still in the queue then is not lost, since the database remembers it.
"""

from __future__ import annotations

import threading
from typing import Any

from celery import Celery
from celery.worker import WorkController, state

from .tasks import QUEUES


class _InThread(WorkController):
    """A worker that does not see itself as the whole program."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.is_up = threading.Event()
        super().__init__(*arguments, **options)

    def on_consumer_ready(self, consumer: Any) -> None:
        """It takes tasks now."""
        self.is_up.set()


class Worker:
    """The worker; there is at most one of them in a process.

    Args:
        app: The application of Celery.
        concurrency: Tasks at a time.
    """

    def __init__(self, app: Celery, concurrency: int) -> None:
        self._app = app
        self._concurrency = concurrency
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to take tasks, soon."""
        self._app.finalize()
        self._app.set_default()  # the pool's threads look their tasks up there
        state.should_stop = None
        worker = _InThread(
            app=self._app,
            hostname="worker@thread",
            pool="threads",
            concurrency=self._concurrency,
            queues=QUEUES,
            loglevel="WARNING",
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        self._thread = threading.Thread(target=worker.start, name="celery worker", daemon=True)
        self._thread.start()

    def is_running(self) -> bool:
        """Whether it takes tasks, or is about to begin."""
        return self._thread is None or self._thread.is_alive()

    def stop(self, timeout: float = 10.0) -> bool:
        """Finish what was begun, and end.

        Args:
            timeout: Seconds to wait for that.

        Returns:
            Whether it has ended.
        """
        if self._thread is None:
            return True
        state.should_stop = 0  # the exit status; the worker looks at it at least every two seconds
        self._thread.join(timeout)
        return not self._thread.is_alive()
