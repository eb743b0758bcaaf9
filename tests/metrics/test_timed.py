"""The one timer: every form, success and failure, every target."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from measurand import REGISTRY, CollectorRegistry, Counter, Domain, Gauge, Histogram, Summary, core, timed
from measurand.errors import DefinitionError, DuplicateTimeseries, LabelError, RefusedByDomain
from measurand.metrics.timed import Stopwatch
from tests.metrics.kit import FORMS, Stopped, values
from tests.support import StillClock

FAILURES = [None, KeyError("k"), Stopped()]


def run(form: Any, make: Callable[[], Any], clock: StillClock, failure: BaseException | None) -> None:
    """Run a form whose body takes half a second and then raises the failure, if there is one."""

    def body() -> None:
        clock.advance(0.5)
        if failure is not None:
            raise failure

    if failure is None:
        form(make, body)
    else:
        with pytest.raises(type(failure)) as caught:
            form(make, body)
        assert caught.value is failure


def sums(registry: CollectorRegistry) -> dict[str, float]:
    return {name: value for name, value in values(registry).items() if "_bucket" not in name}


class Sets:
    """A metric set that notes what it is asked for, and what it records."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def stopwatch(self, name: str | None, labels: Mapping[str, str]) -> Stopwatch:
        if name is None and not labels:
            raise LabelError("this block has no name")

        def enter() -> float:
            self.seen.append("begun")
            return core.now()

        def leave(start: float, error: BaseException | None) -> float:
            self.seen.append((name, dict(labels), core.now() - start, type(error)))
            return core.now() - start

        return Stopwatch(enter, leave)


# -- targets -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("failure", FAILURES, ids=["succeeding", "failing", "stopped"])
def test_a_named_timer_tells_success_from_failure_in_every_form(
    registry: CollectorRegistry, still_clock: StillClock, form: Any, failure: BaseException | None
) -> None:
    run(form, lambda: timed("import_seconds", labels={"kind": "csv"}, registry=registry, buckets=[1]), still_clock, failure)
    labels = f'{{kind="csv",status="{"success" if failure is None else "failed"}"}}'
    assert sums(registry) == {f"import_seconds_count{labels}": 1, f"import_seconds_sum{labels}": 0.5}


@pytest.mark.parametrize("form", [form for form in FORMS if "block" not in form.__name__])
@pytest.mark.parametrize("failure", FAILURES, ids=["succeeding", "failing", "stopped"])
def test_a_timer_without_a_name_is_told_apart_by_the_function(
    registry: CollectorRegistry, still_clock: StillClock, form: Any, failure: BaseException | None
) -> None:
    run(form, lambda: timed(registry=registry), still_clock, failure)
    ((name, value),) = [(name, value) for name, value in values(registry).items() if "_sum" in name]
    assert value == 0.5
    assert name.startswith(f'function_duration_seconds_sum{{function="tests.metrics.kit.{form.__name__}.<locals>.')
    assert name.endswith(f'status="{"success" if failure is None else "failed"}"}}')


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda registry: Histogram("m", "d", registry=registry, buckets=[1]), {"m_count": 1, "m_sum": 0.5}),
        (lambda registry: Summary("m", "d", registry=registry), {"m_count": 1, "m_sum": 0.5}),
        (lambda registry: Gauge("m", "d", registry=registry), {"m": 0.5}),
        (lambda registry: Gauge("m", "d", ["status"], registry=registry), {'m{status="success"}': 0.5}),
        (lambda registry: Summary("m", "d", ["l"], registry=registry).labels("x"), {'m_count{l="x"}': 1, 'm_sum{l="x"}': 0.5}),
    ],
)
def test_a_given_metric_or_series_is_recorded_on(
    registry: CollectorRegistry, still_clock: StillClock, make: Callable[[Any], Any], expected: dict[str, float]
) -> None:
    with timed(make(registry)) as timer:
        still_clock.advance(0.5)
    assert timer.duration == 0.5
    assert sums(registry) == expected


def test_the_status_of_a_given_metric_is_filled_in_and_can_be_given(registry: CollectorRegistry, still_clock: StillClock) -> None:
    metric = Histogram("m", "d", ["status", "kind"], registry=registry, buckets=[1])
    with pytest.raises(KeyError), timed(metric, labels={"kind": 1}):
        raise KeyError
    with pytest.raises(KeyError), timed(metric, labels={"kind": 2, "status": "always"}):
        raise KeyError
    assert sums(registry).keys() == {
        'm_count{kind="1",status="failed"}',
        'm_sum{kind="1",status="failed"}',
        'm_count{kind="2",status="always"}',
        'm_sum{kind="2",status="always"}',
    }


