"""What the kernel lets this process have: the limits of its control group, versions 1 and 2, and what is used of them.

A limit holds for a group and all groups in it, so the narrowest one on the way up counts, and usage and throttling are those of the group
that has it. What is not limited, or not there (another system, no permission), is ``None``. Reading takes a few small files of the kernel,
under a millisecond where the way there is known; the kernel adds up ``cpu.stat`` when it is read, so it is not for an event loop.

Sources: cgroup-v1/memory, scheduler/sched-bwc and cgroup-v2 in the kernel's documentation, ``cgroups(7)``, ``proc(5)`` for ``mountinfo``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["CgroupReader", "CgroupReading"]

UNLIMITED = 2**62
"""Version 1 says that memory is not limited by a number of bytes near 2**63, which depends on the size of a page."""


@dataclass(frozen=True, slots=True)
class CgroupReading:
    """What was read.

    Attributes:
        memory_limit_bytes: The narrowest limit of memory.
        memory_usage_bytes: What the group with that limit uses, the page cache included; without a limit, what the own group does.
        cpu_quota_cores: How many cores' time the group may take; 1.5 is 150 ms in every 100 ms.
        cpu_throttled_seconds: For how long groups' threads have been held back since the group was made, all cores' time together.
    """

    memory_limit_bytes: float | None = None
    memory_usage_bytes: float | None = None
    cpu_quota_cores: float | None = None
    cpu_throttled_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Mount:
    """Where a hierarchy is mounted: a directory, and the group that it shows."""

    directory: Path
    root: str


class CgroupReader:
    """Reads the limits of the calling process' control group. Safe from any thread.

    Args:
        proc: Where the ``proc`` file system is.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = Path(proc) / "self"
        self._known: tuple[str, dict[str, tuple[int, list[Path]]]] = "", {}

    def read(self) -> CgroupReading:
        """Read them now. What cannot be read is ``None``; nothing is raised."""
        ways = self._ways()
        limit, usage = _memory(*ways["memory"]) if "memory" in ways else (None, None)
        quota, throttled = _cpu(*ways["cpu"]) if "cpu" in ways else (None, None)
        return CgroupReading(limit, usage, quota, throttled)

    def version(self) -> int | None:
        """The version of the hierarchy that has limits: that of the memory, else of the CPU; ``None`` if there are none here."""
        return next((version for version, _ in self._ways().values()), None)

    def _ways(self) -> dict[str, tuple[int, list[Path]]]:
        """For ``memory`` and ``cpu``: the version, and the directories from the own group up to what is mounted."""
        groups = _text(self._proc / "cgroup") or ""
        if groups != self._known[0] or not groups:
            self._known = groups, self._find(groups)
        return self._known[1]

    def _find(self, groups: str) -> dict[str, tuple[int, list[Path]]]:
        paths = {names: path for _, names, path in (line.split(":", 2) for line in groups.splitlines() if line.count(":") >= 2)}
        mounts = dict(_mounts(_text(self._proc / "mountinfo") or ""))
        found = {}
        for controller in ("memory", "cpu"):
            names = next((names for names in paths if controller in names.split(",")), "")
            mount = mounts.get(controller if names else "")
            if mount is not None and names in paths:
                found[controller] = 1 if names else 2, _way_up(mount, paths[names])
        return found


def _mounts(mountinfo: str) -> Iterator[tuple[str, _Mount]]:
    """The hierarchies that are mounted: those of version 1 by controller, that of version 2 by an empty string."""
    for line in mountinfo.splitlines():
        fields, _, more = line.partition(" - ")
        given, kind = fields.split(), more.split()
        if len(given) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        mount = _Mount(Path(_plain(given[4])), _plain(given[3]))
        for controller in kind[2].split(",") if kind[0] == "cgroup" else [""]:
            yield controller, mount


def _plain(field: str) -> str:
    """A field of ``mountinfo`` without its escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _way_up(mount: _Mount, path: str) -> list[Path]:
    """The directories of a group and those around it, as far as they are mounted; of a group that is not to be seen, what is."""
    try:
        inner = PurePosixPath(path).relative_to(mount.root)
    except ValueError:  # the process' view of the groups is another than that of who mounted them
        inner = PurePosixPath()
    way = [mount.directory / part for part in (inner, *inner.parents)]
    return way if ".." not in inner.parts and way[0].is_dir() else [mount.directory]


def _memory(version: int, way: list[Path]) -> tuple[float | None, float | None]:
    limit_file, usage_file = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limited = [(limit, place) for place in way if (limit := _number(place / limit_file)) is not None and limit < UNLIMITED]
    if limited:
        limit, place = min(limited, key=lambda each: each[0])
        return limit, _number(place / usage_file)
    if version == 1 and len(way) == 1:  # the whole machine's
        return None, None
    return None, _number(way[0] / usage_file)


def _cpu(version: int, way: list[Path]) -> tuple[float | None, float | None]:
    quota = _quota if version == 2 else _quota_of_version_1
    limited = [(cores, place) for place in way if (cores := quota(place)) is not None]
    if not limited:
        return None, None
    cores, place = min(limited, key=lambda each: each[0])
    counts = dict(line.split(maxsplit=1) for line in (_text(place / "cpu.stat") or "").splitlines() if " " in line)
    name, unit = ("throttled_usec", 1e6) if version == 2 else ("throttled_time", 1e9)
    try:
        return cores, float(counts[name]) / unit
    except (KeyError, ValueError):
        return cores, None


def _quota(place: Path) -> float | None:
    quota, _, period = (_text(place / "cpu.max") or "max").partition(" ")
    try:
        return float(quota) / float(period) if quota.strip() != "max" else None
    except (ValueError, ZeroDivisionError):
        return None


def _quota_of_version_1(place: Path) -> float | None:
    quota, period = _number(place / "cpu.cfs_quota_us"), _number(place / "cpu.cfs_period_us")
    return quota / period if quota is not None and quota > 0 and period else None


def _number(file: Path) -> float | None:
    try:
        return float(int(_text(file) or ""))
    except ValueError:  # "max", or nothing
        return None


def _text(file: Path) -> str | None:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return None
