"""Exemplars of all processes: for each counter and each bucket the newest one.

Each process writes the exemplars of its series to a file beside its lane, which the others read. It has a fixed number of places of a fixed
size, so that it does not grow with what is recorded; when all are taken the oldest are used again. Nothing here is touched by a recording
that is given no exemplar.

An exemplar is known by its series' state (see ``core.lane_format``) and its cell. Promises: a reader sees an exemplar wholly or not at all,
and shows none of a series that is gone.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from measurand.core import Exemplar

__all__ = ["MOST", "Reader", "Writer", "files_in", "merged", "path_of"]

SIZE = 512
"""Bytes of a place: room for what identifies an event in most cases (128 characters at most). What does not fit is not shown by others."""
LEAST, MOST = 64, 2048
"""How many places a file has at first, and at most."""
HEAD = struct.Struct("=IIQdqdd")  # checksum of what follows, bytes of the labels, number of this exemplar, state, cell, value, time
CHECKSUM, COUNT = struct.Struct("=I"), struct.Struct("=Q")
BETWEEN = b"\xff"
"""Stands between names and values of labels, in none of which it can be."""
FIRST = 8  # the file begins with the number of all that were written

Key = tuple[float, int]
"""A series' state and the cell."""


def path_of(lane: Path) -> Path:
    """Where a lane's exemplars are."""
    return lane.with_name(lane.name.replace("lane-", "exemplars-"))


class Writer:
    """This process' exemplars. Safe from any thread and from signal handlers; of two at the same moment one may be lost.

    Args:
        lane: The lane of this process.

    Raises:
        OSError: There is no space.
    """

    def __init__(self, lane: Path) -> None:
        self._descriptor = os.open(path_of(lane), os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        self._places: dict[Key, int] = {}
        self._owners: dict[int, Key] = {}
        self._written = 0
        for place, number, key, _ in _parsed(os.pread(self._descriptor, FIRST + MOST * SIZE, 0)):  # what an earlier process has left
            self._places[key], self._owners[place] = place, key
            self._written = max(self._written, number + 1)
        self._map(max([LEAST, *(place + 1 for place in self._owners)]))

    def _map(self, count: int) -> None:
        """Have this many places. What the device has set aside can be written to at any time."""
        size = FIRST + count * SIZE
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._descriptor, 0, size)
        elif os.fstat(self._descriptor).st_size < size:
            os.pwrite(self._descriptor, bytes(size - FIRST), FIRST)
        self._memory = mmap.mmap(self._descriptor, size)
        self._count = count

    def write(self, state: float, cell: int, exemplar: Exemplar) -> None:
        """Show an exemplar in place of the last one of the same series and cell.

        Raises:
            OSError: There is no space.
        """
        content = BETWEEN.join([part.encode() for label in exemplar.labels.items() for part in label])
        if len(content) > SIZE - HEAD.size:
            return
        number, self._written = self._written, self._written + 1
        key = state, cell
        place = self._places.get(key)
        if place is None:
            place = len(self._owners) if len(self._owners) < MOST else number % MOST
            if place >= self._count:
                self._map(min(2 * self._count, MOST))
            self._places.pop(self._owners.get(place, key), None)
            self._places[key], self._owners[place] = place, key
        rest = HEAD.pack(0, len(content), number, state, cell, exemplar.value, exemplar.timestamp)[4:] + content
        at = FIRST + place * SIZE
        self._memory[at : at + 4 + len(rest)] = CHECKSUM.pack(zlib.crc32(rest)) + rest
        self._memory[:FIRST] = COUNT.pack(number + 1)

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()
        with suppress(OSError):
            os.close(self._descriptor)


def files_in(directory: Path) -> list[Path]:
    """The files of all lanes."""
    return [directory / name for name in os.listdir(directory) if name.startswith("exemplars-")]


class Reader:
    """The exemplars of another lane. Reads them again only where one was written since.

    Args:
        path: Where they are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._found: dict[Key, Exemplar] = {}

    def read(self) -> Mapping[Key, Exemplar]:
        """All of them; none if they cannot be read."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | _FLAGS)
        except OSError:
            self._seen, self._found = None, {}
            return self._found
        try:
            seen = os.fstat(descriptor).st_ino, *os.pread(descriptor, FIRST, 0)
            if seen != self._seen:
                data = os.pread(descriptor, FIRST + MOST * SIZE, 0)
                self._found = {key: exemplar for _, _, key, exemplar in _parsed(data)}
                self._seen = seen
        except OSError:
            pass
        finally:
            os.close(descriptor)
        return self._found


def merged(into: dict[int, Exemplar], more: Mapping[int, Exemplar], since: float = 0.0) -> None:
    """Take the newer ones of the same cells, those that are not older than a time in seconds since the Unix epoch."""
    for cell, exemplar in more.items():
        stamp = exemplar.timestamp or 0.0
        known = into.get(cell)
        if stamp >= since and (known is None or stamp > (known.timestamp or 0.0)):
            into[cell] = exemplar


_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def _parsed(data: bytes) -> list[tuple[int, int, Key, Exemplar]]:
    """What is whole: place, number, series and cell, and the exemplar."""
    found: list[tuple[int, int, Key, Exemplar]] = []
    for place, at in enumerate(range(FIRST, len(data) - HEAD.size + 1, SIZE)):
        checksum, length, number, state, cell, value, stamp = HEAD.unpack_from(data, at)
        end = at + HEAD.size + length
        if not number + length or length > SIZE - HEAD.size or zlib.crc32(data[at + 4 : end]) != checksum:
            continue
        with suppress(ValueError):
            parts = [part.decode() for part in data[at + HEAD.size : end].split(BETWEEN)] if length else []
            found.append((place, number, (state, cell), Exemplar(dict(zip(parts[::2], parts[1::2], strict=True)), value, stamp)))
    return found
