"""Snappy's block format, without compressing anything.

Source: github.com/google/snappy, "format_description.txt". Remote write demands the format; where no library for it is installed, a body of
literals alone is one that every receiver can read. It is four bytes in 16 MiB longer than what it holds. Pure functions.
"""

from __future__ import annotations

from measurand.encoding.wire import varint

__all__ = ["compress", "decompress"]

LONGEST = 1 << 24
"""Bytes in one literal, whose length stands in three bytes."""

_IN_TAG = 60
"""A literal of up to so many bytes has its length in the tag."""


def compress(data: bytes) -> bytes:
    """A block that holds ``data`` as it is."""
    parts = [varint(len(data))]
    for begin in range(0, len(data), LONGEST):
        literal = data[begin : begin + LONGEST]
        parts += [_tag(len(literal) - 1), literal]
    return b"".join(parts)


def _tag(last: int) -> bytes:
    """What stands before a literal, by its length less one."""
    if last < _IN_TAG:
        return bytes([last << 2])
    width = (last.bit_length() + 7) // 8
    return bytes([(_IN_TAG - 1 + width) << 2]) + last.to_bytes(width, "little")


def decompress(block: bytes) -> bytes:
    """What a block holds, whoever made it.

    Raises:
        ValueError: It is no block, or only a part of one.
    """
    try:
        length, at = _varint(block, 0)
        out = bytearray()
        while at < len(block):
            at = _element(block, at, out)
    except IndexError:
        raise ValueError("the block ends too early") from None
    if len(out) != length:
        raise ValueError(f"the block holds {len(out)} bytes, and says that there are {length}")
    return bytes(out)


def _element(block: bytes, at: int, out: bytearray) -> int:
    """Add what the element at ``at`` stands for, and return where the next one is."""
    tag = block[at]
    kind = tag & 3
    at += 1
    if kind == 0:
        length = (tag >> 2) + 1
        if length > _IN_TAG:
            width = length - _IN_TAG
            length, at = _number(block, at, width) + 1, at + width
        if at + length > len(block):
            raise ValueError("the block ends within a literal")
        out += block[at : at + length]
        return at + length
    if kind == 1:
        length, offset, at = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | block[at], at + 1
    else:
        width = 2 if kind == 2 else 4
        length, offset, at = (tag >> 2) + 1, _number(block, at, width), at + width
    if not 0 < offset <= len(out):
        raise ValueError(f"the block refers to what stands {offset} bytes back, and there are {len(out)}")
    start = len(out) - offset
    piece = bytes(out[start : start + length])
    out += (piece * (length // len(piece) + 1))[:length]  # a copy may reach into what it makes itself
    return at


def _number(block: bytes, at: int, width: int) -> int:
    if at + width > len(block):
        raise IndexError
    return int.from_bytes(block[at : at + width], "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 28:
            raise ValueError("the block's length is too long")
