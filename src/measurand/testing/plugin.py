"""The pytest plugin: fixtures ``metrics`` and ``metrics_clock``.

Loaded by pytest itself wherever the package is installed. It changes nothing for tests that do not ask for a fixture, and imports
nothing of the package until one does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from measurand.testing.clock import FakeClock
    from measurand.testing.readings import Readings

__all__ = ["metrics", "metrics_clock"]


@pytest.fixture
def metrics() -> Readings:
    """What the test changed in the default registry: ``metrics.delta("orders_total", channel="web")`` and the like."""
    from measurand.testing.readings import Readings  # noqa: PLC0415 - see the module's promise

    return Readings()


@pytest.fixture
def metrics_clock() -> Iterator[FakeClock]:
    """A clock that stands still until ``metrics_clock.advance(seconds)``; timers, expiry and time stamps follow it."""
    from measurand.testing.clock import FakeClock  # noqa: PLC0415 - see the module's promise

    with FakeClock() as clock:
        yield clock
