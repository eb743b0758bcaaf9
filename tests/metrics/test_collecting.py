"""From a registry to a snapshot (P-24): what one collector or callback does costs the others nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Domain, Gauge, Metric, generate_latest
from measurand.metrics.collecting import gather, is_quick
from measurand.metrics.families import CounterMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from tests.metrics.kit import LONG, Custom, Stopped, gauge, helpers, in_forked_child, raising, series, snapshot
from tests.support import wait_until

FAILURES = "measurand_collect_failures_total"


def failures(reason: str, collector: str = "Custom") -> str:
    return f'{FAILURES}{{collector="{collector}",reason="{reason}"}}'


# -- one among others ----------------------------------------------------------------------------------------------------------------


def test_of_ten_collectors_one_raises_and_one_hangs_and_eight_are_there(
    registry: CollectorRegistry, release: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    Counter("own", "d", registry=registry).inc()
    for number in range(10):
        registry.register(Custom(lambda number=number: [gauge(f"g{number}", number)]))
    registry.collectors()[3].collect = raising(ZeroDivisionError("two"))
    registry.collectors()[6].collect = lambda: release.wait(LONG) and []
    with caplog.at_level(logging.WARNING, "measurand"):
        shown = snapshot(registry, 1.5)
        again = snapshot(registry, 1.5)
    values = {f"g{number}": number for number in (0, 1, 3, 4, 6, 7, 8, 9)} | {"own_total": 1}
    assert shown == values | {failures("error"): 1, failures("timeout"): 1}
    assert again == values | {failures("error"): 2, failures("timeout"): 2}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2  # each kind once
    assert all("the other metrics are not affected" in message for message in said)
    assert "ZeroDivisionError: two" in caplog.text


def test_a_hanging_collector_is_not_started_again_and_threads_stay_few(registry: CollectorRegistry, release: threading.Event) -> None:
    started = []
    registry.register(Custom(lambda: started.append(1) or (release.wait(LONG) and [])))  # type: ignore[func-returns-value]
    registry.register(Custom(lambda: [gauge("fine")]))
    for scrape in range(20):
        assert snapshot(registry, 1.5) == {"fine": 1, failures("timeout"): scrape + 1}
        wait_until(lambda: len(helpers()) <= 1)
    assert len(started) == 1
    release.set()
    wait_until(lambda: not helpers())
    snapshot(registry)
    assert len(started) == 2


@pytest.mark.parametrize("error", [ValueError("v"), Stopped(), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration()])
def test_whatever_a_collector_raises_stays_with_it(registry: CollectorRegistry, error: BaseException) -> None:
    registry.register(Custom(raising(error)))
    registry.register(Custom(lambda: [gauge("fine")]))
    assert snapshot(registry) == {"fine": 1, failures("error"): 1}
    assert "fine 1.0" in generate_latest(registry).decode()


@pytest.mark.parametrize("result", [None, 7, ["not a family"], [None], [object()]])
def test_what_is_no_family_stays_with_its_collector(registry: CollectorRegistry, result: Any) -> None:
    registry.register(Custom(lambda: result))
    registry.register(Custom(lambda: [gauge("fine")]))
    assert snapshot(registry) == {"fine": 1, failures("error"): 1}


def test_a_collector_that_fails_midway_shows_nothing(registry: CollectorRegistry) -> None:
    def give() -> Iterator[Any]:
        yield gauge("first_half")
        raise KeyError("second half")

    registry.register(Custom(give))
    assert snapshot(registry) == {failures("error"): 1}


def test_a_subclass_that_collects_by_itself_is_kept_apart_under_its_name(registry: CollectorRegistry) -> None:
    class Broken(Gauge):
        def collect(self) -> list[Metric]:
            raise KeyError

    Broken("broken", "d", registry=registry)
    Gauge("fine", "d", registry=registry)
    assert snapshot(registry) == {"fine": 0, failures("error", "broken"): 1}


# -- gauges that ask a function --------------------------------------------------------------------------------------------------------


def test_a_callback_that_raises_or_hangs_costs_its_row_only(registry: CollectorRegistry, release: threading.Event) -> None:
    asking = Gauge("asking", "d", ["l"], registry=registry)
    for label in "abcdef":
        asking.labels(label).set_function(lambda label=label: ord(label))
    asking.labels("b").set_function(raising(ZeroDivisionError()))
    asking.labels("d").set_function(lambda: release.wait(LONG) and 99)
    asking.labels("e").set_function(lambda: "no number")  # type: ignore[arg-type,return-value]
    asking.labels("g").set(7)
    expected = {f'asking{{l="{label}"}}': ord(label) for label in "acf"} | {'asking{l="g"}': 7}
    assert snapshot(registry, 1.5) == expected | {failures("error", "asking"): 2, failures("timeout", "asking"): 1}


def test_a_late_result_lands_in_no_row(registry: CollectorRegistry, release: threading.Event) -> None:
    asking = Gauge("asking", "d", ["l"], registry=registry)
    asking.labels("slow").set_function(lambda: release.wait(LONG) and 99)
    asking.labels("other").set(1)
    first = gather(registry, 0.1)
    asking.remove("slow")
    asking.labels("new").set(2)
    second = gather(registry, 0.1)
    release.set()
    wait_until(lambda: not helpers())
    asking.labels("newer").set(3)
    for gathering, expected in (
        (first, {"other": 1}),
        (second, {"other": 1, "new": 2}),
        (gather(registry), {"other": 1, "new": 2, "newer": 3}),
    ):
        (family,) = gathering.families
        assert {sample.labels["l"]: sample.value for sample in family.samples()} == expected


def test_series_may_share_a_function(registry: CollectorRegistry) -> None:
    asking = Gauge("asking", "d", ["l"], registry=registry)
    for label in "abc":
        asking.labels(label).set_function(lambda: 5.0)
    shared = (6.0).__float__
    for label in "de":
        asking.labels(label).set_function(shared)
    assert sorted(snapshot(registry).values()) == [5, 5, 5, 6, 6]


# -- code that belongs to a thread ------------------------------------------------------------------------------------------------------


def test_a_collector_that_works_only_in_the_callers_thread_is_run_there(registry: CollectorRegistry) -> None:
    database = sqlite3.connect(":memory:")
    threads = []

    def give() -> list[Any]:
        threads.append(threading.current_thread())
        return [gauge("rows", database.execute("SELECT 3").fetchone()[0])]

    registry.register(Custom(give))
    for _ in range(3):
        assert snapshot(registry) == {"rows": 3}
    elsewhere = [thread for thread in threads if thread is not threading.current_thread()]
    assert (len(elsewhere), len(threads)) == (2, 5)  # a helper tried it twice, and not again
    database.close()


def test_a_callback_of_an_event_loop_is_run_in_it(registry: CollectorRegistry) -> None:
    Gauge("tasks", "d", registry=registry).set_function(lambda: len(asyncio.all_tasks(asyncio.get_running_loop())))

    async def main() -> dict[str, float]:
        loop = asyncio.get_running_loop()

        async def call(function: Callable[[], Any]) -> Any:
            return function()

        def in_loop(function: Callable[[], Any]) -> Any:
            return asyncio.run_coroutine_threadsafe(call(function), loop).result(LONG)

        first = await asyncio.to_thread(snapshot, registry, call_here=in_loop)
        assert await asyncio.to_thread(snapshot, registry, call_here=in_loop) == first
        return first

    assert asyncio.run(main()) == {"tasks": 2}


def test_a_collector_that_fails_in_every_thread_is_counted_once_a_scrape(registry: CollectorRegistry) -> None:
    tried = []
    registry.register(Custom(lambda: tried.append(1) or 1 / 0))  # type: ignore[arg-type,return-value]
    assert snapshot(registry) == {failures("error"): 1}
    assert len(tried) == 2
    assert snapshot(registry) == {failures("error"): 2}
    assert len(tried) == 4
    assert snapshot(registry) == {failures("error"): 3}
    assert len(tried) == 5


def test_what_is_remembered_of_a_collector_is_not_held_against_the_next_one(registry: CollectorRegistry) -> None:
    """An id is used again when its object is gone."""

    class Bound:
        def __init__(self) -> None:
            self.owner = threading.current_thread()

        def describe(self) -> list[Any]:
            return []

        def collect(self) -> list[Any]:
            assert threading.current_thread() is self.owner
            return [gauge("bound")]

    class Free(Bound):
        def collect(self) -> list[Any]:
            ran_in.append(threading.current_thread())
            return [gauge("free")]

    ran_in: list[threading.Thread] = []
    for _ in range(100):
        bound = Bound()
        registry.register(bound)
        assert snapshot(registry) == {"bound": 1}
        wait_until(lambda: not helpers())  # the thread that tried it has let it go
        former = id(bound)
        registry.unregister(bound)
        del bound
        free = Free()
        if id(free) == former:
            break
    assert id(free) == former
    registry.register(free)
    assert snapshot(registry) == {"free": 1}
    assert ran_in[0] is not threading.current_thread()


def test_an_interruption_by_the_user_reaches_the_caller(registry: CollectorRegistry) -> None:
    def give() -> list[Any]:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        raise ValueError

    registry.register(Custom(give))
    with pytest.raises(KeyboardInterrupt):
        gather(registry)


# -- families that meet ------------------------------------------------------------------------------------------------------------------


def test_families_of_one_name_and_type_are_joined(registry: CollectorRegistry) -> None:
    for shard in "ab":
        registry.register(Custom(lambda shard=shard: [gauge("level", 1, shard=shard)]))
    assert snapshot(registry) == {'level{shard="a"}': 1, 'level{shard="b"}': 1}
    assert generate_latest(registry).count(b"# TYPE level gauge") == 1


@pytest.mark.parametrize("cls", [CounterMetricFamily, SummaryMetricFamily])
def test_a_second_family_of_another_type_is_left_out(registry: CollectorRegistry, cls: Any) -> None:
    registry.register(Custom(lambda: [gauge("level")]))
    registry.register(Custom(lambda: [cls("level", "d"), gauge("fine")]))
    assert snapshot(registry) == {"level": 1, "fine": 1, failures("duplicate", "level"): 1}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: CounterMetricFamily("hits", "d", 1), lambda: gauge("hits_total")),
        (lambda: gauge("hits_total"), lambda: CounterMetricFamily("hits", "d", 1)),
        (lambda: HistogramMetricFamily("time", "d", [("+Inf", 1)], 1), lambda: gauge("time_count")),
        (lambda: gauge("queue.length"), lambda: gauge("queue_length")),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_family_with_a_series_of_another_is_left_out(
    registry: CollectorRegistry, first: Callable[[], Any], second: Callable[[], Any], apart: bool
) -> None:
    if apart:
        registry.register(Custom(lambda: [first()]))
        registry.register(Custom(lambda: [second()]))
    else:
        registry.register(Custom(lambda: [first(), second()]))
    shown = snapshot(registry)
    assert shown.pop(failures("duplicate", second().name)) == 1
    assert set(shown) == {series(sample) for sample in first().samples}


def test_an_instrument_wins_over_a_collector_that_came_later(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    Counter("hits", "d", registry=registry).inc(5)
    registry.register(Custom(lambda: [gauge("hits_total", 99)]))
    with caplog.at_level(logging.WARNING, "measurand"):
        assert snapshot(registry) == {"hits_total": 5, failures("duplicate", "hits_total"): 1}
    assert "the gauge hits_total has series of the counter hits, which is collected too" in caplog.text


# -- what can be gathered ----------------------------------------------------------------------------------------------------------------


def test_anything_that_collects_can_be_gathered() -> None:
    assert snapshot(Custom(lambda: [gauge("a", 3)])) == {"a": 3}
    assert snapshot(Custom(raising(KeyError()))) == {failures("error"): 1}
    assert snapshot(type("Unhashable", (Custom,), {"__hash__": None})(lambda: [gauge("b")])) == {"b": 1}


def test_a_restricted_registry_asks_only_the_collectors_concerned(registry: CollectorRegistry) -> None:
    asked = []
    for name in ("one", "two"):
        collector = Custom(lambda name=name: asked.append(name) or [gauge(name), gauge(f"{name}_more")])
        collector.describe = lambda name=name: [gauge(name), gauge(f"{name}_more")]
        registry.register(collector)
    Counter("own", "d", registry=registry)
    assert snapshot(registry.restricted_registry(["two", "own_total"])) == {"two": 1, "own_total": 0}
    assert asked == ["two"]


def test_the_target_comes_first_and_failures_of_a_view_are_those_of_its_registry() -> None:
    registry = CollectorRegistry(target_info={"env": "test"})
    registry.register(Custom(raising(KeyError())))
    assert list(snapshot(registry)) == ['target_info{env="test"}', failures("error")]
    assert snapshot(registry.restricted_registry(["target_info"])) == {'target_info{env="test"}': 1}
    assert snapshot(registry.restricted_registry([FAILURES])) == {failures("error"): 1}


def test_failures_are_those_of_one_registry() -> None:
    bad, good = CollectorRegistry(), Domain("good")
    bad.register(Custom(raising(KeyError())))
    Counter("own", "d", registry=good)
    assert failures("error") in snapshot(bad)
    assert snapshot(good) == {"own_total": 0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_collects_what_hangs_in_its_parent(registry: CollectorRegistry, release: threading.Event) -> None:
    parent = os.getpid()
    registry.register(Custom(lambda: (os.getpid() != parent or release.wait(LONG)) and [gauge("level")]))  # type: ignore[arg-type,return-value]
    assert snapshot(registry, 0.1) == {failures("timeout"): 1}

    def in_child() -> None:
        assert snapshot(registry) == {"level": 1, failures("timeout"): 1}

    in_forked_child(in_child)


# -- quick ones --------------------------------------------------------------------------------------------------------------------------


def test_a_small_registry_of_instruments_is_quick(registry: CollectorRegistry) -> None:
    assert is_quick(registry)
    counter = Counter("c", "d", ["l"], registry=registry)
    Gauge("g", "d", registry=registry).set(1)
    assert is_quick(registry)
    for number in range(501):
        counter.labels(number)
    assert not is_quick(registry)


@pytest.mark.parametrize(
    "add",
    [
        lambda registry: registry.register(Custom(list)),
        lambda registry: Gauge("g", "d", registry=registry).set_function(lambda: 1),
        lambda registry: Gauge("g", "d", ["l"], registry=registry).labels("x").set_function(lambda: 1),
    ],
)
def test_a_registry_with_code_that_is_not_ours_is_not_quick(registry: CollectorRegistry, add: Callable[[Any], object]) -> None:
    add(registry)
    assert not is_quick(registry)
    assert not is_quick(Custom(list))
