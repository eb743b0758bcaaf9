"""Differences that add up to what was recorded, whatever fails in between."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from measurand import CollectorRegistry, Counter, Gauge, Histogram, Summary, clock
from measurand.exporters.delivery import Delivery
from measurand.exporters.deltas import Change, Deltas
from measurand.exporters.protocol import Snapshot
from measurand.metrics.points import Labels, PointFamily, PointType, Series
from tests.support import StillClock

pytestmark = pytest.mark.once

Totals = dict[tuple[str, Labels], tuple[float, ...]]


def family(*series: Series, name: str = "things", type_: PointType = "counter", bounds: tuple[float, ...] = ()) -> PointFamily:
    return PointFamily(name, type_, "", "", list(series), bounds)


def one(*numbers: float, created: float | None = None, label: str = "a") -> Series:
    return Series((("kind", label),), numbers, created)


def told(change: Change) -> list[tuple[float, ...]]:
    return [series.numbers for family in change.points() for series in family.series]


def step(deltas: Deltas, *families: PointFamily, **settings: Any) -> list[tuple[float, ...]]:
    """A delivery that arrives: what is sent in it."""
    change = deltas.change(families, 0.0, **settings)
    change.acknowledge_all()
    return told(change)


# -- workloads ---------------------------------------------------------------------------------------------------------------


class Adding:
    """A destination that adds up what arrives; the next delivery fails as the test says."""

    name, interval, temporality = "adding", 60.0, "delta"

    def __init__(self) -> None:
        self.held: Totals = {}
        self.takes: Callable[[list[Any]], tuple[list[Any], bool]] = lambda series: (series, True)

    def export(self, snapshot: Snapshot) -> None:
        added_up = [family for family in snapshot.points() if family.type != "gauge"]
        found = [(family, series) for family in added_up for series in family.series]
        taken, is_good = self.takes(found)
        for family, series in taken:
            key = (family.name, series.labels)
            assert min(series.numbers[:-1] or series.numbers) >= 0, series
            before = self.held.get(key, (0.0,) * len(series.numbers))
            self.held[key] = tuple([low + more for low, more in zip(before, series.numbers, strict=True)])
            if not is_good:
                snapshot.acknowledge(family, [series])
        if not is_good:
            raise ConnectionError("refused")


class Workload:
    """A registry, what was recorded in it, and what a destination should therefore have."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.destination = Adding()
        at = self.registry = CollectorRegistry()
        self.counter = Counter("things_total", "Things", ["kind"], registry=at)
        self.histogram = Histogram("seconds", "Seconds", ["kind"], buckets=(1, 16), registry=at)
        self.summary = Summary("sizes", "Sizes", ["kind"], registry=at)
        Gauge("level", "Level", registry=at).set(3)
        self.delivery = Delivery(self.destination, at)
        self.pending: Totals = {}
        self.due: Totals = {}

    def record(self, kind: str, amount: float) -> None:
        self.counter.labels(kind).inc(amount)
        self.histogram.labels(kind).observe(amount)
        self.summary.labels(kind).observe(amount)
        buckets = (float(amount <= 1), float(1 < amount <= 16), float(amount > 16))
        for name, numbers in (("things", (amount,)), ("seconds", (*buckets, amount)), ("sizes", (1.0, amount))):
            _add(self.pending, (name, (("kind", kind),)), numbers)

    def forget(self, how: str, kind: str) -> None:
        """Take a series away; what no delivery had of it is gone."""
        for name, metric in (("things", self.counter), ("seconds", self.histogram), ("sizes", self.summary)):
            if how == "reset":
                if metric is not self.counter:
                    continue
                self.counter.labels(kind).reset()
            elif how == "remove":
                metric.remove(kind)
            else:
                metric.clear()
            for key in [key for key in self.pending if key[0] == name and (how == "clear" or key[1] == (("kind", kind),))]:
                del self.pending[key]

    def deliver(self, how: str, part: int) -> None:
        def takes(found: list[Any]) -> tuple[list[Any], bool]:
            taken = {"all": found, "none": [], "part": found[: part % (len(found) + 1)]}[how]
            for family, series in taken:
                key = (family.name, series.labels)
                _add(self.due, key, self.pending.pop(key))
            return taken, how == "all"

        self.destination.takes = takes
        try:
            self.delivery.deliver()
        except ConnectionError:
            assert how != "all"
        else:
            assert how == "all"
            assert not self.pending


def _add(totals: Totals, key: tuple[str, Labels], numbers: Iterable[float]) -> None:
    more = tuple(numbers)
    totals[key] = tuple([low + high for low, high in zip(totals.get(key, (0.0,) * len(more)), more, strict=True)])


