"""Queues that a test makes up, in the place of a broker's."""

from __future__ import annotations

from collections.abc import Mapping

from measurand.catalog.celery import QueueSnapshot

__all__ = ["StubQueues"]


class StubQueues:
    """A :class:`~measurand.catalog.celery.QueueMonitor` that says what it was told to. Safe from any thread.

    ::

        queues = StubQueues({"mail": 3}, workers={"mail": 1})
        CeleryMetrics(registry).poll(queues)
        queues.lengths["mail"] = 0
        queues.failure = ConnectionError("the broker is down")

    Args:
        lengths: Messages that wait, by queue.
        workers: Workers that consume, by queue.

    Attributes:
        lengths: As given; to be changed by the test.
        workers: As given; to be changed by the test.
        failure: What asking raises; ``None`` for nothing.
        asked: How often it was asked.
    """

    def __init__(self, lengths: Mapping[str, int] | None = None, workers: Mapping[str, int] | None = None) -> None:
        self.lengths = dict(lengths or {})
        self.workers = dict(workers or {})
        self.failure: BaseException | None = None
        self.asked = 0

    def snapshot(self) -> QueueSnapshot:
        """What the queues are now.

        Raises:
            BaseException: The failure that was set.
        """
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return QueueSnapshot(dict(self.lengths), dict(self.workers))
