"""The budget of a shutdown, its waits, and callers at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from measurand.errors import ConfigurationError
from measurand.lifecycle.coordinator import Coordinator, Event
from tests.support import run_threads, wait_until


def in_thread(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


# -- time ----------------------------------------------------------------------------------------------------------------------


def test_the_budget_runs_from_the_beginning_of_the_shutdown(coordinator) -> None:
    assert coordinator.remaining() == 30
    coordinator.begin_shutdown()
    first = coordinator.remaining()
    assert first <= 30
    wait_until(lambda: coordinator.remaining() < first)


def test_a_timeout_shortens_what_is_left_and_never_lengthens_it(registry) -> None:
    for timeout, most in ((2, 2), (500, 100)):
        coordinator = Coordinator(budget=100, registry=registry)
        told = []
        coordinator.add_flush("textfile", told.append)
        assert coordinator.shutdown(timeout=timeout).budget <= most
        assert told[0] <= most


def test_a_timeout_counts_from_the_call_when_the_shutdown_had_begun(registry) -> None:
    coordinator = Coordinator(budget=100, registry=registry)
    coordinator.begin_shutdown()
    coordinator.on(Event.DRAINING, lambda: left.append(coordinator.remaining()))
    left: list[float] = []
    coordinator.shutdown(timeout=3)
    assert 0 < left[0] <= 3


def test_the_end_comes_within_the_budget_whatever_hangs(registry, release) -> None:
    coordinator = Coordinator(budget=0.5, drain_delay=0, registry=registry)
    for number in range(5):
        coordinator.add_waiter(f"waiter {number}", lambda seconds: release.wait() or True)
        coordinator.add_flush(f"flush {number}", lambda seconds: release.wait() and None)
    begun = time.monotonic()
    coordinator.shutdown()
    assert time.monotonic() - begun < 5, "the budget is 0.5 s; what hung would have taken for ever"


def test_the_drain_delay_is_waited_for_unless_it_is_cut_short(registry) -> None:
    for cut in (Coordinator.skip_waits, Coordinator.drain, Coordinator.shutdown):
        coordinator = Coordinator(budget=600, drain_delay=500, registry=registry)
        coordinator.begin_shutdown()
        waiting = in_thread(coordinator.wait_for_drain_delay)
        assert waiting.is_alive()
        cut(coordinator)
        waiting.join(30)
        assert not waiting.is_alive()


def test_the_drain_delay_ends_by_itself(registry) -> None:
    coordinator = Coordinator(drain_delay=0.05, registry=registry)
    coordinator.begin_shutdown()
    begun = time.monotonic()
    coordinator.wait_for_drain_delay()
    assert time.monotonic() - begun > 0.03


def test_before_a_shutdown_there_is_no_drain_delay_to_wait_for(registry) -> None:
    Coordinator(budget=600, drain_delay=500, registry=registry).wait_for_drain_delay()


def test_skipping_the_waits_ends_waiting_for_work_and_hooks_and_flushes_still_run(registry, release) -> None:
    coordinator = Coordinator(budget=600, registry=registry)
    waiting, seen = threading.Event(), []

    def wait(seconds: float) -> bool:
        waiting.set()
        return release.wait()

    coordinator.add_waiter("requests", wait)
    coordinator.on(Event.SHUTDOWN, lambda: seen.append("hook"))
    coordinator.add_flush("textfile", lambda seconds: seen.append("flush"))
    ending = in_thread(coordinator.shutdown)
    assert waiting.wait(30)
    coordinator.skip_waits()
    ending.join(30)
    assert not ending.is_alive()
    assert seen == ["hook", "flush"]
    assert coordinator.shutdown().unfinished == ("requests",)


def test_waits_that_were_skipped_beforehand_are_not_waited_for_and_quick_work_still_counts_as_done(registry, release) -> None:
    coordinator = Coordinator(budget=600, registry=registry)
    coordinator.add_waiter("requests", lambda seconds: release.wait() or True)
    coordinator.add_waiter("tasks", lambda seconds: True)
    coordinator.begin_shutdown()
    coordinator.skip_waits()
    report = coordinator.shutdown()
    assert report.unfinished == ("requests",)
    assert report.duration < 60


@pytest.mark.parametrize(("budget", "drain_delay"), [(0, 0), (-1, 0), (5, 5), (5, 6), (5, -1), (float("nan"), 0)])
def test_a_budget_that_cannot_work_is_refused(registry, budget, drain_delay) -> None:
    with pytest.raises(ConfigurationError, match="shutdown budget"):
        Coordinator(budget=budget, drain_delay=drain_delay, registry=registry)


# -- from several threads ------------------------------------------------------------------------------------------------------


def test_whoever_asks_for_the_shutdown_at_the_same_time_waits_for_the_one_that_there_is(coordinator) -> None:
    seen, reports = [], []
    coordinator.on(Event.SHUTDOWN, lambda: seen.append("hook"))
    run_threads(*[lambda: reports.append(coordinator.shutdown())] * 8)
    assert seen == ["hook"]
    assert {report.is_complete for report in reports} == {True}


def test_waiting_for_a_shutdown_ends_when_somebody_asks_for_it(coordinator) -> None:
    assert not coordinator.wait_for_shutdown(0.01)
    answers = []
    waiting = in_thread(lambda: answers.append(coordinator.wait_for_shutdown(60)))
    coordinator.shutdown()
    waiting.join(30)
    assert answers == [True]


def test_readiness_goes_before_the_first_listener_is_called(coordinator, release) -> None:
    coordinator.started()
    coordinator.on(Event.PREPARE_SHUTDOWN, release.wait)
    in_thread(coordinator.begin_shutdown)
    wait_until(lambda: not coordinator.is_ready)