kinds = st.sampled_from("ab")
amounts = st.integers(1, 2**20).map(lambda number: number / 8)  # sums of these are exact
steps = st.lists(
    st.one_of(
        st.tuples(st.just("record"), kinds, amounts),
        st.tuples(st.just("forget"), st.sampled_from(["reset", "remove", "clear"]), kinds),
        st.tuples(st.just("deliver"), st.sampled_from(["all", "none", "part"]), st.integers(0, 6)),
    ),
    max_size=40,
)


@given(steps)
@example([("record", "a", 8.0), ("deliver", "all", 0), ("forget", "remove", "a"), ("record", "a", 9.0)])
@example([("record", "a", 8.0), ("deliver", "part", 1), ("forget", "reset", "a"), ("record", "a", 9.0), ("deliver", "none", 0)])
def test_what_arrives_adds_up_to_what_was_recorded(workload: list[tuple[Any, ...]]) -> None:
    made = Workload()
    before = clock.use(made.clock)
    try:
        for name, *arguments in workload:
            made.clock.advance(1)
            getattr(made, name)(*arguments)
        made.deliver("all", 0)
    finally:
        clock.use(before)
    assert made.destination.held == made.due


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=30), st.data())
def test_rounding_errors_do_not_pile_up(recorded: list[float], data: st.DataObject) -> None:
    """Nothing is ever taken for a counter that has begun again, and the sum is right to the last place."""
    deltas, total, received = Deltas(), 0.0, 0.0
    for amount in recorded:
        total += amount
        change = deltas.change([family(one(total))], 0.0)
        if data.draw(st.booleans()):
            received = sum((numbers[0] for numbers in told(change)), received)
            change.acknowledge_all()
    received = sum((numbers[0] for numbers in step(deltas, family(one(total)))), received)
    assert abs(received - total) <= math.ulp(total)


def test_a_sum_that_was_rounded_up_is_no_number_that_has_begun_again() -> None:
    """Where a total is half as many places longer than the one before, the receiver's sum of both differences may be above it."""
    before = [0.7 + math.ulp(0.7) * odd for odd in range(64)]
    after = [1.9 + math.ulp(1.9) * odd for odd in range(64)]
    rounded_up = [(low, high) for low in before for high in after if low + (high - low) > high]
    assert rounded_up
    for type_, bounds, rest in (("counter", (), ()), ("summary", (), (2.0,)), ("histogram", (1.0,), (0.0, 2.0))):
        for low, high in rounded_up:
            deltas = Deltas()
            for total in (low, high):
                step(deltas, family(one(total, *rest), type_=type_, bounds=bounds))
            assert step(deltas, family(one(high, *rest), type_=type_, bounds=bounds)) == []
            assert step(deltas, family(one(high + 1, *rest), type_=type_, bounds=bounds)) == [(pytest.approx(1), *(0.0 for _ in rest))]


# -- what begins again, and what is only lacking -----------------------------------------------------------------------------


def test_what_has_not_changed_is_not_sent_and_gauges_always_are() -> None:
    deltas = Deltas()
    level = family(one(2), name="level", type_="gauge")
    assert step(deltas, family(one(3), one(0, label="b")), level) == [(3,), (2,)]
    change = deltas.change([family(one(3), one(0, label="b")), level], 1.0)
    assert [found.name for found in change.points()] == ["level"]


@pytest.mark.parametrize(
    ("before", "after", "type_"),
    [((8.0,), (3.0,), "counter"), ((8.0, 9.0), (3.0, 90.0), "summary"), ((8.0, 0.0, 9.0), (3.0, 7.0, 90.0), "histogram")],
)
def test_a_number_that_is_lower_has_begun_again(before: tuple[float, ...], after: tuple[float, ...], type_: PointType) -> None:
    deltas = Deltas()
    bounds = (1.0,) if type_ == "histogram" else ()
    step(deltas, family(one(*before), type_=type_, bounds=bounds))
    assert step(deltas, family(one(*after), type_=type_, bounds=bounds)) == [after]


def test_a_sum_may_fall_because_values_may_be_negative() -> None:
    deltas = Deltas()
    step(deltas, family(one(2.0, 5.0), type_="summary"))
    assert step(deltas, family(one(3.0, -4.0), type_="summary")) == [(1.0, -9.0)]
    assert step(deltas, family(one(3.0, -5.0), type_="summary")) == [(0.0, -1.0)]


def test_a_series_that_says_it_is_younger_has_begun_again_where_only_one_process_counts() -> None:
    deltas = Deltas()
    step(deltas, family(one(5, created=1.0)), tells_creation=True)
    assert step(deltas, family(one(9, created=2.0)), tells_creation=True) == [(9,)]
    assert step(deltas, family(one(11, created=3.0))) == [(2,)]
    assert step(deltas, family(one(12, created=4.0)), tells_creation=True) == [(1,)], "when it began was not known the last time"


