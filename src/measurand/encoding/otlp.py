"""Metrics as OpenTelemetry's protocol has them, before they are bytes.

Source: the OpenTelemetry protocol (OTLP) 1.x, "opentelemetry/proto/metrics/v1/metrics.proto", and OpenTelemetry's specification, "Metrics
Data Model" and "Prometheus and OpenMetrics Compatibility". :func:`metric_of` says what a family is there; ``otlp_protobuf`` and
``otlp_json`` write that down. Pure functions.

===================  ===========================================================================================================
here                 there
===================  ===========================================================================================================
counter              a monotonic Sum
gauge                a Gauge
histogram            a Histogram with the same bounds; without a sum where values below zero are expected, or it is not known
native histogram     an ExponentialHistogram; what was not above its range's low end is in the zero bucket
summary              a Summary with count and sum; as a difference, of which a Summary knows nothing, a Histogram without bounds
===================  ===========================================================================================================

Names are those of the text format (``orders_total``), so that a query finds the same series whichever way the numbers came. Units are those
of UCUM. Numbers are doubles, counts whole numbers; what has others is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isnan
from typing import Any, Literal, NamedTuple

from measurand.core import Exemplar
from measurand.metrics.points import PointFamily, Series

__all__ = ["Attributes", "Event", "Kind", "Metric", "Point", "Request", "Start", "Value", "metric_of", "requests", "resource_of", "unit_of"]

Kind = Literal["gauge", "sum", "histogram", "exponential", "summary"]
Attributes = tuple[tuple[str, str], ...]
Value = str | bool | int | float
"""What a resource's attribute may be."""
Start = Callable[[PointFamily, Series], float]
"""Since when a series' numbers count, in seconds since the Unix epoch."""

SCOPE = "measurand"
"""The name of the instrumentation scope."""

LATEST = 2**63 - 1
"""The last moment that there is, in nanoseconds."""

_TOO_MANY = 2**64
_UNITS = {
    "days": "d",
    "hours": "h",
    "minutes": "min",
    "seconds": "s",
    "milliseconds": "ms",
    "microseconds": "us",
    "nanoseconds": "ns",
    "bytes": "By",
    "kibibytes": "KiBy",
    "mebibytes": "MiBy",
    "gibibytes": "GiBy",
    "kilobytes": "kBy",
    "megabytes": "MBy",
    "gigabytes": "GBy",
    "bits": "bit",
    "meters": "m",
    "grams": "g",
    "volts": "V",
    "amperes": "A",
    "joules": "J",
    "watts": "W",
    "hertz": "Hz",
    "celsius": "Cel",
    "ratio": "1",
    "percent": "%",
}
_IDS = {"trace_id": 32, "span_id": 16}
"""Labels of exemplars that are fields of their own, and how many hexadecimal digits they have."""


class Event(NamedTuple):
    """One event that stands for a value: an exemplar.

    Attributes:
        attributes: What else is known of it.
        time: When it was, in nanoseconds since the Unix epoch.
        value: What was recorded.
        span_id: The span, 16 hexadecimal digits, or an empty string.
        trace_id: The trace, 32 hexadecimal digits, or an empty string.
    """

    attributes: Attributes
    time: int
    value: float
    span_id: str
    trace_id: str


class Point(NamedTuple):
    """The numbers of one series; which of them there are follows from the metric's kind.

    Attributes:
        attributes: The labels.
        start: Since when the numbers count, in nanoseconds since the Unix epoch; 0 for gauges.
        time: When they were true, in nanoseconds since the Unix epoch.
        value: Of a gauge or a sum.
        count: How many values there were.
        sum: What they added up to; ``None`` if that is not known.
        counts: How many were in each bucket; for an exponential histogram from ``offset`` on.
        events: Exemplars.
        scale: An exponential histogram's: bucket *i* is above 2^(i·2^-scale), up to and including the same of *i* + 1.
        offset: The index of the first bucket.
        zero_count: How many values are in the zero bucket.
        zero_threshold: Its upper bound.
    """

    attributes: Attributes
    start: int
    time: int
    value: float = 0.0
    count: int = 0  # type: ignore[assignment]  # a tuple's method of this name is no use here
    sum: float | None = None
    counts: tuple[int, ...] = ()
    events: tuple[Event, ...] = ()
    scale: int = 0
    offset: int = 0
    zero_count: int = 0
    zero_threshold: float = 0.0


