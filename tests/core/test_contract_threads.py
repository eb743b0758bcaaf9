"""What a core promises between threads. Both twins.

Each search for a race runs for half a second; ``MEASURAND_TEST_SCALE=120`` makes it a minute.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from measurand.core.contract import OVERFLOW_VALUE
from tests.core.kit import Careless, Kit
from tests.support import StillClock, eager_switching, for_a_while, in_background, run_threads, wait_until

THREADS = 4


@pytest.fixture
def switching() -> Iterator[None]:
    with eager_switching():
        yield


def test_these_threads_do_lose_updates_where_that_is_possible(switching: None) -> None:
    def lost() -> int:
        careless = Careless()
        run_threads(*[lambda: [careless.inc() for _ in range(5000)]] * THREADS)
        return 5000 * THREADS - careless.value

    assert wait_until(lost) > 0


@pytest.mark.parametrize("kind", ["root", "kept child", "labels by position", "labels by keyword", "expiring"])
def test_sums_are_exact_between_threads(make: Kit, switching: None, kind: str) -> None:
    names = () if kind == "root" else ("a",)
    counter, summary, histogram = make.counter(*names), make.summary(*names), make.histogram(*names)
    gauge = make.gauge(*names, expire_after=1e9 if kind == "expiring" else None)
    done: list[int] = []

    def select(metric: Any) -> Callable[[], Any]:
        if kind == "labels by position":
            return lambda: metric.labels("x")
        if kind == "labels by keyword":
            return lambda: metric.labels(a="x")
        series = metric.labels("x") if names else metric
        return lambda: series

    def record() -> None:
        the_counter, the_gauge, the_summary, the_histogram = map(select, (counter, gauge, summary, histogram))
        rounds = 0
        for rounds in for_a_while():
            the_counter().inc()
            the_gauge().inc(3)
            the_summary().observe(1)
            the_histogram().observe(rounds % 2, {"trace": "x"} if rounds % 64 == 0 else None)
            the_gauge().dec(1)
        done.append(rounds + 1)

    run_threads(*[record] * THREADS)
    total = float(sum(done))
    key = ("x",) if names else ()
    assert make.rows(counter) == {key: (total,)}
    assert make.rows(gauge) == {key: (2 * total,)}
    assert make.rows(summary) == {key: (total, total)}
    assert make.rows(histogram) == {key: (total, total, total, total, float(sum(rounds // 2 for rounds in done)))}


def test_threads_that_create_the_same_series_get_the_same_child(make: Kit, switching: None) -> None:
    metric = make.counter("a", "b", max_series=None)
    got: list[list[Any]] = []

    def create() -> None:
        children = []
        for number in range(500):
            child = metric.labels(number, "b") if number % 2 else metric.labels(b="b", a=number)
            child.inc()
            children.append(child)
        got.append(children)

    run_threads(*[create] * THREADS)
    assert all(children == got[0] for children in got)
    assert make.rows(metric) == {(str(number), "b"): (float(THREADS),) for number in range(500)}


def test_totals_stay_exact_when_threads_race_for_the_last_places(make: Kit, switching: None) -> None:
    metric = make.counter("thread", "number", max_series=100)

    def record(thread: int) -> None:
        for number in range(200):
            metric.labels(thread, number).inc()

    run_threads(*[lambda thread=thread: record(thread) for thread in range(THREADS)])
    rows = make.rows(metric)
    own = len(rows) - 1
    assert sum(value for (value,) in rows.values()) == 200 * THREADS
    assert rows[(OVERFLOW_VALUE, OVERFLOW_VALUE)] == (float(make.core.dropped(metric)),) == (200.0 * THREADS - own,)
    assert own == 100 if make.core.implementation == "c" else 100 <= own < 100 + THREADS


def test_a_copy_is_never_torn(make: Kit, switching: None) -> None:
    histogram, summary = make.histogram("a"), make.summary()
    observed = histogram.labels("x")

    def write() -> None:
        for amount in (0.0, 1.5, 3.0, 7.5):
            observed.observe(amount)
            summary.observe(3)

    layout = make.core.Layout([(b'a="', 0)], 1, [(b"count", None, 3, -1), (b"inf", None, 3, -1), (b"sum", None, 4, -1)])
    before = (0.0,) * 5
    with in_background(write):
        for _ in for_a_while():
            frozen = make.core.freeze(histogram)
            ((_, cells),) = frozen.rows()
            turns, rest = divmod(int(cells[3]), 4)
            buckets = [turns * number + min(rest, number) for number in (1, 2, 3, 4)]
            assert cells == (*buckets, 12.0 * turns + (0.0, 0.0, 1.5, 4.5)[rest])
            assert cells >= before
            before = cells
            count, inf, _ = layout.render(frozen).decode().splitlines()
            assert count.removeprefix("count") == inf.removeprefix("inf")
            ((_, (count_of, sum_of)),) = make.core.freeze(summary).rows()
            assert sum_of == 3 * count_of
    assert before[3] > 0


def test_a_copy_shows_all_series_at_one_moment(make: Kit, switching: None) -> None:
    counter = make.counter("number")
    series = [counter.labels(number) for number in range(300)]

    def write() -> None:
        for one in series:
            one.inc()

    moments = set()
    with in_background(write):
        for _ in for_a_while():
            values = [value for (value,) in make.rows(counter).values()]
            assert values == sorted(values, reverse=True)
            assert values[0] - values[-1] <= 1
            moments.add(values.count(values[0]))
    assert len(moments) > 2


def test_a_replacement_is_seen_wholly_or_not_at_all(make: Kit, switching: None) -> None:
    gauge = make.gauge("a", max_series=None)
    keys = [[str(number) for number in range(start, start + 60)] for start in (0, 30)]
    gauge.replace(dict.fromkeys(keys[0], 0))
    generation = itertools.count(1)
    kept = gauge.labels("45")
    seen = set()

    def replace() -> None:
        number = next(generation)
        gauge.replace(dict.fromkeys(keys[number % 2], number))

    with in_background(replace, lambda: kept.set_function(int)):
        for _ in for_a_while():
            rows = make.rows(gauge)
            (value,) = {value for (value,) in rows.values()}
            assert [key for (key,) in rows] == keys[int(value) % 2]
            seen.add(value)
    assert len(seen) > 2


def test_threads_go_on_while_what_they_record_on_is_defined_anew(make: Kit, switching: None) -> None:
    histogram, children = make.histogram(bounds=(1.0,)), make.counter("a")
    specs = [make.core.spec(histogram), make.core.spec(make.histogram(bounds=tuple(map(float, range(50)))))]
    numbers = itertools.count()

    def record() -> None:
        histogram.observe(next(numbers) % 50)
        children.labels("x").inc()
        assert len(make.core.read(histogram)) in {3, 52}

    with in_background(record, record):
        for number in for_a_while():
            make.core.define(histogram, specs[number % 2])
            make.core.define(children, make.core.spec(children))
    make.core.define(histogram, specs[0])
    histogram.observe(2)
    assert make.rows(histogram) == {(): (0.0, 1.0, 2.0)}
    make.core.define(children, make.core.spec(children))
    children.labels("x").inc()
    assert make.rows(children) == {("x",): (1.0,)}


def test_a_series_made_during_a_replacement_is_the_one_that_stands(make: Kit, switching: None) -> None:
    if make.core.implementation != "c":
        pytest.skip("the Python twin makes the series before its step")
    gauge = make.gauge("a")
    found: list[Any] = []
    for _ in for_a_while():
        gauge.clear()
        found.clear()
        run_threads(lambda: gauge.replace({"x": 1}), lambda: found.append(gauge.labels("x")))
        assert found == [gauge.labels("x")]


def test_tables_can_be_read_while_threads_add_and_remove_series(make: Kit, switching: None) -> None:
    metric = make.gauge("a", "b", max_series=50)
    steady = metric.labels("steady", "")
    numbers = itertools.count()

    def change() -> None:
        number = next(numbers)
        metric.labels(number % 70, "").inc()
        metric.remove(number * 7 % 70, "")
        if number % 500 == 0:
            metric.remove_by_labels({"b": ""})
            steady.set(number)

    layout = make.core.Layout([(b'a="', 0), (b',b="', 1)], 2, [(b"m", None, 0, -1)])
    with in_background(change, change):
        for _ in for_a_while():
            frozen = make.core.freeze(metric)
            assert layout.render(frozen).count(b"\n") == len(frozen)
            assert all(len(make.core.key(child)) == 2 for child in make.core.children(metric))
    metric.clear()
    assert make.rows(metric) == {}


def test_long_texts_are_right_whatever_other_threads_do_meanwhile(make: Kit, switching: None) -> None:
    core, metric = make.core, make.counter("a", max_series=None)
    rows = 1500 if core.implementation == "c" else 150  # there long texts are written another way

    def fill() -> None:
        for number in range(rows):
            core.write(metric.labels(number), 0, number)

    fill()
    frozen, changing, layouts, expected = core.freeze(metric), core.freeze(metric), [], []
    for name in "mn":
        layouts.append(core.Layout([(b'a="', 0), (f',b="{name}"'.encode(), -1)], 2, [(name.encode(), None, 0, -1)]))
        expected.append([f'{name}{{a="{number}",b="{name}"}} {core.format_number(float(number))}' for number in range(rows)])
    numbers = itertools.count()

    def rewrite() -> None:
        assert layouts[1].render(frozen).decode().splitlines() == expected[1]

    def change() -> None:
        number = next(numbers)
        changing.put(0, number)
        metric.remove(number % rows)
        if number % 50 == 0:
            metric.clear()
            core.define(metric, core.spec(metric))
            fill()
            copy = core.freeze(metric)
            copy.drop(list(range(0, rows, 2)))
            assert layouts[0].render(copy).decode().splitlines() == expected[0][1::2]

    with in_background(rewrite, change):
        for _ in for_a_while():
            assert layouts[0].render(frozen).decode().splitlines() == expected[0]
            first, *others = layouts[0].render(changing).decode().splitlines()
            assert first.startswith('m{a="0",b="m"} ')
            assert others == expected[0][1:]


def test_a_series_that_expires_under_threads_is_not_lost_to_those_who_kept_it(make: Kit, switching: None, still_clock: StillClock) -> None:
    gauge = make.gauge("a", expire_after=10.0)
    kept = gauge.labels("x")

    def expire() -> None:
        still_clock.advance(11)
        make.core.freeze(gauge)

    with in_background(expire):
        for number in for_a_while():
            kept.set(number)
            kept.inc()
    kept.set(5)
    kept.inc()
    assert make.rows(gauge) == {("x",): (6.0,)}
