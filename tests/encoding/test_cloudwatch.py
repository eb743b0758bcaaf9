"""The data of PutMetricData."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from math import inf, nan
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from measurand import CollectorRegistry, Histogram
from measurand.encoding.cloudwatch import (
    Entry,
    checked_dimensions,
    checked_namespace,
    encode,
    printable,
    requests,
)
from measurand.errors import ConfigurationError
from measurand.metrics.collecting import gather
from measurand.metrics.points import PointFamily, Series
from measurand.testing.exporters import HOSTILE
from tests.encoding.cloudwatch_limits import complaints

pytestmark = pytest.mark.once

NOW = 1_700_000_000.5


def family(
    type_: Any, *numbers: float, name: str = "orders", labels: Any = (), bounds: Any = (), unit: str = "", timestamp: float | None = None
) -> PointFamily:
    return PointFamily(name, type_, "d", unit, [Series(labels, numbers, None, timestamp)], bounds)


def only(entries: list[Entry]) -> dict[str, Any]:
    (entry,) = entries
    return entry.datum


def data(*families: PointFamily, **settings: Any) -> list[dict[str, Any]]:
    entries, refusals = encode(families, NOW, **settings)
    assert refusals == []
    return [entry.datum for entry in entries]


def wrong(found: list[dict[str, Any]]) -> list[str]:
    told = [datum | {"Timestamp": datum["Timestamp"].timestamp()} for datum in found]
    return list(complaints("Shop", told, NOW))


def test_each_type_has_its_form() -> None:
    stamp = {"Timestamp": datetime.fromtimestamp(NOW, UTC)}
    assert data(
        family("counter", 3.0),
        family("gauge", -2.5, name="level"),
        family("histogram", 1.0, 2.0, 0.0, 3.5, name="took", bounds=(1.0, 2.0)),
        family("summary", 4.0, 10.0, name="sizes"),
    ) == [
        {"MetricName": "orders_total", "Value": 3.0} | stamp,
        {"MetricName": "level", "Value": -2.5} | stamp,
        {"MetricName": "took", "Values": [0.5, 1.5], "Counts": [1.0, 2.0]} | stamp,
        {"MetricName": "sizes", "StatisticValues": {"SampleCount": 4.0, "Sum": 10.0, "Minimum": 2.5, "Maximum": 2.5}} | stamp,
    ]


def test_labels_are_dimensions_and_those_without_a_value_are_none() -> None:
    (datum,) = data(family("gauge", 1.0, labels=(("b", "2"), ("c", ""))), dimensions={"a": "1", "b": "0"})
    assert datum["Dimensions"] == [{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}]
    assert "Dimensions" not in data(family("gauge", 1.0, labels=(("c", ""),)))[0]


@pytest.mark.parametrize(
    ("name", "unit", "found"),
    [
        ("took", "seconds", "Seconds"),
        ("took_seconds", "", "Seconds"),
        ("sent_bytes", "", "Bytes"),
        ("full_percent", "percent", "Percent"),
        ("level", "furlongs", None),
        ("orders", "", None),
    ],
)
def test_the_unit_follows_from_the_metric(name: str, unit: str, found: str | None) -> None:
    (datum,) = data(family("gauge", 1.0, name=name, unit=unit))
    assert datum.get("Unit") == found
    (counted,) = data(family("counter", 1.0, name=name, unit=unit))
    assert counted.get("Unit") == found


def test_values_for_every_second_are_asked_for() -> None:
    assert data(family("gauge", 1.0), storage_resolution=1)[0]["StorageResolution"] == 1
    assert "StorageResolution" not in data(family("gauge", 1.0))[0]


@pytest.mark.parametrize("type_", ["histogram", "summary"])
def test_where_nothing_was_observed_nothing_is_said(type_: Any) -> None:
    numbers = (0.0, 0.0, 1e-17) if type_ == "histogram" else (0.0, 1e-17)  # what rounding left of a sum
    assert data(family(type_, *numbers, bounds=(1.0,) if type_ == "histogram" else ())) == []


def test_a_histogram_of_many_buckets_is_still_one_datum() -> None:
    bounds = tuple(float(bound) for bound in range(1, 1000))
    (datum,) = data(family("histogram", *[1.0] * 1000, 500_000.0, bounds=bounds))
    assert len(datum["Values"]) <= 150
    assert sum(datum["Counts"]) == 1000
    assert sum(value * times for value, times in zip(datum["Values"], datum["Counts"], strict=True)) == 500_000


def test_a_native_histogram_is_as_fine_as_its_cells() -> None:
    registry = CollectorRegistry()
    took = Histogram("took", "d", buckets=(1, 10), native=True, registry=registry)
    for value in (1.5, 1.5, 8.0):
        took.observe(value)
    datum = only(encode(gather(registry).points(), NOW)[0])
    low, high = datum["Values"][0], datum["Values"][-1]
    assert 1.5 / 2**0.125 <= low <= 1.5 * 2**0.125
    assert 8.0 / 2**0.125 <= high <= 8.0 * 2**0.125


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        (family("gauge", nan), "its value is infinite or no number"),
        (family("gauge", inf), "its value is infinite or no number"),
        (family("gauge", 2.0**361), "its value is beyond 2\\*\\*360"),
        (family("summary", 1.0, nan), "its value is infinite or no number"),
        (family("summary", -1.0, 5.0), "it has fewer than no observations"),
        (family("histogram", -1.0, 2.0, 1.0, bounds=(1.0,)), "a bucket's count must be a number of at least 0"),
        (family("gauge", 1.0, labels=tuple((f"l{at:02}", "x") for at in range(31))), "it has more than 30 dimensions"),
        (family("gauge", 1.0, timestamp=NOW - 14 * 86400), "older than two weeks"),
        (family("gauge", 1.0, timestamp=NOW + 7200), "two hours ahead"),
        (family("gauge", 1.0, timestamp=nan), "its time stamp"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(given_: PointFamily, reason: str) -> None:
    entries, refusals = encode([given_, family("gauge", 5.0, name="sound")], NOW)
    assert only(entries)["MetricName"] == "sound"
    (refusal,) = refusals
    assert refusal.name == given_.exposed_name
    with pytest.raises(ValueError, match=reason):
        raise ValueError(refusal.reason)


def test_numbers_too_small_for_cloudwatch_are_zero() -> None:
    assert data(family("gauge", 5e-324))[0]["Value"] == 0.0
    assert data(family("gauge", 2.0**-360))[0]["Value"] == 2.0**-360


@pytest.mark.parametrize("text", [each for each in HOSTILE if each] + [":", "x" * 2000], ids=ascii)
def test_any_text_is_one_that_cloudwatch_takes(text: str) -> None:
    found = data(family("gauge", 1.0, labels=((text, text),)))
    assert wrong(found) == []


def test_no_name_begins_with_a_colon() -> None:
    given_ = PointFamily(":rate", "gauge", "d", "", [Series(((":k", ":v"),), (1.0,))])
    (entry,), _ = encode([given_], NOW)
    assert entry.datum["MetricName"] == "\\x3arate"
    assert entry.datum["Dimensions"] == [{"Name": "\\x3ak", "Value": ":v"}]


def test_texts_that_differ_stay_apart() -> None:
    texts = [*HOSTILE, "x" * 1024, "x" * 1025, "x" * 1026, "x" * 1024 + "y", "é", "\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}"]
    assert len({printable(text, 1024) for text in texts}) == len(texts)
    assert printable("plain text: 1", 1024) == "plain text: 1"
    assert printable("é✓😀\n", 1024) == "\\xe9\\u2713\\U0001f600\\x0a"


numbers = st.floats() | st.floats(0, 1e6)
texts = st.text(max_size=40) | st.text(min_size=200, max_size=1200)
labels = st.dictionaries(texts.filter(bool), texts, max_size=33).map(lambda found: tuple(sorted(found.items())))


@st.composite
def families(draw: st.DrawFn) -> PointFamily:
    type_: Any = draw(st.sampled_from(["counter", "gauge", "summary", "histogram"]))
    bounds = (
        draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8, unique=True).map(sorted))
        if type_ == "histogram"
        else []
    )
    many = {"summary": 2, "histogram": len(bounds) + 2}.get(type_, 1)
    counts = st.integers(0, 10**6).map(float) | numbers
    series = [
        Series(each, tuple(draw(st.tuples(*[counts] * many))), None, draw(st.none() | st.floats(NOW - 2e6, NOW + 1e4)))
        for each in draw(st.lists(labels, max_size=3, unique=True))
    ]
    return PointFamily(draw(texts.filter(bool)), type_, "d", draw(st.sampled_from(["", "seconds", "x"])), series, tuple(bounds))


@settings(suppress_health_check=list(HealthCheck))  # families are large, and slow to draw on a busy machine
@given(st.lists(families(), max_size=5))
def test_no_limit_is_passed_whatever_there_is(given_: list[PointFamily]) -> None:
    entries, refusals = encode(given_, NOW)
    for entry in entries:
        assert wrong([entry.datum]) == []
        assert entry.series in entry.family.series
        told = entry.datum | {"Timestamp": entry.datum["Timestamp"].timestamp()}
        assert len(json.dumps(told, allow_nan=False)) <= entry.size
    observing = [series for each in given_ if each.type in {"summary", "histogram"} for series in each.series]
    silent = sum(all(abs(count) < 2.0**-360 for count in series.numbers[:-1]) for series in observing)
    assert sum(len(each.series) for each in given_) - silent <= len(entries) + len(refusals) <= sum(len(each.series) for each in given_)


def planned(sizes: list[int], **settings: int) -> Iterator[list[int]]:
    one = family("gauge", 1.0)
    for together in requests([Entry(one, one.series[0], {}, size) for size in sizes], **settings):
        yield [entry.size for entry in together]


@given(st.lists(st.integers(1, 150), max_size=60), st.integers(1, 10), st.integers(1, 400))
def test_requests_hold_what_fits_in_order(sizes: list[int], most: int, largest: int) -> None:
    found = list(planned(sizes, most=most, largest=largest))
    assert [size for together in found for size in together] == sizes
    for together in found:
        assert 0 < len(together) <= most
        assert sum(together) <= largest or len(together) == 1
    for first, second in pairwise(found):
        assert len(first) == most or sum(first) + second[0] > largest  # as few as can be


@pytest.mark.parametrize("namespace", ["", " ", "x" * 256, ":x", "AWS/EC2", "é", "a\nb", None])
def test_a_namespace_that_cannot_be_is_refused(namespace: Any) -> None:
    with pytest.raises(ConfigurationError, match="a namespace of CloudWatch"):
        checked_namespace(namespace)


def test_a_namespace_may_have_parts() -> None:
    assert checked_namespace("Shop/Web #1: all") == "Shop/Web #1: all"


@pytest.mark.parametrize("dimensions", [{"a": ""}, {"": "a"}, {f"d{at}": "x" for at in range(31)}])
def test_dimensions_that_cannot_be_are_refused(dimensions: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="dimension"):
        checked_dimensions(dimensions)
