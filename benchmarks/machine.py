"""Where a run took place, and how quiet it was there."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

from benchmarks.adapters import Adapter

__all__ = ["facts", "fixed_work", "load", "version_of"]


def facts() -> dict[str, str]:
    """What kind of machine and interpreter this is."""
    build = platform.python_compiler()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{_processor()}, {os.cpu_count()} cores visible",
        "system": f"{platform.system()} {platform.release()}{' (virtual machine)' if _virtual() else ''}",
        "interpreter": f"{platform.python_implementation()} {platform.python_version()}, {build}",
    }


def _lines(path: str, key: str) -> list[str]:
    try:
        return [line.partition(":")[2].strip() for line in Path(path).read_text().splitlines() if line.startswith(key)]
    except OSError:
        return []


def _processor() -> str:
    return (_lines("/proc/cpuinfo", "model name") or [platform.processor() or platform.machine()])[0]


def _virtual() -> bool:
    return any("hypervisor" in flags for flags in _lines("/proc/cpuinfo", "flags"))


def load() -> float:
    """The load average over the last minute."""
    return os.getloadavg()[0]


def fixed_work() -> float:
    """Seconds that a fixed piece of pure Python takes: how much it varies during a run says how much the machine does."""
    start = perf_counter()
    total = 0
    for number in range(300_000):
        total += number & 7
    return perf_counter() - start


def version_of(library: type[Adapter]) -> str | None:
    """The installed version of a library, or ``None``."""
    try:
        return version(library.distribution)
    except PackageNotFoundError:
        return None


if sys.platform == "win32":  # pragma: no cover
    raise SystemExit("the benchmarks read /proc and the load average: they run on Linux")
