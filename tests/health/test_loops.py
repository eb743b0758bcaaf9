"""Event loops to run checks in."""

from __future__ import annotations

import asyncio

import pytest

from measurand.health.loops import Loops, PrivateLoop
from tests.health.kit import Threads, call_in, loop_in_thread, no_thread_left
from tests.support import StillClock, wait_until

pytestmark = pytest.mark.once


class TestPrivateLoop:
    def test_it_runs_in_a_thread_of_its_own_until_it_is_stopped(self, threads: Threads) -> None:
        private = PrivateLoop()
        assert call_in(private.loop, lambda: 42) == 42
        assert threads.names == ["measurand-health-loop"]
        assert private.stop(30.0)
        assert private.loop.is_closed()
        assert private.stop(30.0)

    def test_where_the_system_has_no_thread_left_none_is_made(self) -> None:
        with no_thread_left(), pytest.raises(RuntimeError, match="thread"):
            PrivateLoop()

    def test_stopping_cancels_what_runs_there_and_closes_its_generators(self) -> None:
        done: list[str] = []

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                done.append("cancelled")

        private = PrivateLoop()
        future = asyncio.run_coroutine_threadsafe(wait(), private.loop)
        wait_until(lambda: call_in(private.loop, lambda: len(asyncio.all_tasks())) == 2)
        assert private.stop(30.0)
        assert done == ["cancelled"]
        assert future.cancelled()


class TestLoops:
    def test_the_private_loop_is_made_when_it_is_needed_and_only_once(self, threads: Threads) -> None:
        loops = Loops()
        assert threads.names == []
        first = loops.find()
        assert first is not None
        assert loops.find() is first
        assert threads.names == ["measurand-health-loop"]
        assert loops.stop(30.0)
        assert loops.stop(30.0)
        assert loops.find() is not first
        assert loops.stop(30.0)

    def test_what_was_begun_in_a_loop_that_has_left_is_lost(self) -> None:
        loops = Loops()
        private = loops.find()
        assert private is not None
        assert not loops.has_left(private)
        with loop_in_thread() as first, loop_in_thread() as second:
            loops.attach(first)
            loops.attach(second)
            assert not loops.has_left(first)  # it is another one's now, but it runs and will come to an end with it
            assert not loops.has_left(private)
        assert loops.has_left(second)
        assert loops.stop(30.0)
        assert loops.has_left(private)

    def test_a_loop_that_does_not_run_and_is_not_in_use_has_left(self) -> None:
        loops, loop = Loops(), asyncio.new_event_loop()
        try:
            assert loops.has_left(loop)
            loops.attach(loop)
            assert not loops.has_left(loop)  # it is about to run
        finally:
            loop.close()

    def test_an_answer_is_awaited_once_at_a_time(self, still_clock: StillClock) -> None:
        loops = Loops()
        assert loops.silence == 0
        with loop_in_thread() as loop:
            loops.attach(loop)
            call_in(loop, lambda: self.ask_for_a_while(loops, still_clock))
            wait_until(lambda: loops.silence == 0)

    @staticmethod
    def ask_for_a_while(loops: Loops, still_clock: StillClock) -> None:
        for silence in (0.0, 4.0, 8.0):  # the loop is busy here, so it does not answer
            loops.ask()
            assert loops.silence == pytest.approx(silence)
            still_clock.advance(4.0)

    def test_a_loop_that_does_not_run_owes_no_answer(self, still_clock: StillClock) -> None:
        loops, loop = Loops(), asyncio.new_event_loop()
        try:
            loops.attach(loop)
            loops.ask()
            still_clock.advance(100.0)
            assert loops.silence == 0
        finally:
            loop.close()
        loops.ask()
        assert loops.silence == 0
