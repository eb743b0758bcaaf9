"""What the four instruments record and refuse. Both twins."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.errors import MeasurandError, RecordingError
from tests.core.kit import Kit
from tests.support import StillClock, run_python


class Half(float):
    pass


class Two(int):
    pass


class Number:
    """A number only in that it converts."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"Number({self.value!r})"


class Index:
    def __index__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return "Index()"


RECORDERS: dict[str, Callable[[Kit], tuple[Any, Callable[[Any], object]]]] = {
    "counter.inc": lambda make: (counter := make.counter(), counter.inc),
    "gauge.inc": lambda make: (gauge := make.gauge(), gauge.inc),
    "gauge.dec": lambda make: (gauge := make.gauge(), gauge.dec),
    "summary.observe": lambda make: (summary := make.summary(), summary.observe),
    "histogram.observe": lambda make: (histogram := make.histogram(), histogram.observe),
    "expiring gauge.inc": lambda make: (gauge := make.gauge(expire_after=1e9), gauge.inc),
}


@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.parametrize(
    ("amount", "value"),
    [
        (2, 2.0),
        (0, 0.0),
        (0.25, 0.25),
        (True, 1.0),
        (Half(0.5), 0.5),
        (Two(2), 2.0),
        (Decimal("0.25"), 0.25),
        (Fraction(3, 4), 0.75),
        (Number(1.5), 1.5),
        (Index(), 3.0),
        (2**53, 2.0**53),
        (10**300, 1e300),
        (inf, inf),
    ],
    ids=repr,
)
def test_any_real_number_can_be_recorded(make: Kit, recorder: str, amount: Any, value: float) -> None:
    metric, record = RECORDERS[recorder](make)
    assert record(amount) is None
    (cells,) = make.rows(metric).values()
    assert cells[-1] == (-value if recorder == "gauge.dec" else value)


@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.parametrize("amount", ["1", b"1", None, [], 1j, object(), Number("x"), Number(None)], ids=lambda value: type(value).__name__)  # type: ignore[arg-type]
def test_what_is_no_real_number_is_refused_and_changes_nothing(make: Kit, recorder: str, amount: Any) -> None:
    metric, record = RECORDERS[recorder](make)
    with pytest.raises(TypeError):
        record(amount)
    assert set(next(iter(make.rows(metric).values()))) == {0.0}


@pytest.mark.parametrize("recorder", RECORDERS)
def test_an_integer_beyond_a_double_is_refused(make: Kit, recorder: str) -> None:
    metric, record = RECORDERS[recorder](make)
    with pytest.raises(OverflowError, match=r"^int too large to convert to float$"):
        record(10**400)
    assert set(next(iter(make.rows(metric).values()))) == {0.0}


@pytest.mark.parametrize("recorder", RECORDERS)
def test_integral_sums_stay_exact_to_two_to_the_53(make: Kit, recorder: str) -> None:
    metric, record = RECORDERS[recorder](make)
    record(2**53 - 3)
    for _ in range(3):
        record(1)
    (cells,) = make.rows(metric).values()
    assert abs(cells[-1]) == 2**53


def test_the_python_twin_records_the_same_where_there_is_no_interpreter_lock() -> None:
    """It takes a lock of its own there; asked in a fresh interpreter, which is told so."""
    code = """
import sys
sys._is_gil_enabled = lambda: False
from tests.core.kit import exercise
from tests.support import run_threads
exercise("measurand.core.pure")
from tests.core.kit import Kit
from measurand.core import pure
make = Kit(pure)
counter, gauge, summary, histogram = make.counter(), make.gauge(), make.summary(), make.histogram()
def record():
    for _ in range(500):
        counter.inc()
        gauge.inc()
        summary.observe(1)
        histogram.observe(1)
run_threads(record, record)
print(*[make.rows(metric)[()][-1] for metric in (counter, gauge, summary, histogram)])
"""
    shown = run_python(code, pure="1")
    assert (shown.returncode, shown.stdout) == (0, "1000.0 1000.0 1000.0 1000.0\n"), shown.stderr


# -- counter -----------------------------------------------------------------------------------------------------------------


