"""From the start to the end of a service: states, events, waiters, flushes, one budget."""

from __future__ import annotations

import logging
import threading

import pytest

from measurand.errors import ConfigurationError
from measurand.lifecycle.coordinator import Coordinator, Event, State
from measurand.testing.readings import Readings
from tests.support import StillClock

SHUTDOWN_EVENTS = [Event.PREPARE_SHUTDOWN, Event.DRAINING, Event.SHUTDOWN, Event.AFTER_SHUTDOWN]


# -- start ---------------------------------------------------------------------------------------------------------------------


def test_a_service_is_ready_once_its_server_is_up_and_every_startup_task_is_done(coordinator) -> None:
    filled, connected = coordinator.add_startup_task("cache"), coordinator.add_startup_task("broker")
    assert (coordinator.state, coordinator.startup_pending) == (State.STARTING, ["cache", "broker"])
    filled()
    coordinator.started()
    assert (coordinator.state, coordinator.startup_pending, coordinator.is_ready) == (State.STARTING, ["broker"], False)
    connected()
    connected()
    assert (coordinator.state, coordinator.startup_pending, coordinator.is_ready) == (State.RUNNING, [], True)


def test_startup_tasks_that_are_done_do_not_make_it_ready_before_the_server_is_up(coordinator) -> None:
    coordinator.add_startup_task("cache")()
    assert coordinator.state is State.STARTING
    coordinator.started()
    assert coordinator.state is State.RUNNING


def test_two_startup_tasks_of_one_name_are_an_error_while_the_first_is_pending(coordinator) -> None:
    done = coordinator.add_startup_task("cache")
    with pytest.raises(ConfigurationError, match="'cache' is pending already"):
        coordinator.add_startup_task("cache")
    done()
    coordinator.add_startup_task("cache")()


def test_a_startup_task_that_comes_too_late_does_not_take_readiness_away(coordinator, caplog) -> None:
    coordinator.started()
    coordinator.add_startup_task("cache")
    assert (coordinator.state, coordinator.startup_pending) == (State.RUNNING, [])
    assert "'cache' comes too late" in caplog.text


def test_the_listeners_of_startup_are_called_once_before_it_is_ready(coordinator) -> None:
    states = []
    coordinator.on(Event.STARTUP, lambda: states.append(coordinator.state))
    coordinator.started()
    coordinator.started()
    assert states == [State.STARTING]


def test_a_service_that_is_told_to_stop_while_it_starts_does_not_become_ready(coordinator) -> None:
    done = coordinator.add_startup_task("cache")
    coordinator.begin_shutdown()
    coordinator.started()
    done()
    assert coordinator.state is State.PREPARING


# -- events --------------------------------------------------------------------------------------------------------------------


def test_the_events_of_a_shutdown_come_in_order_each_in_its_state(coordinator) -> None:
    seen = []
    for event in SHUTDOWN_EVENTS:
        coordinator.on(event, lambda event=event: seen.append((event, coordinator.state)))
    coordinator.started()
    coordinator.shutdown()
    states = [State.PREPARING, State.DRAINING, State.DRAINING, State.STOPPED]
    assert seen == list(zip(SHUTDOWN_EVENTS, states, strict=True))


def test_each_step_happens_once(coordinator) -> None:
    seen = []
    for event in SHUTDOWN_EVENTS:
        coordinator.on(event, lambda event=event: seen.append(event))
    for step in (coordinator.begin_shutdown, coordinator.drain, coordinator.shutdown):
        step()
        step()
    assert seen == SHUTDOWN_EVENTS


def test_while_preparing_it_is_not_ready(coordinator) -> None:
    coordinator.started()
    coordinator.begin_shutdown()
    assert (coordinator.state, coordinator.is_ready) == (State.PREPARING, False)


def test_shutdown_hooks_run_in_reverse_order_and_other_listeners_in_order(coordinator) -> None:
    seen = []
    for number in range(3):
        for event in SHUTDOWN_EVENTS:
            coordinator.on(event, lambda event=event, number=number: seen.append((event, number)))
    coordinator.shutdown()
    orders = {event: [number for which, number in seen if which is event] for event in SHUTDOWN_EVENTS}
    assert orders == {event: [2, 1, 0] if event is Event.SHUTDOWN else [0, 1, 2] for event in SHUTDOWN_EVENTS}


