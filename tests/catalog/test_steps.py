"""What is wrapped does what it does unwrapped, and each of its steps is told of."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.catalog.steps import wrapper_for

pytestmark = pytest.mark.once


class Told:
    """What was told of a call."""

    def __init__(self) -> None:
        self.steps = 0
        self.is_in_step = False
        self.ends: list[type[BaseException] | None] = []

    def begin_step(self) -> None:
        assert not self.is_in_step
        self.is_in_step = True

    def end_step(self) -> None:
        assert self.is_in_step
        self.is_in_step = False
        self.steps += 1

    def end(self, steps: Any, error: BaseException | None) -> None:
        assert steps is self
        assert not self.is_in_step
        self.ends.append(None if error is None else type(error))


def wrapped(fn: Callable[..., Any]) -> tuple[Callable[..., Any], Told]:
    told, wrap = Told(), wrapper_for(fn)
    assert wrap is not None
    return wrap(fn, lambda: told, told.end), told


def numbers(told: Told | None = None, seen: list[Any] | None = None) -> Iterator[int]:
    """Counts up; says what it is sent and thrown, and ends by what it is told."""
    number = 0
    while True:
        try:
            assert told is None or told.is_in_step
            sent = yield number
        except LookupError as error:
            sent = f"thrown {error}"
        if seen is not None:
            seen.append(sent)
        if sent == "end":
            return "done"
        if sent == "fail":
            raise ZeroDivisionError
        number += 1


ACTIONS = st.lists(st.sampled_from(["next", "send", "end", "fail", "throw", "throw other", "close"]), max_size=8)


def act(generator: Any, actions: list[str], seen: list[Any]) -> list[Any]:
    """What comes of doing all this to a generator, until it ends."""
    found: list[Any] = []
    for action in actions:
        try:
            match action:
                case "next":
                    found.append(next(generator))
                case "send" | "end" | "fail":
                    found.append(generator.send(action if found else None))
                case "throw":
                    found.append(generator.throw(LookupError("x")))
                case "throw other":
                    found.append(generator.throw(KeyboardInterrupt()))
                case "close":
                    found.append(generator.close())
        except BaseException as error:
            found.append((type(error), error.args))
            if isinstance(error, StopIteration):
                found.append(error.value)
    return [found, seen]


@given(actions=ACTIONS)
def test_a_generator_is_the_same_wrapped_and_unwrapped(actions: list[str]) -> None:
    plain, ours = [], []
    expected = act(numbers(seen=plain), actions, plain)
    call, told = wrapped(numbers)
    assert act(call(told, ours), actions, ours) == expected
    assert len(told.ends) <= 1


async def stream(told: Told | None, seen: list[Any]) -> AsyncIterator[int]:
    """The same, asynchronously."""
    number = 0
    while True:
        await asyncio.sleep(0)
        try:
            assert told is None or told.is_in_step
            sent = yield number
        except LookupError as error:
            sent = f"thrown {error}"
        seen.append(sent)
        if sent == "end":
            return
        if sent == "fail":
            raise ZeroDivisionError
        number += 1


async def act_on_stream(generator: Any, actions: list[str], seen: list[Any]) -> list[Any]:
    found: list[Any] = []
    for action in actions:
        try:
            match action:
                case "next":
                    found.append(await anext(generator))
                case "send" | "end" | "fail":
                    found.append(await generator.asend(action if found else None))
                case "throw":
                    found.append(await generator.athrow(LookupError("x")))
                case "throw other":
                    found.append(await generator.athrow(ConnectionAbortedError("x")))
                case "close":
                    found.append(await generator.aclose())
        except Exception as error:
            found.append((type(error), error.args))
    await generator.aclose()
    return [found, seen]


def test_an_asynchronous_generator_is_the_same_wrapped_and_unwrapped() -> None:
    @given(actions=ACTIONS)
    def check(actions: list[str]) -> None:
        plain, ours = [], []
        expected = runner.run(act_on_stream(stream(None, plain), actions, plain))
        call, told = wrapped(stream)
        assert runner.run(act_on_stream(call(told, ours), actions, ours)) == expected
        assert len(told.ends) <= 1

    with asyncio.Runner() as runner:
        check()


def test_a_coroutine_returns_raises_and_is_cancelled_as_ever() -> None:
    async def work(how: str) -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if how == "fail":
            raise ZeroDivisionError
        if how == "cancelled":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)  # it cleans up
                raise
        return how

    async def main() -> None:
        call, told = wrapped(work)
        assert await call("well") == "well"
        assert (told.steps, told.ends) == (3, [None])
        with pytest.raises(ZeroDivisionError):
            await call("fail")
        task = asyncio.create_task(call("cancelled"))
        for _ in range(4):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told.ends == [None, ZeroDivisionError, asyncio.CancelledError]

    asyncio.run(main())


def test_a_coroutine_that_is_closed_ends_and_lets_go_of_all_it_had() -> None:
    class Kept:
        pass

    gone: list[ref[Kept]] = []

    async def work() -> None:
        kept = Kept()
        gone.append(ref(kept))
        await asyncio.sleep(0)

    call, told = wrapped(work)
    coroutine = call()
    coroutine.send(None)
    coroutine.close()
    assert told.ends == [GeneratorExit]
    gc.collect()
    assert [kept() for kept in gone] == [None]


def test_an_error_that_was_thrown_in_is_not_kept() -> None:
    class OwnError(LookupError):
        pass

    call, _ = wrapped(numbers)
    generator, error = call(), OwnError()
    next(generator)
    generator.throw(error)
    gone = ref(error)
    error.__traceback__ = None
    del error
    gc.collect()
    assert gone() is None
    assert next(generator) == 2


def test_any_other_function_has_no_steps() -> None:
    assert wrapper_for(len) is None
    assert wrapper_for(lambda: None) is None
    assert wrapper_for(Told) is None
