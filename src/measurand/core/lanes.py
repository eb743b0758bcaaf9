"""Lanes: files through which one process shows its numbers to the others of its family.

A lane is written by one process, which has it mapped into memory, and read by any. Promises:

- A lane has its name only once it has its full size on the device: no reader meets a half-made one, and no later addition to a cell can
  fail for want of space.
- Its index only grows; a record counts from the moment at which ``used`` includes it, and carries a checksum. Its cells are aligned
  doubles, which are read and written whole.
- Readers never map a lane of another process, so that one that is truncated under them cannot kill them; nor do they keep it open. What is
  damaged is reported as :class:`Damaged`, never as anything else; the series before the damage can still be read.
- A writer believes nothing that stands in its lane but the cells, and finds out by itself that its lane was damaged
  (:attr:`Lane.damage`); where the extension is there that guards mapped files, it survives that its lane is truncated.

The format stands in ``lane_format``.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import struct
import zlib
from array import array
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from measurand.core import guarding
from measurand.core.lane_format import (
    HEADER,
    METRIC,
    NOTE,
    SEQUENCE,
    SERIES,
    START,
    UNSHARED,
    USED,
    WRITER,
    Contents,
    Damaged,
    Full,
    Header,
    Metric,
    Nowhere,
    checked_header,
    encoded,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Damaged", "Full", "Lane", "Metric", "Reader", "Reading", "fresh_state"]


class Lane:
    """A lane as its writer has it. Not safe from several threads at once: the caller sees to that.

    Attributes:
        path: Where it is.
        contents: What its index says.
        values: All its cells, a memoryview of doubles; numbers are moved there.
    """

    def __init__(self, path: Path, descriptor: int, header: Header, contents: Contents) -> None:
        self.path = path
        self.contents = contents
        self._file = _identity(os.fstat(descriptor))
        self._header = header
        self._memory = memory = mmap.mmap(descriptor, header.size)
        self._is_guarded = guarding.guard(memory)
        self._words = memoryview(memory)[:START].cast("Q")
        self._used = header.used
        self._sequence = header.sequence
        self._checksum = zlib.crc32(memory[START : START + header.used])
        self.values = memoryview(memory)[START + header.room :].cast("d")
        self._words[WRITER] = os.getpid()
        self.unshared = 0

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
        header = Header(int.from_bytes(os.urandom(8), "little"), index + -index % 8, cells)
        temporary = _temporary(path)
        with suppress(FileNotFoundError):  # of a process that had this id and was killed here
            os.unlink(temporary)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o600)
        try:
            _allocate(descriptor, header.size)
            os.pwrite(descriptor, header.encoded(), 0)
            return cls(path, descriptor, header, Contents())
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)

    def publish(self) -> None:
        """Give the lane its name.

        Raises:
            OSError: The directory is gone or cannot be written to; nothing is left behind.
        """
        try:
            os.rename(_temporary(self.path), self.path)
        except OSError:
            with suppress(OSError):
                os.unlink(_temporary(self.path))
            raise

    @classmethod
    def adopt(cls, path: Path, like: Lane | None = None) -> Lane:
        """Go on writing a lane whose writer is gone; one that begins ``like`` another is not read that far.

        Raises:
            Damaged: It is not whole.
            OSError: It cannot be opened, or there is no space for parts of it that were missing.
        """
        with _opened(path, os.O_RDWR) as (descriptor, size):
            header = checked_header(os.pread(descriptor, START, 0), size)
            contents, start = Contents(), 0
            if like is not None and like.used <= header.used and zlib.crc32(_read_index(descriptor, like.used, 0)) == like.checksum:
                contents, start = like.contents.copy(), like.used
            for _ in parse(contents, partial(_read_index, descriptor), start, header.used):
                pass
            if contents.cells > header.cells:
                raise Damaged("it has fewer cells than its series")
            _allocate(descriptor, header.size, fill=False)
            lane = cls(path, descriptor, header, contents)
        lane.end_exchange()
        return lane

    @property
    def used(self) -> int:
        """Bytes of the index in use."""
        return self._used

    @property
    def checksum(self) -> int:
        """That of the index in use."""
        return self._checksum

    @property
    def unshared(self) -> int:
        """How many series its writer has elsewhere, for want of room; its readers are told."""
        return self._unshared

    @unshared.setter
    def unshared(self, number: int) -> None:
        self._unshared = self._words[UNSHARED] = number

    @property
    def damage(self) -> str | None:
        """What somebody else has done to the file, so that readers do not see all of it; ``None`` if nothing."""
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return "it is gone"
        if _identity(found) != self._file:
            return "another file has its name"
        if found.st_size < self._header.size:
            return "it was truncated"
        if (
            self._memory[: HEADER.size] != self._header.encoded()
            or tuple(self._words[USED : SEQUENCE + 1]) != (self._used, self._sequence)
            or zlib.crc32(self._memory[START : START + self._used]) != self._checksum
        ):
            return "its header or index was changed"
        return None

    def restore(self) -> None:
        """Make what is left of the numbers in a truncated file readable, so that they can be moved out of it."""
        if self._is_guarded:  # it is; and giving it its size again would clear what was counted since in its last page
            return
        with suppress(OSError), _opened(self.path, os.O_RDWR) as (descriptor, size):
            if _identity(os.fstat(descriptor)) == self._file and size < self._header.size:
                _allocate(descriptor, self._header.size, fill=False)

    def give_up(self) -> None:
        """Write nothing more, as a forked child that has its parent's lane; a step that the fork interrupted ends nowhere."""
        nowhere: Any = Nowhere(len(self.values))
        self._words = self.values = self._memory = nowhere

    def add_metric(self, content: dict[str, Any]) -> int:
        """Describe a metric (``content["width"]``: cells per series), in terms of JSON; returns its number.

        Raises:
            Full: There is no room.
        """
        self._append(METRIC, content)
        return len(self.contents.metrics) - 1

    def add_series(self, metric: int, key: tuple[str, ...], state: float | None = None) -> int:
        """Find cells for a series, at zero; returns the place of its first number.

        Args:
            metric: The metric's number.
            key: The series' label values.
            state: What its state is, see ``lane_format``; by default a new one.

        Raises:
            Full: There is no room.
        """
        width = self.contents.metrics[metric].width
        at = self.contents.cells + 1
        if at + width > len(self.values):
            raise Full
        self.values[at - 1] = fresh_state() if state is None else state
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
        return self.values[at - 1] != 0.0

    def renew(self, at: int) -> None:
        """Let a series be a new one: what was said of the earlier one does not hold for it."""
        self.values[at - 1] = fresh_state()

    def begin_exchange(self) -> None:
        """From here to :meth:`end_exchange` readers wait rather than see a part."""
        self._sequence |= 1
        self._words[SEQUENCE] = self._sequence

    def end_exchange(self) -> None:
        """The cells are consistent again."""
        self._sequence = (self._sequence + self._sequence % 2) % (1 << 63)
        self._words[SEQUENCE] = self._sequence

    def _append(self, kind: int, content: Any) -> None:
        record = encoded(kind, content)
        used = self._used
        if used + len(record) > self._header.room:
            raise Full
        self._memory[START + used : START + used + len(record)] = record
        self.contents.take(kind, content)
        self._checksum = zlib.crc32(record, self._checksum)
        self._used = used + len(record)
        self._words[USED] = self._used  # the record counts from here on


