"""Surviving that a mapped file is truncated.

Whoever touches a part of a mapped file that has been cut off is killed by the system (SIGBUS). The extension ``_guard`` has a handler for
that: it puts memory of the process' own there, and the process goes on; ``core.lanes`` finds out and makes another file. Signals at other
addresses go where they went before, so ``faulthandler`` works as ever. The handler is there from the first mapped lane on: never in a
process that is alone.

Where the extension was not built there is no such protection: nothing else does without it.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from importlib import import_module
from typing import Any

__all__ = ["guard"]

_guarded: dict[int, weakref.ref[Any]] = {}  # by the region's number


def guard(memory: Any) -> bool:
    """Let this process survive that the file is truncated which it has mapped here, for as long as this object exists.

    Args:
        memory: An ``mmap``.

    Returns:
        Whether it does.
    """
    try:
        _guard: Any = import_module("measurand.core._guard")  # opens a file, which a process that is alone does not
    except ImportError:
        return False
    try:
        number: int = _guard.add(memory)
    except (OSError, ValueError):
        return False
    if number < 0:
        return False

    def drop(_: Any) -> None:
        _guarded.pop(number, None)
        with suppress(TypeError):  # the interpreter is about to end
            _guard.drop(number)

    _guarded[number] = weakref.ref(memory, drop)
    return True
