"""The limit on series: exact, with exact totals, and said once. Both twins."""

from __future__ import annotations

import logging

import pytest

from measurand.core.contract import OVERFLOW_VALUE
from tests.core.kit import Kit


@pytest.mark.parametrize("limit", [0, 1, 2, 17, 2000])
def test_exactly_so_many_label_sets_get_a_series_and_the_total_stays_exact(make: Kit, limit: int) -> None:
    metric = make.counter("id", max_series=limit)
    for number in range(limit + 5):
        metric.labels(number).inc(2)
    rows = make.rows(metric)
    assert list(rows) == [*[(str(number),) for number in range(limit)], (OVERFLOW_VALUE,)]
    assert rows[(OVERFLOW_VALUE,)] == (10.0,)
    assert sum(value for (value,) in rows.values()) == 2 * (limit + 5)
    assert make.core.dropped(metric) == 5


def test_no_limit_means_none(make: Kit) -> None:
    metric = make.counter("id", max_series=None)
    for number in range(5000):
        metric.labels(number).inc()
    assert len(make.rows(metric)) == 5000
    assert make.core.dropped(metric) == 0


def test_beyond_the_limit_all_label_sets_share_one_child_and_known_ones_keep_theirs(make: Kit) -> None:
    metric = make.histogram("a", "b", max_series=2)
    first, second = metric.labels("1", "x"), metric.labels(a="2", b="x")
    overflow = metric.labels("3", "x")
    assert metric.labels(a="4", b="y") is overflow
    assert make.core.key(overflow) == (OVERFLOW_VALUE, OVERFLOW_VALUE)
    assert metric.labels("1", "x") is first
    assert metric.labels("2", "x") is second
    assert make.core.children(metric) == [first, second, overflow]
    assert make.core.dropped(metric) == 2


def test_reaching_the_limit_is_said_once_and_names_the_label_that_varies_most(make: Kit, caplog: pytest.LogCaptureFixture) -> None:
    metric = make.counter("method", "path", "code", max_series=6, name=f"hits_{make.core.implementation}_total")
    for number in range(20):
        metric.labels("GET" if number % 2 else "PUT", f"/{number}", "200").inc()
    metric.clear()
    for number in range(20):
        metric.labels("GET", f"/{number}", "200").inc()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name == "measurand"
    assert record.getMessage() == (
        f"hits_{make.core.implementation}_total has reached its limit of 6 series; further label sets are recorded together under "
        "path='__other__'. The label that varies most is 'path' (6 values): give it a bounded set of values, "
        "or raise max_series in the definition."
    )


def test_a_place_that_becomes_free_is_given_again(make: Kit) -> None:
    metric = make.counter("id", max_series=2)
    for label in "abc":
        metric.labels(label).inc()
    metric.remove("a")
    metric.labels("d").inc()
    metric.labels("e").inc()
    assert make.rows(metric) == {("b",): (1.0,), (OVERFLOW_VALUE,): (2.0,), ("d",): (1.0,)}
    metric.remove(OVERFLOW_VALUE)
    metric.labels("f").inc()
    assert make.rows(metric) == {("b",): (1.0,), ("d",): (1.0,), (OVERFLOW_VALUE,): (1.0,)}
    metric.clear()
    for label in "xyz":
        metric.labels(label).inc()
    assert make.rows(metric) == {("x",): (1.0,), ("y",): (1.0,), (OVERFLOW_VALUE,): (1.0,)}
    metric.remove_by_labels({"id": OVERFLOW_VALUE})
    metric.remove_by_labels({"id": "x"})
    metric.labels("v").inc()
    assert make.rows(metric) == {("y",): (1.0,), ("v",): (1.0,)}


def test_naming_the_overflow_series_takes_nobodys_place_and_counts_as_no_loss(make: Kit) -> None:
    metric = make.counter("id", max_series=2)
    named = metric.labels(OVERFLOW_VALUE)
    named.inc(5)
    for label in "abcd":
        metric.labels(label).inc()
    assert metric.labels("e") is named
    assert metric.labels(OVERFLOW_VALUE) is named
    assert make.rows(metric) == {(OVERFLOW_VALUE,): (7.0,), ("a",): (1.0,), ("b",): (1.0,)}
    assert make.core.dropped(metric) == 3


def test_naming_the_overflow_series_of_a_full_metric_is_no_loss(make: Kit, caplog: pytest.LogCaptureFixture) -> None:
    metric = make.counter("id", "no", max_series=1)
    metric.labels("a", "1")
    metric.labels(OVERFLOW_VALUE, OVERFLOW_VALUE).inc()
    assert make.core.dropped(metric) == 0
    assert caplog.records == []
    assert make.core.key(metric.labels(OVERFLOW_VALUE, "1")) == (OVERFLOW_VALUE, OVERFLOW_VALUE)
    assert make.core.dropped(metric) == 1
