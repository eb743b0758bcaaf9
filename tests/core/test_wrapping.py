"""Decorators around functions: what goes through, how bodies end, and what the result still is."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, TypeVar

import pytest

from measurand.core import pure
from measurand.core.wrapping import around
from tests.core.kit import Kit

Log = list[tuple[str, Any]]


def recording(log: Log) -> Callable[[Any], Any]:
    """A decorator that writes down when a body begins and how it ends."""

    def enter() -> object:
        log.append(("enter", None))
        return "token"

    def leave(token: object, failure: BaseException | None) -> None:
        assert token == "token"
        log.append(("leave", failure))

    return lambda function: around(function, enter, leave)


# -- how a body ends ---------------------------------------------------------------------------------------------------------


def test_a_task_that_is_cancelled_leaves_with_its_cancellation() -> None:
    log: Log = []

    @recording(log)
    async def call(started: asyncio.Event) -> None:
        started.set()
        await asyncio.Event().wait()

    async def main() -> asyncio.CancelledError:
        started = asyncio.Event()
        task = asyncio.create_task(call(started))
        await started.wait()
        assert log == [("enter", None)]
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        return caught.value

    asyncio.run(main())
    assert [event for event, _ in log] == ["enter", "leave"]
    assert isinstance(log[1][1], asyncio.CancelledError)


def test_a_generator_passes_on_what_is_sent_thrown_and_returned() -> None:
    log: Log = []

    @recording(log)
    def call() -> Generator[str, str, str]:
        heard = []
        try:
            heard.append((yield "first"))
        except KeyError as thrown:
            heard.append(repr(thrown))
        heard.append((yield "second"))
        return ", ".join(heard)

    for throw in (False, True):
        log.clear()
        generator = call()
        assert log == []
        assert next(generator) == "first"
        assert (generator.throw(KeyError("k")) if throw else generator.send("one")) == "second"
        assert log == [("enter", None)]
        with pytest.raises(StopIteration) as caught:
            generator.send("two")
        assert caught.value.value == ("KeyError('k'), two" if throw else "one, two")
        assert log == [("enter", None), ("leave", None)]


def test_an_async_generator_passes_on_what_is_sent_and_thrown() -> None:
    log: Log = []
    heard: list[object] = []

    @recording(log)
    async def call() -> AsyncGenerator[str, str]:
        try:
            heard.append((yield "first"))
        except KeyError as thrown:
            heard.append(thrown)
        await asyncio.sleep(0)
        heard.append((yield "second"))

    async def main() -> None:
        thrown = KeyError("k")
        for throw in (False, True):
            log.clear()
            heard.clear()
            generator = call()
            assert log == []
            assert await anext(generator) == "first"
            assert await (generator.athrow(thrown) if throw else generator.asend("one")) == "second"
            assert log == [("enter", None)]
            with pytest.raises(StopAsyncIteration):
                await generator.asend("two")
            assert heard == [thrown if throw else "one", "two"]
            assert log == [("enter", None), ("leave", None)]
            with pytest.raises(StopAsyncIteration):
                await anext(generator)
            assert len(log) == 2

    asyncio.run(main())


def test_a_failure_thrown_into_a_generator_that_does_not_catch_it_ends_it() -> None:
    log: Log = []
    thrown = KeyError("k")

    @recording(log)
    def call() -> Iterator[int]:
        yield 1

    @recording(log)
    async def acall() -> AsyncIterator[int]:
        yield 1

    generator = call()
    next(generator)
    with pytest.raises(KeyError) as caught:
        generator.throw(thrown)  # type: ignore[attr-defined]
    assert caught.value is thrown
    assert log == [("enter", None), ("leave", thrown)]

    async def main() -> None:
        generator = acall()
        await anext(generator)
        with pytest.raises(KeyError) as caught:
            await generator.athrow(thrown)  # type: ignore[attr-defined]
        assert caught.value is thrown

    log.clear()
    asyncio.run(main())
    assert log == [("enter", None), ("leave", thrown)]


def test_closing_a_generator_early_closes_the_one_inside_and_is_no_failure() -> None:
    log: Log = []

    @recording(log)
    def call() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            log.append(("closed", None))

    @recording(log)
    async def acall() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            log.append(("closed", None))

    expected = [("enter", None), ("closed", None), ("leave", None)]
    generator = call()
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert log == expected

    log.clear()
    for _ in call():
        break
    gc.collect()
    assert log == expected

    async def close() -> None:
        generator = acall()
        await anext(generator)
        await generator.aclose()  # type: ignore[attr-defined]

    log.clear()
    asyncio.run(close())
    assert log == expected

    async def abandon() -> None:
        async for _ in acall():
            break
        async with asyncio.timeout(30):
            while len(log) < 3:  # the event loop closes what was abandoned, in a task of its own
                await asyncio.sleep(0)

    log.clear()
    asyncio.run(abandon())
    assert log == expected


def test_a_generator_that_fails_while_it_is_closed_leaves_with_that_failure() -> None:
    log: Log = []
    failure = ValueError("while closing")

    @recording(log)
    def call() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise failure

    @recording(log)
    async def acall() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise failure

    generator = call()
    next(generator)
    with pytest.raises(ValueError, match="while closing"):
        generator.close()  # type: ignore[attr-defined]
    assert log == [("enter", None), ("leave", failure)]

    async def main() -> None:
        generator = acall()
        await anext(generator)
        with pytest.raises(ValueError, match="while closing"):
            await generator.aclose()  # type: ignore[attr-defined]

    log.clear()
    asyncio.run(main())
    assert log == [("enter", None), ("leave", failure)]


def test_what_never_runs_is_never_entered() -> None:
    log: Log = []

    @recording(log)
    def call() -> Iterator[int]:
        yield 1

    @recording(log)
    async def acall() -> AsyncIterator[int]:
        yield 1

    @recording(log)
    async def coroutine() -> None:
        pass

    call().close()  # type: ignore[attr-defined]
    acall()
    coroutine().close()
    gc.collect()
    assert log == []


def test_an_interrupted_context_manager_leaves_with_what_left_the_block() -> None:
    log: Log = []

    @recording(log)
    @contextlib.contextmanager
    def swallowing() -> Iterator[None]:
        with contextlib.suppress(ValueError):
            yield

    with swallowing():
        raise ValueError
    assert log == [("enter", None), ("leave", None)]
    log.clear()
    failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), swallowing():
        raise failure
    assert log == [("enter", None), ("leave", failure)]


# -- what the result is ------------------------------------------------------------------------------------------------------


def plain(word: str, /, count: int = 1, *rest: int, flag: bool = False, **extra: float) -> str:
    """Say plainly."""
    return word


async def awaitable(word: str, count: int = 1) -> str:
    """Say later."""
    return word


def generated(word: str) -> Iterator[str]:
    """Say often."""
    yield word


async def generated_later(word: str) -> AsyncIterator[str]:
    """Say often and later."""
    yield word


@contextlib.contextmanager
def managed(word: str) -> Iterator[str]:
    """Say around."""
    yield word


PREDICATES = [inspect.isfunction, inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction]


@pytest.mark.parametrize("function", [plain, awaitable, generated, generated_later, managed], ids=lambda f: f.__name__)
def test_signature_name_documentation_types_and_kind_are_kept(make: Kit, function: Any) -> None:
    for wrapped in (recording([])(function), make.summary().time()(function)):
        assert inspect.signature(wrapped) == inspect.signature(function)
        assert inspect.get_annotations(wrapped, eval_str=True) == inspect.get_annotations(function, eval_str=True)
        assert inspect.getdoc(wrapped) == inspect.getdoc(function)
        assert [predicate(wrapped) for predicate in PREDICATES] == [predicate(function) for predicate in PREDICATES]
        assert inspect.unwrap(wrapped) is inspect.unwrap(function)
        for attribute in ("__name__", "__qualname__", "__module__"):
            assert getattr(wrapped, attribute) == getattr(function, attribute)


@pytest.mark.parametrize(("decorator", "taken"), [(around, "fn"), (pure.Timer.__call__, "f")])
def test_type_checkers_are_told_that_the_type_stays(decorator: Any, taken: str) -> None:
    types = inspect.get_annotations(decorator, eval_str=True)
    assert types[taken] is types["return"]
    assert isinstance(types["return"], TypeVar)


def test_attributes_of_the_function_are_kept() -> None:
    def call() -> None:
        pass

    call.route = "/x"  # type: ignore[attr-defined]
    assert recording([])(call).route == "/x"


def test_a_context_manager_is_made_anew_for_each_call_and_still_decorates() -> None:
    log: Log = []
    wrapped = recording(log)(managed)
    for _ in range(2):
        with wrapped("x") as word:
            assert word == "x"

    @wrapped("y")
    def call() -> str:
        return "z"

    assert call() == call() == "z"
    assert [event for event, _ in log] == ["enter", "leave"] * 4


def test_an_awaitable_that_a_plain_function_returns_is_passed_on() -> None:
    log: Log = []

    @recording(log)
    def call() -> Awaitable[str]:
        return awaitable("x")

    async def main() -> str:
        return await call()

    assert asyncio.run(main()) == "x"
    assert log == [("enter", None), ("leave", None)]
