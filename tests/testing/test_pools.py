"""The pool for tests."""

import pytest

from measurand.catalog.database import PoolMonitor, PoolSnapshot
from measurand.testing.pools import StubPool

pytestmark = pytest.mark.once


def test_it_says_what_it_is_told() -> None:
    stub = StubPool(active=2, idle=1, size=5, overflow=0)
    monitor: PoolMonitor = stub
    assert monitor.read() == PoolSnapshot(active=2, idle=1, size=5, overflow=0)
    stub.active, stub.size = 7, None
    assert monitor.read() == PoolSnapshot(active=7, idle=1, size=None, overflow=0)


def test_it_can_be_gone() -> None:
    stub = StubPool()
    assert stub.read() == PoolSnapshot(0, 0)
    stub.is_gone = True
    assert stub.read() is None
