"""The format of a lane, see ``lanes``: what bytes mean, and which of them are believed.

Integers and doubles are in the machine's own byte order. A lane is a header (:data:`HEADER`: what never changes, with its checksum; then
the words :data:`USED`, :data:`SEQUENCE`, :data:`WRITER` and :data:`UNSHARED`), the index (records: length, checksum, kind, content as JSON)
and the cells. A series has one cell for its state (0: removed; else a number that no other series has, negative
while it is shown only if something was recorded in it), then its numbers.

No length that stands in a lane is believed before it was held against the file's, nor a record's before its checksum was: what is read from
a damaged lane takes no more memory than :data:`CHUNK` and what was sound in it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

__all__ = ["Contents", "Damaged", "Full", "Header", "Metric", "Nowhere", "checked_header", "decoded", "encoded", "parse"]

MAGIC = b"MEASLANE"
VERSION = 2
HEADER = struct.Struct("=8sIIQQQ")  # magic, checksum of what follows, version, identity, bytes of the index, number of cells
RECORD = struct.Struct("=IIII")  # bytes with this, checksum of what follows, kind, bytes of the content
USED, SEQUENCE, WRITER, UNSHARED = 8, 9, 10, 11
"""Numbers of 64-bit words: bytes of the index in use; odd while cells are exchanged; the writer's process id; how many series it has
elsewhere, for want of room."""
START = 128
METRIC, SERIES, NOTE = 1, 2, 3
DECODER = json.JSONDecoder()
LARGEST = 1 << 32
"""Bytes of the largest lane that is believed."""
LARGEST_RECORD = 1 << 22
"""Bytes of the largest record that is written or believed."""
WIDEST = 1 << 16
"""Cells of the widest series."""
CHUNK = 1 << 16
"""Bytes of an index that are read at once, if no record in them is larger."""


class Damaged(Exception):
    """A lane that does not hold what its writer wrote."""


class Full(Exception):
    """A lane has no room for another record or its cells: a larger one has to be made."""


class Metric:
    """One metric as it stands in a lane.

    Attributes:
        content: What its writer says of it, as from JSON.
        width: How many cells a series has, its state not counted.
        series: Label values to the place of the first number, the latest series where there were several.
        notes: What was last said about a series, by label values.
    """

    __slots__ = ("content", "notes", "series", "width")

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.width = int(content["width"])
        if not 0 < self.width <= WIDEST:
            raise ValueError(f"a series cannot have {self.width} cells")
        self.series: dict[tuple[str, ...], int] = {}
        self.notes: dict[tuple[str, ...], Any] = {}


class Contents:
    """What the records of an index say."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []
        self.cells = 0  # how many are given away

    def copy(self) -> Contents:
        """The same, for somebody who adds to it."""
        other = Contents()
        other.cells = self.cells
        for metric in self.metrics:
            copied = Metric(metric.content)
            copied.series, copied.notes = dict(metric.series), dict(metric.notes)
            other.metrics.append(copied)
        return other

    def take(self, kind: int, content: Any) -> None:
        """Add what a record says.

        Raises:
            KeyError, IndexError, TypeError, ValueError, AttributeError: It makes no sense.
        """
        if kind == METRIC:
            self.metrics.append(Metric(content))
            return
        metric = self.metrics[content["m"]]
        key = tuple(content["k"])
        if not all(isinstance(value, str) for value in key):
            raise TypeError("label values are strings")
        if kind == SERIES:
            if content["at"] != self.cells + 1:
                raise ValueError("the cells of a series follow those of the one before")
            self.cells += 1 + metric.width
            metric.series.pop(key, None)
            metric.series[key] = content["at"]
        elif kind == NOTE:
            metric.notes[key] = content["note"]
        else:
            raise ValueError("no such kind of record")


