"""OpenTelemetry's metrics in JSON: an ``ExportMetricsServiceRequest``, and what the answer to it says.

Source: the OpenTelemetry protocol (OTLP) 1.x, "JSON Protobuf Encoding": protobuf's own mapping to JSON with lowerCamelCase names and whole
numbers of 64 bits as text, except that enumerations are numbers and the ids of traces and spans hexadecimal. Pure functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from math import inf, isfinite
from typing import Any

from measurand.encoding.otlp import SCOPE, Attributes, Event, Kind, Metric, Point, Value

__all__ = ["CONTENT_TYPE", "encode", "read_partial_success", "read_status"]

CONTENT_TYPE = "application/json"


def encode(metrics: Iterable[Metric], resource: Mapping[str, Value], version: str) -> bytes:
    """A request.

    Args:
        metrics: What to send.
        resource: What the metrics are about.
        version: This library's version.
    """
    attributes = [{"key": name, "value": _any_value(value)} for name, value in resource.items()]
    scope_metrics = {"scope": {"name": SCOPE, "version": version}, "metrics": [_metric(metric) for metric in metrics]}
    request = {"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [scope_metrics]}]}
    return json.dumps(request, separators=(",", ":"), allow_nan=False).encode()


def _metric(metric: Metric) -> dict[str, Any]:
    field, make = _KINDS[metric.kind]
    content: dict[str, Any] = {"dataPoints": [make(metric, point) for point in metric.points]}
    if metric.kind in {"sum", "histogram", "exponential"}:
        content["aggregationTemporality"] = 1 if metric.is_delta else 2
    if metric.kind == "sum":
        content["isMonotonic"] = True
    return {"name": metric.name, "description": metric.description, "unit": metric.unit, field: content}


def _number(metric: Metric, point: Point) -> dict[str, Any]:
    return {**_common(point), "asDouble": _double(point.value)}


def _histogram(metric: Metric, point: Point) -> dict[str, Any]:
    counts, bounds = list(map(str, point.counts)), [_double(bound) for bound in metric.bounds]
    return {**_counted(point), "bucketCounts": counts, "explicitBounds": bounds}


def _exponential(metric: Metric, point: Point) -> dict[str, Any]:
    content = {**_counted(point), "scale": point.scale, "zeroCount": str(point.zero_count), "zeroThreshold": _double(point.zero_threshold)}
    if point.counts:
        content["positive"] = {"offset": point.offset, "bucketCounts": list(map(str, point.counts))}
    return content


def _counted(point: Point) -> dict[str, Any]:
    content = {**_common(point), "count": str(point.count)}
    if point.sum is not None:
        content["sum"] = _double(point.sum)
    return content


_KINDS: dict[Kind, tuple[str, Callable[[Metric, Point], dict[str, Any]]]] = {
    "gauge": ("gauge", _number),
    "sum": ("sum", _number),
    "histogram": ("histogram", _histogram),
    "exponential": ("exponentialHistogram", _exponential),
    "summary": ("summary", lambda metric, point: _counted(point)),
}


def _common(point: Point) -> dict[str, Any]:
    content: dict[str, Any] = {"timeUnixNano": str(point.time)}
    if point.start:
        content["startTimeUnixNano"] = str(point.start)
    if point.attributes:
        content["attributes"] = _attributes(point.attributes)
    if point.events:
        content["exemplars"] = [_event(event) for event in point.events]
    return content


def _event(event: Event) -> dict[str, Any]:
    content: dict[str, Any] = {"timeUnixNano": str(event.time), "asDouble": _double(event.value)}
    if event.span_id:
        content["spanId"] = event.span_id
    if event.trace_id:
        content["traceId"] = event.trace_id
    if event.attributes:
        content["filteredAttributes"] = _attributes(event.attributes)
    return content


def _attributes(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": value}} for name, value in attributes]


def _any_value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": _double(value)}
    return {"stringValue": value}


def _double(number: float) -> float | str:
    """A number; a text for what JSON has no number for."""
    if isfinite(number):
        return number
    return "Infinity" if number == inf else "-Infinity" if number == -inf else "NaN"


# -- answers -----------------------------------------------------------------------------------------------------------------


def read_partial_success(answer: bytes) -> tuple[int, str]:
    """How many points were rejected, and what is said of it, in an ``ExportMetricsServiceResponse``; (0, "") if all is well."""
    partial = _member(_read(answer), "partialSuccess")
    try:
        rejected = max(int(_member(partial, "rejectedDataPoints") or 0), 0)
    except (TypeError, ValueError):
        rejected = 0
    return rejected, str(_member(partial, "errorMessage") or "")


def read_status(answer: bytes) -> str:
    """What a ``google.rpc.Status`` says, as the answer to a request that failed."""
    return str(_member(_read(answer), "message") or "")


def _read(answer: bytes) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return None


def _member(of: Any, name: str) -> Any:
    return of.get(name) if isinstance(of, dict) else None
