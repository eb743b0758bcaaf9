"""What the operating system knows of a service's processes: CPU time, memory, file descriptors, threads, start time.

Names and meanings are those of Prometheus, "Writing client libraries", "Standard and runtime collectors". Read from ``/proc``; where
there is none (outside Linux), nothing is exposed.

A service of several processes is shown as a whole, whichever of them is asked. CPU time includes that of processes that are gone, as of the
last scrape before they went, so that it never falls; memory, open files and threads are those of the processes that live; the start is that
of the first one, and the limit of open files the lowest. Processes of another pid namespace cannot be looked at from here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from measurand.metrics import shared
from measurand.metrics.domains import REGISTRY
from measurand.metrics.families import CounterMetricFamily, GaugeMetricFamily, Metric
from measurand.metrics.registry import CollectorRegistry

__all__ = ["PROCESS_COLLECTOR", "ProcessCollector"]

LEDGER = "processes"
PATIENCE = 0.2
"""Seconds to wait for another process that is writing the ledger."""


class Reading(NamedTuple):
    """One process.

    Attributes:
        identity: Tells it from others that had or will have its id.
        vmem: Bytes of virtual memory.
        rss: Bytes of resident memory.
        start: When it was started, in seconds since the Unix epoch.
        cpu: Seconds of user and system CPU time.
        threads: How many it has.
        open_fds: Open file descriptors; ``None`` if we may not know.
        max_fds: How many it may have; ``None`` if we may not know.
    """

    identity: str
    vmem: float
    rss: float
    start: float
    cpu: float
    threads: float
    open_fds: float | None
    max_fds: float | None


class ProcessCollector:
    """Exposes the standard metrics of a service's processes, read afresh at every scrape.

    Args:
        namespace: A prefix for the names.
        pid: Returns one process to look at, instead of all that belong to the service.
        proc: Where the process file system is mounted.
        registry: Where to register; ``None`` for nowhere.
        per_process: Show each living process by itself, with a label ``pid``, instead of all together. Both can be had from two collectors
            with different namespaces.
    """

    is_optional = True  # see CollectorRegistry.unregister

    def __init__(
        self,
        namespace: str = "",
        pid: Callable[[], int | str] | None = None,
        proc: str = "/proc",
        registry: CollectorRegistry | None = REGISTRY,
        *,
        per_process: bool = False,
    ) -> None:
        self._prefix = f"{namespace}_process_" if namespace else "process_"
        self._pid = pid
        self._proc = Path(proc)
        self._labels = ["pid"] if per_process else []
        if registry is not None:
            registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """The families without samples."""
        families = [
            self._gauge("virtual_memory_bytes", "Virtual memory size in bytes."),
            self._gauge("resident_memory_bytes", "Resident memory size in bytes."),
            self._gauge("start_time_seconds", "Start time of the process since unix epoch in seconds."),
            CounterMetricFamily(
                f"{self._prefix}cpu_seconds_total", "Total user and system CPU time spent in seconds.", labels=self._labels
            ),
            self._gauge("open_fds", "Number of open file descriptors."),
            self._gauge("max_fds", "Maximum number of open file descriptors."),
        ]
        return families if self._pid is not None else [*families, self._gauge("threads", "Number of threads.")]

    def collect(self) -> Iterable[Metric]:
        """The families; without those that the system does not tell."""
        pids = [str(self._pid()).strip()] if self._pid is not None else [str(pid) for pid in shared.pids()]
        found = {pid: reading for pid in pids if (reading := self._read(pid)) is not None}
        if not found:
            return []
        if self._labels:
            return self._families({(pid,): reading for pid, reading in found.items()})
        return self._families({(): next(iter(found.values())) if self._pid is not None else self._all_together(list(found.values()))})

    def _all_together(self, found: list[Reading]) -> Reading:
        """What the processes of a service come to."""
        start, cpu = min(one.start for one in found), sum(one.cpu for one in found)
        place = shared.meeting_place()
        if place is not None:
            with shared.noting(LEDGER, PATIENCE) as may_write:
                start, cpu = self._with_those_gone(place / LEDGER, found, may_write)
        open_fds = [one.open_fds for one in found if one.open_fds is not None]
        return Reading(
            identity="",
            vmem=sum(one.vmem for one in found),
            rss=sum(one.rss for one in found),
            start=start,
            cpu=cpu,
            threads=sum(one.threads for one in found),
            open_fds=sum(open_fds) if open_fds else None,
            max_fds=min((one.max_fds for one in found if one.max_fds is not None), default=None),
        )

    def _with_those_gone(self, ledger: Path, found: list[Reading], may_write: bool) -> tuple[float, float]:
        """The first start and all CPU time, with that of processes that were seen earlier; notes those that are seen now."""
        gone, start, seen = 0.0, min(one.start for one in found), {}
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            known = json.loads(ledger.read_text())
            seen = {str(identity): float(cpu) for identity, cpu in known["seen"].items()}
            gone, start = float(known["gone"]), min(float(known["start"]), start)
        now = {one.identity: max(one.cpu, seen.pop(one.identity, 0.0)) for one in found}
        here = found[0].identity.partition(" ")[0]
        for identity, cpu in seen.items():
            namespace, _, rest = identity.partition(" ")
            still = self._read(rest.partition("-")[0]) if namespace == here else None
            if namespace != here:  # it may live where this process cannot look
                now[identity] = cpu
            elif still is not None and still.identity == identity:  # it has left the others, or has ended just now
                now[identity] = max(cpu, still.cpu)
            else:
                gone += cpu
        if may_write:
            temporary = ledger.with_name(f".{ledger.name}.{os.getpid()}")
            with suppress(OSError):  # no space: what is gone until the next time is not counted
                temporary.write_text(json.dumps({"gone": gone, "start": start, "seen": now}))
                os.replace(temporary, ledger)
        return start, gone + sum(now.values())

    def _families(self, rows: Mapping[tuple[str, ...], Reading]) -> list[Metric]:
        names = ("vmem", "rss", "start", "cpu", "open_fds", "max_fds", "threads")
        families: list[Any] = list(self.describe())
        for family, name in zip(families, names, strict=False):
            for labels, reading in rows.items():
                if (value := getattr(reading, name)) is not None:
                    family.add_metric(list(labels), value)
        return [family for family in families if family.samples]

    def _read(self, pid: int | str) -> Reading | None:
        directory = self._proc / str(pid)
        try:
            fields = [float(field) for field in (directory / "stat").read_bytes().rpartition(b")")[2].split()[1:]]
            ticks, page, booted = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"), self._boot_time()
            identity, started = f"{self._namespace()} {pid}-{fields[18]:.0f}", fields[18] / ticks + booted
            known = identity, fields[19], fields[20] * page, started, (fields[10] + fields[11]) / ticks, fields[16]
        except (OSError, ValueError, AttributeError, IndexError):
            return None
        try:
            open_fds = len(os.listdir(directory / "fd"))
            limits = (directory / "limits").read_text().splitlines()
            limit = next(line.split()[3] for line in limits if line.startswith("Max open files"))
            return Reading(*known, open_fds, float("inf") if limit == "unlimited" else float(limit))
        except (OSError, StopIteration, ValueError, IndexError):
            return Reading(*known, None, None)

    def _gauge(self, name: str, documentation: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._prefix + name, documentation, labels=self._labels)

    def _namespace(self) -> str:
        """Where process ids mean what they mean to this process."""
        try:
            return os.readlink(self._proc / "self" / "ns" / "pid")
        except OSError:
            return "pid"

    def _boot_time(self) -> float:
        """Seconds since the Unix epoch at which the machine started."""
        with open(self._proc / "stat", "rb") as stat:
            for line in stat:
                if line.startswith(b"btime "):
                    return float(line.split()[1])
        raise ValueError(f"{self._proc / 'stat'} does not say when the machine started")


PROCESS_COLLECTOR = ProcessCollector(registry=None)
"""A collector for the processes of this service; expose it with ``REGISTRY.register(PROCESS_COLLECTOR)``."""
