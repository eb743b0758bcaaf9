"""The functions that are called at the end of a service are plain ones: nothing there awaits what a coroutine function returns.

A coroutine counts as true, so a waiter that returns one would seem to be done in no time.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable, iscoroutine
from typing import Any, TypeVar

from measurand.errors import ConfigurationError
from measurand.lifecycle.calling import is_asynchronous

__all__ = ["add_plain", "drop_awaitable", "require_plain"]

F = TypeVar("F", bound=Callable[..., Any])


def require_plain(what: str, name: str, function: Callable[..., Any]) -> None:
    """Refuse a coroutine function.

    Raises:
        ConfigurationError: It is one.
    """
    if is_asynchronous(function):
        raise ConfigurationError(
            f"the {what} {name} is a coroutine function; give a plain one, for example one that calls "
            "asyncio.run_coroutine_threadsafe(...).result()"
        )


def add_plain(table: dict[str, F], what: str, name: str, function: F) -> None:
    """Add a plain function under a name of its own.

    Raises:
        ConfigurationError: The name is taken, or it is a coroutine function.
    """
    require_plain(what, name, function)
    if name in table:
        raise ConfigurationError(f"there is a {what} named {name!r} already; give each a name of its own")
    table[name] = function


def drop_awaitable(value: object) -> bool:
    """Whether a plain function has returned something to await after all, which is dropped without a warning of the interpreter's."""
    if iscoroutine(value):
        value.close()
    return isawaitable(value)