def test_on_decorates(coordinator) -> None:
    seen = []

    @coordinator.on(Event.SHUTDOWN)
    def close_pool() -> None:
        seen.append("closed")

    coordinator.shutdown()
    close_pool()
    assert seen == ["closed", "closed"]


@pytest.mark.parametrize("event", SHUTDOWN_EVENTS)
@pytest.mark.parametrize("failure", [ValueError("secret"), SystemExit(1)])
def test_a_listener_that_raises_concerns_nobody_else(coordinator, event, failure, caplog) -> None:
    seen = []

    def broken() -> None:
        raise failure

    coordinator.on(event, lambda: seen.append("before"))
    coordinator.on(event, broken, name="broken")
    coordinator.on(event, lambda: seen.append("after"))
    report = coordinator.shutdown()
    assert sorted(seen) == ["after", "before"]
    assert "broken failed" in caplog.text
    assert report.failed == {"broken": f"raised {type(failure).__name__}"}


def test_a_listener_of_startup_that_raises_does_not_keep_the_service_from_running(coordinator, caplog) -> None:
    seen = []
    coordinator.on(Event.STARTUP, lambda: 1 / 0, name="broken")
    coordinator.on(Event.STARTUP, lambda: seen.append("after"))
    coordinator.started()
    assert (seen, coordinator.state) == (["after"], State.RUNNING)
    assert "startup broken failed" in caplog.text


@pytest.mark.parametrize("event", SHUTDOWN_EVENTS)
def test_a_listener_that_hangs_is_left_behind(registry, event, release, caplog) -> None:
    coordinator = Coordinator(budget=0.6, drain_delay=0, registry=registry)
    seen = []
    coordinator.on(event, lambda: seen.append("before"))
    coordinator.on(event, release.wait, name="hanging")
    coordinator.on(event, lambda: seen.append("after"))
    report = coordinator.shutdown()
    assert sorted(seen) == ["after", "before"]
    assert list(report.failed) == ["hanging"]
    assert "still running after" in report.failed["hanging"]
    assert "hanging: still running" in caplog.text


def test_a_listener_for_what_has_come_is_called_at_once(coordinator) -> None:
    seen = []
    coordinator.started()
    coordinator.on(Event.STARTUP, lambda: seen.append("up"))
    coordinator.begin_shutdown()
    coordinator.on(Event.PREPARE_SHUTDOWN, lambda: seen.append("preparing"))
    coordinator.on(Event.SHUTDOWN, lambda: seen.append("down"))
    assert seen == ["up", "preparing"]


def test_a_coroutine_function_is_refused_as_a_listener(coordinator) -> None:
    async def close() -> None: ...

    with pytest.raises(ConfigurationError, match="close is a coroutine function"):
        coordinator.on(Event.SHUTDOWN, close)


def test_a_listener_that_asks_for_the_shutdown_it_is_part_of_gets_an_answer_at_once(coordinator) -> None:
    reports = []
    coordinator.on(Event.SHUTDOWN, lambda: reports.append(coordinator.shutdown()))
    coordinator.on(Event.SHUTDOWN, coordinator.drain)
    coordinator.on(Event.PREPARE_SHUTDOWN, coordinator.begin_shutdown)
    final = coordinator.shutdown()
    assert [report.is_complete for report in reports] == [False]
    assert final.is_complete
    assert final.failed == {}


# -- waiters and flushes -------------------------------------------------------------------------------------------------------


def test_work_is_finished_before_hooks_and_hooks_before_flushes(coordinator) -> None:
    seen = []
    coordinator.on(Event.DRAINING, lambda: seen.append("draining"))
    coordinator.add_waiter("requests", lambda seconds: seen.append("work done") is None)
    coordinator.on(Event.SHUTDOWN, lambda: seen.append("hook"))
    coordinator.add_flush("textfile", lambda seconds: seen.append("flushed"))
    coordinator.on(Event.AFTER_SHUTDOWN, lambda: seen.append("after"))
    coordinator.shutdown()
    assert seen == ["draining", "work done", "hook", "flushed", "after"]


def test_waiters_wait_at_the_same_time_and_are_told_how_long(registry) -> None:
    coordinator = Coordinator(budget=50, registry=registry)
    together = threading.Barrier(3, timeout=20)
    told = []

    def wait(seconds: float) -> bool:
        told.append(seconds)
        together.wait()
        return True

    for number in range(3):
        coordinator.add_waiter(f"waiter {number}", wait)
    report = coordinator.shutdown()
    assert report.unfinished == ()
    assert all(20 < seconds < 50 for seconds in told)