def test_other_buckets_are_another_series() -> None:
    deltas = Deltas()
    step(deltas, family(one(1.0, 2.0, 3.0), type_="histogram", bounds=(1.0,)))
    assert step(deltas, family(one(2.0, 2.0, 3.0), type_="histogram", bounds=(5.0,))) == [(2.0, 2.0, 3.0)]


def test_a_series_that_is_no_more_is_forgotten() -> None:
    deltas = Deltas()
    step(deltas, family(one(5), one(7, label="b")), family(one(1), name="others"))
    assert step(deltas, family(one(5))) == []
    assert step(deltas, family(one(6), one(7, label="b")), family(one(1), name="others")) == [(1,), (7,), (1,)]


@pytest.mark.parametrize("unknown", [math.nan, math.inf])
def test_a_number_that_is_none_for_a_moment_changes_nothing(unknown: float) -> None:
    deltas = Deltas()
    for type_, rest in (("counter", ()), ("summary", (1.0,))):
        assert step(deltas, family(one(5.0, *rest), type_=type_)) == [(5.0, *rest)]
        assert step(deltas, family(one(unknown, *rest), type_=type_)) == []
        assert step(deltas, family(one(6.0, *rest), type_=type_)) == [(1.0, *(0.0 for _ in rest))]


def test_a_sum_that_is_not_known_counts_when_it_is() -> None:
    deltas = Deltas()
    assert [numbers[0] for numbers in step(deltas, family(one(2.0, math.nan), type_="summary"))] == [2.0]
    assert step(deltas, family(one(2.0, math.nan), type_="summary")) == []
    assert step(deltas, family(one(3.0, 7.0), type_="summary")) == [(1.0, 7.0)]


def test_a_family_that_is_lacking_for_a_moment_goes_on_where_it_was() -> None:
    deltas = Deltas()
    step(deltas, family(one(5)), family(one(7), name="others"))
    assert step(deltas, family(one(6)), is_complete=False) == [(1,)]
    assert step(deltas, family(one(6)), family(one(9), name="others")) == [(2,)]


def test_families_that_stay_away_while_something_is_lacking_do_not_pile_up() -> None:
    deltas = Deltas()
    for number in range(3000):
        step(deltas, family(one(5), name=f"things{number}"), is_complete=False)
    assert len(deltas.sent) < 1100
    assert step(deltas, family(one(6), name="things2999"), is_complete=False) == [(1,)]


def test_a_number_that_lost_a_part_to_damage_goes_on_from_there() -> None:
    deltas = Deltas()
    step(deltas, family(one(100), one(1, label="b")))
    assert step(deltas, family(one(60), one(3, label="b")), lower="lost") == [(2,)]
    assert step(deltas, family(one(64), one(3, label="b"))) == [(4,)]


def test_a_number_of_which_a_part_lacks_waits_for_it() -> None:
    deltas = Deltas()
    step(deltas, family(one(100), one(1, label="b")))
    assert step(deltas, family(one(60), one(3, label="b")), lower="lacks") == [(2,)]
    assert step(deltas, family(one(104), one(3, label="b"))) == [(4,)]


# -- acknowledging -----------------------------------------------------------------------------------------------------------


def test_what_was_acknowledged_is_not_sent_again_and_the_rest_is() -> None:
    deltas = Deltas()
    change = deltas.change([family(one(5), one(7, label="b"))], 10.0)
    (found,) = change.points()
    change.acknowledge(found, [found.series[1]])
    change.acknowledge(found, [found.series[1]])
    assert deltas.last is None
    assert step(deltas, family(one(6), one(9, label="b"))) == [(6,), (2,)]


def test_what_is_no_part_of_a_change_cannot_be_acknowledged() -> None:
    deltas = Deltas()
    change = deltas.change([family(one(5))], 10.0)
    change.acknowledge(family(one(5), name="others"), [one(5)])
    change.acknowledge(family(one(5)), [one(5, label="b")])
    assert deltas.version == 0
    change.acknowledge_all()
    change.acknowledge_all()
    assert step(deltas, family(one(5))) == []


def test_a_change_says_since_when() -> None:
    deltas = Deltas()
    first = deltas.change([family(one(5))], 10.0, 3.0)
    assert (first.start, first.time, first.seconds) == (None, 10.0, 3.0)
    deltas.change([family(one(6))], 20.0).acknowledge_all()
    assert deltas.change([], 30.0).start == 20.0
