"""OpenTelemetry's metrics in protocol buffers: an ``ExportMetricsServiceRequest``, and what the answer to it says.

Source: "opentelemetry/proto/collector/metrics/v1/metrics_service.proto" and the messages that it is made of, OTLP 1.x. The bytes are those
of the official encoder: fields in the order of their numbers. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from measurand.encoding import wire
from measurand.encoding.otlp import SCOPE, Attributes, Event, Kind, Metric, Point, Value

__all__ = ["CONTENT_TYPE", "encode", "read_partial_success", "read_status"]

CONTENT_TYPE = "application/x-protobuf"

Pairs = dict[tuple[str, str], bytes]
"""The attributes that have been written as some field, as the same ones come again and again."""


def encode(metrics: Iterable[Metric], resource: Mapping[str, Value], version: str) -> bytes:
    """A request.

    Args:
        metrics: What to send.
        resource: What the metrics are about.
        version: This library's version.
    """
    pairs: dict[Kind, Pairs] = {}
    scope = wire.string(1, SCOPE) + wire.string(2, version)
    attributes = b"".join([_key_value(1, name, _any_value(value)) for name, value in resource.items()])
    content = [wire.message(2, _metric(metric, pairs.setdefault(metric.kind, {}))) for metric in metrics]
    scope_metrics = wire.message(1, scope) + b"".join(content)
    return wire.message(1, wire.message(1, attributes) + wire.message(2, scope_metrics))


def _metric(metric: Metric, pairs: Pairs) -> bytes:
    field, make = _KINDS[metric.kind]
    content = b"".join([wire.message(1, make(metric, point, pairs)) for point in metric.points])
    if metric.kind in {"sum", "histogram", "exponential"}:
        content += wire.uint(2, 1 if metric.is_delta else 2)
    if metric.kind == "sum":
        content += wire.uint(3, 1)
    return wire.string(1, metric.name) + wire.string(2, metric.description) + wire.string(3, metric.unit) + wire.message(field, content)


def _number(metric: Metric, point: Point, pairs: Pairs) -> bytes:
    return (
        wire.fixed64(2, point.start)
        + wire.fixed64(3, point.time)
        + wire.double(4, point.value, always=True)
        + _events(5, point.events)
        + _attributes(7, point.attributes, pairs)
    )


def _histogram(metric: Metric, point: Point, pairs: Pairs) -> bytes:
    return (
        wire.fixed64(2, point.start)
        + wire.fixed64(3, point.time)
        + wire.fixed64(4, point.count)
        + _optional(5, point.sum)
        + wire.packed_fixed64(6, point.counts)
        + wire.packed_doubles(7, metric.bounds)
        + _events(8, point.events)
        + _attributes(9, point.attributes, pairs)
    )


def _exponential(metric: Metric, point: Point, pairs: Pairs) -> bytes:
    buckets = wire.message(8, wire.sint(1, point.offset) + wire.packed_uint(2, point.counts)) if point.counts else b""
    return (
        _attributes(1, point.attributes, pairs)
        + wire.fixed64(2, point.start)
        + wire.fixed64(3, point.time)
        + wire.fixed64(4, point.count)
        + _optional(5, point.sum)
        + wire.sint(6, point.scale)
        + wire.fixed64(7, point.zero_count)
        + buckets
        + _events(11, point.events)
        + wire.double(14, point.zero_threshold)
    )


def _summary(metric: Metric, point: Point, pairs: Pairs) -> bytes:
    return (
        wire.fixed64(2, point.start)
        + wire.fixed64(3, point.time)
        + wire.fixed64(4, point.count)
        + wire.double(5, 0.0 if point.sum is None else point.sum)
        + _attributes(7, point.attributes, pairs)
    )


_KINDS: dict[Kind, tuple[int, Callable[[Metric, Point, Pairs], bytes]]] = {
    "gauge": (5, _number),
    "sum": (7, _number),
    "histogram": (9, _histogram),
    "exponential": (10, _exponential),
    "summary": (11, _summary),
}


def _optional(field: int, number: float | None) -> bytes:
    return b"" if number is None else wire.double(field, number, always=True)


def _events(field: int, events: Iterable[Event]) -> bytes:
    if not events:
        return b""
    return b"".join(
        [
            wire.message(
                field,
                wire.fixed64(2, event.time)
                + wire.double(3, event.value, always=True)
                + wire.string(4, bytes.fromhex(event.span_id))
                + wire.string(5, bytes.fromhex(event.trace_id))
                + _attributes(7, event.attributes, {}),
            )
            for event in events
        ]
    )


def _attributes(field: int, attributes: Attributes, pairs: Pairs) -> bytes:
    return b"".join([pairs.get(pair) or _attribute(field, pair, pairs) for pair in attributes])


def _attribute(field: int, pair: tuple[str, str], pairs: Pairs) -> bytes:
    name, value = pair
    made = pairs[pair] = _key_value(field, name, _any_value(value))
    return made


def _key_value(field: int, name: str, value: bytes) -> bytes:
    return wire.message(field, wire.string(1, name) + wire.message(2, value))


def _any_value(value: Value) -> bytes:
    """A value that is there, written also if it is an empty text, 0 or false."""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + wire.varint(value)
    if isinstance(value, float):
        return wire.double(4, value, always=True)
    return wire.message(1, value.encode())


# -- answers -----------------------------------------------------------------------------------------------------------------


def read_partial_success(answer: bytes) -> tuple[int, str]:
    """How many points were rejected, and what is said of it, in an ``ExportMetricsServiceResponse``; (0, "") if all is well."""
    rejected, message = 0, ""
    for field, content in _fields(answer):
        if field == 1 and isinstance(content, bytes):
            for number, value in _fields(content):
                if number == 1 and isinstance(value, int):
                    rejected = value if value < 1 << 63 else 0
                elif number == 2 and isinstance(value, bytes):
                    message = value.decode("utf-8", "replace")
    return rejected, message


def read_status(answer: bytes) -> str:
    """What a ``google.rpc.Status`` says, as the answer to a request that failed."""
    return next((value.decode("utf-8", "replace") for field, value in _fields(answer) if field == 2 and isinstance(value, bytes)), "")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message up to the first that makes no sense."""
    at = 0
    try:
        while at < len(message):
            key, at = _varint(message, at)
            kind = key & 7
            if kind == 0:
                number, at = _varint(message, at)
                yield key >> 3, number
            else:
                size, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
                if at + size > len(message):
                    return
                yield key >> 3, message[at : at + size]
                at += size
    except (IndexError, KeyError):
        return


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at