def test_plain_timed_decorates_into_the_default_registry(still_clock: StillClock) -> None:
    @timed
    async def accept(order: int, *, urgent: bool = False) -> str:
        """Accept it."""
        still_clock.advance(0.5)
        return f"{order}{urgent}"

    try:
        assert asyncio.run(accept(7, urgent=True)) == "7True"
        function = f"{__name__}.test_plain_timed_decorates_into_the_default_registry.<locals>.accept"
        assert REGISTRY.get_sample_value("function_duration_seconds_sum", {"function": function, "status": "success"}) == 0.5
    finally:
        REGISTRY.unregister(REGISTRY.find("function_duration_seconds"))
    assert inspect.iscoroutinefunction(accept)
    assert (accept.__name__, accept.__doc__) == ("accept", "Accept it.")
    assert str(inspect.signature(accept)) == "(order: 'int', *, urgent: 'bool' = False) -> 'str'"


def test_timed_without_a_name_fits_methods_of_every_kind(registry: CollectorRegistry, still_clock: StillClock) -> None:
    class Shop:
        @timed(registry=registry)
        def method(self) -> int:
            return 1

        @timed(registry=registry)
        @staticmethod
        def static() -> int:
            return 2

        @timed(registry=registry)
        @classmethod
        def of_class(cls) -> int:
            return 3

        @staticmethod
        @timed(registry=registry)
        def below() -> int:
            return 4

    assert (Shop().method(), Shop.static(), Shop.of_class(), Shop().below()) == (1, 2, 3, 4)
    place = f"{__name__}.test_timed_without_a_name_fits_methods_of_every_kind.<locals>.Shop"
    for name in ("method", "static", "of_class", "below"):
        labels = {"function": f"{place}.{name}", "status": "success"}
        assert registry.get_sample_value("function_duration_seconds_count", labels) == 1


def test_a_cancelled_coroutine_has_failed(registry: CollectorRegistry, still_clock: StillClock) -> None:
    async def main() -> None:
        started = asyncio.Event()

        @timed("m", registry=registry)
        async def work() -> None:
            started.set()
            still_clock.advance(3)
            await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sums(registry) == {'m_count{status="failed"}': 1, 'm_sum{status="failed"}': 3}


def test_a_generator_that_is_left_early_is_timed_to_there_and_succeeded(registry: CollectorRegistry, still_clock: StillClock) -> None:
    @timed("m", registry=registry)
    def rows() -> Iterator[int]:
        while True:
            still_clock.advance(1)
            yield 1

    made = rows()
    still_clock.advance(100)  # it has not begun
    assert next(made) + next(made) == 2
    made.close()
    assert sums(registry) == {'m_count{status="success"}': 1, 'm_sum{status="success"}': 2}


def test_one_decorated_function_is_right_when_its_calls_overlap(registry: CollectorRegistry, still_clock: StillClock) -> None:
    @timed("m", registry=registry)
    async def work(seconds: float, turn: asyncio.Event, next_turn: asyncio.Event) -> None:
        await turn.wait()
        still_clock.advance(seconds)
        next_turn.set()

    async def main() -> None:
        turns = [asyncio.Event() for _ in range(3)]
        tasks = [asyncio.create_task(work(1 + number, turns[number], turns[number + 1])) for number in range(2)]
        await asyncio.sleep(0)  # both have begun
        turns[0].set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert sums(registry) == {'m_count{status="success"}': 2, 'm_sum{status="success"}': 1 + 3}


# -- metric sets ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_metric_set_is_told_of_each_call(form: Any, failure: BaseException | None, still_clock: StillClock) -> None:
    given = Sets()
    run(form, lambda: timed(given, labels={"kind": 7}), still_clock, failure)
    begun, (name, *rest) = given.seen
    assert begun == "begun"
    assert rest == [{"kind": "7"}, 0.5, type(failure)]
    assert name is None or "." in name


