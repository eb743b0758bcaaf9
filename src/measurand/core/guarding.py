"""Surviving that a mapped file is truncated.

Whoever writes to a part of a mapped file that has been cut off is killed by the system (SIGBUS). The extension ``_guard`` has a handler for
that: it puts memory of the process' own there, and the process goes on; ``core.lanes`` finds out and makes another file. Signals at other
addresses go where they went before.

Where the extension was not built there is no such protection: nothing else does without it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["guard", "is_guarded"]


def guard(memory: Any) -> bool:
    """Let this process survive that the file is truncated which it has mapped here; whether it does.

    Args:
        memory: A writable buffer that begins and ends where pages do, such as an ``mmap``. It is guarded for as long as it exists.
    """
    return False


def is_guarded() -> bool:
    """Whether this process can guard mapped files at all."""
    return False
