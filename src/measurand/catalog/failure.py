"""What an exception is called in a label: one word for everything that was given up, the class's name for the rest."""

from __future__ import annotations

from measurand.catalog.http import CANCELLED, exception_name

__all__ = ["failure_name"]

GIVEN_UP = frozenset({"CancelledError", "Cancelled", "GeneratorExit"})
"""How a call ends that nobody waits for any more: with asyncio, with trio, and when its coroutine is closed."""


def failure_name(exception: BaseException) -> str:
    """The error type of an exception: ``cancelled``, or the name of its class."""
    name = exception_name(exception)
    return CANCELLED if name in GIVEN_UP else name
