"""The machine as psutil sees it.

psutil's own ``cpu_percent`` either blocks for an interval or compares with the last call of the same thread; this compares with the last
snapshot of the monitor, from whatever thread, and never waits.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from measurand.catalog.system import SystemSnapshot
from measurand.integrations.handle import library

__all__ = ["FLOOR", "PsutilMonitor"]

LOG = logging.getLogger("measurand.integrations")

FLOOR = "5.9"
"""The oldest version of psutil that will do."""

LEAST = 0.1
"""Seconds that a percentage of the CPU's time is computed from at least: the kernel counts hundredths."""


class PsutilMonitor:
    """A :class:`~measurand.catalog.system.SystemMonitor` of the machine. It knows nothing of containers.

    The CPU's use is known from the second snapshot on, or from the first one that comes somewhat later than the monitor. Safe from any
    thread, one at a time, and after a fork.

    Args:
        paths: The paths whose file systems are looked at.
        longest: Seconds since the last snapshot beyond which the CPU's use is unknown, rather than the average of a long time.

    Raises:
        MissingExtra: psutil is not installed, or too old.
    """

    def __init__(self, paths: Sequence[str] = ("/",), *, longest: float = 3600.0) -> None:
        self._psutil: Any = library("psutil", extra="psutil", floor=FLOOR)
        self._paths = tuple(paths)
        self._silent: set[str] = set()
        cores = self._psutil.cpu_count() or 1
        self._least, self._most = LEAST * cores, longest * cores
        self._before = self._times()

    def snapshot(self) -> SystemSnapshot:
        """The machine now. Takes some hundred microseconds, longer where the disk of a path does not answer."""
        return SystemSnapshot(
            memory_percent=self._psutil.virtual_memory().percent,
            cpu_percent=self._cpu_percent(),
            disk_percent={path: percent for path in self._paths if (percent := self._disk_percent(path)) is not None},
        )

    def _cpu_percent(self) -> float | None:
        used_before, all_before = self._before
        used, all_times = self._times()
        passed = all_times - all_before
        if passed < self._least:
            return None
        self._before = used, all_times
        return min(max(100.0 * (used - used_before) / passed, 0.0), 100.0) if passed <= self._most else None

    def _times(self) -> tuple[float, float]:
        """Seconds that the cores were in use, and all, since the machine started."""
        times = self._psutil.cpu_times()._asdict()
        total = sum(seconds for name, seconds in times.items() if name not in ("guest", "guest_nice"))  # Linux counts these as user, too
        return total - times.get("idle", 0.0) - times.get("iowait", 0.0), total

    def _disk_percent(self, path: str) -> float | None:
        try:
            percent: float = self._psutil.disk_usage(path).percent
        except OSError as reason:
            if path not in self._silent:
                self._silent.add(path)
                LOG.warning("the disk of %s cannot be looked at, and is left out of the metrics as long as that is so: %s", path, reason)
            return None
        self._silent.discard(path)
        return percent