class Reading(NamedTuple):
    """A lane at one moment.

    Attributes:
        metrics: What its index says; later readings of the same lane share it.
        values: Its cells.
        writer: The process id of its writer, the last one if that is gone.
        damage: Why a part of its series is missing; ``None`` if none is.
        unshared: How many series its writer has elsewhere, for want of room.
    """

    metrics: list[Metric]
    values: array[float]
    writer: int
    damage: str | None
    unshared: int = 0


class Reader:
    """A lane as others see it. Keeps what it has parsed, and no file: reading again reads numbers only. Not safe from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.close()

    def close(self) -> None:
        """Forget what was parsed."""
        self._contents = Contents()
        self._identity = 0
        self._parsed = 0

    def read(self, attempts: int = 100) -> Reading:
        """The lane now.

        Raises:
            Damaged: It cannot be used at all; part of it is missing where the reading says so.
            OSError: It cannot be opened, or is gone.
        """
        with _opened(self.path, os.O_RDONLY) as (descriptor, _):
            for _ in range(attempts):
                header, damage = self._look(descriptor)
                values = array("d")
                numbers = os.pread(descriptor, self._contents.cells * 8, START + header.room)
                if len(numbers) != self._contents.cells * 8:
                    raise Damaged("it has not its full size")
                values.frombytes(numbers)
                now = os.pread(descriptor, 8, SEQUENCE * 8) or bytes(8)
                if header.sequence % 2 == 0 and struct.unpack("=Q", now)[0] == header.sequence:
                    break
        return Reading(self._contents.metrics, values, header.writer, damage, header.unshared)

    def check(self) -> Reading:
        """As :meth:`read`, without the numbers."""
        with _opened(self.path, os.O_RDONLY) as (descriptor, _):
            header, damage = self._look(descriptor)
        return Reading(self._contents.metrics, array("d"), header.writer, damage, header.unshared)

    def _look(self, descriptor: int) -> tuple[Header, str | None]:
        header = checked_header(os.pread(descriptor, START, 0), os.fstat(descriptor).st_size)
        if header.identity != self._identity:  # another one has taken its name
            self.close()
            self._identity = header.identity
        if header.used < self._parsed:
            raise Damaged("its index shrank")
        damage = None
        for _ in range(2):  # a record that is being written may have become whole meanwhile
            damage = None
            try:
                for parsed in parse(self._contents, partial(_read_index, descriptor), self._parsed, header.used):
                    self._parsed = parsed
                break
            except Damaged as found:
                damage = str(found)
        if self._contents.cells > header.cells:
            raise Damaged("it has fewer cells than its series")
        return header, damage


def fresh_state() -> float:
    """A state that no other series has, for one that is shown."""
    return float(1 + int.from_bytes(os.urandom(6), "little"))


_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)

_NO_FILE = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV})
"""What opening a link, a directory, a pipe or a device says."""


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[tuple[int, int]]:
    """A lane's descriptor and its size; whatever else has its name is not opened, and nothing is waited for."""
    try:
        descriptor = os.open(path, flags | _NO_LINKS)
    except OSError as reason:
        if reason.errno in _NO_FILE:
            raise Damaged(f"it is no file: {reason.strerror}") from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Damaged("it is no file")
        yield descriptor, found.st_size
    finally:
        os.close(descriptor)


def _read_index(descriptor: int, count: int, start: int) -> bytes:
    return os.pread(descriptor, count, START + start)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _allocate(descriptor: int, size: int, fill: bool = True) -> None:
    """Have the device set the space aside: a full one is an error here, and not a signal at the first addition."""
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is not None:
        with suppress(NotImplementedError):
            allocate(descriptor, 0, size)
            return
    remaining = size if fill else 0
    while remaining > 0:
        remaining -= os.write(descriptor, bytes(min(remaining, 1 << 16)))