def test_a_block_in_a_metric_set_knows_how_long_it_took(still_clock: StillClock) -> None:
    given = Sets()
    with timed(given, labels={"kind": "a"}) as timer:
        assert timer.duration is None
        still_clock.advance(2)
    assert timer.duration == 2
    with pytest.raises(LabelError, match="this block has no name"), timed(given):
        pass


# -- definition ----------------------------------------------------------------------------------------------------------------------


def test_the_histogram_is_made_at_first_use_and_shared(registry: CollectorRegistry) -> None:
    timed("m", labels={"kind": "a"}, registry=registry, documentation="Imports", buckets=[1, 2])
    timed("m", labels={"kind": "b"}, registry=registry)
    (metric,) = registry.collectors()
    assert isinstance(metric, Histogram)
    assert metric.definition.documentation == "Imports"
    assert metric.definition.bounds == (1, 2)
    assert metric.definition.labelnames == ("kind", "status")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda r: timed("m", labels={"status": "x"}, registry=r), LabelError, r"timed\(\) fills in the label 'status' itself"),
        (lambda r: timed(labels={"kind": "x"}, registry=r), DefinitionError, "with labels or options needs a name"),
        (lambda r: timed(buckets=[1], registry=r), DefinitionError, "with labels or options needs a name"),
        (lambda r: timed(Summary("s", "d", ["l"], registry=None)), LabelError, r"each label of s: expected \['l'\], got \[\]"),
        (
            lambda r: timed(Summary("s", "d", ["l"], registry=None), labels={"l": 1, "k": 2}),
            LabelError,
            r"expected \['l'\], got \['l', 'k'\]",
        ),
        (lambda r: timed(Summary("s", "d", registry=None), labels={"l": 1}), LabelError, r"\['l'\], for a series of s that takes none"),
        (lambda r: timed(Summary("s", "d", ["l"], registry=None).labels(1), labels={"l": 1}), LabelError, "that takes none"),
        (lambda r: timed(7), TypeError, "takes a histogram, summary or gauge, the name of one, or a metric set, not int"),
        (lambda r: timed(Sets(), documentation="d"), DefinitionError, "a set has its own metrics"),
        (lambda r: timed("", registry=r), DefinitionError, "should not be empty"),
    ],
)
def test_a_bad_timer_says_so_when_it_is_made(
    registry: CollectorRegistry, make: Callable[[Any], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(registry)
    assert registry.collectors() == []


def test_a_name_of_something_else_is_refused(registry: CollectorRegistry) -> None:
    Counter("m", "d", registry=registry)
    with pytest.raises(DuplicateTimeseries, match=r"m .*status"):
        timed("m", registry=registry)
    with pytest.raises(RefusedByDomain):
        timed("secret_seconds", registry=Domain("open", refuse_names=["secret_*"]))


def test_a_timer_that_threads_and_recursions_share_times_each_block_by_itself(registry: CollectorRegistry, still_clock: StillClock) -> None:
    histogram = Histogram("h", "d", registry=registry)
    timer = timed(histogram)
    entered, go_on = threading.Event(), threading.Event()

    def outer() -> None:
        with timer:
            entered.set()
            assert go_on.wait(60)

    thread = threading.Thread(target=outer)
    thread.start()
    assert entered.wait(60)
    still_clock.advance(1)
    with timer:
        still_clock.advance(2)
        with timer:
            still_clock.advance(4)
        assert timer.duration == 4
    assert timer.duration == 6
    go_on.set()
    thread.join()
    assert registry.get_sample_value("h_sum") == 7 + 6 + 4


async def _hold(timer: Any, entered: asyncio.Event, leave: asyncio.Event) -> float | None:
    with timer:
        entered.set()
        await leave.wait()
    return float(timer.duration)


def test_a_timer_that_tasks_share_times_each_block_by_itself(registry: CollectorRegistry, still_clock: StillClock) -> None:
    timer = timed(Summary("s", "d", registry=registry))

    async def main() -> list[float | None]:
        events = [asyncio.Event() for _ in range(4)]
        first = asyncio.create_task(_hold(timer, events[0], events[1]))
        await events[0].wait()
        still_clock.advance(1)
        second = asyncio.create_task(_hold(timer, events[2], events[3]))
        await events[2].wait()
        still_clock.advance(2)
        events[1].set()  # who began first ends first
        durations = [await first]
        still_clock.advance(4)
        events[3].set()
        return [*durations, await second]

    assert asyncio.run(main()) == [3.0, 6.0]
