"""Counting exceptions and work in progress around a block or a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from measurand.core import wrapping

__all__ = ["ExceptionCounter", "InprogressTracker"]

F = TypeVar("F", bound=Callable[..., Any])
Exceptions = type[BaseException] | tuple[type[BaseException], ...]


class ExceptionCounter:
    """Increments a counter when an exception of the given types leaves the block or the function; the exception goes on.

    Fits functions, coroutine functions, generators and asynchronous generators.
    """

    def __init__(self, counter: Any, exception: Exceptions) -> None:
        self._counter = counter
        self._exception = exception

    def __enter__(self) -> None:
        return None

    def __exit__(self, typ: object, value: BaseException | None, traceback: object) -> Literal[False]:
        self._leave(None, value)
        return False

    def _leave(self, _: object, exc: BaseException | None) -> None:
        if isinstance(exc, self._exception):
            self._counter.inc()

    def __call__(self, f: F) -> F:
        """Decorate ``f``."""
        return wrapping.around(f, _nothing, self._leave)


class InprogressTracker:
    """Increments a gauge on entering the block or the function, and decrements it on leaving, however it is left.

    Fits functions, coroutine functions, generators (from the first item to the end) and asynchronous generators.
    """

    def __init__(self, gauge: Any) -> None:
        self._gauge = gauge

    def __enter__(self) -> None:
        self._gauge.inc()

    def __exit__(self, typ: object, value: object, traceback: object) -> None:
        self._gauge.dec()

    def _leave(self, _: object, exc: BaseException | None) -> None:
        self._gauge.dec()

    def __call__(self, f: F) -> F:
        """Decorate ``f``."""
        return wrapping.around(f, self._gauge.inc, self._leave)


def _nothing() -> None:
    return None
