"""Registration, evaluation and reading; time stands still unless the test moves it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from measurand.errors import ConfigurationError
from measurand.health.check import Check
from measurand.health.monitor import HealthMonitor
from measurand.health.reasons import Reason
from measurand.lifecycle.coordinator import State
from tests.health.kit import INTERVAL, AsyncSwitch, Bench, Switch, Threads, no_thread_left
from tests.support import wait_until

MakeMonitor = Callable[..., HealthMonitor]


class TestRegistration:
    def test_a_check_can_be_given_or_decorated(self, bench: Bench) -> None:
        @bench.monitor.add
        def first() -> None: ...

        @bench.monitor.add(name="second", criticality="info")
        def another() -> None: ...

        third = Check("third", first)
        assert bench.monitor.add(third) is third
        assert bench.monitor.names == ["first", "second", "third"]
        assert bench.result("second").criticality == "info"
        assert first() is None

    def test_two_checks_of_one_name_are_refused(self, bench: Bench) -> None:
        bench.monitor.add(Switch("database"))
        with pytest.raises(ConfigurationError, match=r"there is a health check 'database' already; give this one another name: name="):
            bench.monitor.add(Switch("database"))
        assert bench.monitor.names == ["database"]

    def test_a_mistake_is_found_when_it_is_made(self, bench: Bench) -> None:
        mistakes: list[tuple[Any, dict[str, Any]]] = [
            (Switch("a"), {"name": "data base"}),
            (Switch("a"), {"timeout": 0}),
            (Switch("a"), {"criticality": "fatal"}),
            (object(), {"name": "a"}),
        ]
        for check, settings in mistakes:
            with pytest.raises(ConfigurationError):
                bench.monitor.add(check, **settings)
            decorate: Any = bench.monitor.add(**settings)
            with pytest.raises(ConfigurationError):
                decorate(check)
        assert bench.monitor.names == []

    def test_a_check_that_was_removed_is_no_longer_shown(self, bench: Bench) -> None:
        bench.monitor.add(Switch("database", outcome=False))
        assert not bench.settle("database").healthy
        bench.monitor.remove("database")
        assert bench.monitor.results() == {}
        assert bench.status("database") is None
        assert bench.monitor.readiness().is_ready

    def test_removing_what_is_not_there_names_what_is(self, bench: Bench) -> None:
        with pytest.raises(ConfigurationError, match="there is no health check 'database'; there are: none"):
            bench.monitor.remove("database")
        bench.monitor.add(Switch("database"))
        with pytest.raises(ConfigurationError, match="there is no health check 'databsae'; did you mean 'database'"):
            bench.monitor.remove("databsae")

    def test_a_name_is_free_again_after_removal_even_if_the_old_check_still_hangs(self, bench: Bench, threads: Threads) -> None:
        old, new = Switch("database"), Switch("database", outcome=False)
        old.hang()
        bench.monitor.add(old)
        bench.begin(old)
        bench.monitor.remove("database")
        bench.monitor.add(new)
        assert bench.settle("database").reason == "failed"
        old.release()
        wait_until(lambda: len(threads.names) == 1)
        assert bench.result("database").reason == "failed"

    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5", None, True])
    @pytest.mark.parametrize("setting", ["interval", "heartbeat_timeout"])
    def test_a_time_that_is_none_is_refused(self, setting: str, seconds: Any) -> None:
        settings: dict[str, Any] = {setting: seconds}
        with pytest.raises(ConfigurationError, match="must be a number of seconds greater than zero"):
            HealthMonitor(**settings)


class TestReadiness:
    def test_with_no_check_the_service_is_ready(self, bench: Bench) -> None:
        assert bench.monitor.readiness() == bench.monitor.readiness(State.RUNNING)
        assert bench.monitor.readiness().is_ready
        assert bench.monitor.readiness().checks == {}

    def test_before_its_first_result_a_critical_check_makes_it_not_ready(self, bench: Bench) -> None:
        bench.monitor.add(Switch("database"))
        report = bench.monitor.readiness()
        assert (report.status, report.checks["database"].reason) == ("not_ready", "pending")
        bench.settle("database")
        assert bench.monitor.readiness().status == "ready"

    def test_one_that_never_passed_is_unhealthy_from_its_first_failure(self, bench: Bench) -> None:
        bench.monitor.add(Switch("database", outcome=ConnectionRefusedError("10.0.0.7 said no to user admin")))
        assert bench.settle("database").reason == "connection_refused"
        assert bench.monitor.readiness().status == "not_ready"

    def test_it_fails_after_two_and_recovers_after_one(self, bench: Bench) -> None:
        switch = bench.monitor.add(Switch("database"))
        bench.settle("database")
        switch.outcome = False
        assert bench.next("database").healthy
        assert bench.monitor.readiness().is_ready
        assert bench.next("database").reason == "failed"
        assert not bench.monitor.readiness().is_ready
        switch.outcome = True
        assert bench.next("database").healthy
        assert bench.monitor.readiness().is_ready

    def test_other_checks_than_critical_ones_do_not_take_it_out_of_service(self, bench: Bench) -> None:
        bench.monitor.add(Switch("search", outcome=False), criticality="degraded")
        bench.monitor.add(Switch("news", outcome=False), criticality="info")
        bench.monitor.add(Switch("database"))
        for name in bench.monitor.names:
            bench.settle(name)
        assert (bench.monitor.readiness().status, bench.monitor.readiness().is_ready) == ("degraded", True)
        bench.monitor.remove("search")
        assert bench.monitor.readiness().status == "ready"

    def test_the_state_of_the_process_comes_first(self, still_clock: Any) -> None:
        state = State.STARTING
        bench = Bench(still_clock, state=lambda: state)
        assert bench.monitor.readiness().status == "starting"
        state = State.PREPARING
        assert bench.monitor.readiness().status == "draining"
        assert bench.monitor.readiness(State.RUNNING).status == "ready"


class TestResults:
    @pytest.mark.parametrize(
        ("outcome", "reason"),
        [
            (None, None),
            (True, None),
            (False, "failed"),
            (Reason.AUTH, "auth"),
            ("PONG", "invalid_result"),
            (0, "invalid_result"),
            ({"healthy": False}, "invalid_result"),
            (ValueError("secret"), "error"),
            (SystemExit(1), "error"),
            (KeyboardInterrupt(), "error"),
            (TimeoutError(), "timeout"),
        ],
    )
    def test_what_a_run_comes_to(self, bench: Bench, outcome: object, reason: str | None) -> None:
        bench.monitor.add(Switch("database", outcome))
        assert (bench.settle("database").healthy, bench.result("database").reason) == (reason is None, reason)

    def test_a_run_is_timed(self, bench: Bench) -> None:
        @bench.monitor.add
        def slow() -> None:
            bench.clock.advance(0.3)

        bench.monitor.tick()
        wait_until(lambda: bench.result("slow").healthy)
        assert bench.result("slow").latency == pytest.approx(0.3)
        assert bench.registry.get_sample_value("health_check_duration_seconds_sum", {"check": "slow"}) == pytest.approx(0.3)

    def test_results_are_metrics(self, bench: Bench) -> None:
        switch = bench.monitor.add(Switch("database"))
        bench.settle("database")
        assert bench.status("database") == 1
        switch.outcome = ConnectionRefusedError()
        bench.next("database")
        assert bench.status("database") == 1  # the first failure is forgiven, and counted
        assert bench.failures("database", "connection_refused") == 1
        bench.next("database")
        assert bench.status("database") == 0
        assert bench.failures("database", "connection_refused") == 2
        assert bench.registry.get_sample_value("health_check_duration_seconds_count", {"check": "database"}) == 3

    def test_whether_the_service_is_ready_is_asked_at_scrape(self, bench: Bench, still_clock: Any) -> None:
        state = State.STARTING
        bench = Bench(still_clock, state=lambda: state)
        bench.monitor.start()
        assert bench.registry.get_sample_value("service_ready") == 0
        state = State.RUNNING
        bench.monitor.announce()
        assert bench.registry.get_sample_value("service_ready") == 1
        bench.monitor.add(Switch("database", outcome=False))
        assert bench.registry.get_sample_value("service_ready") == 0
        bench.monitor.stop()

    def test_a_change_is_logged_once_with_the_exception(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        switch = bench.monitor.add(Switch("database"))
        caplog.set_level(logging.INFO, "measurand")
        bench.settle("database")
        assert caplog.records == []
        switch.outcome = ConnectionRefusedError("10.0.0.7")
        for _ in range(4):
            bench.next("database")
        wait_until(lambda: caplog.records)
        switch.outcome = True
        bench.next("database")
        wait_until(lambda: len(caplog.records) == 2)
        failed, passed = caplog.records
        assert (failed.levelname, failed.getMessage()) == ("WARNING", "the health check database fails: connection_refused")
        assert failed.exc_info is not None
        assert str(failed.exc_info[1]) == "10.0.0.7"
        assert (passed.levelname, passed.getMessage()) == ("INFO", "the health check database passes again, after 4 failures")

    def test_a_failure_that_does_not_count_is_no_warning(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "measurand")
        bench.monitor.add(Switch("news", outcome=False), criticality="info")
        bench.settle("news")
        wait_until(lambda: caplog.records)
        assert [record.levelname for record in caplog.records] == ["INFO"]

    def test_the_first_failure_of_one_that_never_passed_is_logged(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        bench.monitor.add(Switch("database", outcome=False))
        for _ in range(3):
            bench.next("database")
        wait_until(lambda: caplog.records)
        assert [record.getMessage() for record in caplog.records] == ["the health check database fails: failed"]


class TestSchedule:
    def test_checks_run_at_once_and_then_at_their_interval(self, bench: Bench) -> None:
        often, rarely = Switch("often"), Switch("rarely")
        bench.monitor.add(often)
        bench.monitor.add(rarely, interval=60)
        bench.settle("rarely")
        for _ in range(11):
            bench.settle("often")
            bench.clock.advance(INTERVAL)
        assert (often.runs, rarely.runs) == (11, 1)
        bench.next("rarely")
        assert rarely.runs == 2

    def test_a_run_comes_up_to_a_tenth_early_and_never_late(self, bench: Bench) -> None:
        waits = []
        bench.monitor.add(Switch("database"))
        for _ in range(30):
            bench.settle("database")
            waits.append(bench.monitor.tick())
            bench.clock.advance(INTERVAL)
        assert 0.9 * INTERVAL <= min(waits) < max(waits) <= INTERVAL
        assert len(set(waits)) > 10

    def test_a_thread_of_its_own_serves_all_runs_of_a_check(self, bench: Bench) -> None:
        first, second = bench.monitor.add(Switch("first")), bench.monitor.add(Switch("second"))
        for _ in range(3):
            bench.next("first")
            bench.settle("second")
        assert len(set(first.threads)) == len(set(second.threads)) == 1
        assert threading.get_ident() not in first.threads
        assert first.threads != second.threads

    def test_one_added_while_the_monitor_runs_is_evaluated_at_once(self, monitors: MakeMonitor) -> None:
        monitor = monitors(interval=3600.0)
        monitor.start()
        monitor.add(Switch("database"), timeout=60)
        wait_until(lambda: monitor.results()["database"].healthy)


class TestThreads:
    def test_starting_twice_gives_one_thread_and_stopping_leaves_none(self, monitors: MakeMonitor, threads: Threads) -> None:
        monitor = monitors()
        monitor.add(Switch("database"), timeout=60)
        monitor.start()
        monitor.start()
        wait_until(lambda: monitor.results()["database"].healthy)
        assert threads.names == ["measurand-health", "measurand-health-database"]
        assert monitor.stop(30.0)
        wait_until(lambda: threads.names == [])
        assert monitor.stop()

    def test_before_the_start_nothing_runs(self, monitors: MakeMonitor, threads: Threads) -> None:
        monitor = monitors()
        monitor.add(Switch("database"))
        assert monitor.results()["database"].reason == "pending"
        assert threads.names == []

    def test_where_the_system_has_no_thread_left_checks_fail_and_recover(self, bench: Bench) -> None:
        bench.monitor.add(Switch("sync"))
        bench.monitor.add(AsyncSwitch("async"))
        with no_thread_left():
            bench.monitor.tick()
        assert {name: result.reason for name, result in bench.monitor.results().items()} == {"sync": "error", "async": "error"}
        assert bench.next("sync").healthy
        assert bench.settle("async").healthy

    def test_it_can_be_started_again(self, monitors: MakeMonitor) -> None:
        monitor = monitors(interval=3600.0)
        switch = monitor.add(Switch("database"), timeout=60)
        for runs in (1, 2):
            monitor.start()
            wait_until(lambda runs=runs: switch.runs == runs)
            assert monitor.stop(30.0)
        assert monitor.results()["database"].healthy

    def test_stopping_does_not_wait_for_a_check_that_hangs(self, monitors: MakeMonitor, threads: Threads) -> None:
        monitor = monitors()
        switch = Switch("database")
        switch.hang()
        monitor.add(switch)
        monitor.start()
        wait_until(lambda: switch.runs)
        assert monitor.stop(30.0)
        switch.release()
        wait_until(lambda: threads.names == [])
        assert monitor.results()["database"].reason == "pending"
