"""Functions that are suspended, seen step by step: what runs between two suspensions is theirs, what runs meanwhile is not."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Protocol

__all__ = ["Steps", "wrapper_for"]

Wrap = Callable[[Callable[..., Any], Callable[[], Any], Callable[[Any, BaseException | None], object]], Callable[..., Any]]


class Steps(Protocol):
    """What is told of the steps of one call."""

    def begin_step(self) -> None:
        """The call begins or goes on, in this thread."""
        ...

    def end_step(self) -> None:
        """It is suspended, or has ended, in the same thread."""
        ...


def wrapper_for(fn: Any) -> Wrap | None:
    """What wraps functions of this kind, a coroutine, generator or asynchronous generator function; ``None`` for any other.

    A wrapper takes the function, what makes the :class:`Steps` of a call when it begins, and what is called when it has ended, with them
    and the exception that left it or ``None``. A generator that is given up has ended without one.
    """
    if inspect.iscoroutinefunction(fn):
        return _coroutine
    if inspect.isasyncgenfunction(fn):
        return _async_generator
    return _generator if inspect.isgeneratorfunction(fn) else None


def _driven(inner: Any, steps: Steps) -> Generator[Any, Any, Any]:
    """Do what ``inner`` does, a generator or what awaiting goes through, and tell of its steps."""
    value: Any = None
    error: BaseException | None = None
    while True:
        steps.begin_step()
        try:
            if error is None:
                yielded = inner.send(value)
            else:
                thrown, error = error, None
                try:
                    yielded = inner.throw(thrown)
                finally:
                    del thrown
        except StopIteration as stop:
            return stop.value
        finally:
            steps.end_step()
        try:
            value = yield yielded
        except GeneratorExit:
            steps.begin_step()
            try:
                inner.close()
            finally:
                steps.end_step()
            raise
        except BaseException as given:  # noqa: BLE001 - handed to what is driven
            error = given


class _Awaiting:
    """Something to await, of whose steps is told."""

    def __init__(self, awaitable: Any, steps: Steps) -> None:
        self._awaitable = awaitable
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        return _driven(self._awaitable.__await__(), self._steps)


def _coroutine(fn: Callable[..., Any], begin: Callable[[], Any], end: Callable[[Any, BaseException | None], object]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        steps = begin()
        try:
            result = await _Awaiting(fn(*args, **kwargs), steps)
        except BaseException as error:
            end(steps, error)
            raise
        end(steps, None)
        return result

    return call


def _generator(fn: Callable[..., Any], begin: Callable[[], Any], end: Callable[[Any, BaseException | None], object]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = begin()
        try:
            result = yield from _driven(fn(*args, **kwargs), steps)
        except BaseException as error:
            end(steps, None if isinstance(error, GeneratorExit) else error)
            raise
        end(steps, None)
        return result

    return call


def _async_generator(
    fn: Callable[..., Any], begin: Callable[[], Any], end: Callable[[Any, BaseException | None], object]
) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        steps = begin()
        try:
            inner = fn(*args, **kwargs)
            step = inner.__anext__()
            while True:
                try:
                    item = await _Awaiting(step, steps)
                except StopAsyncIteration:
                    break
                try:
                    sent = yield item
                except GeneratorExit:
                    await _Awaiting(inner.aclose(), steps)
                    raise
                except BaseException as error:  # noqa: BLE001 - handed to the generator that is wrapped
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)
        except BaseException as error:
            end(steps, None if isinstance(error, GeneratorExit) else error)
            raise
        end(steps, None)

    return call