def test_it_goes_on_as_soon_as_the_work_is_done(registry) -> None:
    coordinator = Coordinator(budget=600, registry=registry)
    coordinator.add_waiter("requests", lambda seconds: True)
    assert coordinator.shutdown().duration < 60


def test_work_that_is_not_done_or_cannot_be_waited_for_is_reported(registry, release) -> None:
    coordinator = Coordinator(budget=0.5, drain_delay=0, registry=registry)
    coordinator.add_waiter("requests", lambda seconds: False)
    coordinator.add_waiter("tasks", lambda seconds: release.wait() or True)
    coordinator.add_waiter("broken", lambda seconds: 1 / 0 > 0)
    coordinator.add_waiter("quick", lambda seconds: True)
    assert set(coordinator.shutdown().unfinished) == {"requests", "tasks", "broken"}


def test_what_hangs_leaves_time_for_what_comes_later(registry, release) -> None:
    coordinator = Coordinator(budget=1.5, drain_delay=0, registry=registry)
    told = []
    coordinator.add_waiter("hanging", lambda seconds: release.wait() or True)
    coordinator.on(Event.SHUTDOWN, release.wait, name="hanging hook")
    coordinator.on(Event.SHUTDOWN, release.wait, name="another")
    coordinator.add_flush("textfile", told.append)
    report = coordinator.shutdown()
    assert report.flushed == ("textfile",)
    assert told[0] > 0


def test_flushes_run_at_the_same_time_and_say_what_was_lost(registry, release) -> None:
    coordinator = Coordinator(budget=0.5, drain_delay=0, registry=registry)
    coordinator.add_flush("textfile", lambda seconds: None)
    coordinator.add_flush("statsd", lambda seconds: "3 packets")
    coordinator.add_flush("hanging", lambda seconds: release.wait() and None)
    coordinator.add_flush("broken", lambda seconds: str(1 / 0))
    report = coordinator.shutdown()
    assert report.flushed == ("textfile",)
    assert report.lost["statsd"] == "3 packets"
    assert report.lost["broken"] == "raised ZeroDivisionError"
    assert "still running" in report.lost["hanging"]


@pytest.mark.parametrize("add", [Coordinator.add_waiter, Coordinator.add_flush])
def test_a_name_is_given_once(coordinator, add) -> None:
    add(coordinator, "requests", lambda seconds: None)
    with pytest.raises(ConfigurationError, match="named 'requests' already"):
        add(coordinator, "requests", lambda seconds: None)


# -- what is told --------------------------------------------------------------------------------------------------------------


def test_the_metrics_of_a_shutdown(registry, still_clock: StillClock) -> None:
    coordinator = Coordinator(registry=registry)
    readings = Readings(registry)
    assert readings.value("application_shutting_down") == 0
    coordinator.begin_shutdown()
    assert readings.value("application_shutting_down") == 1
    still_clock.advance(7)
    seen = []
    coordinator.add_flush("textfile", lambda seconds: seen.append(readings.value("graceful_shutdown_duration_seconds_sum")))
    coordinator.shutdown()
    assert seen == [7], "the last flush carries it"
    coordinator.shutdown()
    assert readings.value("graceful_shutdown_duration_seconds_count") == 1


def test_one_line_of_the_log_says_what_was_flushed_and_what_was_lost(coordinator, caplog) -> None:
    coordinator.add_flush("textfile", lambda seconds: None)
    coordinator.add_flush("statsd", lambda seconds: "3 packets")
    with caplog.at_level(logging.INFO, "measurand"):
        coordinator.shutdown()
        coordinator.shutdown()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "flushed: textfile; lost: statsd (3 packets)" in record.getMessage()


def test_a_clean_end_is_no_warning(coordinator, caplog) -> None:
    with caplog.at_level(logging.INFO, "measurand"):
        report = coordinator.shutdown()
    assert report.is_clean
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_two_coordinators_of_one_registry_share_their_metrics(registry) -> None:
    Coordinator(registry=registry)
    Coordinator(registry=registry).begin_shutdown()
    assert Readings(registry).value("application_shutting_down") == 1
