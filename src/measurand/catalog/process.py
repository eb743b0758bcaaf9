"""What the operating system knows of this process: CPU time, memory, file descriptors, start time.

Names and meanings are those of Prometheus, "Writing client libraries", "Standard and runtime collectors". Read from ``/proc``; where
there is none (outside Linux), nothing is exposed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from measurand.metrics.domains import REGISTRY
from measurand.metrics.families import CounterMetricFamily, GaugeMetricFamily, Metric
from measurand.metrics.registry import CollectorRegistry

__all__ = ["PROCESS_COLLECTOR", "ProcessCollector"]


class ProcessCollector:
    """Exposes the process's standard metrics, read afresh at every scrape.

    Args:
        namespace: A prefix for the names.
        pid: Returns the process to look at; by default this one.
        proc: Where the process file system is mounted.
        registry: Where to register; ``None`` for nowhere.
    """

    is_optional = True  # see CollectorRegistry.unregister

    def __init__(
        self,
        namespace: str = "",
        pid: Callable[[], int | str] = lambda: "self",
        proc: str = "/proc",
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        self._prefix = f"{namespace}_process_" if namespace else "process_"
        self._pid = pid
        self._proc = Path(proc)
        if registry is not None:
            registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """The families without samples."""
        return [
            self._gauge("virtual_memory_bytes", "Virtual memory size in bytes."),
            self._gauge("resident_memory_bytes", "Resident memory size in bytes."),
            self._gauge("start_time_seconds", "Start time of the process since unix epoch in seconds."),
            CounterMetricFamily(f"{self._prefix}cpu_seconds_total", "Total user and system CPU time spent in seconds."),
            self._gauge("open_fds", "Number of open file descriptors."),
            self._gauge("max_fds", "Maximum number of open file descriptors."),
        ]

    def collect(self) -> Iterable[Metric]:
        """The families; without those that the system does not tell."""
        directory = self._proc / str(self._pid()).strip()
        vmem, rss, start, cpu, open_fds, max_fds = self.describe()
        families = []
        try:
            fields = [float(field) for field in (directory / "stat").read_bytes().rpartition(b")")[2].split()[1:]]
            ticks, page, booted = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"), self._boot_time()
            values = fields[19], fields[20] * page, fields[18] / ticks + booted, (fields[10] + fields[11]) / ticks
        except (OSError, ValueError, AttributeError, IndexError):
            return []
        for family, value in zip((vmem, rss, start, cpu), values, strict=True):
            family.add_metric([], value)  # type: ignore[attr-defined]
            families.append(family)
        try:
            open_fds.add_metric([], len(os.listdir(directory / "fd")))  # type: ignore[attr-defined]
            limits = (directory / "limits").read_text().splitlines()
            limit = next(line.split()[3] for line in limits if line.startswith("Max open files"))
            max_fds.add_metric([], float("inf") if limit == "unlimited" else float(limit))  # type: ignore[attr-defined]
            families += [open_fds, max_fds]
        except (OSError, StopIteration, ValueError, IndexError):
            pass
        return families

    def _gauge(self, name: str, documentation: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._prefix + name, documentation, labels=[])

    def _boot_time(self) -> float:
        """Seconds since the Unix epoch at which the machine started."""
        with open(self._proc / "stat", "rb") as stat:
            for line in stat:
                if line.startswith(b"btime "):
                    return float(line.split()[1])
        raise ValueError(f"{self._proc / 'stat'} does not say when the machine started")


PROCESS_COLLECTOR = ProcessCollector(registry=None)
"""A collector for this process; expose it with ``REGISTRY.register(PROCESS_COLLECTOR)``."""
