"""Real event loops of both kinds: held up, stopped and run again, many at once, with many tasks."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import uvloop

from measurand import CollectorRegistry
from measurand.catalog.loop import LoopMetrics
from measurand.errors import ConfigurationError
from measurand.integrations.asyncio import instrument
from tests.support import run_python, run_threads

pytestmark = pytest.mark.once

EVERY = 0.01
DEADLINE = 30.0
Make = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param


@pytest.fixture
def loop(make: Make) -> Iterator[asyncio.AbstractEventLoop]:
    loop = make()
    yield loop
    loop.close()


def looks(registry: CollectorRegistry) -> float:
    return registry.get_sample_value("asyncio_loop_lag_seconds_count") or 0


def lag(registry: CollectorRegistry) -> float:
    return registry.get_sample_value("asyncio_loop_lag_seconds_sum") or 0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.get_running_loop().run_in_executor(None, threading.Event().wait, 0.002)


async def looked_at(registry: CollectorRegistry, times: int = 3) -> None:
    before = looks(registry)
    await until(lambda: looks(registry) >= before + times)


def hold_up(seconds: float) -> None:
    threading.Event().wait(seconds)


def test_a_loop_that_is_held_up_shows_it(registry: CollectorRegistry, make: Make) -> None:
    async def main() -> None:
        await looked_at(registry)
        before = lag(registry)
        hold_up(0.3)
        await looked_at(registry, 1)
        assert lag(registry) - before > 0.3 - 2 * EVERY

    with instrument(registry=registry, interval=EVERY), asyncio.Runner(loop_factory=make) as runner:
        runner.run(main())


def test_one_loop_alone_is_looked_at_as_long_as_it_runs(registry: CollectorRegistry, loop: asyncio.AbstractEventLoop, make: Make) -> None:
    other = make()
    handle = instrument(loop, registry=registry, interval=EVERY)
    assert looks(registry) == 0
    loop.run_until_complete(looked_at(registry))
    seen, late = looks(registry), lag(registry)
    hold_up(0.3)  # it does not run: this is no lag
    other.run_until_complete(other.run_in_executor(None, hold_up, 5 * EVERY))
    assert looks(registry) == seen, "that is another one"
    loop.run_until_complete(looked_at(registry))
    assert lag(registry) - late < 0.3
    handle.uninstrument()
    seen = looks(registry)
    loop.run_until_complete(loop.run_in_executor(None, hold_up, 5 * EVERY))
    assert looks(registry) == seen
    other.run_until_complete(other.shutdown_default_executor())
    loop.run_until_complete(loop.shutdown_default_executor())
    other.close()


def test_a_loop_that_runs_is_looked_at_from_within_and_from_another_thread(registry: CollectorRegistry, make: Make) -> None:
    async def main(from_within: bool) -> None:
        loop = asyncio.get_running_loop()
        if from_within:
            handle = instrument(registry=registry, interval=EVERY)
        else:
            handle = await loop.run_in_executor(None, lambda: instrument(loop, registry=registry, interval=EVERY))
        await looked_at(registry)
        await loop.run_in_executor(None, handle.uninstrument)
        hold_up(2 * EVERY)
        await loop.run_in_executor(None, hold_up, 2 * EVERY)  # what was on its way has arrived
        seen = looks(registry)
        await loop.run_in_executor(None, hold_up, 5 * EVERY)
        assert looks(registry) == seen

    for from_within in (True, False):
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(main(from_within))


def test_a_loop_is_looked_at_once_as_a_whole_and_by_itself(registry: CollectorRegistry, loop: asyncio.AbstractEventLoop) -> None:
    own = CollectorRegistry()
    whole = instrument(registry=registry, interval=EVERY)
    alone = instrument(loop, registry=own, interval=EVERY)
    assert (instrument(), instrument(loop)) == (whole, alone)
    loop.run_until_complete(looked_at(own))
    assert looks(registry) == 0
    alone.uninstrument()
    loop.run_until_complete(looked_at(registry))
    seen = looks(own)
    whole.uninstrument()
    loop.run_until_complete(loop.shutdown_default_executor())
    assert (looks(own), whole.is_active) == (seen, False)


def test_looks_are_as_rare_as_asked_for(registry: CollectorRegistry, loop: asyncio.AbstractEventLoop) -> None:
    set_again: list[float] = []
    original = loop.call_later

    with instrument(loop, registry=registry, interval=3600):
        loop.call_later = lambda delay, *rest, **more: set_again.append(delay) or original(delay, *rest, **more)  # type: ignore
        for _ in range(20):
            loop.run_until_complete(asyncio.sleep(0))
    assert len(set_again) == 20, "one timer for each run"
    assert all(0.7 * 3600 < delay < 1.3 * 3600 for delay in set_again)
    assert len(set(set_again)) > 10, "not in step with anything"
    assert looks(registry) == 0


def test_tasks_are_counted_over_all_loops_that_run(registry: CollectorRegistry, make: Make) -> None:
    ready, done = threading.Barrier(4), threading.Barrier(4)

    def body() -> None:
        async def main() -> None:
            waiting = [asyncio.create_task(asyncio.Event().wait()) for _ in range(100)]
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, ready.wait, DEADLINE)
            await loop.run_in_executor(None, done.wait, DEADLINE)
            for task in waiting:
                task.cancel()

        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(main())

    def look() -> None:
        ready.wait(DEADLINE)
        assert registry.get_sample_value("asyncio_tasks") == 3 * 101
        done.wait(DEADLINE)

    with instrument(registry=registry, interval=EVERY):
        assert registry.get_sample_value("asyncio_tasks") == 0
        run_threads(body, body, body, look)
        assert registry.get_sample_value("asyncio_tasks") == 0


def test_loops_that_are_instrumented_one_by_one_are_counted_together(registry: CollectorRegistry, make: Make) -> None:
    first, second = make(), make()
    ready = threading.Barrier(3)

    def body(loop: asyncio.AbstractEventLoop) -> None:
        async def main() -> None:
            for _ in range(2):
                await loop.run_in_executor(None, ready.wait, DEADLINE)

        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())

    def look() -> None:
        ready.wait(DEADLINE)
        assert registry.get_sample_value("asyncio_tasks") == 2
        ready.wait(DEADLINE)

    with instrument(first, registry=registry), instrument(second, registry=registry):
        run_threads(lambda: body(first), lambda: body(second), look)
    first.close()
    second.close()


def test_everything_is_as_it_was_afterwards(registry: CollectorRegistry, loop: asyncio.AbstractEventLoop) -> None:
    before = asyncio.BaseEventLoop.run_forever, dict(vars(uvloop.Loop)), dict(vars(loop))
    handles = [instrument(registry=registry), instrument(loop, registry=registry)]
    assert asyncio.BaseEventLoop.run_forever is not before[0]
    for handle in handles:
        handle.uninstrument()
    assert (asyncio.BaseEventLoop.run_forever, dict(vars(uvloop.Loop)), dict(vars(loop))) == before


def test_somebody_elses_replacement_stays_and_ours_only_passes_on(registry: CollectorRegistry) -> None:
    original = asyncio.BaseEventLoop.run_forever
    handle = instrument(registry=registry, interval=EVERY)
    ours = asyncio.BaseEventLoop.run_forever
    called: list[object] = []

    def theirs(loop: asyncio.BaseEventLoop) -> None:
        called.append(loop)
        ours(loop)

    try:
        asyncio.BaseEventLoop.run_forever = theirs  # type: ignore[method-assign]
        handle.uninstrument()
        assert asyncio.BaseEventLoop.run_forever is theirs
        asyncio.run(asyncio.sleep(0))
        assert len(called) >= 1
        assert looks(registry) == 0
        with instrument(registry=registry, interval=EVERY):
            asyncio.run(looked_at(registry))
        asyncio.BaseEventLoop.run_forever = ours  # type: ignore[method-assign]
        with instrument(registry=registry, interval=EVERY):
            asyncio.run(looked_at(registry))
        assert asyncio.BaseEventLoop.run_forever is original
    finally:
        asyncio.BaseEventLoop.run_forever = original  # type: ignore[method-assign]


def test_what_runs_in_a_loop_ends_as_it_would(registry: CollectorRegistry, make: Make) -> None:
    class OwnError(BaseException):
        pass

    async def fail() -> None:
        raise OwnError

    with instrument(registry=registry, interval=EVERY):
        with asyncio.Runner(loop_factory=make) as runner, pytest.raises(OwnError):
            runner.run(fail())
        closed = make()
        closed.close()
        with pytest.raises(RuntimeError):
            closed.run_forever()


def test_a_failure_of_ours_is_logged_and_the_loop_runs(loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(LoopMetrics):
        @property
        def observe(self) -> Callable[[float], None]:
            raise ZeroDivisionError

        @observe.setter
        def observe(self, value: object) -> None:
            with suppress(AttributeError):
                del self.nothing

    with instrument(loop, metrics=Broken(CollectorRegistry())), caplog.at_level(logging.WARNING, "measurand.integrations"):
        loop.run_until_complete(asyncio.sleep(0))
    assert "is not recorded" in caplog.text


@pytest.mark.parametrize("interval", [0, -1, float("inf"), float("nan"), "often"])
def test_an_interval_that_cannot_be_kept_is_refused(interval: float) -> None:
    with pytest.raises(ConfigurationError, match="interval"):
        instrument(interval=interval)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_process_has_none_of_its_parents_loops() -> None:
    code = """
