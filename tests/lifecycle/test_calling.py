"""Single calls; tests/lifecycle/test_polling_coroutines.py is about what becomes of them in polling."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from measurand.lifecycle.calling import Call, Loops, is_asynchronous
from tests.lifecycle.kit import threads
from tests.support import run_threads, wait_until

LOOP = "measurand-test-loop"


@pytest.fixture
def loops() -> Iterator[Loops]:
    made = Loops(LOOP)
    yield made
    assert made.stop(30)


async def coroutine(*args: object) -> None:
    await asyncio.sleep(0)
    seen.append((*args, threading.current_thread().name))


seen: list[object] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    seen.clear()


def test_a_plain_function_runs_in_the_calling_thread_and_needs_no_loop(loops) -> None:
    Call(lambda: seen.append(threading.current_thread())).run(loops)
    assert seen == [threading.current_thread()]
    assert threads(LOOP) == []


def test_all_coroutines_share_one_loop(loops) -> None:
    run_threads(*[lambda: Call(coroutine).run(loops)] * 4)
    assert seen == [(LOOP,)] * 4
    assert threads(LOOP) == [LOOP]


def test_a_loop_that_was_stopped_is_started_again(loops) -> None:
    Call(coroutine).run(loops)
    assert loops.stop(30)
    assert threads(LOOP) == []
    Call(coroutine).run(loops)
    assert len(seen) == 2


def test_a_loop_that_is_stopped_while_it_is_made_ends_and_what_wanted_it_is_told(loops, monkeypatch) -> None:
    being_made, go_on, told = threading.Event(), threading.Event(), []
    make = asyncio.Runner.get_loop

    def get_loop(runner: asyncio.Runner) -> asyncio.AbstractEventLoop:
        being_made.set()
        go_on.wait(30)
        return make(runner)

    def run() -> None:
        try:
            Call(coroutine).run(loops)
        except RuntimeError as error:
            told.append(error)

    monkeypatch.setattr(asyncio.Runner, "get_loop", get_loop)
    caller = threading.Thread(target=run)
    caller.start()
    assert being_made.wait(30)
    assert not loops.stop(0), "it is still being made"
    go_on.set()
    wait_until(lambda: threads(LOOP) == [])
    caller.join(30)
    assert len(told) == 1
    assert seen == []


def test_an_attached_loop_that_does_not_run_is_not_used(loops) -> None:
    loop = asyncio.new_event_loop()
    loops.attach(loop)
    Call(coroutine).run(loops)
    loop.close()
    Call(coroutine).run(loops)
    assert seen == [(LOOP,)] * 2


def test_a_coroutine_waits_for_the_loop_that_is_expected(loops) -> None:
    loops.expect(600)
    caller = threading.Thread(target=lambda: Call(coroutine).run(loops), daemon=True)
    caller.start()
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever, name="application-loop", daemon=True)
    running.start()
    wait_until(loop.is_running)
    assert seen == []
    loops.attach(loop)
    wait_until(lambda: seen == [("application-loop",)])
    caller.join(30)
    loop.call_soon_threadsafe(loop.stop)
    running.join(30)
    loop.close()
    assert threads(LOOP) == []


@pytest.mark.parametrize("give_up", [lambda loops: loops.attach(None), lambda loops: loops.expect(0.01)])
def test_a_loop_of_our_own_serves_when_none_came_or_none_will_come(loops, give_up) -> None:
    loops.expect(600)
    give_up(loops)
    Call(coroutine).run(loops)
    assert seen == [(LOOP,)]


@pytest.mark.parametrize("within", [None, threading.Lock])
def test_what_it_raises_passes_through(loops, within) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("boom")

    for function in (fail, lambda *_: fail(), lambda *_: int("boom")):
        with pytest.raises(ValueError, match="boom"):
            Call(function, within).run(loops)


def test_a_call_that_is_cancelled_before_its_coroutine_runs_ends_too(loops) -> None:
    call = Call(asyncio.Event().wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        call.run(loops)


def test_cancelling_what_cannot_be_cancelled_does_nothing(loops) -> None:
    call = Call(lambda: seen.append("ran"))
    call.run(loops)
    call.cancel()
    late = Call(coroutine)
    late.run(loops)
    loops.stop(30)
    late.cancel()
    assert len(seen) == 2


def test_functions_that_give_coroutines_are_known_in_their_usual_forms() -> None:
    class Refresh:
        async def __call__(self) -> None: ...

        async def now(self) -> None: ...

    assert all(map(is_asynchronous, (coroutine, partial(coroutine, 1), Refresh(), Refresh().now)))
    assert not any(map(is_asynchronous, (int, lambda: None, threading.Event().wait)))


def test_the_end_of_a_loop_is_the_end_of_what_waits_for_it(loops, monkeypatch) -> None:
    monkeypatch.setattr("measurand.lifecycle.calling.LOOK_AGAIN", 0.02)
    outcomes: list[object] = []

    async def hang() -> None:
        seen.append("started")
        await asyncio.Event().wait()

    def run() -> None:
        try:
            Call(hang).run(loops)
        except BaseException as error:
            outcomes.append(type(error))

    waiting = threading.Thread(target=run)
    waiting.start()
    wait_until(lambda: seen)
    assert loops.stop(30)
    waiting.join(30)
    assert outcomes in ([asyncio.CancelledError], [RuntimeError])