class Nowhere:
    """Memory for a lane that keeps nothing of what is written to it."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: Any) -> Any:
        return b"" if isinstance(place, slice) else 0

    def __setitem__(self, place: Any, content: Any) -> None:
        pass


def encoded(kind: int, content: Any) -> bytes:
    """A record, its length a multiple of eight.

    Raises:
        ValueError: It would be larger than any reader believes.
    """
    text = json.dumps(content, separators=(",", ":")).encode()
    body = struct.pack("=II", kind, len(text)) + text
    body += bytes(-len(body) % 8)
    if len(body) + 8 > LARGEST_RECORD:
        raise ValueError(f"label values and facts of {len(text)} bytes are too large to be shown to other processes")
    return struct.pack("=II", 8 + len(body), zlib.crc32(body)) + body


def decoded(index: bytes, whole: bool = True) -> Iterator[tuple[int, Any, int]]:
    """The records of an index, each with its length.

    Args:
        index: The records.
        whole: Whether all of the last one is there; else it is left out if it is not.

    Raises:
        Damaged: A record is not what was written.
    """
    at = 0
    while at < len(index):
        if at + RECORD.size > len(index):
            if whole:
                raise Damaged("a record has no end")
            return
        length, checksum, kind, size = RECORD.unpack_from(index, at)
        if length % 8 or length < RECORD.size + size or length > LARGEST_RECORD or (whole and at + length > len(index)):
            raise Damaged("a record's length is wrong")
        if at + length > len(index):
            return
        if zlib.crc32(index[at + 8 : at + length]) != checksum:
            raise Damaged("a record's checksum is wrong")
        try:
            content, _ = DECODER.raw_decode(index[at + RECORD.size : at + RECORD.size + size].decode())
        except (ValueError, RecursionError):
            raise Damaged("a record is not JSON") from None
        yield kind, content, length
        at += length


def parse(contents: Contents, read: Callable[[int, int], bytes], start: int, used: int) -> Iterator[int]:
    """Take the records of an index between two places; yields where the next one begins, after each that was taken.

    Args:
        contents: Where to.
        read: Gives so many bytes of the index from a place on.
        start: The first place.
        used: Where the records end.

    Raises:
        Damaged: A record is not what was written; those before it have been taken.
    """
    chunk = CHUNK
    while start < used:
        data = read(min(chunk, used - start), start)
        before = start
        for kind, content, length in decoded(data, whole=len(data) == used - start):
            take(contents, kind, content)
            start += length
            yield start
        if start == before:  # a record larger than the chunk, or a file that has become shorter
            if chunk == LARGEST_RECORD:
                raise Damaged("it ends in its index")
            chunk = LARGEST_RECORD


class Header(NamedTuple):
    """What a lane says of itself.

    Attributes:
        identity: Its own number, as good as never given twice.
        room: Bytes of its index.
        cells: How many doubles it has.
        used: Bytes of the index in use.
        sequence: Odd while cells are exchanged.
        writer: The writer's process id.
        unshared: How many series the writer has elsewhere.
    """

    identity: int
    room: int
    cells: int
    used: int = 0
    sequence: int = 0
    writer: int = 0
    unshared: int = 0

    @property
    def size(self) -> int:
        """Bytes of the whole lane."""
        return START + self.room + self.cells * 8

    def encoded(self) -> bytes:
        """The part of it that never changes."""
        rest = struct.pack("=IQQQ", VERSION, self.identity, self.room, self.cells)
        return HEADER.pack(MAGIC, zlib.crc32(rest), VERSION, self.identity, self.room, self.cells)


def checked_header(data: bytes, size: int) -> Header:
    """A lane's header.

    Args:
        data: The first bytes of the lane.
        size: Those of the whole file.

    Raises:
        Damaged: They are not a lane's, or the file ends before the lane does.
    """
    if len(data) < START:
        raise Damaged("it ends in its header")
    magic, checksum, version, identity, index, cells = HEADER.unpack_from(data)
    if magic == MAGIC and version != VERSION:
        raise Damaged(f"its format is version {version}, ours {VERSION}")
    if magic != MAGIC or zlib.crc32(struct.pack("=IQQQ", version, identity, index, cells)) != checksum:
        raise Damaged("its header is wrong")
    found = Header(identity, index, cells, *struct.unpack_from("=QQQQ", data, USED * 8))
    if not found.size <= min(size, LARGEST):
        raise Damaged("it has not its full size")
    if found.used > index or found.used % 8:
        raise Damaged("its index has no end")
    return found


def take(contents: Contents, kind: int, content: Any) -> None:
    """As :meth:`Contents.take`.

    Raises:
        Damaged: It makes no sense.
    """
    try:
        contents.take(kind, content)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as reason:
        raise Damaged(f"a record makes no sense: {reason}") from None