import asyncio, os
from measurand import REGISTRY
from measurand.integrations.asyncio import instrument
instrument()
async def main():
    waiting = [asyncio.create_task(asyncio.Event().wait()) for _ in range(4)]
    pid = os.fork()
    if pid == 0:
        print(REGISTRY.get_sample_value("asyncio_tasks"), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    print(REGISTRY.get_sample_value("asyncio_tasks"), flush=True)
asyncio.run(main())
"""
    ran = run_python(code, "-W", "ignore::DeprecationWarning")  # of a fork in a process with threads
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == ["0.0", "5.0"]


def test_uvloop_is_looked_at_though_it_is_imported_later() -> None:
    code = f"""
import asyncio, sys, threading
from measurand import REGISTRY
from measurand.integrations.asyncio import instrument
handle = instrument(interval=0.01)
assert "uvloop" not in sys.modules
import uvloop
async def main():
    loop = asyncio.get_running_loop()
    async with asyncio.timeout({DEADLINE}):
        while REGISTRY.get_sample_value("asyncio_loop_lag_seconds_count") < 3:
            await loop.run_in_executor(None, threading.Event().wait, 0.01)
loop = uvloop.new_event_loop()
loop.run_until_complete(main())
loop.run_until_complete(loop.shutdown_default_executor())
loop.close()
handle.uninstrument()
assert "run_forever" not in vars(uvloop.Loop)
"""
    ran = run_python(code, "-W", "error")
    assert (ran.returncode, ran.stderr) == (0, "")
