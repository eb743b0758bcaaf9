"""Lines for DogStatsD."""

from __future__ import annotations

import re
from math import inf, nan
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from measurand import CollectorRegistry, Histogram
from measurand.encoding.dogstatsd import encode
from measurand.metrics.collecting import gather
from measurand.metrics.points import PointFamily, Series

pytestmark = pytest.mark.once


def family(type_: Any, *numbers: float, labels: Any = (), bounds: Any = (), name: str = "orders") -> PointFamily:
    return PointFamily(name, type_, "d", "", [Series(labels, numbers)], bounds)


def lines(*families: PointFamily, **settings: Any) -> list[str]:
    return [line for payload in encode(families, **settings) for line in payload.data.decode().split("\n")]


def test_each_kind_has_its_lines() -> None:
    assert lines(family("counter", 3.0)) == ["orders_total:3|c"]
    assert lines(family("gauge", -2.5, labels=(("a", "b"),))) == ["orders:-2.5|g|#a:b"]
    assert lines(family("summary", 2.0, 5.5)) == ["orders.count:2|c", "orders.sum:5.5|c"]
    histogram = family("histogram", 1.0, 0.0, 2.0, 7.0, bounds=(0.25, 1.0), labels=(("a", "b"),))
    assert lines(histogram) == [
        "orders.bucket:1|c|#a:b,le:0.25",
        "orders.bucket:2|c|#a:b,le:+Inf",
        "orders.count:3|c|#a:b",
        "orders.sum:7|c|#a:b",
    ]
    assert lines(family("histogram", 1.0, 0.0, 0.0, bounds=(0.25,))) == ["orders.bucket:1|c|#le:0.25", "orders.count:1|c"]


def test_what_every_line_carries() -> None:
    settings: dict[str, Any] = {"prefix": "shop", "tags": {"team": "par|ts"}, "container": "c0ffee", "time": 1_700_000_000.9}
    assert lines(family("counter", 1.0, labels=(("a", "b"),)), **settings) == [
        "shop.orders_total:1|c|#team:par_ts,a:b|c:c0ffee|T1700000000"
    ]


def test_distributions_have_as_many_values_as_there_were_observations() -> None:
    histogram = family("histogram", 1.0, 2.0, 51.0, 70.0, bounds=(1.0, 3.0))
    assert lines(histogram, distributions=True, container="x", time=5.0) == [f"orders:3|d|@{1 / 51!r}|c:x", "orders:0.5:2:2|d|c:x"]
    assert lines(family("histogram", 60.0, 0.0, 9.0, bounds=(-1.0,)), distributions=True, tags={"a": "b"}) == [
        f"orders:-1|d|@{1 / 60!r}|#a:b"
    ]


@given(st.integers(1, 100_000))
@example(93)  # 1 / (1 / 93) is less than 93
def test_the_rate_of_many_equal_values_stands_for_their_number(count: int) -> None:
    total = 0
    for line in lines(family("histogram", 0.0, float(count), 0.0, bounds=(1.0,)), distributions=True):
        values, rate = line.partition("|d")[0].split(":")[1:], re.search(r"@([^|]+)", line)
        total += int(len(values) / float(rate[1])) if rate else len(values)  # the agent cuts off what is behind the point
    assert total == count


def test_a_histogram_of_one_bucket_has_values_too() -> None:
    assert lines(family("histogram", 2.0, 3.0), distributions=True) == ["orders:0:0|d"]


def test_the_values_of_a_native_histogram_are_as_close_as_its_cells() -> None:
    registry = CollectorRegistry()
    Histogram("seconds", "d", buckets=(0.25, 1), native=True, registry=registry).observe(8)
    families = gather(registry).points()
    assert lines(*families) == ["seconds.bucket:1|c|#le:+Inf", "seconds.count:1|c", "seconds.sum:8|c"]
    (line,) = lines(*families, distributions=True)
    assert abs(float(line.partition(":")[2].removesuffix("|d")) - 8) < 1


@pytest.mark.parametrize("value", [inf, -inf, nan])
def test_what_is_not_finite_is_left_out(value: float) -> None:
    assert lines(family("gauge", value), family("counter", value), family("summary", 1.0, value)) == ["orders.count:1|c"]


LINE = re.compile(r"[a-zA-Z0-9_.]+:-?[0-9.e+-]+\|[cg]\|#[^|\n,]+:[^|\n,]*")


@given(st.text(min_size=1), st.text(min_size=1), st.text(), st.floats(), st.sampled_from(["counter", "gauge"]))
def test_no_name_label_or_value_breaks_a_line(name: str, label: str, content: str, value: float, type_: Any) -> None:
    for line in lines(family(type_, value, name=name, labels=((label, content),))):
        assert LINE.fullmatch(line), line
