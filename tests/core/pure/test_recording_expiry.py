"""Gauges whose series expire. Both twins, on a clock that moves only when told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from measurand.core.contract import OVERFLOW_VALUE
from tests.core.kit import Kit
from tests.support import StillClock


def test_a_series_that_is_not_written_expires_and_the_others_stay(make: Kit, still_clock: StillClock) -> None:
    gauge = make.gauge("a", expire_after=60.0)
    gauge.labels("quiet").set(1)
    busy = gauge.labels("busy")
    for write in (lambda: busy.set(1), busy.inc, busy.dec, busy.set_to_current_time, lambda: busy.inc(0)):
        still_clock.advance(40)
        write()
        still_clock.advance(40)
        gauge.labels("busy")
        rows = make.rows(gauge)
        assert ("busy",) in rows
    assert list(rows) == [("busy",)]
    assert make.core.children(gauge) == [busy]
    still_clock.advance(60)
    assert make.rows(gauge) == {}


def test_a_series_lives_for_exactly_the_time_given(make: Kit, still_clock: StillClock) -> None:
    gauge, single = make.gauge("a", expire_after=60.0), make.gauge(expire_after=60.0)
    for series in (gauge.labels("x"), single):
        series.set(1)
    still_clock.advance(60)
    assert len(make.rows(gauge)) == len(make.rows(single)) == 1
    still_clock.advance(0.001)
    assert len(make.rows(gauge)) == len(make.rows(single)) == 0


@pytest.mark.parametrize(("write", "value"), [(lambda s: s.set(5), 5.0), (lambda s: s.inc(), 1.0), (lambda s: s.dec(2), -2.0)])
def test_an_expired_series_comes_back_through_what_was_kept_and_starts_anew(
    make: Kit, still_clock: StillClock, write: Callable[[Any], object], value: float
) -> None:
    gauge, single = make.gauge("a", expire_after=60.0), make.gauge(expire_after=60.0)
    kept = gauge.labels("x")
    for series, metric, key in ((kept, gauge, ("x",)), (single, single, ())):
        series.set(100)
        still_clock.advance(61)
        assert make.rows(metric) == {}
        write(series)
        assert make.rows(metric) == {key: (value,)}
    assert gauge.labels("x") is kept
    kept.inc()
    assert make.rows(gauge) == {("x",): (value + 1,)}


def test_what_was_kept_of_an_expired_series_records_on_the_one_that_took_its_place(make: Kit, still_clock: StillClock) -> None:
    gauge = make.gauge("a", expire_after=60.0)
    kept = gauge.labels("x")
    still_clock.advance(61)
    assert make.rows(gauge) == {}
    successor = gauge.labels("x")
    assert successor is not kept
    kept.inc(2)
    successor.inc(3)
    assert make.rows(gauge) == {("x",): (5.0,)}
    still_clock.advance(59)
    kept.inc(0)
    still_clock.advance(59)
    assert make.rows(gauge) == {("x",): (5.0,)}


def test_a_series_that_expired_gives_its_place_to_another(make: Kit, still_clock: StillClock) -> None:
    gauge = make.gauge("a", expire_after=60.0, max_series=1)
    gauge.labels("x").set(1)
    gauge.labels("y").set(2)
    still_clock.advance(61)
    assert make.rows(gauge) == {}
    gauge.labels("z").set(3)
    gauge.labels("v").set(4)
    assert make.rows(gauge) == {("z",): (3.0,), (OVERFLOW_VALUE,): (4.0,)}


def test_replaced_series_expire_too(make: Kit, still_clock: StillClock) -> None:
    gauge = make.gauge("a", expire_after=60.0)
    gauge.labels("x").set(1)
    still_clock.advance(50)
    gauge.replace({"x": 2, "y": 3})
    still_clock.advance(50)
    assert make.rows(gauge) == {("x",): (2.0,), ("y",): (3.0,)}
    gauge.labels("y").inc()
    still_clock.advance(50)
    assert make.rows(gauge) == {("y",): (4.0,)}


def test_a_series_of_an_earlier_definition_stays_away_from_the_new_one(make: Kit, still_clock: StillClock) -> None:
    gauge = make.gauge("a", expire_after=60.0)
    old = gauge.labels("x")
    make.core.define(gauge, make.core.spec(gauge))
    old.set(5)
    assert make.rows(gauge) == {}
    assert make.core.read(old) == (5.0,)


def test_nothing_expires_unless_told(make: Kit, still_clock: StillClock) -> None:
    metrics = [make.counter("a"), make.gauge("a"), make.summary("a"), make.histogram("a")]
    for metric in metrics:
        metric.labels("x")
    still_clock.advance(1e9)
    assert all(len(make.rows(metric)) == 1 for metric in metrics)
