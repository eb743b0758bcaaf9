"""Lines for StatsD."""

from __future__ import annotations

import gc
import re
import weakref
from math import inf, isnan, nan
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import CollectorRegistry, Histogram
from measurand.encoding.statsd import Memo, TagStyle, encode, unwritable
from measurand.metrics.collecting import gather
from measurand.metrics.points import PointFamily, Series

pytestmark = pytest.mark.once

LABELS = (("route", "/a b"), ("user", "x.y"))


def family(type_: Any, *numbers: float, name: str = "orders", labels: Any = (), bounds: Any = ()) -> PointFamily:
    return PointFamily(name, type_, "d", "", [Series(labels, numbers)], bounds)


def lines(*families: PointFamily, **settings: Any) -> list[str]:
    return [line for payload in encode(families, **settings) for line in payload.data.decode().split("\n")]


def test_each_kind_has_its_lines() -> None:
    assert lines(family("counter", 3.0)) == ["orders_total:3|c"]
    assert lines(family("gauge", 0.25)) == ["orders:0.25|g"]
    assert lines(family("gauge", -2.0)) == ["orders:0|g", "orders:-2|g"]
    assert lines(family("summary", 2.0, 5.5)) == ["orders.count:2|c", "orders.sum:5.5|c"]
    assert lines(family("histogram", 1.0, 0.0, 2.0, 7.0, bounds=(0.25, 1.0))) == [
        "orders.bucket.0_25:1|c",
        "orders.bucket._Inf:2|c",
        "orders.count:3|c",
        "orders.sum:7|c",
    ]


def test_labels_become_parts_of_the_name_or_tags() -> None:
    counter = family("counter", 1.0, labels=LABELS)
    assert lines(counter, prefix="shop.") == ["shop.orders_total._a_b.x_y:1|c"]
    assert lines(counter, tags="dogstatsd") == ["orders_total:1|c|#route:/a_b,user:x.y"]
    assert lines(counter, tags="graphite") == ["orders_total;route=/a_b;user=x.y:1|c"]
    assert lines(counter, tags="influx") == ["orders_total,route=/a_b,user=x.y:1|c"]
    assert lines(family("counter", 1.0, labels=(("a", ""),))) == ["orders_total._:1|c"]


class Text(str):
    """A label value whose end can be seen."""


@pytest.mark.parametrize("tags", get_args(TagStyle))
def test_what_is_remembered_of_labels_changes_nothing_and_goes_with_its_series(tags: Any) -> None:
    memo, value = Memo(), Text("x.y")
    gone = weakref.ref(value)
    families = [family("counter", 1.0, labels=(("user", value),)), family("histogram", 1.0, 2.0, 5.0, labels=LABELS, bounds=(0.25,))]
    for _ in range(3):
        assert lines(*families, tags=tags, memo=memo) == lines(*families, tags=tags)
    del families[0], value
    for _ in range(2):
        lines(*families, tags=tags, memo=memo)
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("value", [inf, -inf, nan])
def test_what_is_not_finite_is_left_out(value: float) -> None:
    odd = [family("gauge", value), family("counter", value), family("summary", 1.0, value)]
    assert lines(*odd) == ["orders.count:1|c"]
    assert unwritable([*odd, family("gauge", 1.0), family("summary", 1.0, 2.0)]) == (2 if isnan(value) else 3)


def test_nothing_new_is_not_sent_but_a_gauge_of_zero_is() -> None:
    assert lines(family("counter", 0.0), family("summary", 0.0, 0.0), family("gauge", 0.0)) == ["orders:0|g"]


def test_numbers_are_written_exactly() -> None:
    values = [1.0, 2.0**53 - 1, 2.0**60, 0.1, 1e-300, 1.5e22]
    shown = [line.partition(":")[2].partition("|")[0] for value in values for line in lines(family("counter", value))]
    assert [float(text) for text in shown] == values
    assert shown[:2] == ["1", "9007199254740991"]


def test_payloads_keep_to_the_size_and_series_that_fit_are_not_divided() -> None:
    many = PointFamily("orders", "summary", "d", "", [Series((("n", str(number)),), (1.0, 2.0)) for number in range(100)])
    payloads = encode([many], size=120)
    assert len(payloads) > 20
    assert all(len(payload.data) <= 120 for payload in payloads)
    for payload in payloads:
        ((_, delivered),) = payload.content
        assert len(payload.data.split(b"\n")) == 2 * len(delivered)
    assert [series for payload in payloads for _, delivered in payload.content for series in delivered] == many.series


def test_a_series_that_no_payload_can_hold_is_delivered_with_its_last_line() -> None:
    small, large = family("counter", 1.0), family("histogram", *[1.0] * 200, 9.0, bounds=[float(bound) for bound in range(199)])
    payloads = encode([small, large, small], size=100)
    assert all(len(payload.data) <= 100 for payload in payloads)
    assert b"\n".join(payload.data for payload in payloads).decode().split("\n") == [*lines(small), *lines(large), *lines(small)]
    (last,) = [payload for payload in payloads if any(one is large for one, _ in payload.content)]
    assert b"orders.sum:9|c" in last.data
    (alone,) = encode([family("gauge", 1.0, labels=(("a", "x" * 150),))], size=100)
    assert len(alone.data) > 100


def test_a_native_histogram_has_its_classic_buckets() -> None:
    registry = CollectorRegistry()
    seconds = Histogram("seconds", "d", buckets=(0.25, 1), native=True, registry=registry)
    for amount in (0.125, 0.5, 0.75, 8):
        seconds.observe(amount)
    assert lines(*gather(registry).points()) == [
        "seconds.bucket.0_25:1|c",
        "seconds.bucket.1_0:2|c",
        "seconds.bucket._Inf:1|c",
        "seconds.count:4|c",
        "seconds.sum:9.375|c",
    ]


def test_half_a_character_harms_nobody() -> None:
    assert lines(family("counter", 1.0, labels=(("a", "x\ud800"),)), tags="graphite") == ["orders_total;a=x?:1|c"]


LINE = re.compile(r"[a-zA-Z0-9_.-]+(?:[;,][^=\s]+=[^\s;,:|]+)*:-?[0-9.e+-]+\|[cg](\|#[^\s|]+)?")
VALUES = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.text(min_size=1),
    st.text(),
    VALUES,
    st.sampled_from(["names", "dogstatsd", "graphite", "influx"]),
    st.sampled_from(["counter", "gauge", "summary"]),
)
def test_no_name_label_or_value_breaks_a_line(name: str, label: str, value: float, tags: Any, type_: Any) -> None:
    numbers = (2.0, value) if type_ == "summary" else (value,)
    for line in lines(family(type_, *numbers, name=name, labels=(("label", label),)), tags=tags, prefix="p"):
        assert LINE.fullmatch(line), line
