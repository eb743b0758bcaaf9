"""Metrics of the machine and the container: absent until known, one value for the whole service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from measurand import CollectorRegistry, generate_latest
from measurand.catalog.system import SystemMetrics, SystemSnapshot
from measurand.testing.clock import FakeClock
from tests.metrics.company import Service

ALL = SystemSnapshot(41.5, 12.0, {"/": 70.0, "/data": 30.0}, 2048.0, 1024.0, 1.5, 2.25)


def shown(registry: CollectorRegistry) -> set[str]:
    return {line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")}


def test_what_is_not_known_is_absent(registry: CollectorRegistry) -> None:
    metrics = SystemMetrics(registry)
    assert shown(registry) == set()
    metrics.record(SystemSnapshot())
    assert shown(registry) == set()
    metrics.record(SystemSnapshot(memory_percent=0.0))
    assert shown(registry) == {"system_memory_percent 0.0"}


def test_everything_that_is_known_is_shown(registry: CollectorRegistry) -> None:
    SystemMetrics(registry).record(ALL)
    assert shown(registry) == {
        "system_memory_percent 41.5",
        "system_cpu_percent 12.0",
        'system_disk_percent{path="/"} 70.0',
        'system_disk_percent{path="/data"} 30.0',
        "cgroup_memory_limit_bytes 2048.0",
        "cgroup_memory_usage_bytes 1024.0",
        "cgroup_cpu_quota_cores 1.5",
        "cgroup_cpu_throttled_seconds_total 2.25",
    }


def test_a_disk_that_can_no_longer_be_looked_at_is_no_longer_shown(registry: CollectorRegistry) -> None:
    metrics = SystemMetrics(registry)
    metrics.record(ALL)
    metrics.record(SystemSnapshot(disk_percent={"/data": 31.0}))
    assert {line for line in shown(registry) if "disk" in line} == {'system_disk_percent{path="/data"} 31.0'}
    metrics.record(SystemSnapshot())
    assert not [line for line in shown(registry) if "disk" in line]


def test_a_value_that_is_not_recorded_again_goes(registry: CollectorRegistry, metrics_clock: FakeClock) -> None:
    metrics = SystemMetrics(registry, max_age=60)
    metrics.record(ALL)
    metrics_clock.advance(50)
    metrics.record(SystemSnapshot(memory_percent=50.0))
    metrics_clock.advance(20)
    assert shown(registry) == {"system_memory_percent 50.0", "cgroup_cpu_throttled_seconds_total 2.25"}
    metrics.record(SystemSnapshot(cpu_percent=1.0))
    assert "system_cpu_percent 1.0" in shown(registry)


def test_the_counter_of_throttling_follows_the_kernels_total_and_never_goes_back(registry: CollectorRegistry) -> None:
    metrics = SystemMetrics(registry)
    for total, expected in ((0.0, 0.0), (1.5, 1.5), (1.5, 1.5), (0.5, 1.5), (4.0, 4.0)):
        metrics.record(SystemSnapshot(cpu_throttled_seconds=total))
        assert registry.get_sample_value("cgroup_cpu_throttled_seconds_total") == expected


def test_two_sets_in_one_registry_share_their_metrics(registry: CollectorRegistry) -> None:
    for max_age in (60, 300):
        SystemMetrics(registry, max_age=max_age).record(ALL)
    assert registry.get_sample_value("cgroup_cpu_throttled_seconds_total") == 2.25


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("twin", ["c", "python"])
def test_every_process_shows_what_one_has_recorded_and_another_goes_on_with_it(tmp_path: Path, twin: str) -> None:
    service = Service(4, twin == "python", tmp_path / "families")
    try:
        service.everywhere(
            """
            from measurand.catalog.system import SystemMetrics, SystemSnapshot
            system = SystemMetrics()
            def look(cpu, throttled):
                system.record(SystemSnapshot(cpu_percent=cpu, disk_percent={"/": cpu}, cpu_throttled_seconds=throttled))
            """
        )
        names = ("system_", "cgroup_")
        assert service.lines(*names) == []
        service.at(1, "look(10.0, 5.0)")
        first = ["cgroup_cpu_throttled_seconds_total 5.0", "system_cpu_percent 10.0", 'system_disk_percent{path="/"} 10.0']
        assert service.lines(*names) == first
        service.kill(1)
        service.start(1)
        service.at(2, "look(20.0, 7.5)")
        second = ["cgroup_cpu_throttled_seconds_total 7.5", "system_cpu_percent 20.0", 'system_disk_percent{path="/"} 20.0']
        assert service.lines(*names) == second
        service.at(0, "look(30.0, 7.5)")
        assert service.lines(*names) == [line.replace("20.0", "30.0") for line in second]
    finally:
        service.close()
