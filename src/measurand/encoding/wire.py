"""The wire format of protocol buffers, as far as the messages need it that this package writes.

Source: protobuf.dev, "Encoding". A message is its fields joined; each function returns one field, as bytes. As in the official encoders a
field that has its default value (0, an empty text) is not written, unless its function's name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

__all__ = [
    "double",
    "fixed64",
    "message",
    "packed_doubles",
    "packed_fixed64",
    "packed_sint",
    "packed_uint",
    "sint",
    "string",
    "uint",
    "varint",
    "zigzag",
]

_DOUBLE = Struct("<d").pack
_FIXED64 = Struct("<Q").pack
_SMALL = [bytes([number]) for number in range(128)]
_KEYS = {(field, kind): bytes([field << 3 | kind]) for field in range(1, 16) for kind in (0, 1, 2, 5)}

_ZERO = _DOUBLE(0.0)


def varint(number: int) -> bytes:
    """A number without sign; a negative one as its two's complement of 64 bits."""
    if 0 <= number < 128:
        return _SMALL[number]
    number &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number: int) -> bytes:
    """A number with sign, so that small ones of either sign are short."""
    return varint(number << 1 if number >= 0 else -number * 2 - 1)


def _key(field: int, kind: int) -> bytes:
    return _KEYS.get((field, kind)) or varint(field << 3 | kind)


def uint(field: int, number: int) -> bytes:
    """An unsigned integer, a signed one of type int32 or int64, an enumeration's number or a truth value."""
    return _key(field, 0) + varint(number) if number else b""


def sint(field: int, number: int) -> bytes:
    """A signed integer of type sint32 or sint64."""
    return _key(field, 0) + zigzag(number) if number else b""


def double(field: int, number: float, *, always: bool = False) -> bytes:
    """A double; ``always`` writes a zero too, as a member of a oneof or an optional field does. Minus zero is not the default value."""
    packed = _DOUBLE(number)
    return _key(field, 1) + packed if always or packed != _ZERO else b""


def fixed64(field: int, number: int, *, always: bool = False) -> bytes:
    """An unsigned integer in eight bytes."""
    return _key(field, 1) + _FIXED64(number) if number or always else b""


def string(field: int, text: str | bytes) -> bytes:
    """A text, or bytes."""
    data = text.encode() if isinstance(text, str) else text
    return _key(field, 2) + varint(len(data)) + data if data else b""


def message(field: int, content: bytes) -> bytes:
    """A message within a message, written also if it is empty."""
    return _key(field, 2) + varint(len(content)) + content


def packed_doubles(field: int, numbers: Iterable[float]) -> bytes:
    """A repeated double."""
    return string(field, b"".join(map(_DOUBLE, numbers)))


def packed_fixed64(field: int, numbers: Iterable[int]) -> bytes:
    """A repeated fixed64."""
    return string(field, b"".join(map(_FIXED64, numbers)))


def packed_uint(field: int, numbers: Iterable[int]) -> bytes:
    """A repeated unsigned integer."""
    return string(field, b"".join(map(varint, numbers)))


def packed_sint(field: int, numbers: Iterable[int]) -> bytes:
    """A repeated signed integer of type sint32 or sint64."""
    return string(field, b"".join(map(zigzag, numbers)))
