"""Async checks: in the application's loop, or in a private one; and that loop's sign of life."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

from measurand.health.monitor import HealthMonitor
from tests.health.kit import INTERVAL, AsyncSwitch, Bench, Threads, call_in, loop_in_thread
from tests.support import wait_until

pytestmark = pytest.mark.once

MakeMonitor = Callable[..., HealthMonitor]


@pytest.fixture
def loop(threads: Threads) -> Iterator[asyncio.AbstractEventLoop]:
    """The application's event loop."""
    with loop_in_thread() as loop:
        yield loop


class Blocked:
    """An event loop that is stuck in somebody's code while the block runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._release = threading.Event()

    def __enter__(self) -> None:
        blocked = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (blocked.set(), self._release.wait(60)))
        assert blocked.wait(30)

    def __exit__(self, *exc_info: object) -> None:
        self._release.set()
        call_in(self.loop, lambda: None)


class TestWhere:
    def test_without_an_application_loop_they_share_a_private_one(self, bench: Bench, threads: Threads) -> None:
        switches = [bench.monitor.add(AsyncSwitch(name)) for name in ("first", "second")]
        for switch in switches:
            bench.settle(switch.name)
            assert bench.result(switch.name).healthy
        assert switches[0].loops == switches[1].loops
        assert threads.names == ["measurand-health-loop"]

    def test_in_the_application_loop_once_there_is_one(
        self, bench: Bench, loop: asyncio.AbstractEventLoop, threads: Threads
    ) -> None:
        switch = bench.monitor.add(AsyncSwitch("database"))
        bench.monitor.attach(loop)
        assert bench.settle("database").healthy
        assert switch.loops == [loop]
        assert threads.names == []

    def test_they_wait_for_an_application_loop_that_is_about_to_come(
        self, still_clock: object, monitors: MakeMonitor, loop: asyncio.AbstractEventLoop
    ) -> None:
        monitor = monitors()
        switch = monitor.add(AsyncSwitch("database"))
        monitor.start(wait_for_loop=30.0)
        monitor.add(lambda: None, name="other")
        wait_until(lambda: monitor.results()["other"].healthy)
        assert (switch.runs, monitor.results()["database"].reason) == (0, "pending")
        monitor.attach(loop)
        wait_until(lambda: monitor.results()["database"].healthy)
        assert switch.loops == [loop]

    @pytest.mark.parametrize("said", [True, False])
    def test_where_none_comes_a_private_one_serves(self, bench: Bench, said: bool) -> None:
        switch = bench.monitor.add(AsyncSwitch("database"))
        bench.monitor.start(wait_for_loop=30.0)
        bench.monitor.stop()
        bench.monitor.tick()
        assert switch.runs == 0
        if said:
            bench.monitor.attach(None)
        else:
            bench.clock.advance(30.1)
        assert bench.settle("database").healthy

    def test_when_the_application_loop_has_been_closed_they_wait_for_the_next(self, bench: Bench, threads: Threads) -> None:
        switch = bench.monitor.add(AsyncSwitch("database"))
        with loop_in_thread() as first:
            bench.monitor.attach(first)
            bench.settle("database")
        for _ in range(4):
            bench.clock.advance(INTERVAL)
            bench.monitor.tick()
        assert (switch.runs, bench.result("database").reason) == (1, "stale")
        assert threads.names == []
        with loop_in_thread() as second:
            bench.monitor.attach(second)
            assert bench.settle("database").healthy
        assert switch.loops == [first, second]

    def test_a_sync_function_that_returns_a_coroutine_is_awaited(self, bench: Bench, loop: asyncio.AbstractEventLoop) -> None:
        switch = AsyncSwitch("database")
        bench.monitor.add(lambda: (switch.run(),)[0], name="database")
        bench.monitor.attach(loop)
        assert bench.settle("database").healthy
        assert switch.loops == [loop]

    def test_a_coroutine_for_which_there_is_no_loop_is_dropped_without_a_warning(self, bench: Bench) -> None:
        switch = AsyncSwitch("database")
        called = []
        bench.monitor.add(lambda: (called.append(1), switch.run())[1], name="database")
        bench.monitor.start(wait_for_loop=30.0)
        wait_until(lambda: called)
        bench.monitor.stop()
        assert (switch.runs, bench.result("database").reason) == (0, "pending")


class TestOutcome:
    @pytest.mark.parametrize(
        ("outcome", "reason"),
        [
            (None, None),
            (True, None),
            (False, "failed"),
            ("PONG", "invalid_result"),
            (ConnectionRefusedError(), "connection_refused"),
            (asyncio.CancelledError(), "error"),
        ],
    )
    def test_what_a_run_comes_to(
        self, bench: Bench, loop: asyncio.AbstractEventLoop, outcome: object, reason: str | None
    ) -> None:
        bench.monitor.attach(loop)
        bench.monitor.add(AsyncSwitch("database", outcome))
        assert bench.settle("database").reason == reason

    def test_one_that_hangs_is_cancelled_at_its_timeout(self, bench: Bench, loop: asyncio.AbstractEventLoop) -> None:
        bench.monitor.attach(loop)
        switch = bench.monitor.add(AsyncSwitch("database"))
        switch.hangs = True
        bench.begin(switch)
        bench.clock.advance(0.6)
        bench.monitor.tick()
        assert bench.result("database").reason == "timeout"
        wait_until(lambda: switch.cancelled == 1)
        switch.hangs = False
        wait_until(lambda: call_in(loop, lambda: len(asyncio.all_tasks(loop))) == 1)
        assert bench.next("database").healthy
        assert bench.failures("database", "timeout") == 1

    def test_one_that_will_not_be_cancelled_is_not_started_again(self, bench: Bench, loop: asyncio.AbstractEventLoop) -> None:
        release, runs = threading.Event(), []

        @bench.monitor.add
        async def stubborn() -> None:
            runs.append(1)
            while not release.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait_for(asyncio.Event().wait(), 0.01) if not release.is_set() else None

        bench.monitor.attach(loop)
        bench.monitor.tick()
        wait_until(lambda: runs)
        for seconds in (0.6, INTERVAL, INTERVAL):
            bench.clock.advance(seconds)
            bench.monitor.tick()
        assert (len(runs), bench.failures("stubborn", "timeout")) == (1, 3)
        release.set()

    def test_one_that_never_got_its_turn_in_a_busy_loop_is_not_run_late(
        self, bench: Bench, loop: asyncio.AbstractEventLoop
    ) -> None:
        bench.monitor.attach(loop)
        switch = bench.monitor.add(AsyncSwitch("database"))
        with Blocked(loop):
            bench.monitor.tick()
            bench.clock.advance(INTERVAL - 0.1)
            bench.monitor.tick()
            assert bench.result("database").reason == "pending"  # the loop is busy: that is not the dependency's fault yet
            bench.clock.advance(0.2)
            bench.monitor.tick()
            assert bench.result("database").reason == "timeout"
        assert switch.runs == 0
        assert bench.next("database").healthy

    def test_one_whose_loop_ends_without_it_says_nothing_and_runs_again(self, bench: Bench) -> None:
        switch = bench.monitor.add(AsyncSwitch("database"))
        with loop_in_thread() as first:
            bench.monitor.attach(first)
            switch.hangs = True
            bench.begin(switch)
        switch.hangs = False
        with loop_in_thread() as second:
            bench.monitor.attach(second)
            assert bench.settle("database").healthy
        assert switch.loops == [first, second]
        assert bench.failures("database", "timeout") == 0

    def test_one_that_was_left_in_a_loop_that_is_closed_is_not_waited_for(self, bench: Bench) -> None:
        switch = bench.monitor.add(AsyncSwitch("database"))
        switch.hangs = True
        first = asyncio.new_event_loop()
        bench.monitor.attach(first)
        bench.monitor.tick()
        for _ in range(3):  # no more than the beginning of the run
            first.run_until_complete(asyncio.sleep(0))
        assert switch.runs == 1
        left = asyncio.all_tasks(first)
        first.close()
        switch.hangs = False
        with loop_in_thread() as second:
            bench.monitor.attach(second)
            assert bench.settle("database").healthy
        for task in left:
            task.get_coro().close()  # type: ignore[union-attr]

    def test_stopping_cancels_what_runs(self, bench: Bench, loop: asyncio.AbstractEventLoop) -> None:
        here, there = AsyncSwitch("here"), AsyncSwitch("there")
        for switch in (here, there):
            switch.hangs = True
        bench.monitor.add(there)
        bench.begin(there)  # in the private loop
        bench.monitor.attach(loop)
        bench.monitor.add(here)
        bench.begin(here)
        assert bench.monitor.stop(30.0)
        wait_until(lambda: (here.cancelled, there.cancelled) == (1, 1))
        assert bench.result("here").reason == bench.result("there").reason == "pending"


class TestSignOfLife:
    def test_without_a_loop_a_process_is_alive(self, bench: Bench) -> None:
        bench.monitor.tick()
        bench.clock.advance(1e6)
        bench.monitor.tick()
        assert bench.monitor.is_alive

    def test_a_loop_that_answers_is_alive_however_much_time_passes(self, bench: Bench, loop: asyncio.AbstractEventLoop) -> None:
        bench.monitor.attach(loop)
        for _ in range(3):
            bench.monitor.tick()
            call_in(loop, lambda: None)
            bench.clock.advance(1000.0)
            assert bench.monitor.is_alive

    def test_a_loop_that_is_stuck_for_a_minute_is_not(self, bench: Bench, loop: asyncio.AbstractEventLoop) -> None:
        bench.monitor.attach(loop)
        with Blocked(loop):
            for _ in range(13):
                bench.monitor.tick()
                assert bench.monitor.is_alive
                bench.clock.advance(INTERVAL)
            assert not bench.monitor.is_alive
        assert bench.monitor.is_alive

    def test_how_long_is_a_setting(self, still_clock: object, loop: asyncio.AbstractEventLoop) -> None:
        bench = Bench(still_clock, heartbeat_timeout=2.0)
        bench.monitor.attach(loop)
        with Blocked(loop):
            bench.monitor.tick()
            bench.clock.advance(2.1)
            assert not bench.monitor.is_alive

    def test_a_loop_that_has_ended_is_not_stuck(self, bench: Bench) -> None:
        with loop_in_thread() as loop, Blocked(loop):
            bench.monitor.attach(loop)
            bench.monitor.tick()
            bench.clock.advance(100.0)
            assert not bench.monitor.is_alive
        assert bench.monitor.is_alive
        bench.monitor.tick()
        assert bench.monitor.is_alive

    def test_dependencies_do_not_matter(self, bench: Bench, loop: asyncio.AbstractEventLoop) -> None:
        bench.monitor.attach(loop)
        bench.monitor.add(lambda: False, name="database")
        bench.settle("database")
        assert not bench.monitor.readiness().is_ready
        assert bench.monitor.is_alive
