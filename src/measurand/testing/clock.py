"""A clock that moves when the test says so."""

from __future__ import annotations

from typing import Self

from measurand import clock

__all__ = ["FakeClock"]


class FakeClock:
    """Stands still until :meth:`advance` is called; durations, expiry and time stamps follow it while it is in use.

    ::

        with FakeClock() as clock:
            with LATENCY.time():
                clock.advance(0.25)

    It replaces the clock of the whole process, not of one thread.

    Args:
        wall: What the wall clock shows at first, in seconds since the Unix epoch.
    """

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self._monotonic = 0.0
        self._wall = wall
        self._before: clock.Clock | None = None

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._monotonic

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Move both clocks forward.

        Raises:
            ValueError: ``seconds`` is negative: a monotonic clock does not go back.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot go back by {-seconds} s; advance() takes 0 or more")
        self._monotonic += seconds
        self._wall += seconds

    def __enter__(self) -> Self:
        self._before = clock.use(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        clock.use(self._before)
