"""One run, and the thread that it is in."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any
from unittest import mock

import pytest

from measurand.health.check import Check
from measurand.health.running import Ending, Run, Worker
from tests.health.kit import Threads, call_in, loop_in_thread, no_thread_left
from tests.support import StillClock, wait_until

pytestmark = pytest.mark.once


class TestWorker:
    def test_its_thread_starts_with_the_first_job_and_is_used_again(self, threads: Threads) -> None:
        worker, seen = Worker("database"), list[str]()
        assert threads.names == []
        for _ in range(3):
            worker.submit(lambda: seen.append(threading.current_thread().name))
        wait_until(lambda: len(seen) == 3)
        assert set(seen) == {"measurand-health-database"} == set(threads.names)
        worker.retire()

    def test_retiring_lets_what_was_submitted_end(self, threads: Threads) -> None:
        worker, release, done = Worker("database"), threading.Event(), list[int]()
        worker.submit(lambda: release.wait(60) and done.append(1))
        worker.retire()
        release.set()
        wait_until(lambda: threads.names == [])
        assert done == [1]

    def test_retiring_one_that_never_worked_needs_no_thread(self, threads: Threads) -> None:
        worker = Worker("database")
        worker.retire()
        assert not worker.submit(lambda: None)
        assert threads.names == []

    def test_a_job_that_raises_is_reported_and_costs_neither_its_thread_nor_the_next_job(self, threads: Threads) -> None:
        worker, done, reported = Worker("database"), list[str](), list[Any]()
        with mock.patch("threading.excepthook", reported.append):
            for job in (lambda: print(1 / 0), lambda: done.append(threading.current_thread().name), sys.exit, lambda: done.append("again")):
                worker.submit(job)
            wait_until(lambda: len(done) == 2)
        assert done == ["measurand-health-database", "again"]
        assert [(report.exc_type, report.thread.name) for report in reported] == [
            (ZeroDivisionError, "measurand-health-database"),
            (SystemExit, "measurand-health-database"),
        ]
        worker.retire()

    def test_where_the_system_has_no_thread_left_it_says_so_and_works_later(self, threads: Threads) -> None:
        worker, done = Worker("database"), list[int]()
        with no_thread_left(), pytest.raises(RuntimeError, match="thread"):
            worker.submit(lambda: done.append(1))
        worker.submit(lambda: done.append(2))
        wait_until(lambda: done)
        assert done == [2]
        worker.retire()


class Ends:
    """How runs have ended."""

    def __init__(self) -> None:
        self.endings: list[Ending] = []

    def __call__(self, _: Run, ending: Ending) -> None:
        self.endings.append(ending)


class TestRun:
    def test_its_time_begins_when_it_begins(self, still_clock: StillClock) -> None:
        run = Run(Check("database", lambda: None, timeout=2.0), Ends())
        assert run.deadline(5.0) == still_clock.elapsed + 5.0  # not begun: a whole interval is given
        assert run.deadline(1.0) == still_clock.elapsed + 2.0
        still_clock.advance(3.0)
        run.in_thread(lambda: None)
        assert run.deadline(5.0) == still_clock.elapsed + 2.0

    @pytest.mark.parametrize(
        ("value", "failure"), [(None, None), (True, None), (False, "failed"), ("", "invalid_result"), (1, "invalid_result")]
    )
    def test_its_ending_says_what_was_returned(self, value: Any, failure: str | None) -> None:
        ends = Ends()
        Run(Check("database", lambda: value), ends).in_thread(lambda: None)
        (ending,) = ends.endings
        assert (ending.failure, ending.is_void) == (failure, False)
        assert (ending.error is not None) == (failure == "invalid_result")

    def test_its_ending_carries_the_exception(self) -> None:
        ends, error = Ends(), ConnectionRefusedError()

        def fails() -> None:
            raise error

        Run(Check("database", fails), ends).in_thread(lambda: None)
        assert ends.endings == [("connection_refused", error, False)]

    def test_in_a_loop_it_ends_once_and_leaves_no_task(self) -> None:
        ends = Ends()

        async def passes() -> bool:
            return True

        with loop_in_thread() as loop:
            Run(Check("database", passes), ends).in_loop(loop)
            wait_until(lambda: ends.endings)
            assert call_in(loop, lambda: len(asyncio.all_tasks())) == 1
        assert ends.endings == [(None, None, False)]

    def test_in_a_loop_that_has_been_closed_it_says_nothing(self) -> None:
        ends = Ends()

        async def passes() -> bool:
            return True

        with loop_in_thread() as loop:
            pass
        Run(Check("database", passes), ends).in_loop(loop)
        Run(Check("database", lambda: (passes(),)[0]), ends).in_thread(lambda: loop)
        assert [ending.is_void for ending in ends.endings] == [True, True]

    def test_given_up_before_its_turn_it_does_not_run(self) -> None:
        ends, ran = Ends(), list[int]()

        async def check() -> None:
            ran.append(1)

        def submit_and_give_up(loop: asyncio.AbstractEventLoop) -> None:
            run = Run(Check("database", check), ends)
            run.in_loop(loop)
            run.give_up()

        with loop_in_thread() as loop:
            call_in(loop, lambda: submit_and_give_up(loop))
            wait_until(lambda: ends.endings)
        assert (ends.endings[0].is_void, ran) == (True, [])
