"""A snapshot as series of plain numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Metric, Summary
from measurand.metrics.collecting import gather
from measurand.metrics.families import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
    UntypedMetricFamily,
)
from measurand.metrics.points import PointFamily, Series
from measurand.metrics.sample import Exemplar, Sample
from tests.support import StillClock


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


class Yielding:
    def __init__(self, *families: Any) -> None:
        self.families = families

    def collect(self) -> Any:
        return self.families


def points(registry: CollectorRegistry) -> dict[str, PointFamily]:
    return {family.exposed_name: family for family in gather(registry).points()}


def yielded(*families: Any) -> list[PointFamily]:
    registry = CollectorRegistry()
    registry.register(Yielding(*families))
    found = gather(registry)
    assert found.failures.counts == {}
    return found.points()


def made(name: str, type_: str, *samples: Sample) -> Metric:
    family = Metric(name, "Made by hand", type_)
    family.samples = list(samples)
    return family


# -- instruments -------------------------------------------------------------------------------------------------------------


def test_a_counter_has_its_value_and_when_it_began(registry: CollectorRegistry, still_clock: StillClock) -> None:
    counter = Counter("orders_total", "Orders", ["channel", "age"], registry=registry)
    counter.labels("web", "new").inc(3)
    (found,) = gather(registry).points()
    assert (found.name, found.exposed_name, found.type, found.bounds) == ("orders", "orders_total", "counter", ())
    assert found.series == [Series((("age", "new"), ("channel", "web")), (3.0,), still_clock.date)]


def test_a_gauge_has_its_value_also_where_a_callback_says_it(registry: CollectorRegistry) -> None:
    Gauge("level", "Level", registry=registry).set(-2.5)
    Gauge("asked", "Asked", registry=registry).set_function(lambda: 7)
    found = points(registry)
    assert [(name, found[name].type, found[name].series[0].numbers) for name in ("level", "asked")] == [
        ("level", "gauge", (-2.5,)),
        ("asked", "gauge", (7.0,)),
    ]


def test_a_summary_has_count_and_sum(registry: CollectorRegistry) -> None:
    summary = Summary("sizes_bytes", "Sizes", registry=registry, unit="bytes")
    for amount in (1, 2.5, -3):
        summary.observe(amount)
    (found,) = gather(registry).points()
    assert (found.type, found.unit, found.series[0].numbers) == ("summary", "bytes", (3.0, 0.5))


def test_a_histogram_has_its_buckets_each_by_itself_and_the_sum(registry: CollectorRegistry) -> None:
    histogram = Histogram("seconds", "Seconds", buckets=(1, 2, 4), registry=registry)
    for amount in (0.5, 1, 1.5, 3, 9, 9):
        histogram.observe(amount)
    (found,) = gather(registry).points()
    assert (found.type, found.bounds, found.cells) == ("histogram", (1.0, 2.0, 4.0), (1.0, 2.0, 4.0))
    assert found.series[0].numbers == found.classic(found.series[0]) == (2.0, 1.0, 1.0, 2.0, 24.0)
    with pytest.raises(ValueError, match="seconds is no native histogram"):
        found.native_buckets(found.series[0])


def test_exemplars_stand_with_the_number_they_are_of(registry: CollectorRegistry) -> None:
    counter = Counter("orders_total", "Orders", registry=registry)
    histogram = Histogram("seconds", "Seconds", buckets=(1, 2), registry=registry)
    counter.inc(2, exemplar={"trace": "a"})
    histogram.observe(1.5, exemplar={"trace": "b"})
    histogram.observe(9, exemplar={"trace": "c"})
    found = points(registry)
    of = {name: found[name].series[0].exemplars for name in ("orders_total", "seconds")}
    assert {at: (one.labels, one.value) for at, one in of["orders_total"].items()} == {0: ({"trace": "a"}, 2.0)}
    assert {at: (one.labels, one.value) for at, one in of["seconds"].items()} == {1: ({"trace": "b"}, 1.5), 2: ({"trace": "c"}, 9.0)}
    assert found["seconds"].classic_exemplars(found["seconds"].series[0]) == of["seconds"]


def test_infos_and_states_are_gauges(registry: CollectorRegistry) -> None:
    Info("build", "Build", registry=registry).info({"version": "1"})
    Enum("state", "State", states=["on", "off"], registry=registry).state("off")
    found = points(registry)
    assert (found["build_info"].type, found["build_info"].series) == ("gauge", [Series((("version", "1"),), (1.0,))])
    assert [(series.labels, series.numbers) for series in found["state"].series] == [
        ((("state", "on"),), (0.0,)),
        ((("state", "off"),), (1.0,)),
    ]


def test_the_registrys_common_labels_are_among_the_labels(registry: CollectorRegistry) -> None:
    registry.set_common_labels({"service": "shop", "a": "1"})
    Gauge("level", "Level", ["kind"], registry=registry).labels("x").set(1)
    registry.register(Yielding(GaugeMetricFamily("rows", "Rows", value=2)))
    found = points(registry)
    assert found["level"].series[0].labels == (("a", "1"), ("kind", "x"), ("service", "shop"))
    assert found["rows"].series[0].labels == (("a", "1"), ("service", "shop"))


def test_other_series_of_the_same_metric(registry: CollectorRegistry) -> None:
    Counter("orders_total", "Orders", registry=registry).inc()
    (found,) = gather(registry).points()
    other = found.with_series([Series((), (9.0,))])
    assert (other.exposed_name, other.documentation, other.series[0].numbers, found.series[0].numbers) == (
        "orders_total",
        "Orders",
        (9.0,),
        (1.0,),
    )


# -- custom collectors -------------------------------------------------------------------------------------------------------


def test_a_collectors_counter_says_when_it_began_and_what_its_exemplar_was() -> None:
    exemplar = Exemplar({"trace": "a"}, 1.0, 5.0)
    family = CounterMetricFamily("rows", "Rows", labels=["kind"])
    family.add_metric(["new"], 3, created=100.0, exemplar=exemplar)
    (found,) = yielded(family)
    assert (found.exposed_name, found.type) == ("rows_total", "counter")
    assert found.series == [Series((("kind", "new"),), (3.0,), 100.0, None, {0: exemplar})]


def test_a_collectors_samples_may_have_a_time_of_their_own() -> None:
    family = GaugeMetricFamily("level", "Level", labels=[])
    family.add_metric([], 3, timestamp=50.5)
    (found,) = yielded(family)
    assert found.series == [Series((), (3.0,), None, 50.5)]


def test_a_collectors_histogram_is_taken_apart() -> None:
    buckets = [("1", 2), ("5", 3), ("+Inf", 7)]
    (found,) = yielded(HistogramMetricFamily("seconds", "Seconds", buckets=buckets, sum_value=40))
    assert (found.type, found.bounds, found.series[0].numbers) == ("histogram", (1.0, 5.0), (2.0, 1.0, 4.0, 40.0))


def test_a_collectors_histogram_without_sum_or_in_any_order_is_whole() -> None:
    family = made(
        "seconds",
        "histogram",
        Sample("seconds_bucket", {"le": "+Inf", "kind": "a"}, 7),
        Sample("seconds_bucket", {"le": "1", "kind": "a"}, 2, None, Exemplar({"trace": "x"}, 0.5)),
    )
    (found,) = yielded(family)
    (series,) = found.series
    assert (found.bounds, series.labels, series.numbers[:-1]) == ((1.0,), (("kind", "a"),), (2.0, 5.0))
    assert math.isnan(series.numbers[-1])
    assert series.exemplars[0].labels == {"trace": "x"}


def test_histograms_of_different_buckets_are_a_family_each() -> None:
    family = HistogramMetricFamily("seconds", "Seconds", labels=["kind"])
    family.add_metric(["a"], [("1", 2), ("+Inf", 3)], 4)
    family.add_metric(["b"], [("2", 2), ("+Inf", 3)], 4)
    family.add_metric(["c"], [("1", 5), ("+Inf", 5)], 4)
    found = yielded(family)
    assert [(one.name, one.bounds, len(one.series)) for one in found] == [("seconds", (1.0,), 2), ("seconds", (2.0,), 1)]


def test_a_histogram_without_its_last_bucket_is_none() -> None:
    found = yielded(made("seconds", "histogram", Sample("seconds_bucket", {"le": "1"}, 2), Sample("seconds_sum", {}, 2)))
    assert [series for one in found for series in one.series] == []


def test_a_collectors_summary_has_count_and_sum_and_its_quantiles_are_gauges() -> None:
    family = made(
        "sizes",
        "summary",
        Sample("sizes", {"quantile": "0.5"}, 3),
        Sample("sizes_count", {}, 4),
        Sample("sizes_sum", {}, 12),
        Sample("sizes_created", {}, 99.0),
    )
    summary, quantiles = yielded(family)
    assert (summary.type, summary.series) == ("summary", [Series((), (4.0, 12.0), 99.0)])
    assert (quantiles.type, quantiles.series) == ("gauge", [Series((("quantile", "0.5"),), (3.0,))])


def test_a_summary_of_a_count_alone_has_a_sum_that_is_not_known() -> None:
    (found,) = yielded(made("sizes", "summary", Sample("sizes_count", {}, 4)))
    assert found.series[0].numbers[0] == 4.0
    assert math.isnan(found.series[0].numbers[1])
    plain = SummaryMetricFamily("plain", "Plain", count_value=2, sum_value=5)
    assert yielded(plain)[0].series[0].numbers == (2.0, 5.0)


def test_what_has_no_type_is_a_gauge() -> None:
    (found,) = yielded(UntypedMetricFamily("legacy", "Legacy", value=3))
    assert (found.type, found.exposed_name, found.series[0].numbers) == ("gauge", "legacy", (3.0,))


def test_samples_that_are_no_numbers_of_the_family_are_left_out() -> None:
    family = made(
        "rows",
        "counter",
        Sample("rows_total", {"kind": "good"}, 3),
        Sample("rows_total", {"kind": "bad"}, "many"),  # type: ignore[arg-type]
        Sample("rows_total", None, 3),  # type: ignore[arg-type]
        Sample("rows_total", {"kind": "late"}, 3, "soon"),
        Sample("rows_other", {"kind": "more"}, 4),
    )
    counter, other = yielded(family)
    assert counter.series == [Series((("kind", "good"),), (3.0,))]
    assert (other.exposed_name, other.type, other.series) == ("rows_other", "gauge", [Series((("kind", "more"),), (4.0,))])


def test_of_two_samples_of_one_series_the_last_counts() -> None:
    family = made("rows", "counter", Sample("rows_total", {"a": "1", "b": "2"}, 3), Sample("rows_total", {"b": "2", "a": "1"}, 4))
    assert yielded(family)[0].series == [Series((("a", "1"), ("b", "2")), (4.0,))]


values = st.one_of(st.floats(), st.none(), st.text(max_size=3), st.integers())
labels = st.one_of(st.none(), st.dictionaries(st.sampled_from(["le", "a", "quantile"]), st.sampled_from(["+Inf", "1", "x", "", "NaN"])))
suffixes = st.sampled_from(["", "_total", "_bucket", "_count", "_sum", "_created", "_info", "_gsum"])
strange = st.lists(st.builds(lambda suffix, given, value: Sample(f"x{suffix}", given, value), suffixes, labels, values), max_size=12)  # type: ignore[arg-type]


@given(st.sampled_from(["counter", "gauge", "summary", "histogram", "gaugehistogram", "info", "stateset", "unknown"]), strange)
def test_whatever_a_collector_yields_numbers_have_the_form_of_their_type(type_: str, samples: list[Sample]) -> None:
    registry = CollectorRegistry()
    registry.register(Yielding(made("x", type_, *samples)))
    for family in gather(registry).points():
        for series in family.series:
            expected = {"counter": 1, "gauge": 1, "summary": 2, "histogram": len(family.bounds) + 2}[family.type]
            assert len(series.numbers) == expected
            assert all(isinstance(number, float) for number in series.numbers)
            assert list(series.labels) == sorted(series.labels)
        assert len({series.labels for series in family.series}) == len(family.series)
        assert list(family.bounds) == sorted(set(family.bounds))
