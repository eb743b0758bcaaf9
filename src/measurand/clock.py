"""Time, in one place: no other module of the package reads a clock.

``monotonic()`` measures durations, ``wall()`` stamps events; both return seconds as a float. Tests replace both at once with
:func:`use`; whoever keeps a clock of its own (the C core does) subscribes and follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "monotonic", "process_cpu", "subscribe", "system_monotonic", "thread_cpu", "use", "wall"]


class Clock(Protocol):
    """What a replacement clock provides."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        ...


Follower = Callable[[Clock | None], None]


def _system_wall() -> float:
    return time.time()  # looked up at each call, so that whoever replaces time.time() in a test is heard


monotonic: Callable[[], float] = time.perf_counter
wall: Callable[[], float] = _system_wall

system_monotonic: Callable[[], float] = time.monotonic
"""The system's clock, whatever is in use: for deadlines on real threads and sockets, which a replaced clock does not move."""

thread_cpu: Callable[[], float] = time.thread_time
"""Seconds of CPU time that the calling thread has taken, whatever clock is in use."""

process_cpu: Callable[[], float] = time.process_time
"""Seconds of CPU time that all threads of this process have taken, whatever clock is in use."""

_current: Clock | None = None
_followers: list[Follower] = []


def use(clock: Clock | None) -> Clock | None:
    """Read time from ``clock`` from now on; ``None`` returns to the system's clocks.

    For tests; it affects the whole process at once.

    Returns:
        The clock that was in use before (``None`` for the system's), so that a caller can restore it.
    """
    global monotonic, wall, _current  # noqa: PLW0603 - the module is the clock
    before, _current = _current, clock
    monotonic = time.perf_counter if clock is None else clock.monotonic
    wall = _system_wall if clock is None else clock.wall
    for follow in _followers:
        follow(clock)
    return before


def subscribe(follower: Follower) -> None:
    """Call ``follower`` with the clock in use, now and at every change."""
    _followers.append(follower)
    follower(_current)
