"""The protobuf exposition: the bytes of the official encoder, the numbers of the registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import measurand
from measurand import CollectorRegistry, Counter, Gauge, Histogram, Summary, clock
from measurand.encoding.escaping import ALLOW_UTF8, DOTS, UNDERSCORES, VALUES
from measurand.encoding.protobuf import generate_latest
from measurand.encoding.protobuf_histograms import MOST_EXEMPLARS
from measurand.errors import MeasurandError
from measurand.metrics.collecting import gather
from measurand.metrics.snapshot import bound_text
from tests.encoding.peer import Key, Program, classic_names, ours, programs, samples, standing_still, utf8_names
from tests.encoding.protobuf_peer import ENUM, canonical, message, read
from tests.support import StillClock, added


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


@pytest.fixture
def still() -> Iterator[StillClock]:
    """Time stands still."""
    standing = StillClock()
    before = clock.use(standing)
    yield standing
    clock.use(before)


def expanded(families: Iterable[Any]) -> dict[Key, str]:
    """The classic series that a scraper makes of families; values as text, so that NaN equals itself."""
    found: dict[Key, str] = {}
    for family in families:
        for metric in family.metric:
            labels = {pair.name: pair.value for pair in metric.label}

            def add(suffix: str, value: float, name: str = family.name, labels: dict[str, str] = labels, **own: str) -> None:
                found[name + suffix, tuple(sorted({**labels, **own}.items()))] = repr(float(value) + 0.0)

            match ENUM[family.type]:
                case "COUNTER":
                    add("", metric.counter.value)
                case "GAUGE":
                    add("", metric.gauge.value)
                case "SUMMARY":
                    add("_count", metric.summary.sample_count)
                    add("_sum", metric.summary.sample_sum)
                case "HISTOGRAM":
                    add("_count", metric.histogram.sample_count)
                    add("_sum", metric.histogram.sample_sum)
                    for bucket in metric.histogram.bucket:
                        add("_bucket", bucket.cumulative_count, le=bound_text(bucket.upper_bound))
    return found


# -- instruments -------------------------------------------------------------------------------------------------------------


@given(programs(classic_names | utf8_names), st.sampled_from([UNDERSCORES, DOTS, VALUES, ALLOW_UTF8]))
def test_the_bytes_are_those_of_the_official_encoder(program: Program, escaping: str) -> None:
    with standing_still():
        try:
            registry = ours(program)
        except MeasurandError:
            return  # no such program
        families = canonical(generate_latest(registry, escaping))
    assert len({family.name for family in families}) == len(families)


@given(programs(classic_names | utf8_names))
def test_the_numbers_are_those_of_the_registry(program: Program) -> None:
    with standing_still():
        try:
            registry = ours(program)
        except MeasurandError:
            return
        found, expected = expanded(canonical(generate_latest(registry, ALLOW_UTF8))), samples(registry.collect())
    lacking_a_sum = {key for key in found if key[0].endswith("_sum") and any("below" in metric.name for metric in program)}
    assert {key: value for key, value in found.items() if key in expected or key not in lacking_a_sum} == expected


def test_a_family_says_its_name_its_type_its_help_and_its_unit(registry: CollectorRegistry) -> None:
    Counter("jobs_seconds_total", "Time \\ in\njobs", unit="seconds", registry=registry)
    Gauge("level", "Level", registry=registry)
    families = read(registry)
    jobs = families["jobs_seconds_total"]
    assert (jobs.type, jobs.help, jobs.unit) == (ENUM.index("COUNTER"), "Time \\ in\njobs", "seconds")
    assert families["level"].unit == ""


def test_a_metric_without_series_is_not_there(registry: CollectorRegistry) -> None:
    Counter("unused_total", "Never", ["k"], registry=registry)
    assert generate_latest(registry) == b""


def test_common_labels_are_on_every_series_in_order_of_name() -> None:
    registry = CollectorRegistry(common_labels={"host": "h"})
    Gauge("g", "d", ["a", "z"], registry=registry).labels("1", "2").set(3)
    assert [(pair.name, pair.value) for pair in read(registry)["g"].metric[0].label] == [("a", "1"), ("host", "h"), ("z", "2")]


def test_names_are_escaped_as_the_client_asked(registry: CollectorRegistry) -> None:
    Gauge("a.b", "d", ["x.y"], registry=registry).labels("1").set(1)
    shown = {}
    for escaping in (UNDERSCORES, DOTS, VALUES, ALLOW_UTF8):
        (family,) = read(registry, escaping).values()
        shown[escaping] = family.name, family.metric[0].label[0].name
    assert shown == {
        UNDERSCORES: ("a_b", "x_y"),
        DOTS: ("a_dot_b", "x_dot_y"),
        VALUES: ("U__a_2e_b", "U__x_2e_y"),
        ALLOW_UTF8: ("a.b", "x.y"),
    }


def test_an_unknown_scheme_is_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        generate_latest(registry, "nonsense")


def test_a_callback_gives_the_value(registry: CollectorRegistry) -> None:
    Gauge("called", "d", registry=registry).set_function(lambda: 5)
    assert read(registry)["called"].metric[0].gauge.value == 5


def test_times_of_creation_are_shown_where_they_are_enabled(registry: CollectorRegistry, still: StillClock) -> None:
    Counter("c_total", "d", registry=registry)
    Summary("s", "d", registry=registry)
    Histogram("h", "d", registry=registry)
    Histogram("n", "d", native=True, registry=registry)
    Gauge("g", "d", registry=registry)
    content = {"c_total": "counter", "s": "summary", "h": "histogram", "n": "histogram"}
    born = still.wall()
    still.advance(10)
    plain = read(registry)
    assert not any(getattr(plain[name].metric[0], field).HasField("created_timestamp") for name, field in content.items())
    measurand.enable_created_metrics()
    try:
        families = read(registry)
    finally:
        measurand.disable_created_metrics()
    for name, field in content.items():
        made = getattr(families[name].metric[0], field).created_timestamp
        assert made.seconds + made.nanos / 1e9 == pytest.approx(born)


def test_a_restricted_page_has_the_asked_for_series(registry: CollectorRegistry) -> None:
    Histogram("h", "d", registry=registry).observe(1)
    Counter("c_total", "d", registry=registry).inc()
    assert set(read(registry.restricted_registry(["c_total"]))) == {"c_total"}
    (count,) = read(registry.restricted_registry(["h_count"])).values()
    assert (count.name, count.type, count.metric[0].untyped.value) == ("h_count", ENUM.index("UNTYPED"), 1)


# -- histograms --------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e3, 1e8) | st.sampled_from([0.005, 1.0, 2.0**-20, inf]), max_size=50))
def test_a_native_histogram_is_classic_too_and_what_the_model_says(values: list[float]) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "d", ["k"], buckets=[0.005, 1], native=True, registry=registry)
    for value in values:
        histogram.labels("x").observe(value)
    histogram.labels("x")
    (family,) = canonical(generate_latest(registry))
    (metric,) = family.metric
    expected = gather(registry).points()[0]
    buckets = expected.native_buckets(expected.series[0])
    made = message("Histogram", sample_count=len(values), sample_sum=added(values), schema=buckets.schema, zero_threshold=2.0**-20)
    made.zero_count = sum(value <= 2.0**-20 for value in values)
    for bound in (0.005, 1.0, inf):
        made.bucket.add(cumulative_count=sum(value <= bound for value in values), upper_bound=bound)
    assert decoded(metric.histogram) == {buckets.offset + at: count for at, count in enumerate(buckets.counts) if count}
    for field in ("positive_span", "positive_delta"):
        metric.histogram.ClearField(field)
    assert metric.histogram == made


def decoded(histogram: Any) -> dict[int, float]:
    """The positive buckets that are not empty, by index."""
    counts = iter(histogram.positive_count or accumulate(histogram.positive_delta))
    found, index = {}, 0
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            found[index] = float(next(counts))
            index += 1
    assert next(counts, None) is None
    return {index: count for index, count in found.items() if count}


def test_an_empty_native_histogram_is_told_from_a_classic_one(registry: CollectorRegistry) -> None:
    Histogram("n", "d", native=True, registry=registry)
    Histogram("h", "d", registry=registry)
    families = read(registry)
    (span,) = families["n"].metric[0].histogram.positive_span
    assert (span.offset, span.length) == (0, 0)
    assert not families["h"].metric[0].histogram.positive_span
    assert families["h"].metric[0].histogram.zero_threshold == 0


def test_exemplars_are_on_classic_buckets_and_the_newest_are_listed(registry: CollectorRegistry, still: StillClock) -> None:
    histogram = Histogram("h", "d", buckets=[1, 10], native=True, registry=registry)
    values = [2.0**exponent for exponent in range(-12, 4)]
    for value in values:
        still.advance(1)
        histogram.observe(value, exemplar={"value": str(value)})
    shown = read(registry)["h"].metric[0].histogram
    assert [bucket.exemplar.value for bucket in shown.bucket[:2]] == [1, 8]
    assert not shown.bucket[2].HasField("exemplar")
    assert [exemplar.value for exemplar in shown.exemplars] == values[-MOST_EXEMPLARS:]
    assert [(pair.name, pair.value) for pair in shown.exemplars[-1].label] == [("value", "8.0")]
    assert shown.exemplars[-1].timestamp.seconds + shown.exemplars[-1].timestamp.nanos / 1e9 == pytest.approx(still.wall())


def test_a_counters_exemplar_is_shown(registry: CollectorRegistry) -> None:
    Counter("c_total", "d", registry=registry).inc(2, exemplar={"trace": "1"})
    assert read(registry)["c_total"].metric[0].counter.exemplar.label[0].value == "1"
