"""Counting exceptions and work in progress, in every form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Gauge
from measurand.errors import LabelError
from tests.metrics.kit import FORMS, Stopped, values

every_form = pytest.mark.parametrize("form", FORMS)


class Failure(Exception):
    pass


class Special(Failure):
    pass


@every_form
@pytest.mark.parametrize(
    ("counted", "failure", "expected"),
    [
        ((), None, 0),
        ((), Failure(), 1),
        ((), Stopped(), 0),  # not an Exception, and that is the default
        ((BaseException,), Stopped(), 1),
        ((Failure,), Special(), 1),
        ((Special,), Failure(), 0),
        (((KeyError, Special),), Special(), 1),
        (((KeyError, ValueError),), Special(), 0),
    ],
)
def test_exceptions_of_the_given_types_are_counted_and_go_on(
    registry: CollectorRegistry, form: Any, counted: tuple[Any, ...], failure: BaseException | None, expected: int
) -> None:
    counter = Counter("failures", "d", ["l"], registry=registry).labels("x")

    def body() -> None:
        if failure is not None:
            raise failure

    if failure is None:
        form(lambda: counter.count_exceptions(*counted), body)
    else:
        with pytest.raises(type(failure)) as caught:
            form(lambda: counter.count_exceptions(*counted), body)
        assert caught.value is failure
    assert values(registry) == {'failures_total{l="x"}': expected}


@every_form
@pytest.mark.parametrize("failure", [None, Failure(), Stopped()], ids=["succeeding", "failing", "stopped"])
def test_work_in_progress_is_counted_while_it_runs_and_no_longer(
    registry: CollectorRegistry, form: Any, failure: BaseException | None
) -> None:
    gauge = Gauge("running", "d", registry=registry)
    during = []

    def body() -> None:
        during.append(values(registry)["running"])
        if failure is not None:
            raise failure

    if failure is None:
        form(gauge.track_inprogress, body)
    else:
        with pytest.raises(type(failure)):
            form(gauge.track_inprogress, body)
    assert during == [1]
    assert values(registry) == {"running": 0}


def test_a_generator_is_in_progress_from_its_first_item_to_its_end(registry: CollectorRegistry) -> None:
    gauge, failures = Gauge("running", "d", registry=registry), Counter("failures", "d", registry=registry)

    @gauge.track_inprogress()
    @failures.count_exceptions()
    def steps() -> Iterator[int]:
        yield 1
        yield 2

    made = steps()
    assert values(registry)["running"] == 0
    next(made)
    assert values(registry)["running"] == 1
    made.close()  # left early, which is no failure
    assert values(registry) == {"running": 0, "failures_total": 0}


def test_an_asynchronous_generator_that_is_left_early_is_no_longer_in_progress(registry: CollectorRegistry) -> None:
    gauge, failures = Gauge("running", "d", registry=registry), Counter("failures", "d", registry=registry)

    @gauge.track_inprogress()
    @failures.count_exceptions(BaseException)
    async def steps() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def consume() -> None:
        made = steps()
        assert await anext(made) == 1
        assert values(registry)["running"] == 1
        await made.aclose()  # type: ignore[attr-defined]

    asyncio.run(consume())
    assert values(registry) == {"running": 0, "failures_total": 0}


def test_calls_that_overlap_are_counted_together(registry: CollectorRegistry) -> None:
    gauge = Gauge("running", "d", registry=registry)
    most = []

    @gauge.track_inprogress()
    async def work(everybody: asyncio.Barrier) -> None:
        await everybody.wait()
        most.append(values(registry)["running"])
        await everybody.wait()

    async def main() -> None:
        everybody = asyncio.Barrier(3)
        await asyncio.gather(*[work(everybody) for _ in range(3)])

    asyncio.run(main())
    assert most == [3, 3, 3]
    assert values(registry) == {"running": 0}


def test_cancelled_work_is_over(registry: CollectorRegistry) -> None:
    gauge, cancelled = Gauge("running", "d", registry=registry), Counter("cancelled", "d", registry=registry)

    @gauge.track_inprogress()
    @cancelled.count_exceptions(asyncio.CancelledError)
    async def work(started: asyncio.Event) -> None:
        started.set()
        await asyncio.Event().wait()

    async def main() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(work(started))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert values(registry) == {"running": 0, "cancelled_total": 1}


def test_a_metric_with_labels_needs_them_first(registry: CollectorRegistry) -> None:
    with pytest.raises(LabelError, match=r"call failures\.labels\(l\) first"):
        Counter("failures", "d", ["l"], registry=registry).count_exceptions()
    with pytest.raises(LabelError, match=r"call running\.labels\(l\) first"):
        Gauge("running", "d", ["l"], registry=registry).track_inprogress()
