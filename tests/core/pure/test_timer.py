"""Timing blocks and functions. Both twins; the kinds of function are the matter of ``test_wrapping.py``."""

from __future__ import annotations

import asyncio
import time

import pytest

from measurand import clock
from measurand.errors import LabelError
from tests.core.kit import Kit
from tests.support import StillClock


def test_a_block_is_observed_with_its_seconds(make: Kit, still_clock: StillClock) -> None:
    summary, histogram, gauge = make.summary(), make.histogram(), make.gauge()
    for metric in (summary, histogram, gauge):
        with metric.time():
            still_clock.advance(1.5)
    assert make.rows(summary) == {(): (1.0, 1.5)}
    assert make.rows(histogram) == {(): (0.0, 1.0, 1.0, 1.0, 1.5)}
    assert make.rows(gauge) == {(): (1.5,)}


def test_a_block_knows_its_duration_once_it_has_ended(make: Kit, still_clock: StillClock) -> None:
    with make.summary().time() as timer:
        assert timer.duration is None
        still_clock.advance(0.25)
    assert timer.duration == 0.25
    with timer:
        still_clock.advance(3)
    assert timer.duration == 3


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_a_block_that_fails_is_observed_and_the_failure_goes_on(make: Kit, still_clock: StillClock, failure: type[BaseException]) -> None:
    summary = make.summary()
    raised = failure()

    def fail() -> None:
        with summary.time():
            still_clock.advance(2)
            raise raised

    with pytest.raises(failure) as caught:
        fail()
    assert caught.value is raised
    assert make.rows(summary) == {(): (1.0, 2.0)}


def test_a_clock_that_goes_back_gives_zero(make: Kit, still_clock: StillClock) -> None:
    summary = make.summary()
    with summary.time() as timer:
        still_clock.advance(-5)
    timer.since(clock.monotonic() + 1)
    assert timer.duration == 0
    assert make.rows(summary) == {(): (2.0, 0.0)}


def test_labels_can_be_chosen_inside_the_block(make: Kit, still_clock: StillClock) -> None:
    summary = make.summary("code", "route")
    for code in (200, 404):
        with summary.time() as timer:
            still_clock.advance(1)
            assert timer.labels(code=code, route="/") is None
    assert make.rows(summary) == {("200", "/"): (1.0, 1.0), ("404", "/"): (1.0, 1.0)}
    with pytest.raises(LabelError, match=r"call .*labels\(code, route\) first"), summary.time():
        pass
    with pytest.raises(LabelError, match="Incorrect label count"):
        summary.time().labels(200)


def test_since_records_the_seconds_from_a_reading(make: Kit, still_clock: StillClock) -> None:
    histogram = make.histogram("a")
    timer = histogram.labels("x").time()
    start = make.core.now()
    still_clock.advance(4)
    timer.since(start)
    timer.since(start, ValueError())
    assert make.rows(histogram) == {("x",): (0.0, 0.0, 2.0, 2.0, 8.0)}
    assert timer.duration is None


def test_any_method_of_any_object_can_be_told_the_seconds(make: Kit, still_clock: StillClock) -> None:
    told: list[float] = []
    with make.core.Timer(told, "append"):
        still_clock.advance(2)
    timer = make.core.Timer(metric=told, callback_name="append")
    timer.since(still_clock.monotonic() - 7)
    assert told == [2.0, 7.0]
    with pytest.raises(AttributeError), make.core.Timer(told, "no_such_method"):
        pass


def test_each_call_of_a_decorated_function_is_timed_on_its_own(make: Kit, still_clock: StillClock) -> None:
    summary = make.summary()
    timer = summary.time()

    @timer
    def down(depth: int) -> int:
        """Go down."""
        still_clock.advance(1)
        return depth if depth == 0 else down(depth - 1)

    assert down(2) == 0
    assert make.rows(summary) == {(): (3.0, 1.0 + 2.0 + 3.0)}
    assert (down.__name__, down.__doc__) == ("down", "Go down.")


def test_now_is_the_clock_in_use(make: Kit, still_clock: StillClock) -> None:
    assert make.core.now() == 1000.0
    still_clock.advance(1)
    assert make.core.now() == 1001.0
    clock.use(None)
    before = time.perf_counter()
    assert before <= make.core.now() <= time.perf_counter()


def test_seconds_agree_with_the_real_clock(make: Kit) -> None:
    """To 5 ms, in the best of five: a busy machine may stop for longer between two lines."""

    async def difference() -> float:
        summary, loop = make.summary(), asyncio.get_running_loop()
        before = time.perf_counter()
        with summary.time():
            woken = loop.create_future()
            loop.call_later(0.02, woken.set_result, None)
            await woken
        elapsed = time.perf_counter() - before
        count, total = make.core.read(summary)
        assert count == 1
        assert 0.015 <= total <= elapsed
        return elapsed - total

    assert min(asyncio.run(difference()) for _ in range(5)) < 0.005