class Metric(NamedTuple):
    """One metric.

    Attributes:
        name: The name.
        description: What it means.
        unit: The unit, in UCUM.
        kind: What the points are.
        is_delta: Whether sums and histograms are differences.
        bounds: A histogram's bounds.
        points: The points.
    """

    name: str
    description: str
    unit: str
    kind: Kind
    is_delta: bool
    bounds: tuple[float, ...]
    points: list[Point]


class Request(NamedTuple):
    """What is sent at once.

    Attributes:
        metrics: The metrics.
        series: Which series they are, by family.
        size: How many points they have.
    """

    metrics: list[Metric]
    series: list[tuple[PointFamily, list[Series]]]
    size: int


def resource_of(given: Mapping[str, Value]) -> dict[str, Value]:
    """A resource's attributes, as they can be written.

    Raises:
        ValueError: A name is empty, or a value neither a text nor a number nor a truth value.
    """
    found: dict[str, Value] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"the name of a resource's attribute must be a text such as 'service.name', not {name!r}")
        if not isinstance(value, str | bool | int | float) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
            raise ValueError(f"the resource's attribute {name!r} must be a text, a truth value or a number of 64 bits, not {value!r}")
        found[_text(name)] = _text(value) if isinstance(value, str) else value
    return found


def unit_of(unit: str) -> str:
    """A unit as UCUM writes it; what it does not know becomes an annotation, ``{orders}``."""
    return _UNITS.get(unit) or (f"{{{_text(unit)}}}" if unit else "")


def metric_of(family: PointFamily, time: float, start: Start, *, is_delta: bool) -> tuple[Metric, list[Series], list[Series]]:
    """A family as a metric.

    Args:
        family: The family.
        time: When its numbers were true, in seconds since the Unix epoch.
        start: Since when they count.
        is_delta: Whether they are differences, gauges excepted.

    Returns:
        The metric; the series of its points, in their order; and those that there can be no point of.
    """
    kind = _kind(family, is_delta)
    make = _MAKERS[kind]
    points, taken, refused = [], [], []
    moment = _nanoseconds(time)
    for series in family.series:
        at = moment if series.timestamp is None else _nanoseconds(series.timestamp) or moment
        since = 0 if kind == "gauge" else min(_nanoseconds(start(family, series)), at)
        point = make(family, series, since, at, is_delta)
        if point is None:
            refused.append(series)
        else:
            points.append(point)
            taken.append(series)
    bounds = family.bounds if kind == "histogram" else ()
    metric = Metric(_text(family.exposed_name), _text(family.documentation), unit_of(family.unit), kind, is_delta, bounds, points)
    return metric, taken, refused


def requests(metrics: Iterable[tuple[Metric, PointFamily, list[Series]]], most: int) -> Iterator[Request]:
    """Cut metrics into requests.

    Args:
        metrics: The metrics, each with its family and the series of its points.
        most: How many points a request may have.
    """
    request = Request([], [], 0)
    for metric, family, series in metrics:
        begin = 0
        while begin < len(series):
            end = begin + most - request.size
            points = metric.points[begin:end]
            request.metrics.append(metric if len(points) == len(series) else metric._replace(points=points))
            request.series.append((family, series[begin:end]))
            request = request._replace(size=request.size + len(points))
            if request.size >= most:
                yield request
                request = Request([], [], 0)
            begin = end
    if request.size:
        yield request


# -- points ------------------------------------------------------------------------------------------------------------------


def _kind(family: PointFamily, is_delta: bool) -> Kind:
    if family.type == "counter":
        return "sum"
    if family.type == "summary":
        return "histogram" if is_delta else "summary"
    if family.type == "histogram":
        return "histogram" if family.native is None else "exponential"
    return "gauge"


