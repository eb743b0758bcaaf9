"""OutcomeTimer: one of two series, after what became of the thing timed. Both twins."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from measurand.core.contract import Spec
from measurand.errors import LabelError
from tests.core.kit import Kit
from tests.support import StillClock

OK, FAILED = ("x", "ok"), ("x", "failed")


def outcomes(make: Kit, metric: Any, method: str = "observe") -> Any:
    return make.core.OutcomeTimer(metric, method, OK, FAILED)


def test_a_duration_goes_to_the_series_of_its_outcome_and_comes_back(make: Kit, still_clock: StillClock) -> None:
    summary = make.summary("a", "status")
    timer = outcomes(make, summary)
    start = make.core.now()
    still_clock.advance(2)
    assert timer.since(start) == 2.0
    assert timer.since(start, exc=None) == 2.0
    assert timer.since(start, KeyboardInterrupt()) == 2.0
    still_clock.advance(-9)
    assert timer.since(start, None) == 0.0
    assert make.rows(summary) == {OK: (3.0, 4.0), FAILED: (1.0, 2.0)}


@pytest.mark.parametrize("how", ["remove", "remove_by_labels", "clear"])
def test_a_series_that_was_removed_comes_back_as_a_new_one(make: Kit, still_clock: StillClock, how: str) -> None:
    histogram = make.histogram("a", "status")
    timer = outcomes(make, histogram)
    removal: Callable[[], None] = {
        "remove": lambda: histogram.remove(*OK),
        "remove_by_labels": lambda: histogram.remove_by_labels({"a": "x"}),
        "clear": histogram.clear,
    }[how]
    for _ in range(2):
        for _ in range(3):
            timer.since(0.0, None)
        assert make.rows(histogram)[OK][:4] == (0.0, 0.0, 0.0, 3.0)
        removal()
        assert OK not in make.rows(histogram)


def test_a_gauge_is_set_also_after_it_was_replaced_or_has_expired(make: Kit, still_clock: StillClock) -> None:
    gauge = make.gauge("a", "status", expire_after=60.0)
    timer = outcomes(make, gauge, "set")
    start = make.core.now()
    for disturb in (lambda: None, lambda: gauge.replace({("y", "ok"): 1.0}), lambda: still_clock.advance(61), lambda: None):
        disturb()
        seconds = timer.since(start, None)
        assert make.rows(gauge)[OK] == (seconds,)


def test_an_instrument_that_is_defined_anew_is_followed(make: Kit, still_clock: StillClock) -> None:
    summary = make.summary("a", "status")
    timer = outcomes(make, summary)
    timer.since(0.0, None)
    make.core.define(summary, Spec("again", "summary", "summary", ("b", "c"), width=2))
    timer.since(0.0, None)
    assert make.rows(summary) == {OK: (1.0, 1000.0)}
    make.core.define(summary, Spec("again", "summary", "summary", ("b",), width=2))
    with pytest.raises(LabelError, match="Incorrect label count for again"):
        timer.since(0.0, None)


def test_beyond_the_limit_the_overflow_series_serves_until_there_is_room(make: Kit, still_clock: StillClock) -> None:
    summary = make.summary("a", "status", max_series=1)
    summary.labels("y", "ok")
    timer = outcomes(make, summary)
    for _ in range(3):
        timer.since(0.0, None)
    assert make.rows(summary)["__other__", "__other__"] == (3.0, 3000.0)
    assert make.core.dropped(summary) == 3
    summary.remove("y", "ok")
    timer.since(0.0, None)
    assert make.rows(summary)[OK] == (1.0, 1000.0)


def test_a_metric_without_labels_and_one_series_are_recorded_on_themselves(make: Kit, still_clock: StillClock) -> None:
    summary, child = make.summary(), make.summary("a").labels("x")
    for series in (summary, child):
        timer = make.core.OutcomeTimer(metric=series, callback_name="observe", succeeded=(), failed=())
        timer.since(998.0)
        timer.since(start=999.0, exc=ValueError())
        assert make.core.read(series) == (2.0, 3.0)


def test_a_method_that_was_replaced_is_asked(make: Kit, still_clock: StillClock) -> None:
    summary = make.summary("a", "status")
    timer = outcomes(make, summary)
    timer.since(0.0, None)
    with mock.patch.object(summary, "labels", return_value=mock.Mock()) as labels:
        timer.since(0.0, ValueError())
        timer.since(0.0, None)
    assert labels.call_args_list == [mock.call(*FAILED), mock.call(*OK)]
    assert labels.return_value.observe.call_args_list == [mock.call(1000.0)] * 2
    with mock.patch.object(type(summary), "observe") as observe:
        timer.since(0.0, None)
    observe.assert_called_once_with(1000.0)
    assert make.rows(summary) == {OK: (1.0, 1000.0)}


def test_a_class_with_labels_of_its_own_is_asked_each_time(make: Kit, still_clock: StillClock) -> None:
    asked: list[Any] = []

    class Asking(make.core.SummaryBase):  # type: ignore[misc,name-defined]
        def labels(self, *values: str) -> Any:
            asked.append(values)
            return super().labels(*values)

    summary = make.make(Asking, "summary", ("a", "status"), width=2)
    timer = outcomes(make, summary)
    for failure in (None, ValueError(), None):
        timer.since(0.0, failure)
    assert asked == [OK, FAILED, OK]
    assert make.rows(summary) == {OK: (2.0, 2000.0), FAILED: (1.0, 1000.0)}


def test_any_method_of_any_object_can_be_told_the_seconds(make: Kit, still_clock: StillClock) -> None:
    told: list[float] = []
    timer = make.core.OutcomeTimer(told, "append", (), ())
    assert timer.since(993.0) == 7.0
    assert told == [7.0]
    with pytest.raises(AttributeError):
        make.core.OutcomeTimer(told, "no_such_method", (), ()).since(0.0)


def test_a_metric_in_use_by_a_timer_goes_when_nobody_has_either(make: Kit) -> None:



    summary = make.summary("a", "status")
    timer = outcomes(make, summary)
    timer.since(0.0, None)
    summary.own = timer  # a cycle
    gone = weakref.ref(summary)
    del summary, timer
    gc.collect()
    assert gone() is None
