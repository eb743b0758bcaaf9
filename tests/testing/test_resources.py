"""Memory that is as the test says."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry
from measurand.catalog.resources import Memory, MemoryMonitor, resources
from measurand.testing.resources import MemoryStub

pytestmark = pytest.mark.once


def test_it_tells_what_it_was_told() -> None:
    stub = MemoryStub(100.0)
    monitor: MemoryMonitor = stub
    assert monitor.read() == Memory(100.0, 100.0)
    stub.resident, stub.peak = 50.0, 200.0
    assert monitor.read() == Memory(50.0, 200.0)
    assert MemoryStub(None).read() == Memory(None, None)


def test_it_stands_in_for_the_process() -> None:
    memory = MemoryStub(100.0)
    with resources("import", memory=memory, registry=CollectorRegistry()) as task:
        memory.resident = 160.0
    assert task.use is not None
    assert (task.use.memory_growth, task.use.memory_peak) == (60.0, 160.0)
