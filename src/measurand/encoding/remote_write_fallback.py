"""A request of remote write 2.0 as one of 1.0, for a receiver that turns out not to take 2.0.

What waits to be sent is kept as the bytes that were going to be sent, so this is made from them. The numbers and times stay as they are;
since when a series counts is lost, as 1.0 cannot say it. Reads what :mod:`measurand.encoding.remote_write_messages` writes. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct

from measurand.encoding.remote_write_messages import ExemplarPoint, Meta, exemplar_1, labels_1, metadata_1
from measurand.encoding.wire import message

__all__ = ["as_version_1"]

_TO_DOUBLE = Struct("<d").unpack
_SUFFIXES = {3: ("_bucket", "_count", "_sum"), 5: ("_count", "_sum")}
"""What is put behind the name of a histogram or summary, by the number of its type."""


def as_version_1(body: bytes) -> bytes:
    """The same series as a ``prometheus.WriteRequest``.

    Args:
        body: An ``io.prometheus.write.v2.Request``, not compressed.
    """
    symbols: list[str] = []
    series: list[bytes] = []
    metas: dict[Meta, None] = {}
    for field, value in _fields(body):
        if field == 4:
            symbols.append(_bytes(value).decode())
        elif field == 5:
            content, meta = _series(_bytes(value), symbols)
            series.append(message(1, content))
            metas[meta] = None
    return b"".join([*series, *map(metadata_1, metas)])


def _series(content: bytes, symbols: Sequence[str]) -> tuple[bytes, Meta]:
    labels: list[str] = []
    samples, histograms, exemplars = b"", b"", b""
    type_ = 0
    help_ = unit = ""
    for field, value in _fields(content):
        if field == 1:
            labels = _texts(_bytes(value), symbols)
        elif field == 2:
            samples += message(2, _sample(_bytes(value)))
        elif field == 3:
            histograms += message(4, _bytes(value))
        elif field == 4:
            exemplars += exemplar_1(_exemplar(_bytes(value), symbols))
        elif field == 5:
            known = {number: _int(content) for number, content in _fields(_bytes(value))}
            type_, help_, unit = known.get(1, 0), symbols[known.get(3, 0)], symbols[known.get(4, 0)]
    name = labels[labels[::2].index("__name__") * 2 + 1]
    if not histograms:
        name = next((name.removesuffix(suffix) for suffix in _SUFFIXES.get(type_, ()) if name.endswith(suffix)), name)
    return labels_1(labels) + samples + exemplars + histograms, Meta(name, type_, help_, unit, bool(histograms))


def _sample(content: bytes) -> bytes:
    """A sample without its third field, which is its last."""
    end = 0
    for field, _, after in _walk(content):
        if field < 3:
            end = after
    return content[:end]


def _exemplar(content: bytes, symbols: Sequence[str]) -> ExemplarPoint:
    known = dict(_fields(content))
    value = _TO_DOUBLE(_bytes(known[2]))[0] if 2 in known else 0.0
    return ExemplarPoint(tuple(_texts(_bytes(known.get(1, b"")), symbols)), value, _int(known.get(3, 0)))


def _texts(refs: bytes, symbols: Sequence[str]) -> list[str]:
    found = []
    at = 0
    while at < len(refs):
        place, at = _varint(refs, at)
        found.append(symbols[place])
    return found


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    return ((field, value) for field, value, _ in _walk(content))


def _walk(content: bytes) -> Iterator[tuple[int, int | bytes, int]]:
    """The fields of a message: number, content, and where the next one begins."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        value: int | bytes
        if key & 7 == 0:
            value, at = _varint(content, at)
        elif key & 7 == 1:
            value, at = content[at : at + 8], at + 8
        else:
            length, at = _varint(content, at)
            value, at = content[at : at + length], at + length
        yield key >> 3, value, at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where a text, bytes or a message should be")
    return value


def _int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise TypeError("bytes where a number should be")
    return value
