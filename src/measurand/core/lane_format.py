"""The format of a lane, see ``lanes``: what bytes mean, and which of them are believed.

Integers and doubles are in the machine's own byte order. A lane is a header (:data:`HEADER`: what never changes, with its checksum; then
the words :data:`USED`, :data:`SEQUENCE` and :data:`WRITER`), the index (records: length, checksum, kind, content as JSON) and the cells. A
series has one cell for its state (1: shown, 0: removed), then its numbers.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

__all__ = ["Contents", "Damaged", "Full", "Metric", "checked_header", "decoded", "encoded", "header"]

MAGIC = b"MEASLANE"
VERSION = 1
HEADER = struct.Struct("=8sIIQQ")  # magic, checksum of what follows, version, bytes of the index, number of cells
RECORD = struct.Struct("=IIII")  # bytes with this, checksum of what follows, kind, bytes of the content
USED, SEQUENCE, WRITER = 4, 5, 6
"""Numbers of 64-bit words: bytes of the index in use; odd while cells are exchanged; the writer's process id."""
START = 64
METRIC, SERIES, NOTE = 1, 2, 3
DECODER = json.JSONDecoder()
LARGEST = 1 << 32
"""Bytes of the largest lane that is believed."""


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
        self.series: dict[tuple[str, ...], int] = {}
        self.notes: dict[tuple[str, ...], Any] = {}


class Contents:
    """What the records of an index say."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []
        self.cells = 0  # how many are given away

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


def encoded(kind: int, content: Any) -> bytes:
    """A record, its length a multiple of eight."""
    text = json.dumps(content, separators=(",", ":")).encode()
    body = struct.pack("=II", kind, len(text)) + text
    body += bytes(-len(body) % 8)
    return struct.pack("=II", 8 + len(body), zlib.crc32(body)) + body


def decoded(index: bytes) -> Iterator[tuple[int, Any, int]]:
    """The records of an index, each with its length.

    Raises:
        Damaged: A record is not what was written.
    """
    at = 0
    while at < len(index):
        if at + RECORD.size > len(index):
            raise Damaged("a record has no end")
        length, checksum, kind, size = RECORD.unpack_from(index, at)
        if length % 8 or length < RECORD.size + size or at + length > len(index):
            raise Damaged("a record's length is wrong")
        if zlib.crc32(index[at + 8 : at + length]) != checksum:
            raise Damaged("a record's checksum is wrong")
        try:
            content, _ = DECODER.raw_decode(index[at + RECORD.size : at + RECORD.size + size].decode())
        except ValueError:
            raise Damaged("a record is not JSON") from None
        yield kind, content, length
        at += length


def header(index: int, cells: int) -> bytes:
    """The unchanging part of a header."""
    rest = struct.pack("=IQQ", VERSION, index, cells)
    return HEADER.pack(MAGIC, zlib.crc32(rest), VERSION, index, cells)


def checked_header(data: bytes, size: int) -> tuple[int, int, int]:
    """The bytes of the index, the number of cells, and the bytes of the index in use.

    Args:
        data: The first bytes of a lane.
        size: Those of the whole file.

    Raises:
        Damaged: They are not a lane's, or the file ends before the lane does.
    """
    if len(data) < START:
        raise Damaged("it ends in its header")
    magic, checksum, version, index, cells = HEADER.unpack_from(data)
    if magic != MAGIC or zlib.crc32(struct.pack("=IQQ", version, index, cells)) != checksum:
        raise Damaged("its header is wrong")
    if version != VERSION:
        raise Damaged(f"its format is version {version}, ours {VERSION}")
    used = struct.unpack_from("=Q", data, USED * 8)[0]
    if size > LARGEST or size < START + index + cells * 8:
        raise Damaged("it has not its full size")
    if used > index:
        raise Damaged("its index has no end")
    return index, cells, used


def take(contents: Contents, kind: int, content: Any) -> None:
    try:
        contents.take(kind, content)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as reason:
        raise Damaged(f"a record makes no sense: {reason}") from None
