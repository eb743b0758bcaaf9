"""Every kind of function, timed. Both twins."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import time
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from measurand.core import wrapping
from tests.core.kit import Kit
from tests.support import StillClock

# Each kind is a function of (timer, clock, fail) that decorates something with the timer and calls it once, so that its body takes
# two seconds and then raises ``fail`` unless that is None.


def body(clock: StillClock, fail: BaseException | None) -> str:
    clock.advance(1)
    clock.advance(1)
    if fail is not None:
        raise fail
    return "result"


def of_function(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    @timer
    def call() -> str:
        return body(clock, fail)

    assert call() == "result"


def of_method(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    class Owner:
        @timer
        def call(self, word: str, *, mark: str = "") -> str:
            assert isinstance(self, Owner)
            return word + mark + body(clock, fail)

    assert Owner().call("a ", mark="good ") == "a good result"


def of_static_method(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    class Owner:
        @timer
        @staticmethod
        def call() -> str:
            return body(clock, fail)

    assert isinstance(inspect.getattr_static(Owner, "call"), staticmethod)
    assert (Owner.call if fail else Owner().call)() == "result"


def of_static_method_below(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    class Owner:
        @staticmethod
        @timer
        def call() -> str:
            return body(clock, fail)

    assert Owner().call() == "result"


def of_class_method(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    class Owner:
        @timer
        @classmethod
        def call(cls) -> str:
            assert cls is Heir
            return body(clock, fail)

    class Heir(Owner):
        pass

    assert Heir.call() == "result"


def of_partial(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    assert timer(functools.partial(functools.partial(body, clock), fail))() == "result"


def of_partial_coroutine_function(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    async def call(prefix: str) -> str:
        await asyncio.sleep(0)
        return prefix + body(clock, fail)

    assert asyncio.run(timer(functools.partial(functools.partial(call), "a "))()) == "a result"


def of_callable_object(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    class Call:
        def __call__(self) -> str:
            return body(clock, fail)

    assert timer(Call())() == "result"


def of_callable_object_with_coroutine(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    class Call:
        async def __call__(self) -> str:
            await asyncio.sleep(0)
            return body(clock, fail)

    assert asyncio.run(timer(Call())()) == "result"


def of_class(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    class Made:
        def __init__(self) -> None:
            body(clock, fail)

    assert isinstance(timer(Made)(), Made)


def of_builtin(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    assert timer(max)([1], key=lambda item: body(clock, fail)) == 1


def of_coroutine_function(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    @timer
    async def call() -> str:
        clock.advance(1)
        await asyncio.sleep(0)
        clock.advance(-1)
        return body(clock, fail)

    assert asyncio.run(call()) == "result"


def of_generator(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    @timer
    def call() -> Generator[int, None, str]:
        clock.advance(1)
        yield 1
        yield 2
        clock.advance(1)
        if fail is not None:
            raise fail
        return "result"

    assert list(call()) == [1, 2]


def of_async_generator(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    @timer
    async def call() -> AsyncIterator[int]:
        clock.advance(1)
        yield 1
        await asyncio.sleep(0)
        yield 2
        clock.advance(1)
        if fail is not None:
            raise fail

    async def main() -> list[int]:
        return [item async for item in call()]

    assert asyncio.run(main()) == [1, 2]


def of_context_manager(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    @timer
    @contextlib.contextmanager
    def managed() -> Iterator[str]:
        clock.advance(0.5)
        try:
            yield "value"
        finally:
            clock.advance(0.5)

    with managed() as value:
        assert value == "value"
        clock.advance(1)
        if fail is not None:
            raise fail


def of_generator_of_context_manager(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    @contextlib.contextmanager
    @timer
    def managed() -> Iterator[None]:
        yield

    with managed():
        body(clock, fail)


def of_async_context_manager(timer: Any, clock: StillClock, fail: BaseException | None) -> None:
    class Owner:
        @timer
        @contextlib.asynccontextmanager
        async def managed(self) -> AsyncIterator[Owner]:
            await asyncio.sleep(0)
            yield self

    async def main() -> None:
        owner = Owner()
        async with owner.managed() as value:
            assert value is owner
            body(clock, fail)

    asyncio.run(main())


KINDS = [
    of_function,
    of_method,
    of_static_method,
    of_static_method_below,
    of_class_method,
    of_partial,
    of_partial_coroutine_function,
    of_callable_object,
    of_callable_object_with_coroutine,
    of_class,
    of_builtin,
    of_coroutine_function,
    of_generator,
    of_async_generator,
    of_context_manager,
    of_generator_of_context_manager,
    of_async_context_manager,
]
each_kind = pytest.mark.parametrize("call", KINDS, ids=lambda kind: kind.__name__.removeprefix("of_"))


@each_kind
def test_the_whole_body_is_timed_once(make: Kit, still_clock: StillClock, call: Callable[..., None]) -> None:
    summary = make.summary()
    call(summary.time(), still_clock, None)
    assert make.core.read(summary) == (1.0, 2.0)


class Stop(BaseException):
    pass


FAILURES = [ValueError("x"), KeyboardInterrupt(), asyncio.CancelledError(), Stop()]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@each_kind
def test_a_body_that_fails_is_timed_too_and_the_very_failure_goes_on(
    make: Kit, still_clock: StillClock, call: Callable[..., None], failure: BaseException
) -> None:
    summary = make.summary()
    with pytest.raises(type(failure)) as caught:
        call(summary.time(), still_clock, failure)
    assert caught.value is failure or isinstance(failure, asyncio.CancelledError | KeyboardInterrupt)  # which asyncio.run() raises anew
    assert make.core.read(summary) == (1.0, 2.0)


def test_each_concurrent_call_is_timed_on_its_own(make: Kit, still_clock: StillClock) -> None:
    summary = make.summary()

    @summary.time()
    async def call(started: asyncio.Event, go: asyncio.Event) -> None:
        started.set()
        await go.wait()

    async def main() -> None:
        started, go = [asyncio.Event() for _ in range(3)], asyncio.Event()
        tasks = []
        for event in started:
            tasks.append(asyncio.create_task(call(event, go)))
            await event.wait()
            still_clock.advance(1)
        go.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert make.core.read(summary) == (3.0, 3.0 + 2.0 + 1.0)


@pytest.mark.parametrize("kind", ["coroutine", "async generator", "async context manager"])
def test_seconds_spent_waiting_agree_with_the_real_clock(make: Kit, kind: str) -> None:
    """To 5 ms, in the best of five: a busy machine may stop for longer between two lines."""

    async def difference() -> float:
        summary, loop = make.summary(), asyncio.get_running_loop()
        timer = summary.time()

        async def wait() -> None:
            woken = loop.create_future()
            loop.call_later(0.02, woken.set_result, None)
            await woken

        @timer
        async def coroutine() -> None:
            await wait()

        @timer
        async def items() -> AsyncIterator[int]:
            yield 1
            await wait()

        @timer
        @contextlib.asynccontextmanager
        async def managed() -> AsyncIterator[None]:
            yield

        before = time.perf_counter()
        if kind == "coroutine":
            await coroutine()
        elif kind == "async generator":
            assert [item async for item in items()] == [1]
        else:
            async with managed():
                await wait()
        elapsed = time.perf_counter() - before
        count, total = make.core.read(summary)
        assert count == 1
        assert 0.015 <= total <= elapsed
        return elapsed - total

    assert min(asyncio.run(difference()) for _ in range(5)) < 0.005


def test_a_generator_that_is_made_to_be_awaited_is_timed_to_its_end_and_stays_awaitable() -> None:
    ended: list[object] = []

    @types.coroutine
    def step() -> Generator[None, None, int]:
        yield
        return 3

    wrapped: Any = wrapping.around(step, lambda: 1, lambda token, exc: ended.append((token, exc)))

    async def main() -> int:
        return int(await wrapped())

    assert asyncio.run(main()) == 3
    assert ended == [(1, None)]
