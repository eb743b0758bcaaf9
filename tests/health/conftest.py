"""Benches for the suites of this layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from measurand import CollectorRegistry
from measurand.health.monitor import HealthMonitor
from tests.health.kit import Bench, Threads
from tests.support import StillClock, wait_until


@pytest.fixture(autouse=True)
def threads() -> Iterator[Threads]:
    """The threads that the test has started through this layer; none is left when it ends."""
    threads = Threads()
    yield threads
    wait_until(lambda: threads.names == [], what=lambda: f"still there: {threads.names}")


@pytest.fixture
def bench(still_clock: StillClock, threads: Threads) -> Iterator[Bench]:
    """A monitor whose time the test moves."""
    bench = Bench(still_clock)
    yield bench
    bench.monitor.stop()


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


@pytest.fixture
def monitors(registry: CollectorRegistry, threads: Threads) -> Iterator[Callable[..., HealthMonitor]]:
    """Makes monitors that are stopped at the end."""
    with ExitStack() as stack:

        def make(**settings: Any) -> HealthMonitor:
            monitor = HealthMonitor(**{"registry": registry, **settings})
            stack.callback(monitor.stop)
            return monitor

        yield make