def test_a_counter_counts_from_zero(make: Kit) -> None:
    counter = make.counter("a")
    child = counter.labels("x")
    assert make.rows(counter) == {("x",): (0.0,)}
    child.inc()
    child.inc(2)
    child.inc(amount=0.5)
    child.inc(0, exemplar=None)
    assert make.rows(counter) == {("x",): (3.5,)}


@pytest.mark.parametrize("amount", [-1, -1e-300, -inf, -True, Decimal(-1), Number(-1.0), -(10**30)], ids=repr)
def test_a_counter_refuses_to_go_down(make: Kit, amount: Any) -> None:
    counter = make.counter(name="c")
    counter.inc(5)
    with pytest.raises(RecordingError) as caught:
        counter.inc(amount)
    shown = repr(amount) if type(amount) in (int, float) else repr(float(amount))
    assert str(caught.value) == (
        f"Counters can only be incremented by non-negative amounts: c.inc({shown}); use a Gauge for a value that goes down"
    )
    assert make.rows(counter) == {(): (5.0,)}


@pytest.mark.parametrize("amount", [nan, -nan, Decimal("NaN"), Number(nan)], ids=repr)
def test_a_counter_refuses_nan_as_it_could_never_leave_it(make: Kit, amount: Any) -> None:
    counter = make.counter(name="c")
    counter.inc(5)
    with pytest.raises(RecordingError) as caught:
        counter.inc(amount)
    assert str(caught.value).startswith("Counters can only be incremented by non-negative amounts: c.inc(nan) would ")
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MeasurandError)
    assert make.rows(counter) == {(): (5.0,)}


def test_a_counter_takes_minus_zero(make: Kit) -> None:
    counter = make.counter()
    counter.inc(-0.0)
    assert make.core.read(counter) == (0.0,)


def test_a_counter_is_reset_to_zero(make: Kit) -> None:
    counter = make.counter("a")
    child = counter.labels("x")
    child.inc(5)
    child.reset()
    child.inc()
    assert make.rows(counter) == {("x",): (1.0,)}


# -- gauge -------------------------------------------------------------------------------------------------------------------


def test_a_gauge_goes_up_and_down(make: Kit) -> None:
    gauge = make.gauge("a").labels("x")
    gauge.inc()
    gauge.inc(5)
    gauge.dec()
    gauge.dec(amount=0.5)
    assert make.core.read(gauge) == (4.5,)
    gauge.inc(-10)
    gauge.dec(-1)
    assert make.core.read(gauge) == (-4.5,)
    gauge.set(-2)
    assert make.core.read(gauge) == (-2.0,)


@pytest.mark.parametrize(("value", "number"), [("1.5", 1.5), (" 7 ", 7.0), (b"2", 2.0), (Decimal("0.1"), 0.1), (True, 1.0), (-inf, -inf)])
def test_a_gauge_is_set_to_whatever_float_takes(make: Kit, value: Any, number: float) -> None:
    gauge = make.gauge()
    gauge.set(value)
    assert make.core.read(gauge) == (number,)
    gauge.set(value=1)
    assert make.core.read(gauge) == (1.0,)


@pytest.mark.parametrize(("value", "error"), [("x", ValueError), (None, TypeError), (1j, TypeError), (10**400, OverflowError)])
def test_a_gauge_keeps_its_value_when_it_is_set_to_nonsense(make: Kit, value: Any, error: type[Exception]) -> None:
    gauge = make.gauge()
    gauge.set(3)
    with pytest.raises(error):
        gauge.set(value)
    assert make.core.read(gauge) == (3.0,)


def test_a_gauge_may_be_nan_and_recover(make: Kit) -> None:
    gauge = make.gauge()
    gauge.set(nan)
    assert math.isnan(make.core.read(gauge)[0])
    gauge.set(1)
    assert make.core.read(gauge) == (1.0,)


def test_a_gauge_is_set_to_the_current_time(make: Kit, still_clock: StillClock) -> None:
    gauge = make.gauge()
    still_clock.advance(5)
    gauge.set_to_current_time()
    assert make.core.read(gauge) == (1.7e9 + 5,)


