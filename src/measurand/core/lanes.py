"""Lanes: files through which one process shows its numbers to the others of its family.

A lane is written by one process, which has it mapped into memory, and read by any. Promises:

- A lane has its name only once it has its full size on the device: no reader meets a half-made one, and no later addition to a cell can
  fail for want of space.
- Its index only grows; a record counts from the moment at which ``used`` includes it, and carries a checksum. Its cells are aligned
  doubles, which are read and written whole.
- Readers never map a lane of another process, so that one that is truncated under them cannot kill them. What is damaged is reported as
  :class:`Damaged`, never as anything else; the series before the damage can still be read.

The format stands in ``lane_format``.
"""

from __future__ import annotations

import mmap
import os
import struct
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from measurand.core.lane_format import (
    HEADER,
    METRIC,
    NOTE,
    SEQUENCE,
    SERIES,
    START,
    USED,
    WRITER,
    Contents,
    Damaged,
    Full,
    Metric,
    checked_header,
    decoded,
    encoded,
    header,
    take,
)

__all__ = ["Damaged", "Full", "Lane", "Metric", "Reader", "Reading"]


class Lane:
    """A lane as its writer has it. Not safe from several threads at once: the caller sees to that.

    Attributes:
        path: Where it is.
        contents: What its index says.
        values: All its cells, a memoryview of doubles; numbers are moved there.
    """

    def __init__(self, path: Path, memory: mmap.mmap, index: int, contents: Contents) -> None:
        self.path = path
        self.contents = contents
        self._memory = memory
        self._words = memoryview(memory)[:START].cast("Q")
        self._index = index
        self.values = memoryview(memory)[START + index :].cast("d")

    @classmethod
    def create(cls, path: Path, *, index: int = 1 << 15, cells: int = 1 << 12) -> Lane:
        """Make a lane, in place of one of that name; the name leads to it only once :meth:`publish` was called.

        Args:
            path: Its name to be.
            index: Bytes for its index, rounded up to a whole number of doubles.
            cells: How many doubles.

        Raises:
            OSError: There is no space, or the directory cannot be written to; nothing is left behind.
        """
        index += -index % 8
        size = START + index + cells * 8
        temporary = _temporary(path)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | _NO_LINKS, 0o600)
        try:
            _allocate(descriptor, size)
            memory = mmap.mmap(descriptor, size)
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
        memory[: HEADER.size] = header(index, cells)
        lane = cls(path, memory, index, Contents())
        lane.claim()
        return lane

    def publish(self) -> None:
        """Give the lane its name."""
        os.rename(_temporary(self.path), self.path)

    @classmethod
    def adopt(cls, path: Path) -> Lane:
        """Go on writing a lane whose writer is gone.

        Raises:
            Damaged: It is not whole.
            OSError: It cannot be opened.
        """
        descriptor = os.open(path, os.O_RDWR | _NO_LINKS)
        try:
            size = os.fstat(descriptor).st_size
            index, cells, used = checked_header(os.pread(descriptor, START, 0), size)
            contents = Contents()
            for kind, content, _ in decoded(os.pread(descriptor, used, START)):
                take(contents, kind, content)
            if contents.cells > cells:
                raise Damaged("it has fewer cells than its series")
            memory = mmap.mmap(descriptor, START + index + cells * 8)
        finally:
            os.close(descriptor)
        lane = cls(path, memory, index, contents)
        lane._words[SEQUENCE] += lane._words[SEQUENCE] % 2
        lane.claim()
        return lane

    def claim(self) -> None:
        """Note this process as the writer."""
        self._words[WRITER] = os.getpid()

    @property
    def used(self) -> int:
        """Bytes of the index in use."""
        return int(self._words[USED])

    def add_metric(self, content: dict[str, Any]) -> int:
        """Describe a metric (``content["width"]``: cells per series), in terms of JSON; returns its number.

        Raises:
            Full: There is no room.
        """
        self._append(METRIC, content)
        return len(self.contents.metrics) - 1

    def add_series(self, metric: int, key: tuple[str, ...]) -> int:
        """Find cells for a series, at zero; returns the place of its first number.

        Raises:
            Full: There is no room.
        """
        width = self.contents.metrics[metric].width
        at = self.contents.cells + 1
        if at + width > len(self.values):
            raise Full
        self.values[at - 1] = 1.0
        self._append(SERIES, {"m": metric, "k": key, "at": at})
        return at

    def add_note(self, metric: int, key: tuple[str, ...], note: Any) -> None:
        """Say something about a series, in place of what was said before.

        Raises:
            Full: There is no room.
        """
        if self.contents.metrics[metric].notes.get(key) != note:
            self._append(NOTE, {"m": metric, "k": key, "note": note})

    def remove(self, at: int) -> None:
        """Show a series no longer."""
        self.values[at - 1] = 0.0

    def is_shown(self, at: int) -> bool:
        """Whether a series is shown."""
        return self.values[at - 1] == 1.0

    def begin_exchange(self) -> None:
        """From here to :meth:`end_exchange` readers wait rather than see a part."""
        self._words[SEQUENCE] |= 1

    def end_exchange(self) -> None:
        """The cells are consistent again."""
        self._words[SEQUENCE] += self._words[SEQUENCE] % 2

    def _append(self, kind: int, content: Any) -> None:
        record = encoded(kind, content)
        used = self.used
        if used + len(record) > self._index:
            raise Full
        self._memory[START + used : START + used + len(record)] = record
        self.contents.take(kind, content)
        self._words[USED] = used + len(record)  # the record counts from here on


