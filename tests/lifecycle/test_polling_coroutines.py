"""Polling inside an application's sessions and event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import warnings
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.lifecycle.kit import calls, errors
from tests.support import StillClock, wait_until

# -- sessions ------------------------------------------------------------------------------------------------------------------


class Session:
    """What an application's session does: commit, or roll back, and be released in any case."""

    def __init__(self) -> None:
        self.log: list[str] = []

    @contextlib.contextmanager
    def scope(self) -> Iterator[Session]:
        self.log.append("open")
        try:
            yield self
            self.log.append("commit")
        except BaseException:
            self.log.append("rollback")
            raise
        finally:
            self.log.append("release")

    @contextlib.asynccontextmanager
    async def async_scope(self) -> AsyncIterator[Session]:
        await asyncio.sleep(0)
        with self.scope() as session:
            yield session


async def use(session: Session) -> None:
    await asyncio.sleep(0)
    session.log.append("use")


async def misuse(session: Session) -> None:
    await asyncio.sleep(0)
    raise ValueError("misused")


def use_by_a_plain_function(session: Session) -> object:
    return use(session)


def spoil(session: Session) -> None:
    raise ValueError("spoilt")


@pytest.mark.parametrize(
    ("callback", "scope", "outcome"),
    [
        (lambda session: session.log.append("use"), "scope", ["open", "use", "commit", "release"]),
        (spoil, "scope", ["open", "rollback", "release"]),
        (use, "scope", ["open", "use", "commit", "release"]),
        (misuse, "scope", ["open", "rollback", "release"]),
        (use, "async_scope", ["open", "use", "commit", "release"]),
        (misuse, "async_scope", ["open", "rollback", "release"]),
        (use_by_a_plain_function, "scope", ["open", "use", "commit", "release"]),
    ],
)
def test_each_call_runs_inside_the_applications_session(make_polling, readings, callback, scope, outcome) -> None:
    polling, session = make_polling(), Session()
    polling.register("dashboard", callback, within=getattr(session, scope))
    polling.start()
    wait_until(lambda: calls(readings, "dashboard") == 1)
    assert session.log == outcome
    assert errors(readings, "dashboard") == ("rollback" in outcome)


def test_an_asynchronous_session_around_a_plain_function_is_a_failure_that_says_so(make_polling, readings, caplog) -> None:
    polling = make_polling()
    polling.register("dashboard", lambda session: None, within=Session().async_scope)
    polling.start()
    wait_until(lambda: calls(readings, "dashboard") == 1)
    assert errors(readings, "dashboard") == 1
    assert "has to be a coroutine function" in caplog.text


# -- coroutines ----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def application_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="application-loop")
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    loop.close()


def test_coroutines_run_in_the_applications_loop_and_without_one_in_a_loop_of_their_own(
    make_polling, readings, still_clock: StillClock
) -> None:
    polling, seen = make_polling(interval=10), []

    async def callback() -> None:
        await asyncio.sleep(0)
        seen.append(threading.current_thread().name)

    polling.register("dashboard", callback)
    polling.start()
    wait_until(lambda: calls(readings, "dashboard") == 1)
    with application_loop() as loop:
        polling.attach(loop)
        still_clock.advance(10)
        polling.run_due()
        wait_until(lambda: calls(readings, "dashboard") == 2)
    still_clock.advance(10)
    polling.run_due()
    wait_until(lambda: calls(readings, "dashboard") == 3)
    assert seen == ["measurand-poll-loop", "application-loop", "measurand-poll-loop"]


def test_a_coroutine_that_hangs_is_cancelled_and_tried_again(make_polling, readings) -> None:
    polling, ends = make_polling(interval=0.02), []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    polling.register("hanging", hang, timeout=0.03)
    polling.start()
    wait_until(lambda: len(ends) >= 2)
    assert errors(readings, "hanging") >= 2


def test_a_coroutine_that_does_not_let_itself_be_cancelled_is_not_started_again(make_polling, readings, release) -> None:
    polling, started = make_polling(interval=0.02), []

    async def stubborn() -> None:
        started.append("started")
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    polling.register("stubborn", stubborn, timeout=0.03)
    polling.start()
    wait_until(lambda: errors(readings, "stubborn") >= 3)
    assert started == ["started"]


def test_a_loop_that_ends_under_a_coroutine_costs_one_call(make_polling, readings, monkeypatch) -> None:
    monkeypatch.setattr("measurand.lifecycle.calling.LOOK_AGAIN", 0.02)
    polling, seen = make_polling(interval=0.05), []

    async def callback() -> None:
        seen.append(threading.current_thread().name)
        if len(seen) == 1:
            asyncio.get_running_loop().stop()
            await asyncio.Event().wait()

    polling.register("dashboard", callback, timeout=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # asyncio's, of the task that the stopped loop never finished
        with application_loop() as loop:
            polling.attach(loop)
            polling.start()
            wait_until(lambda: errors(readings, "dashboard") == 1)
            wait_until(lambda: seen[-1] == "measurand-poll-loop")
            for task in asyncio.all_tasks(loop):
                task.cancel()
            wait_until(lambda: not loop.is_running())
            loop.run_until_complete(asyncio.sleep(0))