def test_a_gauge_of_the_most_recent_value_refuses_to_be_added_to(make: Kit) -> None:
    gauge = make.gauge("a", additive=False, name="g")
    for series in (gauge, gauge.labels("x")):
        for method in ("inc", "dec"):
            with pytest.raises(RuntimeError) as caught:
                getattr(series, method)()
            assert str(caught.value).startswith(f"{method} must not be used with the mostrecent mode: g ")
            assert str(caught.value).endswith("use set()")
    gauge.labels("x").set(4)
    assert make.rows(gauge) == {("x",): (4.0,)}


def test_a_function_is_kept_for_the_scrape_until_the_series_is_replaced(make: Kit) -> None:
    gauge = make.gauge("a")
    functions = [lambda: 1.0, lambda: 2.0]
    gauge.labels("x").set(9)
    gauge.labels("y").set_function(f=functions[1])
    gauge.labels("x").set_function(functions[0])
    frozen = make.core.freeze(gauge)
    assert [row[0] for row in frozen.rows()] == [("x",), ("y",)]
    assert frozen.payloads() == [(0, functions[0]), (1, functions[1])]
    assert make.core.payload(gauge.labels("x")) is functions[0]
    gauge.replace({"x": 3})
    assert make.core.freeze(gauge).payloads() == []
    assert make.core.payload(gauge.labels("x")) is None


# -- summary and histogram ---------------------------------------------------------------------------------------------------


def test_a_summary_counts_and_adds_up(make: Kit) -> None:
    summary = make.summary("a")
    child = summary.labels("x")
    for amount in (1, 2.5, -4, True):
        child.observe(amount)
    child.observe(amount=10)
    assert make.rows(summary) == {("x",): (5.0, 10.5)}


def test_a_bucket_includes_its_bound(make: Kit) -> None:
    histogram = make.histogram(bounds=(1.0, 2.0, 5.0))
    for amount in (-inf, 0, 1, 1.0000001, 2, 5, 5.1, 1e300):
        histogram.observe(amount)
    assert make.core.read(histogram) == (3.0, 2.0, 1.0, 2.0, -inf)
    histogram.observe(inf)
    *cumulative, total = make.rows(histogram)[()]
    assert cumulative == [3.0, 5.0, 6.0, 9.0]
    assert math.isnan(total)


@given(
    bounds=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40, unique=True).map(sorted),
    amounts=st.lists(st.floats(allow_nan=False, min_value=-1e6, max_value=1e6) | st.integers(-5, 5) | st.booleans(), max_size=60),
)
def test_every_observation_lands_in_the_first_bucket_that_holds_it(make: Kit, bounds: list[float], amounts: list[float]) -> None:
    histogram = make.histogram(bounds=tuple(bounds))
    histogram_of_bounds = make.histogram(bounds=tuple(bounds))
    total = 0.0
    for amount in amounts:
        histogram.observe(amount)
        total += amount
    for bound in bounds:
        histogram_of_bounds.observe(bound)
    assert make.rows(histogram)[()] == (*[sum(amount <= bound for amount in amounts) for bound in bounds], len(amounts), total)
    assert make.core.read(histogram_of_bounds)[:-1] == (*[1.0] * len(bounds), 0.0)


def test_a_histogram_without_bounds_has_one_bucket(make: Kit) -> None:
    histogram = make.histogram(bounds=())
    histogram.observe(3)
    assert make.rows(histogram) == {(): (1.0, 3.0)}


@pytest.mark.parametrize("kind", ["summary", "histogram"])
def test_observing_nan_is_left_out_and_said_once_per_metric(make: Kit, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    metric = getattr(make, kind)("a", name=f"nan_{kind}_{make.core.implementation}")
    for label in "xy":
        metric.labels(label).observe(1)
        for amount in (nan, -nan, Decimal("NaN"), nan):
            assert metric.labels(label).observe(amount) is None
    assert {cells[-1] for cells in make.rows(metric).values()} == {1.0}
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("measurand", logging.WARNING)
    assert record.getMessage() == (
        f"nan_{kind}_{make.core.implementation}.observe(nan) is ignored: NaN has no bucket and would make the sum NaN for ever. Said once."
    )
