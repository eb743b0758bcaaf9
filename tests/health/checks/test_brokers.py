"""Celery's broker: a real Redis that is stopped, started and paused."""

from __future__ import annotations

import pytest
from celery import Celery

from measurand.health import checks
from tests.health.kit import Running, Threads
from tests.servers import Redis
from tests.support import wait_until

pytestmark = pytest.mark.once


def test_it_follows_a_broker_that_stops_starts_and_hangs_and_leaks_nothing(redis: Redis, running: Running, threads: Threads) -> None:
    app = Celery("shop", broker=redis.url)
    running.monitor.add(checks.celery(app, timeout=1.0))
    running.wait_for("broker", None)
    redis.stop()
    running.wait_for("broker", "connection_refused")
    redis.start()
    running.wait_for("broker", None)
    redis.pause()
    running.wait_for("broker", "timeout")
    assert threads.names.count("measurand-health-broker") == 1
    redis.resume()
    running.wait_for("broker", None)
    running.monitor.stop()
    wait_until(lambda: redis.connections() == 0, what=lambda: f"the server counts {redis.connections()}")


def test_a_broker_in_memory_passes(running: Running) -> None:
    running.monitor.add(checks.celery(Celery("shop", broker="memory://"), timeout=30.0))
    running.wait_for("broker", None)


def test_settings_are_those_of_any_check() -> None:
    check = checks.celery(Celery("shop"), name="queue", criticality="degraded", timeout=2.0, interval=30.0)
    assert (check.name, check.criticality, check.timeout, check.interval) == ("queue", "degraded", 2.0, 30.0)
