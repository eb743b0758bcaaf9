"""Queues that a test makes up."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry
from measurand.catalog.celery import CeleryMetrics, QueueMonitor, QueueSnapshot
from measurand.testing.queues import StubQueues

pytestmark = pytest.mark.once


def test_it_says_what_it_was_told_to() -> None:
    stub = StubQueues({"mail": 3}, workers={"mail": 1})
    monitor: QueueMonitor = stub
    before = monitor.snapshot()
    stub.lengths["mail"] = 0
    assert before == QueueSnapshot({"mail": 3}, {"mail": 1})
    assert monitor.snapshot() == QueueSnapshot({"mail": 0}, {"mail": 1})
    assert stub.asked == 2


def test_it_fails_when_it_was_told_to() -> None:
    registry = CollectorRegistry()
    metrics, stub = CeleryMetrics(registry), StubQueues({"mail": 3})
    metrics.poll(stub)
    stub.failure = ConnectionError("down")
    with pytest.raises(ConnectionError, match="down"):
        metrics.poll(stub)
    assert registry.get_sample_value("celery_queue_length", {"queue": "mail"}) is None
    stub.failure = None
    metrics.poll(stub)
    assert registry.get_sample_value("celery_queue_length", {"queue": "mail"}) == 3
