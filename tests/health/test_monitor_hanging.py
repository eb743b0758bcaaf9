"""Dependencies that hang, and results that grow old."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import pytest

from measurand import clock
from measurand.health.check import time_allowed
from measurand.health.monitor import HealthMonitor
from tests.health.kit import INTERVAL, Bench, Switch, Threads
from tests.support import wait_until

pytestmark = pytest.mark.once

MakeMonitor = Callable[..., HealthMonitor]


@pytest.fixture
def switch(bench: Bench) -> Switch:
    """A check that has passed once."""
    switch = bench.monitor.add(Switch("database"))
    bench.settle("database")
    return switch


class TestTimeout:
    def test_a_run_that_takes_longer_has_failed(self, bench: Bench, switch: Switch) -> None:
        switch.hang()
        bench.clock.advance(INTERVAL)
        bench.begin(switch)
        bench.clock.advance(0.49)
        bench.monitor.tick()
        assert bench.failures("database", "timeout") == 0
        bench.clock.advance(0.02)
        bench.monitor.tick()
        assert bench.failures("database", "timeout") == 1
        assert bench.result("database").healthy  # one failure is forgiven
        switch.release()

    def test_each_check_has_its_own(self, bench: Bench) -> None:
        switch = Switch("slow")
        switch.hang()
        bench.monitor.add(switch, timeout=2.0)
        bench.begin(switch)
        bench.clock.advance(1.9)
        bench.monitor.tick()
        assert bench.result("slow").reason == "pending"
        bench.clock.advance(0.2)
        bench.monitor.tick()
        assert bench.result("slow").reason == "timeout"
        switch.release()

    def test_a_check_that_still_runs_is_not_started_again_and_fails_at_each_interval(
        self, bench: Bench, switch: Switch, threads: Threads
    ) -> None:
        switch.hang()
        bench.clock.advance(INTERVAL)
        bench.begin(switch)
        bench.clock.advance(0.6)
        bench.monitor.tick()
        for failures in (2, 3, 4, 5, 6):
            bench.clock.advance(INTERVAL)
            bench.monitor.tick()
            assert bench.failures("database", "timeout") == failures
            assert bench.result("database").reason == "timeout"
        assert switch.runs == 2
        assert threads.names == ["measurand-health-database"]
        switch.release()

    def test_a_hung_dependency_is_noticed_within_two_intervals(self, bench: Bench, switch: Switch) -> None:
        switch.hang()  # just after a run has passed
        hung = bench.clock.elapsed
        while bench.result("database").healthy:
            bench.clock.advance(0.1)
            bench.monitor.tick()
            wait_until(lambda: switch.runs > 1 or bench.clock.elapsed < hung + INTERVAL)
        assert bench.clock.elapsed - hung <= 2 * INTERVAL + 0.2
        switch.release()

    def test_what_a_run_finds_after_its_time_no_longer_counts(self, bench: Bench, switch: Switch) -> None:
        switch.hang()
        bench.clock.advance(INTERVAL)
        bench.begin(switch)
        for seconds in (0.6, INTERVAL):
            bench.clock.advance(seconds)
            bench.monitor.tick()
        assert bench.result("database").reason == "timeout"
        switch.release()
        before = bench.result("database")
        wait_until(lambda: self.is_started_again(bench, switch))
        assert before.date is not None
        assert bench.result("database").healthy
        assert len(set(switch.threads)) == 1

    @staticmethod
    def is_started_again(bench: Bench, switch: Switch) -> bool:
        bench.clock.advance(INTERVAL)
        bench.monitor.tick()
        return switch.runs > 2 and bench.result("database").healthy

    def test_one_that_ends_too_late_has_failed_even_if_nobody_looked_in_between(self, bench: Bench) -> None:
        @bench.monitor.add
        def slow() -> None:
            bench.clock.advance(0.6)

        bench.monitor.tick()
        wait_until(lambda: bench.result("slow").reason == "timeout")
        assert bench.result("slow").latency == pytest.approx(0.6)

    def test_a_run_knows_how_long_it_may_take(self, bench: Bench) -> None:
        told: list[float] = []
        bench.monitor.add(lambda: told.append(time_allowed()), name="first", timeout=3.0)
        bench.settle("first")

        @bench.monitor.add(timeout=4.0)
        async def second() -> None:
            told.append(time_allowed())

        bench.settle("second")
        assert told == [3.0, 4.0]

    def test_a_timeout_longer_than_the_interval_is_waited_for(self, bench: Bench) -> None:
        switch = Switch("report")
        switch.hang()
        bench.monitor.add(switch, timeout=12.0)
        bench.begin(switch)
        for _ in range(2):
            bench.clock.advance(INTERVAL)
            bench.monitor.tick()
        assert (bench.result("report").reason, switch.runs) == ("pending", 1)
        switch.release()
        wait_until(lambda: bench.result("report").healthy)
        bench.clock.advance(20.0)
        assert bench.result("report").healthy  # it may come once in twelve seconds: three of these make it stale
        bench.clock.advance(20.0)
        assert bench.result("report").reason == "stale"


class TestStale:
    def test_a_result_older_than_three_intervals_is_a_failure(self, bench: Bench, switch: Switch) -> None:
        bench.clock.advance(3 * INTERVAL)
        assert bench.result("database").healthy
        bench.clock.advance(0.1)
        assert (bench.result("database").healthy, bench.result("database").reason) == (False, "stale")
        assert not bench.monitor.readiness().is_ready

    def test_it_is_counted_and_the_next_run_that_passes_makes_it_healthy(self, bench: Bench, switch: Switch) -> None:
        switch.hang()
        bench.clock.advance(3 * INTERVAL + 0.1)
        bench.begin(switch)
        assert bench.failures("database", "stale") == 1
        assert bench.status("database") == 0
        switch.release()
        wait_until(lambda: bench.result("database").healthy)
        assert bench.status("database") == 1

    def test_a_failure_does_not_become_better_with_age(self, bench: Bench, switch: Switch) -> None:
        switch.outcome = False
        bench.next("database")
        bench.next("database")
        bench.clock.advance(10 * INTERVAL)
        assert bench.result("database").reason == "failed"

    def test_an_interval_of_its_own_counts(self, bench: Bench) -> None:
        bench.monitor.add(Switch("rarely"), interval=60.0)
        bench.settle("rarely")
        bench.clock.advance(179.0)
        assert bench.result("rarely").healthy
        bench.clock.advance(2.0)
        assert bench.result("rarely").reason == "stale"


class TestManyHanging:
    """P-29: a probe is answered from what is known, whatever hangs."""

    HANGING, PASSING = 10, 5

    def test_readiness_is_right_and_quick_with_ten_of_fifteen_hanging(self, monitors: MakeMonitor) -> None:
        monitor = monitors(interval=0.2)
        release = threading.Event()
        for number in range(self.PASSING):
            monitor.add(lambda: None, name=f"passing-{number}", timeout=60.0, interval=60.0)
        for number in range(self.HANGING):
            monitor.add(lambda: release.wait(60) and None, name=f"hanging-{number}", timeout=0.1, criticality="degraded")
        monitor.start()
        try:
            wait_until(lambda: all(result.reason != "pending" for result in monitor.results().values()))
            seconds = []
            for _ in range(50):
                before = clock.system_monotonic()
                report = monitor.readiness()
                seconds.append(clock.system_monotonic() - before)
            assert (report.status, report.is_ready) == ("degraded", True)
            reasons = {name: str(result.reason) for name, result in report.checks.items() if not result.healthy}
            assert reasons == {f"hanging-{number}": "timeout" for number in range(self.HANGING)}
            assert sorted(seconds)[25] < 0.05
        finally:
            release.set()

    def test_checks_that_hang_for_long_cost_nothing_more(self, bench: Bench, threads: Threads) -> None:
        switches = [bench.monitor.add(Switch(f"check-{number}")) for number in range(5)]
        for switch in switches:
            switch.hang()
        bench.monitor.tick()
        wait_until(lambda: all(switch.runs for switch in switches))
        alive, objects = len(threads.names), None
        for round_ in range(200):
            bench.clock.advance(INTERVAL)
            bench.monitor.tick()
            if round_ == 20:
                gc.collect()
                objects = len(gc.get_objects())
        gc.collect()
        assert objects is not None
        assert len(gc.get_objects()) - objects < 50
        assert len(threads.names) == alive == 5
        assert [switch.runs for switch in switches] == [1] * 5
        for switch in switches:
            switch.release()
