"""Polling: on time, one thread, and what one function does concerns no other."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import tracemalloc

import pytest

from measurand.errors import ConfigurationError
from measurand.lifecycle import polling as module
from measurand.testing.readings import Readings
from tests.lifecycle.kit import THREADS, age, calls, errors, threads
from tests.support import StillClock, run_threads, wait_until

# -- the schedule --------------------------------------------------------------------------------------------------------------


def test_nothing_is_called_before_the_start(make_polling, still_clock: StillClock) -> None:
    polling, seen = make_polling(), []
    polling.register("dashboard", lambda: seen.append("called"))
    polling.run_due()
    assert threads(*THREADS) == []
    polling.start()
    wait_until(lambda: seen)


def test_starting_many_times_gives_one_thread(make_polling) -> None:
    polling = make_polling()
    run_threads(*[polling.start] * 8)
    polling.start()
    assert threads(*THREADS) == ["measurand-poll"]


def test_a_function_is_called_at_every_interval(make_polling, still_clock: StillClock, readings) -> None:
    polling, seen = make_polling(interval=60), []
    polling.register("dashboard", lambda: seen.append(still_clock.elapsed))
    polling.start()
    begun = still_clock.elapsed
    for number in range(1, 4):
        wait_until(lambda number=number: calls(readings, "dashboard") == number)  # and is over: what still runs is not called
        still_clock.advance(60)
        polling.run_due()
    wait_until(lambda: calls(readings, "dashboard") == 4)
    assert seen == [begun, begun + 60, begun + 120, begun + 180]


def test_the_first_call_may_wait_for_one_interval(make_polling, still_clock: StillClock, readings) -> None:
    polling, seen = make_polling(interval=60), []
    polling.register("dashboard", lambda: seen.append("dashboard"), first="after-interval")
    polling.register("other", lambda: seen.append("other"), first="now")
    polling.start()
    wait_until(lambda: calls(readings, "other") == 1)
    assert seen == ["other"]
    still_clock.advance(60)
    polling.run_due()
    wait_until(lambda: sorted(seen) == ["dashboard", "other", "other"])


def test_each_function_may_have_an_interval_of_its_own(make_polling, still_clock: StillClock, readings) -> None:
    polling = make_polling(interval=60)
    polling.register("slow", lambda: None, first="after-interval")
    polling.register("quick", lambda: None, interval=10, first="after-interval")
    polling.start()
    for number in range(1, 7):
        still_clock.advance(10)
        polling.run_due()
        wait_until(lambda number=number: calls(readings, "quick") == number)
    wait_until(lambda: calls(readings, "slow") == 1)


def test_the_schedule_does_not_drift_and_leaves_out_what_could_not_be_kept(make_polling, still_clock: StillClock, readings) -> None:
    polling, seen = make_polling(interval=10), []
    polling.register("dashboard", lambda: seen.append(still_clock.elapsed))
    polling.start()
    begun = still_clock.elapsed
    wait_until(lambda: calls(readings, "dashboard") == 1)
    still_clock.advance(13)  # 3 s late
    polling.run_due()
    wait_until(lambda: calls(readings, "dashboard") == 2)
    wait_until(lambda: not threads("measurand-poll-run"))
    assert polling.run_due() == pytest.approx(7)
    still_clock.advance(37)  # at 50 s; 20, 30 and 40 have passed
    polling.run_due()
    wait_until(lambda: calls(readings, "dashboard") == 3)
    wait_until(lambda: not threads("measurand-poll-run"))
    assert polling.run_due() == pytest.approx(10)
    assert seen == [begun, begun + 13, begun + 50]


def test_without_a_test_clock_it_keeps_the_schedule_by_itself(make_polling, readings) -> None:
    polling = make_polling(interval=0.01)
    polling.register("dashboard", lambda: None)
    polling.start()
    wait_until(lambda: calls(readings, "dashboard") >= 5)


def test_what_is_registered_later_is_called_without_waiting_for_another_tick(make_polling) -> None:
    polling, seen = make_polling(interval=3000), []
    polling.start()
    polling.register("dashboard", lambda: seen.append("called"))
    wait_until(lambda: seen)


def test_a_slow_function_is_not_started_again_while_it_runs(make_polling, still_clock: StillClock, readings, release) -> None:
    polling, seen = make_polling(interval=10), []

    def slow() -> None:
        seen.append("started")
        release.wait()

    polling.register("slow", slow, timeout=1000)
    polling.start()
    wait_until(lambda: seen)
    for _ in range(3):
        still_clock.advance(10)
        polling.run_due()
    assert seen == ["started"]
    release.set()
    wait_until(lambda: calls(readings, "slow") == 1)
    assert errors(readings, "slow") == 0, "slow is no failure below the timeout"
    still_clock.advance(10)
    polling.run_due()
    wait_until(lambda: len(seen) == 2)


# -- failures ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [ValueError("boom"), SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_what_raises_is_counted_logged_once_and_tried_again_and_the_others_go_on(
    make_polling, still_clock: StillClock, readings, caplog, failure
) -> None:
    polling, outcomes = make_polling(interval=10), [failure, failure, failure, None]

    def broken() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    polling.register("broken", broken)
    polling.register("fine", lambda: None)
    with caplog.at_level(logging.INFO, "measurand"):
        polling.start()
        for number in range(1, 5):
            wait_until(lambda number=number: calls(readings, "broken") == calls(readings, "fine") == number)
            assert (errors(readings, "broken"), errors(readings, "fine")) == (min(number, 3), 0)
            still_clock.advance(10 if outcomes else 0)
            polling.run_due()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.records[0].exc_info is not None
    assert "polling broken works again, after 3 failures" in caplog.text


def test_a_new_streak_of_failures_is_logged_again(make_polling, still_clock: StillClock, readings, caplog) -> None:
    polling, outcomes = make_polling(interval=10), [1, 0, 1]
    polling.register("shaky", lambda: 1 / 0 if outcomes.pop() else None)
    polling.start()
    for number in range(1, 4):
        wait_until(lambda number=number: calls(readings, "shaky") == number)
        still_clock.advance(10 if outcomes else 0)
        polling.run_due()
    assert sum("polling shaky failed" in record.getMessage() for record in caplog.records) == 2


def test_the_age_is_that_of_the_last_success(make_polling, still_clock: StillClock, readings) -> None:
    polling, spoilt = make_polling(interval=10), []
    polling.register("dashboard", lambda: 1 / 0 if spoilt else None)
    polling.start()
    wait_until(lambda: calls(readings, "dashboard") == 1)
    assert age(readings, "dashboard") == 0
    spoilt.append(True)
    still_clock.advance(10)
    polling.run_due()
    wait_until(lambda: errors(readings, "dashboard") == 1)
    still_clock.advance(5)
    assert age(readings, "dashboard") == 15


def test_the_age_of_what_never_succeeded_runs_from_the_start(make_polling, still_clock: StillClock, readings) -> None:
    polling = make_polling(interval=10)
    polling.register("never", lambda: 1 / 0)
    still_clock.advance(100)
    polling.start()
    wait_until(lambda: errors(readings, "never") == 1)
    still_clock.advance(7)
    assert age(readings, "never") == 7


def test_durations_are_of_calls(make_polling, still_clock: StillClock, readings) -> None:
    polling = make_polling(interval=60)
    polling.register("dashboard", lambda: still_clock.advance(2.5))
    polling.start()
    wait_until(lambda: calls(readings, "dashboard") == 1)
    assert readings.value("measurand_poll_duration_seconds_sum", name="dashboard") == 2.5


def test_what_hangs_costs_itself_and_nothing_else(make_polling, readings, release, monkeypatch, caplog) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    polling, started = make_polling(interval=0.02), []

    def hang() -> None:
        started.append(threading.current_thread())
        release.wait()

    polling.register("hanging", hang, timeout=0.1)
    polling.register("broken", lambda: 1 / 0)
    polling.register("fine", lambda: None)
    polling.start()
    wait_until(lambda: errors(readings, "hanging") >= 3)
    before = calls(readings, "fine"), calls(readings, "broken")
    wait_until(lambda: calls(readings, "fine") > before[0] + 5 and calls(readings, "broken") > before[1] + 5)
    assert len(started) == 1, "it is not started again while it hangs"
    assert age(readings, "hanging") > 0.1
    assert sum("polling hanging" in record.getMessage() for record in caplog.records) == 1
    release.set()
    wait_until(lambda: len(started) > 1)
    wait_until(lambda: age(readings, "hanging") < 10)


def test_many_that_hang_cost_one_thread_each_and_no_memory(make_polling, readings, release, monkeypatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    monkeypatch.setattr(logging.getLogger("measurand"), "disabled", True)  # pytest keeps every record
    polling = make_polling(interval=0.005)
    for number in range(5):
        polling.register(f"hanging {number}", release.wait, timeout=0.02)
    polling.register("broken", lambda: 1 / 0)
    polling.register("leaving", lambda: exec("raise SystemExit"))
    polling.register("fine", lambda: None)
    polling.start()
    wait_until(lambda: all(errors(readings, f"hanging {number}") >= 1 for number in range(5)) and calls(readings, "fine") > 50)

    def runners() -> int:
        return len(threads("measurand-poll-run"))

    wait_until(lambda: runners() <= 6)
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(2):
            before = calls(readings, "fine")
            wait_until(lambda before=before: calls(readings, "fine") > before + 60)
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert runners() <= 6, "five that hang and one that works"
    assert sizes[1] - sizes[0] < 50_000


# -- stopping and names --------------------------------------------------------------------------------------------------------


def test_it_stops_at_once_when_nothing_runs_and_can_be_started_again(make_polling, readings) -> None:
    polling = make_polling(interval=3000)
    polling.register("dashboard", lambda: None)
    for number in (1, 2):
        polling.start()
        wait_until(lambda number=number: calls(readings, "dashboard") == number)
        begun = time.monotonic()
        assert polling.stop(60)
        assert time.monotonic() - begun < 30
        assert threads(*THREADS) == []
    assert polling.stop(60), "stopping what does not run is done at once"


def test_stopping_waits_for_a_call_that_runs(make_polling, release) -> None:
    polling, seen = make_polling(), []
    polling.register("dashboard", lambda: seen.append("started") or (release.wait() and seen.append("ended")))
    polling.start()
    wait_until(lambda: seen)
    threading.Timer(0.05, release.set).start()
    assert polling.stop(30)
    assert seen == ["started", "ended"]


def test_stopping_does_not_wait_for_what_hangs(make_polling, release) -> None:
    polling, seen = make_polling(), []
    polling.register("hanging", lambda: seen.append("started") or release.wait())
    polling.start()
    wait_until(lambda: seen)
    begun = time.monotonic()
    assert not polling.stop(0.05)
    assert time.monotonic() - begun < 20


def test_stopping_cancels_coroutines(make_polling) -> None:
    polling, seen = make_polling(), []

    async def hang() -> None:
        seen.append("started")
        await asyncio.Event().wait()

    polling.register("hanging", hang)
    polling.start()
    wait_until(lambda: seen)
    assert polling.stop(30)


def test_a_callback_may_stop_polling(make_polling) -> None:
    polling, answers = make_polling(), []
    polling.register("last", lambda: answers.append(polling.stop(20)))
    polling.start()
    assert wait_until(lambda: answers) == [False]
    wait_until(lambda: not threads(*THREADS))


def test_what_is_unregistered_is_called_no_more_and_has_no_age(make_polling, still_clock: StillClock, readings, registry) -> None:
    polling, seen = make_polling(interval=10), []
    polling.register("dashboard", lambda: seen.append("called"))
    polling.start()
    wait_until(lambda: seen)
    polling.unregister("dashboard")
    still_clock.advance(10)
    polling.run_due()
    assert Readings(registry).samples("measurand_poll_age_seconds") == []
    polling.register("dashboard", lambda: seen.append("called again"))
    wait_until(lambda: seen == ["called", "called again"])


def test_after_the_stop_nothing_has_an_age(make_polling, registry) -> None:
    polling = make_polling()
    polling.register("dashboard", lambda: None)
    polling.start()
    polling.stop(30)
    assert Readings(registry).samples("measurand_poll_age_seconds") == []


def test_one_that_hangs_can_be_unregistered(make_polling, release, readings, monkeypatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.02)
    polling, seen = make_polling(interval=0.02), []
    polling.register("hanging", lambda: seen.append("started") or release.wait())
    polling.start()
    wait_until(lambda: seen)
    polling.unregister("hanging")
    polling.register("fine", lambda: None)
    wait_until(lambda: calls(readings, "fine") >= 3)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": -1}, "interval"),
        ({"interval": "60"}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"timeout": 0}, "timeout"),
        ({"first": "later"}, "'now' or 'after-interval'"),
    ],
)
def test_what_cannot_work_is_refused_at_registration(make_polling, settings, complaint) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        make_polling().register("dashboard", lambda: None, **settings)


def test_a_name_is_given_once(make_polling) -> None:
    polling = make_polling()
    polling.register("dashboard", lambda: None)
    with pytest.raises(ConfigurationError, match="'dashboard' is polled already"):
        polling.register("dashboard", lambda: None)
    with pytest.raises(ConfigurationError, match="'dashbord' is not polled; these are: 'dashboard'"):
        polling.unregister("dashbord")
    with pytest.raises(ConfigurationError, match="must be a function"):
        polling.register("other", None)


def test_errors_show_zero_before_the_first(make_polling, readings, release) -> None:
    polling = make_polling()
    polling.register("dashboard", release.wait)
    polling.start()
    assert errors(readings, "dashboard") == 0
