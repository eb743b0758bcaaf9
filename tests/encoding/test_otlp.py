"""What a family is in OpenTelemetry's terms, and how many points go into a request."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.core import Exemplar
from measurand.encoding.otlp import Event, Metric, Point, metric_of, requests, resource_of, unit_of
from measurand.metrics.collecting import gather
from measurand.metrics.instruments import Counter, Enum, Gauge, Histogram, Info, Summary
from measurand.metrics.points import PointFamily, Series
from measurand.metrics.registry import CollectorRegistry
from tests.encoding.otlp_peer import NOW, families, start_of

pytestmark = pytest.mark.once

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
AT = int(NOW) * 10**9


def only(registry: CollectorRegistry, is_delta: bool = False) -> Metric:
    """The one metric of a registry, all of whose points began a minute ago."""
    (family,) = gather(registry).points()
    metric, series, refused = metric_of(family, NOW, lambda family, series: NOW - 60, is_delta=is_delta)
    assert (len(metric.points), refused) == (len(series), [])
    return metric


def point(type_: Any, numbers: tuple[float, ...], *, bounds: tuple[float, ...] = (), is_delta: bool = False, **more: Any) -> Point | None:
    """What becomes of one series."""
    family = PointFamily("x", type_, "", "", [Series((), numbers, **more)], bounds)
    metric, _, refused = metric_of(family, NOW, start_of, is_delta=is_delta)
    assert len(metric.points) + len(refused) == 1
    return metric.points[0] if metric.points else None


# -- kinds -------------------------------------------------------------------------------------------------------------------


def test_a_counter_is_a_sum_with_the_name_that_the_text_format_shows() -> None:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders accepted", ["channel"], registry=registry).labels("web").inc(2.5)
    expected = Metric("orders_total", "Orders accepted", "", "sum", False, (), [Point((("channel", "web"),), AT - 60 * 10**9, AT, 2.5)])
    assert only(registry) == expected


def test_a_gauge_has_no_start() -> None:
    registry = CollectorRegistry()
    Gauge("level_celsius", "Level", unit="celsius", registry=registry).set(-3)
    assert only(registry) == Metric("level_celsius", "Level", "Cel", "gauge", False, (), [Point((), 0, AT, -3.0)])


@pytest.mark.parametrize("is_delta", [False, True])
def test_a_histogram_keeps_its_buckets(is_delta: bool) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("took_seconds", "Took", unit="seconds", buckets=(0.25, 1), registry=registry)
    for amount in (0.125, 0.25, 0.5, 8):
        histogram.observe(amount)
    expected = Point((), AT - 60 * 10**9, AT, count=4, sum=8.875, counts=(2, 1, 1))
    assert only(registry, is_delta) == Metric("took_seconds", "Took", "s", "histogram", is_delta, (0.25, 1.0), [expected])


def test_a_native_histogram_is_exponential_with_indices_one_lower_than_those_of_prometheus() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("took_seconds", "Took", native=True, registry=registry)
    for amount in (-1, 0, 1.0, 1.0, 1.5):  # Prometheus' buckets 0, up to 1, and 5, up to 2^(5/8)
        histogram.observe(amount)
    metric = only(registry)
    assert metric.kind == "exponential"
    (found,) = metric.points
    assert (found.scale, found.offset, found.counts) == (3, -1, (2, 0, 0, 0, 0, 1))
    assert (found.zero_count, found.zero_threshold, found.count, found.sum) == (2, 2**-20, 5, 2.5)


def test_a_native_histogram_without_values_has_no_buckets() -> None:
    registry = CollectorRegistry()
    Histogram("took_seconds", "Took", native=True, registry=registry)
    (found,) = only(registry).points
    assert (found.count, found.counts, found.offset, found.zero_count) == (0, (), 0, 0)


def test_a_summary_is_a_summary_and_as_a_difference_a_histogram_without_bounds() -> None:
    registry = CollectorRegistry()
    summary = Summary("size_bytes", "Size", registry=registry)
    summary.observe(3)
    summary.observe(4)
    expected = Point((), AT - 60 * 10**9, AT, count=2, sum=7.0, counts=(2,))
    assert only(registry) == Metric("size_bytes", "Size", "", "summary", False, (), [expected])
    assert only(registry, is_delta=True) == Metric("size_bytes", "Size", "", "histogram", True, (), [expected])


def test_infos_and_states_are_gauges() -> None:
    registry = CollectorRegistry()
    Info("build", "Build", registry=registry).info({"version": "1"})
    Enum("state", "State", states=["on", "off"], registry=registry).state("off")
    found = [metric_of(family, NOW, start_of, is_delta=True)[0] for family in gather(registry).points()]
    assert [(metric.name, metric.kind, [at.value for at in metric.points]) for metric in found] == [
        ("build_info", "gauge", [1.0]),
        ("state", "gauge", [0.0, 1.0]),
    ]


# -- numbers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [nan, inf, -inf, -0.0, 5e-324, 1.7976931348623157e308])
def test_a_value_may_be_any_double(total: float) -> None:
    found = point("gauge", (total,))
    assert found is not None
    assert repr(found.value) == repr(total)


@pytest.mark.parametrize("count", [nan, inf, -1.0, 0.5, 2.0**64])
def test_what_is_no_count_is_left_out(count: float) -> None:
    assert point("histogram", (1.0, count, 3.0), bounds=(1.0,)) is None
    assert point("summary", (count, 3.0)) is None


def test_counts_are_exact_as_far_as_a_double_is() -> None:
    found = point("histogram", (2.0**53, 1.0, 3.0), bounds=(1.0,))
    assert found is not None
    assert found.count == 2**53 + 1


@pytest.mark.parametrize(("bounds", "total"), [((-1.0, 1.0), 3.0), ((1.0, 2.0), nan)])
def test_a_sum_that_may_fall_or_is_not_known_is_left_out(bounds: tuple[float, ...], total: float) -> None:
    found = point("histogram", (1.0, 0.0, 0.0, total), bounds=bounds)
    assert found is not None
    assert found.sum is None


def test_a_series_with_a_time_of_its_own_keeps_it() -> None:
    found = point("counter", (1.0,), timestamp=NOW - 5, created=NOW - 7)
    assert found is not None
    assert (found.time, found.start) == (AT - 5 * 10**9, AT - 7 * 10**9)


def test_nothing_begins_after_it_was_true() -> None:
    found = point("counter", (1.0,), created=NOW + 7)
    assert found is not None
    assert found.start == found.time == AT


@pytest.mark.parametrize("timestamp", [nan, inf, -5.0, 1e300])
def test_a_time_that_is_none_is_bounded(timestamp: float) -> None:
    found = point("counter", (1.0,), timestamp=timestamp)
    assert found is not None
    assert 0 < found.time < 2**63


# -- labels, units, exemplars ------------------------------------------------------------------------------------------------


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    family = PointFamily("n\ud800", "gauge", "d\ud800", "", [Series((("k\ud800", "v\udfff✓"),), (1.0,))])
    metric = metric_of(family, NOW, start_of, is_delta=False)[0]
    assert (metric.name, metric.description, metric.points[0].attributes) == ("n?", "d?", (("k?", "v?✓"),))


@pytest.mark.parametrize(
    ("unit", "expected"), [("", ""), ("seconds", "s"), ("bytes", "By"), ("ratio", "1"), ("orders", "{orders}"), ("€", "{€}")]
)
def test_units_are_those_of_ucum(unit: str, expected: str) -> None:
    assert unit_of(unit) == expected


@pytest.mark.parametrize(
    ("labels", "attributes", "span", "trace"),
    [
        ({"trace_id": TRACE, "span_id": SPAN}, (), SPAN, TRACE),
        ({"trace_id": TRACE.upper(), "user": "ada"}, (("user", "ada"),), "", TRACE),
        ({"trace_id": TRACE[1:]}, (("trace_id", TRACE[1:]),), "", ""),
        ({"trace_id": "x" * 32, "span_id": "0" * 16}, (("trace_id", "x" * 32), ("span_id", "0" * 16)), "", ""),
        ({"traceID": TRACE}, (("traceID", TRACE),), "", ""),
        ({"trace_id": "\uff11" * 32}, (("trace_id", "\uff11" * 32),), "", ""),
    ],
)
def test_ids_of_traces_and_spans_are_told_from_other_labels(labels: dict[str, str], attributes: Any, span: str, trace: str) -> None:
    found = point("counter", (3.0,), exemplars={0: Exemplar(labels, 2.0, NOW - 1)})
    assert found is not None
    assert found.events == (Event(attributes, AT - 10**9, 2.0, span, trace),)


def test_an_exemplar_without_a_time_has_that_of_the_number() -> None:
    found = point("counter", (3.0,), exemplars={0: Exemplar({}, 2.0, None)})
    assert found is not None
    assert found.events[0].time == AT


def test_a_difference_has_only_the_exemplars_of_its_time() -> None:
    exemplars = {0: Exemplar({"id": "old"}, 0.5, NOW - 61), 1: Exemplar({"id": "new"}, 2.0, NOW - 1)}
    for is_delta, expected in ((False, [0.5, 2.0]), (True, [2.0])):
        found = point("histogram", (1.0, 1.0, 2.5), bounds=(1.0,), exemplars=exemplars, is_delta=is_delta)
        assert found is not None
        assert [event.value for event in found.events] == expected


def test_a_resource_may_have_texts_numbers_and_truth_values() -> None:
    given = {"service.name": "shop\ud800", "port": 80, "share": 0.5, "is_canary": True}
    assert resource_of(given) == {"service.name": "shop?", "port": 80, "share": 0.5, "is_canary": True}


@pytest.mark.parametrize("given", [{"": "x"}, {"a": None}, {"a": ["b"]}, {"a": 2**63}, {3: "x"}])
def test_a_resource_has_nothing_else(given: Any) -> None:
    with pytest.raises(ValueError, match="resource's attribute"):
        resource_of(given)


# -- requests ----------------------------------------------------------------------------------------------------------------


@given(st.lists(families(), max_size=5), st.integers(1, 4))
def test_requests_have_every_point_once_in_order_and_no_more_than_they_may(found: list[PointFamily], most: int) -> None:
    made = []
    for family in found:
        metric, series, _ = metric_of(family, NOW, start_of, is_delta=False)
        made.append((metric, family, series))
    cut = list(requests(made, most))
    assert [request.size for request in cut[:-1]] == [most] * (len(cut) - 1)
    for request in cut:
        assert 0 < request.size <= most
        assert request.size == sum(len(metric.points) for metric in request.metrics) == sum(len(series) for _, series in request.series)
        assert all(metric.points for metric in request.metrics)
        for metric, (family, series) in zip(request.metrics, request.series, strict=True):
            assert metric == metric_of(family.with_series(series), NOW, start_of, is_delta=False)[0] or "nan" in repr(series)
    points = [repr(at) for metric, _, _ in made for at in metric.points]
    assert [repr(at) for request in cut for metric in request.metrics for at in metric.points] == points
