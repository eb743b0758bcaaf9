"""A monitor that runs, and an application's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from measurand import CollectorRegistry
from measurand.health.monitor import HealthMonitor
from tests.health.kit import Running, Threads, loop_in_thread


@pytest.fixture
def loop(threads: Threads) -> Iterator[asyncio.AbstractEventLoop]:
    """The application's event loop."""
    with loop_in_thread() as loop:
        yield loop


@pytest.fixture
def running(monitors: Callable[..., HealthMonitor], registry: CollectorRegistry) -> Running:
    """A monitor in a hurry, that evaluates what is added to it."""
    return Running(monitors(interval=0.1), registry)
