"""A snapshot as a table."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import CollectorRegistry, Counter, Gauge, Histogram, Summary
from measurand.encoding.table import encode
from measurand.metrics.collecting import gather
from measurand.metrics.points import PointFamily, Series

pytestmark = pytest.mark.once


def test_each_series_has_a_line_and_columns_line_up() -> None:
    registry = CollectorRegistry()
    orders = Counter("orders", "d", ["channel"], registry=registry)
    orders.labels("web").inc(3)
    orders.labels("by phone").inc(12345678)
    Gauge("level", "d", registry=registry).set(-0.333333)
    seconds = Histogram("seconds", "d", registry=registry, buckets=(1, 2, 4))
    Summary("sizes", "d", registry=registry).observe(10)
    Histogram("unused", "d", registry=registry)
    for value in (0.5, 1.5, 1.5, 3):
        seconds.observe(value)
    assert encode(gather(registry).points()) == (
        "orders_total  channel=web         3\n"
        "              channel='by phone'  12345678\n"
        "level                             -0.3333\n"
        "seconds                           n=4 mean=1.625 p50=1.5 p95=3.6 p99=3.92\n"
        "sizes                             n=1 mean=10\n"
        "unused                            no observations\n"
    )


def test_nothing_is_shown_of_nothing() -> None:
    assert encode([]) == ""


def test_what_is_long_is_cut_in_the_middle() -> None:
    (line,) = encode([PointFamily("x" * 50 + "y" * 50, "gauge", "d", "", [Series((), (1.0,))])]).splitlines()
    assert line == "x" * 29 + "…" + "y" * 30 + "    1"


@given(st.text(), st.text(), st.sampled_from([nan, inf, -inf, 1e300, -0.0, 5e-324]))
def test_whatever_a_label_holds_a_series_is_one_line(label: str, value: str, number: float) -> None:
    text = encode([PointFamily("a", "gauge", "d", "", [Series(((label, value),), (number,))])])
    assert len(text.splitlines()) == 1
    assert text.isprintable() or text.removesuffix("\n").isprintable()
