"""The wire format, byte for byte as the official encoder writes it."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import example, given
from hypothesis import strategies as st

from measurand.encoding import wire

pytestmark = pytest.mark.once

Field = descriptor_pb2.FieldDescriptorProto

FIELDS = (1, 2, 15, 16, 2047, 2048, 536_870_911)
"""Numbers of fields whose keys have one byte to five."""

TYPES = {
    "uint": Field.TYPE_UINT64,
    "int": Field.TYPE_INT64,
    "int32": Field.TYPE_INT32,
    "bool": Field.TYPE_BOOL,
    "sint": Field.TYPE_SINT64,
    "double": Field.TYPE_DOUBLE,
    "fixed64": Field.TYPE_FIXED64,
    "string": Field.TYPE_STRING,
    "bytes": Field.TYPE_BYTES,
    "message": Field.TYPE_MESSAGE,
}


@cache
def official() -> Any:
    """A class of messages with a field ``TYPE_NUMBER`` of each type, made at run time; repeated ones are ``many_TYPE_NUMBER``.

    A message within it is one of its own kind.
    """
    file = descriptor_pb2.FileDescriptorProto(name="wire.proto", package="tests", syntax="proto3")
    for prefix, label in (("", Field.LABEL_OPTIONAL), ("many_", Field.LABEL_REPEATED)):
        for name, type_ in TYPES.items():
            message = file.message_type.add(name=f"{prefix}{name}")
            for number in FIELDS:
                field = message.field.add(name=f"at_{number}", number=number, type=type_, label=label)
                if name == "message":
                    field.type_name = ".tests.uint"
    optional = file.message_type.add(name="present")
    for number, name in ((1, "double"), (2, "fixed64")):
        optional.oneof_decl.add(name=f"_{name}")
        optional.field.add(
            name=name, number=number, type=TYPES[name], label=Field.LABEL_OPTIONAL, proto3_optional=True, oneof_index=number - 1
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tests.{name}"))


def written(name: str, field: int, value: Any) -> bytes:
    """A message with one field, as the official encoder writes it."""
    made: bytes = official()(name)(**{f"at_{field}": value}).SerializeToString()
    return made


fields = st.sampled_from(FIELDS)
unsigned = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
signed = st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(fields, unsigned)
@example(1, 127)
@example(1, 128)
@example(1, 2**64 - 1)
def test_unsigned_integers(field: int, number: int) -> None:
    assert wire.uint(field, number) == written("uint", field, number)
    assert wire.fixed64(field, number) == written("fixed64", field, number)
    assert wire.varint(number) == written("uint", 1, number)[1:] or number == 0


@given(fields, signed)
@example(1, -1)
@example(1, -(2**63))
def test_signed_integers(field: int, number: int) -> None:
    assert wire.uint(field, number) == written("int", field, number)
    assert wire.sint(field, number) == written("sint", field, number)
    assert wire.zigzag(number) == written("sint", 1, number)[1:] or number == 0


@given(fields, st.integers(-(2**31), 2**31 - 1))
def test_short_signed_integers_and_enumerations(field: int, number: int) -> None:
    assert wire.uint(field, number) == written("int32", field, number)


@pytest.mark.parametrize("value", [True, False])
def test_truth_values(value: bool) -> None:
    assert wire.uint(2, value) == written("bool", 2, value)


@given(fields, st.floats())
@example(1, -0.0)
@example(1, 0.0)
@example(1, math.inf)
def test_doubles(field: int, number: float) -> None:
    assert wire.double(field, number) == written("double", field, number)


@given(st.floats(), unsigned)
@example(0.0, 0)
def test_fields_that_are_written_even_if_they_are_zero(number: float, count: int) -> None:
    message = official()("present")(double=number, fixed64=count)
    assert wire.double(1, number, always=True) + wire.fixed64(2, count, always=True) == message.SerializeToString()


@given(fields, texts, st.binary(max_size=300))
def test_texts_and_bytes(field: int, text: str, data: bytes) -> None:
    assert wire.string(field, text) == written("string", field, text)
    assert wire.string(field, data) == written("bytes", field, data)


@given(fields, unsigned)
@example(1, 0)
def test_messages_are_written_even_if_they_are_empty(field: int, number: int) -> None:
    assert wire.message(field, wire.uint(1, number)) == written("message", field, official()("uint")(at_1=number))


PACKED: list[tuple[str, Callable[[int, Any], bytes], st.SearchStrategy[Any]]] = [
    ("double", wire.packed_doubles, st.floats()),
    ("fixed64", wire.packed_fixed64, unsigned),
    ("uint", wire.packed_uint, unsigned),
    ("sint", wire.packed_sint, signed),
]


@pytest.mark.parametrize(("name", "write", "numbers"), PACKED, ids=[name for name, *_ in PACKED])
@given(fields, st.data())
def test_repeated_numbers(
    name: str, write: Callable[[int, Any], bytes], numbers: st.SearchStrategy[Any], field: int, data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(numbers, max_size=40))
    assert write(field, drawn) == written(f"many_{name}", field, drawn)
    assert write(field, iter(drawn)) == written(f"many_{name}", field, drawn)


def test_what_does_not_fit_is_an_error_and_no_other_number() -> None:
    for wrong in (-1, 2**64):
        with pytest.raises(struct.error):
            wire.fixed64(1, wrong)
