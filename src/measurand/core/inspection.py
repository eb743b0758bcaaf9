"""What there is of families, seen from outside: their directories, lanes and owners.

For a process that takes part in none of them: looking opens and closes their locks, and with that a process gives up those of its own.
Changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from measurand.core import ancestry
from measurand.core.family import FIRST_LANE, LEADER, LOCKS, MEMBER
from measurand.core.lanes import Damaged, Reader
from measurand.core.locks import holder_of

__all__ = ["FamilySeen", "LaneSeen", "families", "started"]


class LaneSeen(NamedTuple):
    """A lane.

    Attributes:
        number: Its number.
        path: Where it is.
        owner: The process id of its writer, the last one if that is gone; 0 if the writer is in another container.
        alive: Whether its writer lives.
        since: When the writer was started, in seconds since the Unix epoch; ``None`` if it is gone or not to be seen from here.
        size: Bytes that it takes.
        metrics: How many metrics stand in it.
        series: How many series stand in it, those included that were removed.
        unshared: How many series its writer has elsewhere, for want of room.
        quarantined: What is wrong with it, so that it is shown in part or not at all; an empty string if nothing.
    """

    number: int
    path: Path
    owner: int
    alive: bool
    since: float | None
    size: int
    metrics: int
    series: int
    unshared: int
    quarantined: str


class FamilySeen(NamedTuple):
    """A family.

    Attributes:
        name: Its name.
        directory: Where it meets.
        alive: Whether any of its processes lives.
        leader: The process id of its leader, 0 if that is in another container; ``None`` if none leads.
        lanes: Its lanes.
        set_aside: Lanes that were damaged when another process was to go on with them, and what is wrong with them.
        size: Bytes that its files take together.
    """

    name: str
    directory: Path
    alive: bool
    leader: int | None
    lanes: list[LaneSeen]
    set_aside: list[tuple[Path, str]]
    size: int


def families(bases: Iterable[Path]) -> Iterator[FamilySeen]:
    """The families that meet in these directories."""
    for base in bases:
        names: list[str] = []
        with suppress(OSError):
            names = sorted(os.listdir(base))
        for name in names:
            with suppress(OSError):  # it is no family, or the last one has just left it
                yield _family(base / name)


def started(process: ancestry.Process, proc: str = ancestry.PROC) -> float | None:
    """When a process was started, in seconds since the Unix epoch; ``None`` if the system does not tell."""
    try:
        lines = Path(proc, "stat").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("btime ")) + process.start / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, StopIteration):
        return None


def _family(directory: Path) -> FamilySeen:
    descriptor = os.open(directory / LOCKS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        files = sorted(path for path in directory.iterdir() if not path.is_symlink())
        numbers = sorted(int(path.name[5:]) for path in files if path.name.startswith("lane-") and path.name[5:].isdecimal())
        return FamilySeen(
            directory.name,
            directory,
            holder_of(descriptor, MEMBER) is not None,
            _pid(holder_of(descriptor, LEADER)),
            [_lane(descriptor, number, directory / f"lane-{number}") for number in numbers],
            [(path, _damage(path)) for path in files if path.name.startswith("damaged-")],
            sum(_size(path) for path in files),
        )
    finally:
        os.close(descriptor)


def _lane(descriptor: int, number: int, path: Path) -> LaneSeen:
    owner = _pid(holder_of(descriptor, FIRST_LANE + number))
    metrics = series = unshared = writer = 0
    try:
        reading = Reader(path).check()
        damage, writer, unshared = reading.damage or "", reading.writer, reading.unshared if owner is not None else 0
        metrics, series = len(reading.metrics), sum(len(metric.series) for metric in reading.metrics)
    except (Damaged, OSError) as reason:
        damage = str(reason)
    process = ancestry.process(owner) if owner else None
    since = started(process) if process is not None else None
    return LaneSeen(
        number, path, writer if owner is None else owner, owner is not None, since, _size(path), metrics, series, unshared, damage
    )


def _damage(path: Path) -> str:
    try:
        return Reader(path).check().damage or ""
    except (Damaged, OSError) as reason:
        return str(reason)


def _pid(found: int | None) -> int | None:
    """A lock's holder: one that this process cannot see is 0, whatever the system calls it."""
    return None if found is None else max(found, 0)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.lstat().st_blocks * 512
    return 0
