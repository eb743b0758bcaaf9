"""The official encoder of protocol buffers, told at run time what Prometheus' messages are."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from measurand.encoding.escaping import UNDERSCORES
from measurand.encoding.protobuf import generate_latest

__all__ = ["MESSAGES", "canonical", "delimited", "families_in", "message", "read"]

_NUMBERS = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _NUMBERS.TYPE_STRING,
    "double": _NUMBERS.TYPE_DOUBLE,
    "int64": _NUMBERS.TYPE_INT64,
    "uint32": _NUMBERS.TYPE_UINT32,
    "uint64": _NUMBERS.TYPE_UINT64,
    "sint32": _NUMBERS.TYPE_SINT32,
    "sint64": _NUMBERS.TYPE_SINT64,
}
ENUM = ("COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM")
TIMESTAMP = "google.protobuf.Timestamp"
MESSAGES = {
    "LabelPair": {"name": (1, "string"), "value": (2, "string")},
    "Exemplar": {"label": (1, "LabelPair*"), "value": (2, "double"), "timestamp": (3, TIMESTAMP)},
    "Gauge": {"value": (1, "double")},
    "Counter": {"value": (1, "double"), "exemplar": (2, "Exemplar"), "created_timestamp": (3, TIMESTAMP)},
    "Quantile": {"quantile": (1, "double"), "value": (2, "double")},
    "Summary": {
        "sample_count": (1, "uint64"),
        "sample_sum": (2, "double"),
        "quantile": (3, "Quantile*"),
        "created_timestamp": (4, TIMESTAMP),
    },
    "Untyped": {"value": (1, "double")},
    "Bucket": {
        "cumulative_count": (1, "uint64"),
        "cumulative_count_float": (4, "double"),
        "upper_bound": (2, "double"),
        "exemplar": (3, "Exemplar"),
    },
    "BucketSpan": {"offset": (1, "sint32"), "length": (2, "uint32")},
    "Histogram": {
        "sample_count": (1, "uint64"),
        "sample_count_float": (4, "double"),
        "sample_sum": (2, "double"),
        "bucket": (3, "Bucket*"),
        "created_timestamp": (15, TIMESTAMP),
        "schema": (5, "sint32"),
        "zero_threshold": (6, "double"),
        "zero_count": (7, "uint64"),
        "zero_count_float": (8, "double"),
        "negative_span": (9, "BucketSpan*"),
        "negative_delta": (10, "sint64*"),
        "negative_count": (11, "double*"),
        "positive_span": (12, "BucketSpan*"),
        "positive_delta": (13, "sint64*"),
        "positive_count": (14, "double*"),
        "exemplars": (16, "Exemplar*"),
    },
    "Metric": {
        "label": (1, "LabelPair*"),
        "gauge": (2, "Gauge"),
        "counter": (3, "Counter"),
        "summary": (4, "Summary"),
        "untyped": (5, "Untyped"),
        "histogram": (7, "Histogram"),
        "timestamp_ms": (6, "int64"),
    },
    "MetricFamily": {
        "name": (1, "string"),
        "help": (2, "string"),
        "type": (3, "MetricType"),
        "metric": (4, "Metric*"),
        "unit": (5, "string"),
    },
}
"""The fields of each message: number and type, with an asterisk if it is repeated."""


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="io.prometheus.client", syntax="proto3")
    file.dependency.append(timestamp_pb2.DESCRIPTOR.name)
    enum = file.enum_type.add(name="MetricType")
    for number, name in enumerate(ENUM):
        enum.value.add(name=name, number=number)
    for name, fields in MESSAGES.items():
        one = file.message_type.add(name=name)
        for field, (number, type_) in fields.items():
            plain = type_.removesuffix("*")
            told = one.field.add(name=field, number=number, label=_NUMBERS.LABEL_REPEATED if type_ != plain else _NUMBERS.LABEL_OPTIONAL)
            if plain in _TYPES:
                told.type = _TYPES[plain]
            else:
                told.type = _NUMBERS.TYPE_ENUM if plain == "MetricType" else _NUMBERS.TYPE_MESSAGE
                told.type_name = f".{plain}" if "." in plain else f".io.prometheus.client.{plain}"
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
_pool.AddSerializedFile(_described().SerializeToString())


def message(name: str, **content: Any) -> Any:
    """One of the messages."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"io.prometheus.client.{name}"))(**content)


def families_in(data: bytes) -> list[Any]:
    """The families of a page, read by the official decoder; nothing may be left over, and nothing unknown."""
    found = []
    at = 0
    while at < len(data):
        length = shift = 0
        while True:
            length |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                break
        assert at + length <= len(data), "the last message is cut off"
        found.append(message("MetricFamily"))
        found[-1].ParseFromString(data[at : at + length])
        at += length
    return found


def delimited(families: list[Any]) -> bytes:
    """A page, as the official encoder writes its messages."""
    out = bytearray()
    for family in families:
        data = family.SerializeToString(deterministic=True)
        length = len(data)
        while length > 127:
            out.append(length & 127 | 128)
            length >>= 7
        out.append(length)
        out += data
    return bytes(out)


def canonical(data: bytes) -> list[Any]:
    """The families of a page that is, byte by byte, as the official encoder would write it."""
    families = families_in(data)
    assert delimited(families) == data
    return families


def read(registry: Any, escaping: str = UNDERSCORES) -> dict[str, Any]:
    """The families of a registry's page by name; the page is, byte by byte, what the official encoder writes."""
    return {family.name: family for family in canonical(generate_latest(registry, escaping))}
