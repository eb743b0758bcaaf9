"""Where cells are: moving them, being told of new series. Both twins."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from array import array
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from measurand.errors import LabelError
from tests.core.kit import Kit
from tests.support import StillClock, eager_switching, for_a_while, in_background, wait_until

STAMP, WAYS = 1, 2
SET, ADDED = 1, 2


def memory(*numbers: float) -> memoryview[float]:
    return memoryview(array("d", numbers))


def test_numbers_go_along_are_added_or_stay_behind(make: Kit) -> None:
    counter, summary, histogram = make.counter(), make.summary(), make.histogram("a")
    counter.inc(2)
    summary.observe(5)
    histogram.labels("x").observe(1.5)
    place = memory(100, 10, 10, 1, 1, 1, 1, 1)
    make.core.move(counter, place, 0, "keep")
    make.core.move(summary, place, 1, "add")
    make.core.move(histogram.labels("x"), place, 3, "leave")
    counter.inc()
    summary.observe(1)
    histogram.labels("x").observe(9)
    assert list(place) == [3, 12, 16, 1, 1, 1, 2, 10]
    assert make.rows(counter) == {(): (3,)}
    assert make.rows(summary) == {(): (12, 16)}
    assert make.rows(histogram) == {("x",): (1, 2, 3, 5, 10)}
    assert make.core.read(counter) == (3,)


@pytest.mark.parametrize("how", ["keep", "add"])
def test_an_infinite_sum_stays_infinite(make: Kit, how: str) -> None:
    summary, place = make.summary(), memory(0, 0)
    summary.observe(inf)
    make.core.move(summary, place, 0, how)
    assert list(place) == [1, inf]


def test_what_is_written_to_the_memory_is_what_the_series_has(make: Kit) -> None:
    counter, place = make.counter("a"), memory(0, 0)
    make.core.move(counter.labels("x"), place, 1, "keep")
    place[1] = 41
    counter.labels("x").inc()
    assert make.rows(counter) == {("x",): (42,)}
    counter.labels("x").reset()
    assert place[1] == 0


def test_a_series_moves_again_with_all_it_has(make: Kit, still_clock: StillClock) -> None:
    gauge = make.gauge("a", stamped=True)
    first, second = memory(0, 0, 0), memory(0, 7, 7, 7)
    make.core.move(gauge.labels("x"), first, 0, "keep")
    gauge.labels("x").set(3)
    set_at = still_clock.elapsed
    still_clock.advance(5)
    make.core.move(gauge.labels("x"), second, 1, "keep")
    make.core.move(gauge.labels("x"), second, 1, "add")  # it is there
    assert list(second) == [0, 3, set_at, SET]
    gauge.labels("x").set(4)
    assert list(first) == [3, set_at, SET]
    assert list(second) == [0, 4, set_at + 5, SET]


def test_a_gauge_notes_how_it_was_written_to_wherever_it_was_then(make: Kit) -> None:
    steps: dict[str, tuple[Callable[[Any], None], int]] = {
        "set": (lambda gauge: gauge.set(0), SET),
        "inc": (lambda gauge: gauge.inc(0), ADDED),
        "dec": (lambda gauge: gauge.dec(0), ADDED),
        "time": (lambda gauge: gauge.time().__enter__() and gauge.set_to_current_time(), SET),
        "both": (lambda gauge: (gauge.set(1), gauge.inc()), SET | ADDED),
        "nothing": (lambda gauge: None, 0),
    }
    for step, ways in steps.values():
        before, after, place = make.gauge(), make.gauge(), memory(0, 0, 0, 0, 0, 0)
        step(before)
        make.core.move(before, place, 0, "keep")
        make.core.move(after, place, 3, "keep")
        step(after)
        assert (place[WAYS], place[3 + WAYS]) == (ways, ways)
    gauge, place = make.gauge("a"), memory(0, 0, 0)
    make.core.move(gauge.labels("x"), place, 0, "keep")
    gauge.replace({"x": 5})
    assert list(place) == [5, 0, SET]


def test_when_a_gauge_is_set_is_noted_where_that_matters(make: Kit, still_clock: StillClock) -> None:
    for spec, noted in (({}, False), ({"stamped": True}, True), ({"expire_after": 50.0}, True)):
        gauge, place = make.gauge("a", **spec), memory(0, 0, 0)
        make.core.move(gauge.labels("x"), place, 0, "keep")
        for step in (lambda series: series.set(1), lambda series: series.set(2)):
            still_clock.advance(1)
            step(gauge.labels("x"))
            assert place[STAMP] == (still_clock.elapsed if noted else 0)
        still_clock.advance(1)
        gauge.replace({"x": 3})
        assert place[STAMP] == (still_clock.elapsed if noted else 0)


def test_by_the_systems_clock_each_set_is_stamped_to_the_hundredth_of_a_second(make: Kit) -> None:
    gauge, place = make.gauge("a", stamped=True), memory(0, 0, 0)
    series = gauge.labels("x")
    make.core.move(series, place, 0, "keep")

    def later(than: float) -> bool:
        before = make.core.now()
        series.set(before)
        assert before - 0.01 <= place[STAMP] <= make.core.now()
        return place[STAMP] > than

    stamps = [series.set(number) or place[STAMP] for number in range(1000)]
    assert stamps == sorted(set(stamps))
    for _ in range(3):
        wait_until(lambda than=place[STAMP]: later(than))
        assert (place[0], place[WAYS]) == (*make.core.read(series), SET)


def test_a_gauge_that_leaves_its_numbers_starts_as_one_that_was_never_written_to(make: Kit) -> None:
    gauge, place = make.gauge(), memory(0, 0, 0)
    gauge.inc(5)
    make.core.move(gauge, place, 0, "leave")
    assert (make.core.read(gauge), place[WAYS]) == ((0,), 0)
    gauge.inc()
    assert list(place) == [1, 0, ADDED]


def test_memory_lives_as_long_as_a_series_is_in_it(make: Kit) -> None:
    class Memory(bytearray):
        pass

    counter, place = make.counter("a"), Memory(16)
    alive = weakref.ref(place)
    series = counter.labels("x")
    make.core.move(series, memoryview(place).cast("d"), 1, "keep")
    del place
    gc.collect()
    series.inc(2)
    assert make.core.read(series) == (2,)
    make.core.move(series, memory(0), 0, "keep")
    gc.collect()
    assert alive() is None
    assert make.core.read(series) == (2,)


@pytest.mark.parametrize(
    ("place", "offset", "how", "error", "message"),
    [
        (memory(0, 0), 2, "keep", ValueError, "1 cells at 2 do not fit into memory for 2"),
        (memory(0), -1, "keep", ValueError, "do not fit"),
        (memory(0), 0, "take", ValueError, "'keep', 'add' and 'leave', not 'take'"),
        (memory(0), 0, None, ValueError, "not None"),
        (memoryview(b"12345678").cast("d"), 0, "keep", TypeError, "writable memoryview of doubles"),
        (memoryview(bytearray(8)), 0, "keep", TypeError, "writable memoryview of doubles"),
        (array("d", [0]), 0, "keep", TypeError, "writable memoryview of doubles"),
    ],
)
def test_a_place_that_does_not_fit_is_refused_and_changes_nothing(
    make: Kit, place: Any, offset: int, how: Any, error: type[Exception], message: str
) -> None:
    counter = make.counter()
    counter.inc(3)
    with pytest.raises(error, match=message):
        make.core.move(counter, place, offset, how)
    counter.inc()
    assert make.core.read(counter) == (4,)


def test_what_has_no_cells_cannot_be_moved(make: Kit) -> None:
    with pytest.raises(LabelError):
        make.core.move(make.counter("a"), memory(0), 0, "keep")


def test_each_series_is_told_of_once_when_it_can_be_seen(make: Kit) -> None:
    counter, told = make.counter("a"), []

    def watch(series: Any) -> None:
        told.append((make.core.key(series), make.core.stands(series), len(make.core.children(counter))))

    counter.labels("before")
    make.core.watch(counter, watch)
    counter.labels("x").inc()
    counter.labels("x").inc()
    counter.labels(a="y")
    make.core.watch(counter, None)
    counter.labels("z")
    assert told == [(("x",), True, 2), (("y",), True, 3)]


def test_series_of_a_replacement_and_those_that_come_back_are_told_of(make: Kit, still_clock: StillClock) -> None:
    gauge, told = make.gauge("a", expire_after=10.0), []
    gauge.replace({"x": 1})
    kept = gauge.labels("x")
    make.core.watch(gauge, lambda series: told.append((make.core.key(series), make.core.read(series))))
    gauge.replace({"x": 2, "y": 3, "z": 4})
    assert told == [(("y",), (3,)), (("z",), (4,))]
    still_clock.advance(11)
    assert make.rows(gauge) == {}
    assert not make.core.stands(kept)
    kept.set(5)
    kept.set(6)
    assert told[2:] == [(("x",), (0,))]
    assert make.rows(gauge) == {("x",): (6,)}


def test_of_threads_that_make_the_same_series_one_tells_of_it(make: Kit) -> None:
    counter, told = make.counter("a", max_series=None), []
    make.core.watch(counter, told.append)
    made = [itertools.count(), itertools.count()]
    with eager_switching(), in_background(*[lambda n=n: counter.labels(next(n)) for n in made]):
        for _ in for_a_while():
            threading.Event().wait(0.00001)
    assert len(told) == len(make.core.children(counter)) == max(next(number) for number in made)
    assert {id(series) for series in told} == {id(series) for series in make.core.children(counter)}


def test_what_a_watcher_raises_leaves_the_call_and_the_series_stays(make: Kit) -> None:
    counter, gauge = make.counter("a"), make.gauge("a")
    for metric in (counter, gauge):
        make.core.watch(metric, lambda series: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        counter.labels("x")
    counter.labels("x").inc(2)
    assert make.rows(counter) == {("x",): (2,)}
    with pytest.raises(ZeroDivisionError):
        gauge.replace({"x": 1, "y": 2})
    assert make.rows(gauge) == {("x",): (1,), ("y",): (2,)}


def test_a_series_stands_until_it_is_removed(make: Kit) -> None:
    counter = make.counter("a")
    removed, cleared, kept = (counter.labels(label) for label in "xyz")
    assert [make.core.stands(series) for series in (counter, removed, cleared, kept)] == [True] * 4
    counter.remove("x")
    again = counter.labels("x")
    assert [make.core.stands(series) for series in (removed, again)] == [False, True]
    counter.clear()
    assert [make.core.stands(series) for series in (counter, cleared, kept, again)] == [True, False, False, False]


def test_a_place_is_a_memory_and_an_offset(make: Kit) -> None:
    counter, one, other = make.counter("a"), memory(0, 0), memory(0, 0)
    series = counter.labels("x")
    make.core.move(series, one, 1, "keep")
    assert [make.core.is_at(series, *place) for place in ((one, 1), (one, 0), (other, 1))] == [True, False, False]
    make.core.move(series, other, 1, "keep")
    assert [make.core.is_at(series, *place) for place in ((one, 1), (other, 1))] == [False, True]


def test_a_gauge_comes_to_numbers_that_are_there_as_if_it_had_been_there_before(make: Kit, still_clock: StillClock) -> None:
    steps: dict[str, tuple[Callable[[Any], None], tuple[float, float]]] = {
        "never written to": (lambda gauge: None, (7, SET)),
        "moved": (lambda gauge: (gauge.inc(2), gauge.dec()), (8, SET | ADDED)),
        "set": (lambda gauge: gauge.set(3), (3, SET)),
        "set and moved": (lambda gauge: (gauge.set(3), gauge.inc()), (4, SET | ADDED)),
    }
    for name, (step, (number, ways)) in steps.items():
        gauge, place = make.gauge(stamped=True), memory(7, 5, SET)
        step(gauge)
        make.core.move(gauge, place, 0, "add")
        assert (name, place[0], place[WAYS]) == (name, number, ways)
        assert place[STAMP] == (5 if name == "never written to" else still_clock.elapsed)


def test_nothing_is_lost_while_threads_record_on_series_that_are_moved(make: Kit) -> None:
    counter, histogram = make.counter(), make.histogram("a")
    series = histogram.labels("x")
    numbers = [itertools.count(1), itertools.count(1)]
    counts = [0, 0]

    def record(thread: int) -> None:
        counter.inc()
        series.observe(1.5)
        counts[thread] = next(numbers[thread])

    with eager_switching(), in_background(lambda: record(0), lambda: record(1)):
        for number in for_a_while():
            make.core.move(counter, memory(0, 0, 5), number % 2, "keep")
            make.core.move(series, memory(0, 0, 0, 0, 0, 0), number % 2, "keep")
            if number % 50 == 0:
                threading.Event().wait(0.0001)
    assert make.core.read(counter) == (sum(counts),)
    assert make.core.read(series) == (0, sum(counts), 0, 0, 1.5 * sum(counts))


@pytest.mark.parametrize("stamped", [False, True])
def test_nothing_is_lost_while_threads_write_to_gauges_that_are_moved(make: Kit, stamped: bool) -> None:
    added, written = make.gauge(), make.gauge("a", stamped=stamped)
    series = written.labels("x")
    numbers = [itertools.count(1), itertools.count(1)]
    counts = [0, 0]
    last = 0.0

    def add(thread: int) -> None:
        added.inc(2)
        added.dec(1)
        counts[thread] = next(numbers[thread])

    def write() -> None:
        nonlocal last
        series.set(last + 1)
        last += 1

    with eager_switching(), in_background(lambda: add(0), lambda: add(1), write):
        for number in for_a_while():
            make.core.move(added, memory(0, 0, 0, 0), number % 2, "keep")
            place = memory(0, 0, 0, 0)
            make.core.move(series, place, number % 2, "keep")
            if number % 50 == 0:
                threading.Event().wait(0.0001)
    assert make.core.read(added) == (sum(counts),)
    assert make.core.read(series) == (last,)
    assert place[number % 2 + WAYS] == SET
    assert (place[number % 2 + STAMP] > 0) is stamped or not stamped
