"""Snappy's block format beside the library for it."""

from __future__ import annotations

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.encoding import snappy

pytestmark = pytest.mark.once

REPETITIVE = st.lists(st.sampled_from([b"a", b"orders_total", b"\0" * 70, b"channel", b"xy" * 3000]), max_size=200).map(b"".join)
DATA = st.one_of(st.binary(max_size=400), REPETITIVE)


@given(DATA)
def test_the_library_reads_what_is_written(data: bytes) -> None:
    assert bytes(cramjam.snappy.decompress_raw(snappy.compress(data))) == data


@pytest.mark.parametrize("length", [0, 1, 59, 60, 61, 256, 257, 65536, 65537, (1 << 24) - 1, 1 << 24, (1 << 24) + 5])
def test_the_library_reads_literals_of_every_width(length: int) -> None:
    data = b"\x5a" * length
    block = snappy.compress(data)
    assert bytes(cramjam.snappy.decompress_raw(block)) == data
    assert len(block) <= length + 5 + 4 * (length // snappy.LONGEST + 1)


@given(DATA)
def test_what_the_library_compresses_is_read(data: bytes) -> None:
    assert snappy.decompress(bytes(cramjam.snappy.compress_raw(data))) == data


@pytest.mark.parametrize(
    ("block", "content"),
    [
        (b"\x06\x04ab\x0e\x02\x00", b"ababab"),
        (b"\x05\x00a\x01\x01", b"aaaaa"),
        (b"\x03\x00a\x07\x01\x00\x00\x00", b"aaa"),
    ],
    ids=["two bytes back", "one byte back, again and again", "an offset of four bytes"],
)
def test_copies_of_each_kind_are_read(block: bytes, content: bytes) -> None:
    assert bytes(cramjam.snappy.decompress_raw(block)) == content
    assert snappy.decompress(block) == content


@pytest.mark.parametrize(
    "block",
    [b"", b"\x80", b"\x05\x08ab", b"\x02\x00a", b"\x02\xf0", b"\x04\x00a\x05\x02", b"\x04\x00a\x05\x00", b"\xff" * 9, b"\x02\x00a\x02\x01"],
)
def test_what_is_no_block_is_refused(block: bytes) -> None:
    with pytest.raises(ValueError, match="block"):
        snappy.decompress(block)


@given(st.binary(max_size=60))
def test_anything_is_read_or_refused_as_the_library_does(block: bytes) -> None:
    try:
        expected = bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError:
        with pytest.raises(ValueError, match="block"):
            snappy.decompress(block)
    else:
        assert snappy.decompress(block) == expected
