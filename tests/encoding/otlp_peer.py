"""OpenTelemetry's own messages, to compare ours with, and families of any content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as official

from measurand.core import Exemplar
from measurand.encoding.otlp import SCOPE, Event, Metric, Point, Value, metric_of
from measurand.metrics.points import PointFamily, Series

__all__ = ["NOW", "families", "metrics_of", "request_of", "resources", "start_of"]

NOW = 1.75e9

_TEMPORALITY = {
    False: official.AGGREGATION_TEMPORALITY_CUMULATIVE,
    True: official.AGGREGATION_TEMPORALITY_DELTA,
}


def request_of(metrics: Iterable[Metric], resource: Mapping[str, Value], version: str) -> ExportMetricsServiceRequest:
    """What our own encoders were told, told to the official one."""
    request = ExportMetricsServiceRequest()
    about = request.resource_metrics.add()
    about.resource.SetInParent()
    about.resource.attributes.extend([_key_value(name, value) for name, value in resource.items()])
    scope = about.scope_metrics.add()
    scope.scope.name, scope.scope.version = SCOPE, version
    for metric in metrics:
        message = scope.metrics.add(name=metric.name, description=metric.description, unit=metric.unit)
        if metric.kind == "gauge":
            message.gauge.data_points.extend(map(_number, metric.points))
        elif metric.kind == "sum":
            message.sum.data_points.extend(map(_number, metric.points))
            message.sum.is_monotonic = True
            message.sum.aggregation_temporality = _TEMPORALITY[metric.is_delta]
        elif metric.kind == "histogram":
            message.histogram.data_points.extend([_histogram(point, metric.bounds) for point in metric.points])
            message.histogram.aggregation_temporality = _TEMPORALITY[metric.is_delta]
        elif metric.kind == "exponential":
            message.exponential_histogram.data_points.extend(map(_exponential, metric.points))
            message.exponential_histogram.aggregation_temporality = _TEMPORALITY[metric.is_delta]
        else:
            message.summary.data_points.extend([official.SummaryDataPoint(**_common(point), **_count(point)) for point in metric.points])
    return request


def _number(point: Point) -> official.NumberDataPoint:
    return official.NumberDataPoint(**_common(point), as_double=point.value, exemplars=map(_event, point.events))


def _histogram(point: Point, bounds: tuple[float, ...]) -> official.HistogramDataPoint:
    told = {**_common(point), **_count(point), "exemplars": map(_event, point.events)}
    return official.HistogramDataPoint(**told, bucket_counts=point.counts, explicit_bounds=bounds)


def _exponential(point: Point) -> official.ExponentialHistogramDataPoint:
    told = {**_common(point), **_count(point), "exemplars": map(_event, point.events)}
    message = official.ExponentialHistogramDataPoint(
        **told, scale=point.scale, zero_count=point.zero_count, zero_threshold=point.zero_threshold
    )
    if point.counts:
        message.positive.offset = point.offset
        message.positive.bucket_counts.extend(point.counts)
    return message


def _common(point: Point) -> dict[str, Any]:
    attributes = [_key_value(name, value) for name, value in point.attributes]
    return {"attributes": attributes, "start_time_unix_nano": point.start, "time_unix_nano": point.time}


def _count(point: Point) -> dict[str, Any]:
    return {"count": point.count, "sum": point.sum}


def _event(event: Event) -> official.Exemplar:
    return official.Exemplar(
        filtered_attributes=[_key_value(name, value) for name, value in event.attributes],
        time_unix_nano=event.time,
        as_double=event.value,
        span_id=bytes.fromhex(event.span_id),
        trace_id=bytes.fromhex(event.trace_id),
    )


def _key_value(name: str, value: Value) -> KeyValue:
    if isinstance(value, bool):
        return KeyValue(key=name, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=name, value=AnyValue(int_value=value))
    if isinstance(value, float):
        return KeyValue(key=name, value=AnyValue(double_value=value))
    return KeyValue(key=name, value=AnyValue(string_value=value))


# -- any content -------------------------------------------------------------------------------------------------------------

_texts = st.text(st.characters(), max_size=8)  # halves of surrogate pairs too, which no format has
_names = st.text(st.characters(), min_size=1, max_size=8)
_numbers = st.floats()
_counts = st.integers(0, 2**53).map(float)
_moments = st.none() | st.floats(0, 2e9)
_ids = st.text("0123456789abcdefABCDEF", min_size=15, max_size=17) | st.text("0123456789abcdef", min_size=32, max_size=32)
_exemplars = st.builds(
    Exemplar,
    st.dictionaries(st.sampled_from(["trace_id", "span_id", "user"]), _ids | _texts, max_size=3),
    _numbers,
    _moments | st.just("no time"),
)
_labels = st.dictionaries(_names, _texts, max_size=3).map(lambda labels: tuple(sorted(labels.items())))
_bounds = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5, unique=True).map(lambda bounds: tuple(sorted(bounds)))

resources = st.dictionaries(_names, st.booleans() | st.integers(-(2**63), 2**63 - 1) | _numbers | _texts, max_size=4)
"""What metrics may be about."""


@st.composite
def families(draw: st.DrawFn) -> PointFamily:
    """A family of any type and content, as long as its numbers are some that there can be points of."""
    type_ = draw(st.sampled_from(["counter", "gauge", "summary", "histogram"]))
    bounds = draw(_bounds) if type_ == "histogram" else ()
    width = {"counter": 0, "gauge": 0, "summary": 1, "histogram": len(bounds) + 1}[type_]
    series = []
    for labels in draw(st.lists(_labels, max_size=4, unique=True)):
        numbers = (*draw(st.tuples(*[_counts] * width)), draw(_numbers))
        exemplars = draw(st.dictionaries(st.integers(0, width), _exemplars, max_size=2)) if type_ in {"counter", "histogram"} else {}
        series.append(Series(labels, numbers, draw(_moments), draw(_moments), exemplars))
    return PointFamily(draw(_names), type_, draw(_texts), draw(st.sampled_from(["", "seconds", "bytes", "orders"])), series, bounds)


def start_of(family: PointFamily, series: Series) -> float:
    """Since when numbers count here."""
    return NOW - 60 if series.created is None else series.created


def metrics_of(families: Iterable[PointFamily], *, is_delta: bool) -> list[Metric]:
    """Families as metrics, those without points left out."""
    metrics = [metric_of(family, NOW, start_of, is_delta=is_delta)[0] for family in families]
    return [metric for metric in metrics if metric.points]
