"""The protobuf exposition of what custom collectors yield: every type, what is mended, what is left out."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isnan, nan
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter
from measurand.encoding.protobuf import encode
from measurand.metrics.collecting import gather
from measurand.metrics.families import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
    UnknownMetricFamily,
)
from measurand.metrics.sample import BucketSpan, Exemplar, NativeHistogram, Timestamp
from tests.encoding.protobuf_peer import ENUM, canonical, message, read

pytestmark = pytest.mark.once


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


class Given:
    """A collector of ready families."""

    def __init__(self, *families: Any) -> None:
        self.families = families

    def collect(self) -> Iterable[Any]:
        return self.families


def test_every_type_of_a_custom_collector_is_shown(registry: CollectorRegistry) -> None:
    summary = SummaryMetricFamily("s", "d", count_value=4, sum_value=9)
    summary.add_sample("s", {"quantile": "0.5"}, 2)
    registry.register(
        Given(
            CounterMetricFamily("c", "d", value=3, created=12.5, exemplar=Exemplar({"a": "b"}, 3, Timestamp(5, 7))),
            GaugeMetricFamily("g", "d", value=-1.5),
            UnknownMetricFamily("u", "d", value=7),
            HistogramMetricFamily("h", "d", buckets=[("1.0", 2), ("+Inf", 3)], sum_value=8),
            GaugeHistogramMetricFamily("gh", "d", buckets=[("1.0", 2), ("+Inf", 3)], gsum_value=-8),
            summary,
        )
    )
    found = read(registry)
    counter = found["c_total"].metric[0].counter
    assert (counter.value, counter.created_timestamp.seconds, counter.created_timestamp.nanos) == (3, 12, 500_000_000)
    assert (counter.exemplar.timestamp.seconds, counter.exemplar.timestamp.nanos) == (5, 7)
    assert (found["g"].metric[0].gauge.value, found["u"].metric[0].untyped.value) == (-1.5, 7)
    for name, total in {"h": 8, "gh": -8}.items():
        shown = found[name].metric[0].histogram
        assert (found[name].type, shown.sample_count, shown.sample_sum) == (ENUM.index("HISTOGRAM"), 3, total)
        assert [(bucket.upper_bound, bucket.cumulative_count) for bucket in shown.bucket] == [(1, 2), (inf, 3)]
    shown = found["s"].metric[0].summary
    assert (shown.sample_count, shown.sample_sum) == (4, 9)
    assert [(quantile.quantile, quantile.value) for quantile in shown.quantile] == [(0.5, 2)]


@pytest.mark.parametrize(("given_", "milliseconds"), [(1.5, 1500), (-2, -2000), (Timestamp(3, 250_000_000), 3250)])
def test_a_timestamp_is_in_milliseconds(registry: CollectorRegistry, given_: Any, milliseconds: int) -> None:
    family = GaugeMetricFamily("g", "d", labels=[])
    family.add_metric([], 1, timestamp=given_)
    registry.register(Given(family))
    assert read(registry)["g"].metric[0].timestamp_ms == milliseconds


@pytest.mark.parametrize(
    ("moment", "seconds", "nanoseconds"),
    [(2.25, 2, 250_000_000), (-0.25, -1, 750_000_000), (4.9999999999, 5, 0), (Timestamp(-3, 5), -4, 999_999_995)],
)
def test_the_time_of_an_exemplar_counts_forwards_from_whole_seconds(
    registry: CollectorRegistry, moment: Any, seconds: int, nanoseconds: int
) -> None:
    registry.register(Given(CounterMetricFamily("c", "d", value=3, exemplar=Exemplar({}, 3, moment))))
    stamp = read(registry)["c_total"].metric[0].counter.exemplar.timestamp
    assert (stamp.seconds, stamp.nanos) == (seconds, nanoseconds)


@pytest.mark.parametrize(
    "exemplar",
    [
        Exemplar({"long": "x" * 200}, 1, 1.0),
        Exemplar({"": "x"}, 1, 1.0),
        Exemplar({"a": 5}, 1, 1.0),  # type: ignore[dict-item]
        Exemplar({"a": "b"}, "one", 1.0),  # type: ignore[arg-type]
        Exemplar({"a": "b"}, 1, nan),
        Exemplar({"a": "b"}, 1, inf),
        ("no", "exemplar"),
    ],
)
def test_what_is_no_exemplar_is_left_out(registry: CollectorRegistry, exemplar: Any) -> None:
    registry.register(Given(CounterMetricFamily("c", "d", value=3, exemplar=exemplar)))
    counter = read(registry)["c_total"].metric[0].counter
    assert counter.value == 3
    assert not counter.HasField("exemplar")


def test_a_unit_that_is_not_the_names_is_left_out(registry: CollectorRegistry) -> None:
    family = Metric("speed", "d", "gauge")
    family.unit = "furlongs"
    family.add_sample("speed", {}, 1)
    registry.register(Given(family))
    assert read(registry)["speed"].unit == ""


def test_samples_that_are_not_the_familys_stand_untyped_under_their_names(registry: CollectorRegistry) -> None:
    family = Metric("s", "d", "summary")
    family.add_sample("s_sum", {"k": "v"}, 4)
    family.add_sample("s_extra", {}, 5)
    registry.register(Given(family))
    found = read(registry)
    assert {name: (one.type, one.metric[0].untyped.value) for name, one in found.items()} == {
        "s_sum": (ENUM.index("UNTYPED"), 4),
        "s_extra": (ENUM.index("UNTYPED"), 5),
    }


def test_a_sum_that_is_not_known_is_no_number(registry: CollectorRegistry) -> None:
    family = Metric("h", "d", "histogram")
    family.add_sample("h_bucket", {"le": "+Inf"}, 4)
    registry.register(Given(family))
    shown = read(registry)["h"].metric[0].histogram
    assert shown.sample_count == 4
    assert isnan(shown.sample_sum)


def test_counts_that_are_not_whole_are_doubles(registry: CollectorRegistry) -> None:
    registry.register(Given(HistogramMetricFamily("h", "d", buckets=[("1.0", 0.5), ("+Inf", 2.0)], sum_value=1)))
    shown = read(registry)["h"].metric[0].histogram
    assert (shown.sample_count, shown.sample_count_float) == (0, 2.0)
    assert [bucket.cumulative_count_float for bucket in shown.bucket] == [0.5, 2.0]


def natively(name: str = "n", type_: str = "histogram", labels: Any = None, **changed: Any) -> Metric:
    """A family with a native histogram of both signs."""
    spans = [BucketSpan(0, 2), BucketSpan(1, 2)]
    content = {"count_value": 24, "sum_value": 100, "schema": 0, "zero_threshold": 0.001, "zero_count": 4}
    given_ = {**content, "pos_spans": spans, "neg_spans": spans, "pos_deltas": [2, 1, -2, 3], "neg_deltas": [2, 1, -2, 3], **changed}
    family = Metric("n", "d", type_)
    family.add_sample(name, {} if labels is None else labels, 0, None, None, NativeHistogram(**given_))
    return family


def test_a_native_histogram_of_a_collector_is_shown_as_it_is(registry: CollectorRegistry) -> None:
    listed = [Exemplar({"t": "late"}, 2, 9.0), Exemplar({"t": "early"}, 3, 4.0), Exemplar({"t": "never"}, 1, None)]
    registry.register(Given(natively(labels={"k": "v"}, nh_exemplars=listed)))
    family = read(registry)["n"]
    expected = message("Histogram", sample_count=24, sample_sum=100, zero_threshold=0.001, zero_count=4)
    for spans in (expected.positive_span, expected.negative_span):
        spans.add(offset=0, length=2)
        spans.add(offset=1, length=2)
    expected.positive_delta.extend([2, 1, -2, 3])
    expected.negative_delta.extend([2, 1, -2, 3])
    shown = family.metric[0].histogram
    assert [exemplar.label[0].value for exemplar in shown.exemplars] == ["early", "late"]
    shown.ClearField("exemplars")
    assert shown == expected
    assert [(pair.name, pair.value) for pair in family.metric[0].label] == [("k", "v")]


def test_a_native_gauge_histogram_is_one(registry: CollectorRegistry) -> None:
    registry.register(Given(natively(type_="gaugehistogram")))
    assert read(registry)["n"].type == ENUM.index("GAUGE_HISTOGRAM")


def test_native_and_classic_buckets_of_one_series_stand_in_one_message(registry: CollectorRegistry) -> None:
    family = natively()
    family.add_sample("n_bucket", {"le": "+Inf"}, 24)
    family.add_sample("n_sum", {}, 100)
    registry.register(Given(family))
    (metric,) = read(registry)["n"].metric
    assert (metric.histogram.bucket[0].cumulative_count, metric.histogram.zero_count) == (24, 4)


def test_native_counts_that_are_not_whole_are_doubles(registry: CollectorRegistry) -> None:
    registry.register(Given(natively(zero_count=0.5, count_value=20.5)))
    shown = read(registry)["n"].metric[0].histogram
    assert (shown.sample_count_float, shown.zero_count_float) == (20.5, 0.5)
    assert list(shown.positive_count) == [2, 3, 1, 4]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"labels": {"__reserved": "x"}},
        {"type_": "gauge"},
        {"schema": 9},
        {"schema": -5},
        {"schema": 0.5},
        {"zero_threshold": nan},
        {"zero_threshold": -1},
        {"zero_count": -4},
        {"count_value": 23},
        {"count_value": 25},
        {"count_value": nan},
        {"pos_deltas": [2, 1, -2]},
        {"pos_deltas": [2, 1, -4, 5]},
        {"pos_spans": [BucketSpan(0, 2), BucketSpan(-1, 2)]},
        {"pos_spans": [BucketSpan(0, 5), BucketSpan(1, -1)]},
        {"pos_spans": 5},
        {"sum_value": "much"},
    ],
)
def test_a_native_histogram_that_a_scraper_would_refuse_is_left_out(registry: CollectorRegistry, changed: dict[str, Any]) -> None:
    registry.register(Given(natively(**changed)))
    Counter("c_total", "d", registry=registry)
    assert {name for name in read(registry) if not name.startswith("measurand_")} == {"c_total"}


def test_what_is_left_out_is_counted(registry: CollectorRegistry) -> None:
    registry.register(Given(natively(schema=9)))
    (failure,) = read(registry)["measurand_collect_failures_total"].metric
    assert {pair.name: pair.value for pair in failure.label}["reason"] == "invalid"


def test_a_native_histogram_with_a_sum_of_nan_may_count_what_has_no_bucket(registry: CollectorRegistry) -> None:
    registry.register(Given(natively(count_value=25, sum_value=nan)))
    assert read(registry)["n"].metric[0].histogram.sample_count == 25


def test_the_second_native_histogram_of_a_series_is_left_out(registry: CollectorRegistry) -> None:
    family = natively()
    family.samples *= 2
    registry.register(Given(family))
    found = read(registry)
    assert len(found["n"].metric) == 1
    assert "duplicate" in str(found["measurand_collect_failures_total"])


def test_one_familys_failure_does_not_cost_the_others(registry: CollectorRegistry) -> None:
    broken = GaugeMetricFamily("g", "d", value=1)
    broken.documentation = None  # type: ignore[assignment]
    registry.register(Given(broken))
    Counter("c_total", "d", registry=registry)
    gathering = gather(registry)
    found = canonical(encode(gathering))
    assert [family.name for family in found] == ["c_total", "measurand_collect_failures_total"]