def _number(family: PointFamily, series: Series, start: int, time: int, is_delta: bool) -> Point:
    events = _events(series.exemplars, start, time, is_delta) if family.type == "counter" else ()
    return Point(_attributes(series.labels), start, time, float(series.numbers[0]), events=events)


def _histogram(family: PointFamily, series: Series, start: int, time: int, is_delta: bool) -> Point | None:
    counts = _counts(series.numbers[:-1])
    if counts is None:
        return None
    events = _events(series.exemplars, start, time, is_delta)
    total = _sum(family, series.numbers[-1])
    return Point(_attributes(series.labels), start, time, count=sum(counts), sum=total, counts=counts, events=events)


def _exponential(family: PointFamily, series: Series, start: int, time: int, is_delta: bool) -> Point | None:
    if _counts(series.numbers[:-1]) is None:
        return None
    native = family.native_buckets(series)
    counts, zero_count = tuple(map(int, native.counts)), int(native.zero_count)
    return Point(
        _attributes(series.labels),
        start,
        time,
        count=sum(counts) + zero_count,
        sum=_sum(family, series.numbers[-1]),
        counts=counts,
        events=_events(series.exemplars, start, time, is_delta),
        scale=native.schema,
        offset=native.offset - 1 if counts else 0,
        zero_count=zero_count,
        zero_threshold=native.zero_threshold,
    )


def _summary(family: PointFamily, series: Series, start: int, time: int, is_delta: bool) -> Point | None:
    counts = _counts(series.numbers[:1])
    if counts is None:
        return None
    return Point(_attributes(series.labels), start, time, count=counts[0], sum=series.numbers[1], counts=counts)


_MAKERS: dict[Kind, Callable[[PointFamily, Series, int, int, bool], Point | None]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential": _exponential,
    "summary": _summary,
}


def _counts(numbers: tuple[float, ...]) -> tuple[int, ...] | None:
    """Counts as whole numbers; ``None`` if one of them is none, or all together are too many."""
    try:
        counts = tuple(map(int, numbers))
    except (OverflowError, ValueError):
        return None
    return counts if counts == numbers and min(counts) >= 0 and sum(counts) < _TOO_MANY else None


def _sum(family: PointFamily, number: float) -> float | None:
    """A histogram's sum, where it is one that only rises."""
    return None if isnan(number) or (family.bounds and family.bounds[0] < 0) else number


def _events(exemplars: Mapping[int, Exemplar], start: int, time: int, is_delta: bool) -> tuple[Event, ...]:
    """Exemplars; with differences those that are new."""
    if not exemplars:
        return ()
    events = [_event(exemplar, time) for _, exemplar in sorted(exemplars.items())]
    return tuple([event for event in events if not is_delta or event.time > start])


def _event(exemplar: Exemplar, time: int) -> Event:
    ids = dict.fromkeys(_IDS, "")
    rest = []
    for name, value in _attributes(tuple(exemplar.labels.items())):
        if name in _IDS and _is_id(value, _IDS[name]):
            ids[name] = value.lower()
        else:
            rest.append((name, value))
    return Event(tuple(rest), _nanoseconds(exemplar.timestamp) or time, float(exemplar.value), ids["span_id"], ids["trace_id"])


def _is_id(value: str, digits: int) -> bool:
    return len(value) == digits and set(value) <= set("0123456789abcdefABCDEF") and value.strip("0") != ""


def _attributes(labels: Attributes) -> Attributes:
    for name, value in labels:
        if not (name.isascii() and value.isascii()):
            return tuple([(_text(name), _text(value)) for name, value in labels])
    return labels


def _text(text: str) -> str:
    """A text that is UTF-8: half a surrogate pair becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _nanoseconds(seconds: Any) -> int:
    """A moment in nanoseconds since the Unix epoch; 0 for what is none."""
    try:
        moment = round(float(seconds) * 1e9)
    except (TypeError, ValueError, OverflowError):
        return 0
    return min(max(moment, 0), LATEST)
