"""Whole pages with what custom collectors can yield: put in order, mended or left out and counted; the rest is never lost."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import prometheus_client.core
import prometheus_client.openmetrics.exposition
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from measurand import CollectorRegistry, Gauge, Histogram
from measurand.encoding import openmetrics, text
from measurand.encoding.escaping import SCHEMES
from measurand.metrics import families
from measurand.metrics.families import METRIC_TYPES, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from measurand.metrics.sample import BucketSpan, Exemplar, NativeHistogram, Sample, Timestamp


class Yielding:
    """A collector of ready families that does not say their names beforehand."""

    def __init__(self, *found: Any) -> None:
        self.collect = lambda: found


def registry_with(*found: Any) -> CollectorRegistry:
    """What the collector yields, between two instruments that must not suffer from it."""
    registry = CollectorRegistry()
    Gauge("before", "Help", registry=registry).set(1)
    registry.register(Yielding(*found))
    Gauge("zafter", "Help", registry=registry).set(2)
    return registry


def lines(page: bytes) -> list[str]:
    """The collector's own lines, and those of the failures; the instruments' have to be there."""
    found = page.decode().split("\n")[:-1]
    assert "before 1.0" in found
    assert "zafter 2.0" in found
    return [line for line in found if not line.startswith(("#", "before ", "zafter "))]


def in_text(*found: Any) -> list[str]:
    return lines(text.generate_latest(registry_with(*found)))


def in_openmetrics(*found: Any) -> list[str]:
    """In OpenMetrics, once the strict parser has accepted it."""
    page = openmetrics.generate_latest(registry_with(*found))
    list(parse_openmetrics(page.decode()))
    return lines(page)


def failed(collector: str, reason: str, times: int = 1) -> str:
    return f'measurand_collect_failures_total{{collector="{collector}",reason="{reason}"}} {times}.0'


def family(type_: str, *samples: tuple[Any, ...], name: str = "x") -> Metric:
    made = Metric(name, "Help", type_)
    made.samples = [Sample(*sample) for sample in samples]
    return made


both_formats = pytest.mark.parametrize("written", [in_text, in_openmetrics])
Written = Callable[..., list[str]]

# -- single samples --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sample",
    [
        ("x", {}, None),
        ("x", {}, [1]),
        ("x", {"__name__": "y"}, 1),
        ("x", {"__reserved": "v"}, 1),
        ("x", {1: "v"}, 1),
        ("x", {}, 1, inf),
        ("x", {}, 1, True),
        ("x", {}, 1, "1_0"),
        (None, {}, 1),
        ("", {}, 1),
        (7, {}, 1),
        (["x"], {}, 1),
    ],
    ids=ascii,
)
@both_formats
def test_a_sample_that_cannot_be_written_costs_only_itself(written: Written, sample: tuple[Any, ...]) -> None:
    assert written(family("gauge", ("x", {"l": "first"}, 1), sample, ("x", {"l": "last"}, 2))) == [
        'x{l="first"} 1.0',
        'x{l="last"} 2.0',
        failed("x", "invalid"),
    ]


@pytest.mark.parametrize("sample", [("x", {"\ud800": "v"}, 1), ("\ud800", {}, 1)], ids=ascii)
@pytest.mark.parametrize("writer", [text, openmetrics])
def test_a_name_that_is_no_unicode_costs_only_its_sample(writer: Any, sample: tuple[Any, ...]) -> None:
    registry = registry_with(family("gauge", sample, ("x", {"l": "last"}, 2)))
    assert lines(writer.generate_latest(registry, "allow-utf-8")) == ['x{l="last"} 2.0', failed("x", "invalid")]


@both_formats
def test_what_is_no_sample_costs_only_itself(written: Written) -> None:
    odd = family("gauge", ("x", {}, 1))
    odd.samples += [None, ("x", {}, 1), "x 1"]  # type: ignore[list-item]
    assert written(odd) == ["x 1.0", failed("x", "invalid", 3)]


@both_formats
def test_label_values_are_written_as_text(written: Written) -> None:
    (line,) = written(family("gauge", ("x", {"a": 1, "b": None, "c": 2.5, "d": b"x"}, True)))
    assert line == 'x{a="1",b="None",c="2.5",d="b\'x\'"} 1.0'


@both_formats
def test_numbers_that_are_strings_are_read(written: Written) -> None:
    assert written(family("gauge", ("x", {}, "12"))) == ["x 12.0"]


@both_formats
def test_the_first_of_equal_samples_stands(written: Written) -> None:
    same = [("x", {"a": "1", "b": "2"}, 1), ("x", {"b": "2", "a": "1"}, 2), ("x", {"a": "1", "b": "3"}, 3), ("x", {"a": 1, "b": "2"}, 4)]
    assert written(family("gauge", *same)) == ['x{a="1",b="2"} 1.0', 'x{a="1",b="3"} 3.0', failed("x", "duplicate", 2)]


@both_formats
def test_native_histograms_are_left_to_the_formats_that_know_them(written: Written) -> None:
    native = NativeHistogram(3, 4.5, 0, 0.001, 1, (BucketSpan(0, 2),), None, (1, 0))
    assert written(family("histogram", ("x", {}, 0, None, None, native))) == []


# -- whole families --------------------------------------------------------------------------------------------------------------


def changed(**attributes: Any) -> Metric:
    odd = GaugeMetricFamily("x", "Help", 1)
    for name, value in attributes.items():
        setattr(odd, name, value)
    return odd


@pytest.mark.parametrize(
    "attribute",
    [{"type": "speed"}, {"type": "untyped"}, {"type": None}, {"type": ["gauge"]}, {"documentation": None}, {"documentation": b"Help"}],
    ids=str,
)
@both_formats
def test_a_family_that_cannot_be_written_costs_only_itself(written: Written, attribute: dict[str, Any]) -> None:
    found = written(changed(**attribute), GaugeMetricFamily("fine", "Help", 1))
    assert found == ["fine 1.0", failed("x", "invalid")]


@pytest.mark.parametrize("unit", [None, 3, "seconds"])
@both_formats
def test_an_odd_unit_costs_nothing(written: Written, unit: Any) -> None:
    assert written(changed(unit=unit)) == ["x 1.0"]


@pytest.mark.parametrize("name", [None, "", 7, ["x"], {}, ("x",), b"x"], ids=repr)
@both_formats
def test_a_family_whose_name_is_no_text_costs_only_its_collector(written: Written, name: Any) -> None:
    registry = registry_with(changed(name=name))
    registry.register(Yielding(GaugeMetricFamily("fine", "Help", 1)))
    found = lines((text if written is in_text else openmetrics).generate_latest(registry))
    assert "fine 1.0" in found
    assert found[-1].startswith("measurand_collect_failures_total")


@both_formats
def test_a_type_that_other_libraries_call_untyped_is_unknown(written: Written) -> None:
    assert written(prometheus_client.core.UntypedMetricFamily("x", "Help", value=1)) == ["x 1.0"]


@both_formats
def test_samples_of_other_names_follow_as_series_of_unknown_type(written: Written) -> None:
    """Old collectors give a plain ``Metric`` samples of any name."""
    odd = family("gauge", ("b", {}, 1), ("x", {}, 2), ("a", {"l": "1"}, 3), ("b", {"l": "1"}, 4))
    assert written(odd) == ["x 2.0", "b 1.0", 'b{l="1"} 4.0', 'a{l="1"} 3.0']


@both_formats
def test_a_counter_without_total_is_shown_as_it_is(written: Written) -> None:
    assert written(family("counter", ("x", {}, 5))) == ["x 5.0"]


def test_a_name_that_is_another_familys_only_in_openmetrics_is_left_out_only_there() -> None:
    found = (CounterMetricFamily("jobs", "Help", 1), GaugeMetricFamily("jobs_created", "Help", 2))
    assert "jobs_created 2.0" in in_text(*found)
    assert in_openmetrics(*found) == ["jobs_total 1.0", failed("jobs_created", "duplicate")]


@both_formats
def test_a_stray_does_not_take_the_name_of_a_family(written: Written) -> None:
    found = written(family("gauge", ("x", {}, 1), ("before", {}, 7)))
    assert [line for line in found if line.startswith("before")] == []
    assert found[-1] == failed("x", "duplicate")


# -- series of several samples ---------------------------------------------------------------------------------------------------


def histogram(*buckets: tuple[Any, Any], count: Any = None, total: Any = None, **labels: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = [("x_bucket", {**labels, "le": bound}, value) for bound, value in buckets]
    if count is not None:
        found.append(("x_count", labels, count))
    if total is not None:
        found.append(("x_sum", labels, total))
    return found


@both_formats
def test_the_samples_of_a_series_are_brought_together_and_its_buckets_into_order(written: Written) -> None:
    a = histogram(("+Inf", 3), ("2.0", 2), ("10.0", 3), count=3, total=4, l="a")
    b = histogram(("2.0", 1), ("+Inf", 1), count=1, total=1, l="b")
    assert written(family("histogram", a[0], b[0], a[1], b[3], b[1], a[4], a[2], a[3], b[2])) == [
        'x_bucket{l="a",le="2.0"} 2.0',
        'x_bucket{l="a",le="10.0"} 3.0',
        'x_sum{l="a"} 4.0',
        'x_bucket{l="a",le="+Inf"} 3.0',
        'x_count{l="a"} 3.0',
        'x_bucket{l="b",le="2.0"} 1.0',
        'x_sum{l="b"} 1.0',
        'x_bucket{l="b",le="+Inf"} 1.0',
        'x_count{l="b"} 1.0',
    ]


@both_formats
def test_a_missing_infinite_bucket_is_that_of_the_count(written: Written) -> None:
    assert written(family("histogram", *histogram(("1.0", 2), count=3, total=4, l="a"))) == [
        'x_bucket{l="a",le="1.0"} 2.0',
        'x_bucket{l="a",le="+Inf"} 3.0',
        'x_count{l="a"} 3.0',
        'x_sum{l="a"} 4.0',
    ]


@pytest.mark.parametrize("spelling", ["inf", "Inf", "+inf", "infinity", inf], ids=repr)
@both_formats
def test_an_infinite_bound_has_one_spelling(written: Written, spelling: Any) -> None:
    assert written(family("histogram", *histogram(("1.0", 2), (spelling, 3)))) == ['x_bucket{le="1.0"} 2.0', 'x_bucket{le="+Inf"} 3.0']


def test_bounds_are_canonical_in_openmetrics_and_as_given_in_text() -> None:
    """A series must not change its labels where nothing forces it to."""
    given_ones = family("histogram", *histogram(("1", 1), ("1e1", 2), (1000000, 3), ("+Inf", 3)))
    assert in_text(given_ones)[:3] == ['x_bucket{le="1"} 1.0', 'x_bucket{le="1e1"} 2.0', 'x_bucket{le="1000000"} 3.0']
    assert in_openmetrics(given_ones)[:3] == ['x_bucket{le="1.0"} 1.0', 'x_bucket{le="10.0"} 2.0', 'x_bucket{le="1e+06"} 3.0']


@pytest.mark.parametrize(
    "buckets",
    [[("1.0", 2)], [("1.0", 2), ("5.0", 1), ("+Inf", 3)], [("1.0", 2), ("+Inf", 1)]],
    ids=["without +Inf and without a count", "falling", "+Inf below"],
)
@both_formats
def test_a_histogram_that_cannot_be_mended_is_left_out_and_the_next_one_is_there(written: Written, buckets: list[Any]) -> None:
    fine = histogram(("1.0", 1), ("+Inf", 1), l="fine")
    assert written(family("histogram", *histogram(*buckets, l="bad"), *fine)) == [
        'x_bucket{l="fine",le="1.0"} 1.0',
        'x_bucket{l="fine",le="+Inf"} 1.0',
        failed("x", "invalid"),
    ]


def test_one_bound_in_two_spellings_is_no_histogram() -> None:
    twice = family("histogram", *histogram(("1", 1), ("1.0", 1), ("+Inf", 1)))
    assert in_text(twice) == [failed("x", "invalid")]
    assert in_openmetrics(twice) == ['x_bucket{le="1.0"} 1.0', 'x_bucket{le="+Inf"} 1.0', failed("x", "duplicate")]


@pytest.mark.parametrize("bound", ["NaN", "many", None, ""], ids=repr)
@both_formats
def test_a_bound_that_is_no_number_costs_its_bucket(written: Written, bound: Any) -> None:
    assert written(family("histogram", *histogram((bound, 1), ("+Inf", 1)))) == ['x_bucket{le="+Inf"} 1.0', failed("x", "invalid")]


@both_formats
def test_series_asked_for_by_name_are_there_without_the_rest_of_their_histogram(written: Written) -> None:
    registry = CollectorRegistry()
    Histogram("latency_seconds", "Help", ["l"], buckets=[1], registry=registry).labels("a").observe(1)
    part = registry.restricted_registry(["latency_seconds_sum", "latency_seconds_count"])
    page = (text if written is in_text else openmetrics).generate_latest(part).decode()
    if written is in_openmetrics:
        list(parse_openmetrics(page))
    expected = {'latency_seconds_count{l="a"} 1.0', 'latency_seconds_sum{l="a"} 1.0'}
    assert {line for line in page.splitlines() if not line.startswith("#")} == expected


# -- what only OpenMetrics demands -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "sample"),
    [
        ("counter", ("x_total", {"l": "bad"}, -1)),
        ("counter", ("x_total", {"l": "bad"}, nan)),
        ("summary", ("x_count", {"l": "bad"}, 1.5)),
        ("summary", ("x_count", {"l": "bad"}, -1)),
        ("summary", ("x_sum", {"l": "bad"}, -1)),
        ("summary", ("x_sum", {"l": "bad"}, nan)),
        ("summary", ("x", {"l": "bad", "quantile": "0.5"}, -1)),
        ("summary", ("x", {"l": "bad", "quantile": "1.5"}, 1)),
        ("summary", ("x", {"l": "bad", "quantile": "half"}, 1)),
        ("summary", ("x", {"l": "bad"}, 1)),
        ("info", ("x_info", {"l": "bad"}, 2)),
        ("stateset", ("x", {"l": "bad", "x": "on"}, 0.5)),
        ("stateset", ("x", {"l": "bad"}, 1)),
        ("histogram", ("x_bucket", {"l": "bad", "le": "+Inf"}, 1.5)),
        ("histogram", ("x_bucket", {"l": "bad", "le": "+Inf"}, -1)),
        ("histogram", ("x_bucket", {"l": "bad", "le": "+Inf"}, nan)),
    ],
    ids=str,
)
def test_a_number_that_openmetrics_does_not_allow_is_in_the_text_format_only(type_: str, sample: tuple[Any, ...]) -> None:
    odd = family(type_, sample)
    assert in_openmetrics(odd) == [failed("x", "invalid")]
    assert any('"bad"' in line for line in in_text(odd))


def test_openmetrics_has_count_and_sum_both_or_neither() -> None:
    assert in_openmetrics(family("histogram", *histogram(("+Inf", 2), count=2))) == ['x_bucket{le="+Inf"} 2.0']
    assert in_openmetrics(family("histogram", *histogram(("+Inf", 2), total=2))) == ['x_bucket{le="+Inf"} 2.0', "x_sum 2.0", "x_count 2.0"]
    below = family("histogram", *histogram(("-1.0", 1), ("+Inf", 2), count=2, total=2))
    assert in_openmetrics(below) == ['x_bucket{le="-1.0"} 1.0', 'x_bucket{le="+Inf"} 2.0']


@pytest.mark.parametrize(("total", "bound"), [(nan, "1.0"), (-1, "1.0"), (-1, "-1.0")])
def test_openmetrics_has_the_sum_of_a_gauge_histogram_only_where_it_can_be(total: float, bound: str) -> None:
    levels = [("x_bucket", {"le": bound}, 1), ("x_bucket", {"le": "+Inf"}, 1), ("x_gcount", {}, 1), ("x_gsum", {}, total)]
    found = in_openmetrics(family("gaugehistogram", *levels))
    assert ("x_gsum -1.0" in found) == ("x_gcount 1.0" in found) == (bound == "-1.0")


def test_openmetrics_has_no_count_that_differs_from_the_infinite_bucket() -> None:
    torn = family("histogram", *histogram(("1.0", 1), ("+Inf", 2), count=3, total=2))
    assert in_openmetrics(torn) == [failed("x", "invalid")]
    assert in_text(torn) == ['x_bucket{le="1.0"} 1.0', 'x_bucket{le="+Inf"} 2.0', "x_count 3.0", "x_sum 2.0"]


def test_openmetrics_has_one_timestamp_per_series() -> None:
    odd = family("counter", ("x_total", {"l": "bad"}, 1, 5.0), ("x_created", {"l": "bad"}, 1, 4.0), ("x_total", {"l": "fine"}, 1, 3.0))
    assert in_openmetrics(odd) == ['x_total{l="fine"} 1.0 3.0', failed("x", "invalid")]


@both_formats
def test_a_bucket_that_is_added_has_no_exemplar(written: Written) -> None:
    buckets = HistogramMetricFamily("x", "Help", labels=[])
    buckets.add_metric([], [("1.0", 1, Exemplar({"a": "b"}, 1.0))], 1)
    found = written(buckets)
    assert [line.partition("{")[0].partition(" ")[0] for line in found] == ["x_bucket", "x_bucket", "x_count", "x_sum"]
    assert " # " not in found[1]


# -- anything at all -------------------------------------------------------------------------------------------------------------

scraps = st.sampled_from(["x", "x_total", "x_bucket", "x_count", "x_sum", "x_created", "x_info", "x_gsum", "x_gcount", "a.b", "", None, 3])
values = st.sampled_from([0, 1, 2, 1.5, -1, nan, inf, "1", None, True, 2**53 + 1])
label_names = st.sampled_from(["le", "quantile", "x", "l", "a.b", "a_b", "__name__", "", 1])
label_values = st.sampled_from(["0.5", "1", "+Inf", "inf", "NaN", 'q"\\\n', "\ud800", None, 1.0])
moments = st.sampled_from([None, None, None, 1.0, 2.0, nan, "noon", Timestamp(3, 4), 5])
exemplars = st.sampled_from([None, None, Exemplar({"a": "b"}, 1.0, 2.0), Exemplar({"a": "x" * 200}, 1.0), Exemplar({}, nan), 5])
labels = st.dictionaries(label_names, label_values, max_size=2)
rubbish = st.tuples(scraps, labels, values, moments, exemplars).map(lambda fields: Sample(*fields))


@st.composite
def odd_families(draw: st.DrawFn) -> Metric:
    made = Metric("x", draw(st.sampled_from(["Help", 'a "b"\\\n'])), draw(st.sampled_from(METRIC_TYPES)))
    made.name = draw(st.sampled_from(["x", "x", "x_total", "x_sum", "y.z"]))
    made.unit = draw(st.sampled_from(["", "total", "z"]))
    made.samples = draw(st.lists(rubbish, max_size=8))
    return made


@given(found=st.lists(odd_families(), max_size=3), scheme=st.sampled_from(SCHEMES))
def test_whatever_is_collected_both_pages_can_be_read_and_have_no_series_twice(found: list[Metric], scheme: str) -> None:
    registry = registry_with(*found)
    for write, parse in ((openmetrics.generate_latest, parse_openmetrics), (text.generate_latest, parse_text)):
        page = write(registry, scheme).decode()
        samples = [(sample.name, *sorted(sample.labels.items())) for metric in parse(page) for sample in metric.samples]
        assert {("before",), ("zafter",)} <= set(samples)
        assert len(set(samples)) == len(samples), page


WELL_FORMED = st.sampled_from(
    [
        ("CounterMetricFamily", {"value": 3}),
        ("CounterMetricFamily", {"value": 3, "created": 5.0}),
        ("GaugeMetricFamily", {"value": -3.5}),
        ("UnknownMetricFamily", {"value": 1e9}),
        ("SummaryMetricFamily", {"count_value": 3, "sum_value": 4.5}),
        ("HistogramMetricFamily", {"buckets": [("0.5", 1), ("+Inf", 3)], "sum_value": 4.5}),
        ("HistogramMetricFamily", {"buckets": [("-1.0", 1), ("+Inf", 3)], "sum_value": 4.5}),
        ("GaugeHistogramMetricFamily", {"buckets": [("0.5", 1), ("+Inf", 3)], "gsum_value": 4.5}),
        ("InfoMetricFamily", {"value": {"version": "1.2", "path": 'C:\\ "x"'}}),
        ("StateSetMetricFamily", {"value": {"on": True, "off": False}}),
    ]
)


@given(st.lists(WELL_FORMED, max_size=5))
def test_a_well_formed_collection_gives_the_bytes_of_prometheus_client(found: list[tuple[str, dict[str, Any]]]) -> None:
    here, there = CollectorRegistry(), prometheus_client.CollectorRegistry()
    for registry, library in ((here, families), (there, prometheus_client.core)):
        registry.register(Yielding(*(getattr(library, kind)(f"m{number}", "Help", **what) for number, (kind, what) in enumerate(found))))
    assert text.generate_latest(here) == prometheus_client.generate_latest(there)
    assert openmetrics.generate_latest(here) == prometheus_client.openmetrics.exposition.generate_latest(there)
