"""The machine and the container: how much of memory, CPU and disks is used, and what the container's limits are.

What is not known is absent, not zero: a metric is defined when its value is first known, and a gauge that is not written for ``max_age``
seconds is no longer exposed. Of several processes of a service one records, and whichever answers a scrape shows what it recorded; so
these gauges show the value that was set last. The processes' own memory and CPU are :class:`~measurand.catalog.process.ProcessCollector`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from measurand.metrics import shared
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge
from measurand.metrics.registry import CollectorRegistry

__all__ = ["SystemMetrics", "SystemMonitor", "SystemSnapshot"]

GAUGES: dict[str, tuple[str, str]] = {
    "memory_percent": ("system_memory_percent", "Memory of the machine that is in use, in percent"),
    "cpu_percent": ("system_cpu_percent", "CPU time of the machine that was in use since the last look, all cores together, in percent"),
    "memory_limit_bytes": ("cgroup_memory_limit_bytes", "Memory that the container may have"),
    "memory_usage_bytes": ("cgroup_memory_usage_bytes", "Memory that the container has, the page cache included"),
    "cpu_quota_cores": ("cgroup_cpu_quota_cores", "Cores' time that the container may take"),
}
"""The gauges without labels, by the attribute of a snapshot."""


@dataclass(frozen=True, slots=True)
class SystemSnapshot:
    """The system at one moment; ``None`` is what is not known.

    Attributes:
        memory_percent: Memory of the machine that is in use and could not be given to others, 0 to 100.
        cpu_percent: CPU time of the machine that was in use since the monitor's last snapshot, all cores together, 0 to 100.
        disk_percent: Space in use on the file system of a path, 0 to 100, by path.
        memory_limit_bytes: Memory that the container may have.
        memory_usage_bytes: Memory that it has.
        cpu_quota_cores: Cores' time that the container may take.
        cpu_throttled_seconds: For how long the container's threads have been held back so far; a total.
    """

    memory_percent: float | None = None
    cpu_percent: float | None = None
    disk_percent: Mapping[str, float] = field(default_factory=dict)
    memory_limit_bytes: float | None = None
    memory_usage_bytes: float | None = None
    cpu_quota_cores: float | None = None
    cpu_throttled_seconds: float | None = None


class SystemMonitor(Protocol):
    """Where snapshots come from: ``measurand.integrations.system.Monitor``, or ``measurand.testing.system.SystemStub`` in tests."""

    def snapshot(self) -> SystemSnapshot:
        """The system now. Called from a background thread, one call at a time, and may take its time; what it raises is counted there."""
        ...


class SystemMetrics:
    """The metrics of the machine and the container.

    =======================================  =======  ======
    ``system_memory_percent``                gauge
    ``system_cpu_percent``                   gauge
    ``system_disk_percent``                  gauge    path
    ``cgroup_memory_limit_bytes``            gauge
    ``cgroup_memory_usage_bytes``            gauge
    ``cgroup_cpu_quota_cores``               gauge
    ``cgroup_cpu_throttled_seconds_total``   counter
    =======================================  =======  ======

    Not safe from several threads at once: whoever records does it by turns.

    Args:
        registry: Where they are exposed.
        max_age: Seconds after which a value that has not been recorded again is no longer exposed; that of a registry's first set holds.
        at_once: Define all of them now, to show zero until something is known; for lists of what there is.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, max_age: float = 120.0, at_once: bool = False) -> None:
        self._registry = registry
        self._max_age = max_age
        self._gauges: dict[str, Gauge] = {}
        self._disks: Gauge | None = None
        self._throttled: Counter | None = None
        if at_once:
            self.record(SystemSnapshot(0, 0, {}, 0, 0, 0, 0))
            self._define_disks()

    def record(self, snapshot: SystemSnapshot) -> None:
        """Record what is known."""
        for attribute in GAUGES:
            value = getattr(snapshot, attribute)
            if value is not None:
                self._gauge(attribute).set(value)
        if snapshot.disk_percent or self._disks is not None:
            self._define_disks().replace(snapshot.disk_percent)
        if snapshot.cpu_throttled_seconds is not None:
            self._catch_up(snapshot.cpu_throttled_seconds)

    def _gauge(self, attribute: str) -> Gauge:
        gauge = self._gauges.get(attribute)
        if gauge is None:
            gauge = self._gauges[attribute] = self._define(*GAUGES[attribute])
        return gauge

    def _define_disks(self) -> Gauge:
        if self._disks is None:
            self._disks = self._define("system_disk_percent", "Space in use on the file system of a path, in percent", "path")
        return self._disks

    def _define(self, name: str, documentation: str, *labels: str) -> Gauge:
        how = {"multiprocess_mode": "mostrecent", "expire_after": self._max_age}
        return Gauge.get_or_create(name, documentation, labels, registry=self._registry, **how)

    def _catch_up(self, total: float) -> None:
        """Bring the counter to the kernel's total, whoever counted so far."""
        if self._throttled is None:
            self._throttled = Counter(
                "cgroup_cpu_throttled_seconds_total",
                "Time for which threads of the container were held back by its CPU quota",
                registry=self._registry,
            )
        families = next(shared.combined(self._registry, [self._throttled]))
        counted = sum(sample.value for family in families for sample in family.samples() if sample.name.endswith("_total"))
        if total > counted:
            self._throttled.inc(total - counted)