class Reading(NamedTuple):
    """A lane at one moment.

    Attributes:
        metrics: What its index says; later readings of the same lane share it.
        values: Its cells.
        writer: The process id of its writer, the last one if that is gone.
        damage: Why a part of its series is missing; ``None`` if none is.
    """

    metrics: list[Metric]
    values: array[float]
    writer: int
    damage: str | None


class Reader:
    """A lane as others see it. Keeps what it has parsed: reading again reads numbers only. Not safe from several threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._forget()

    def _forget(self) -> None:
        self._contents = Contents()
        self._parsed = 0
        self._damage: str | None = None

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._forget()

    def read(self, attempts: int = 100) -> Reading:
        """The lane now.

        Raises:
            Damaged: It cannot be used at all; part of it is missing where the reading says so.
            OSError: It cannot be opened, or is gone.
        """
        descriptor = self._open()
        for _ in range(attempts):
            data = os.pread(descriptor, START, 0)
            index, cells, used = checked_header(data, os.fstat(descriptor).st_size)
            sequence, writer = struct.unpack_from("=QQ", data, SEQUENCE * 8)
            self._parse(descriptor, used)
            if self._contents.cells > cells:
                raise Damaged("it has fewer cells than its series")
            values = array("d")
            numbers = os.pread(descriptor, self._contents.cells * 8, START + index)
            if len(numbers) != self._contents.cells * 8:
                raise Damaged("it has not its full size")
            values.frombytes(numbers)
            if sequence % 2 == 0 and struct.unpack("=Q", os.pread(descriptor, 8, SEQUENCE * 8) or bytes(8))[0] == sequence:
                break
        return Reading(self._contents.metrics, values, writer, self._damage)

    def _open(self) -> int:
        if self._descriptor >= 0 and os.fstat(self._descriptor).st_nlink == 0:  # a larger one has taken its name, or it is gone
            self.close()
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDONLY | _NO_LINKS)
        return self._descriptor

    def _parse(self, descriptor: int, used: int) -> None:
        if self._damage is not None or used == self._parsed:
            return
        if used < self._parsed:
            raise Damaged("its index shrank")
        for attempt in (1, 2):
            start = self._parsed
            try:
                for kind, content, length in decoded(os.pread(descriptor, used - start, START + start)):
                    take(self._contents, kind, content)
                    self._parsed += length
                if self._parsed < used:
                    raise Damaged("it ends in its index")
            except Damaged as damage:
                if attempt == 2:  # else its last record may have become whole meanwhile
                    self._damage = str(damage)
            else:
                return


_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _allocate(descriptor: int, size: int) -> None:
    """Have the device set the space aside: a full one is an error here, and not a signal at the first addition."""
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is not None:
        with suppress(NotImplementedError):
            allocate(descriptor, 0, size)
            return
    remaining = size
    while remaining > 0:
        remaining -= os.write(descriptor, bytes(min(remaining, 1 << 16)))
