"""A system that is as the test says."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry
from measurand.catalog.system import SystemMetrics, SystemMonitor, SystemSnapshot
from measurand.testing.system import SystemStub

pytestmark = pytest.mark.once


def test_it_tells_what_it_was_told_and_counts_how_often() -> None:
    stub = SystemStub(memory_percent=40.0, disk_percent={"/": 10.0})
    monitor: SystemMonitor = stub
    assert monitor.snapshot() == SystemSnapshot(memory_percent=40.0, disk_percent={"/": 10.0})
    stub.set(memory_percent=None, cpu_percent=99.0)
    assert monitor.snapshot() == SystemSnapshot(cpu_percent=99.0, disk_percent={"/": 10.0})
    assert stub.calls == 2


def test_it_fails_as_it_was_told() -> None:
    stub = SystemStub()
    stub.error = OSError("no such device")
    with pytest.raises(OSError, match="no such device"):
        stub.snapshot()
    stub.error = None
    assert stub.snapshot() == SystemSnapshot()


def test_there_is_no_value_of_another_name() -> None:
    with pytest.raises(TypeError):
        SystemStub(memory=1.0)
    with pytest.raises(TypeError):
        SystemStub().set(memory=1.0)


def test_it_stands_in_for_the_machine() -> None:
    registry = CollectorRegistry()
    SystemMetrics(registry).record(SystemStub(cpu_percent=12.5).snapshot())
    assert registry.get_sample_value("system_cpu_percent") == 12.5
    assert registry.get_sample_value("system_memory_percent") is None
