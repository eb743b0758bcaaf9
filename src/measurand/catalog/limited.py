"""Label values that others can make up: the first few stay as they are, the rest share one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

__all__ = ["Limited"]


class Limited:
    """The values of a label, with a limit.

    Safe from any thread; takes no lock, so a fork cannot break it. Threads that meet with the same new value may use up two places of
    the limit for it; it is never exceeded.

    Args:
        limit: How many values are told apart.
        beyond: What the others become.
        always: Values that are told apart besides.
        say: Called once, with the limit and the first value that it kept out.
    """

    def __init__(self, limit: int, beyond: str, always: Iterable[str] = (), say: Callable[[int, str], None] | None = None) -> None:
        self._limit = limit
        self._beyond = beyond
        self._say = say
        self._known = {value: value for value in always}
        self._tickets = count()
        self._is_full = False

    def label(self, value: str) -> str:
        """The value itself, or the shared one."""
        known = self._known.get(value)
        if known is not None:
            return known
        if not self._is_full:
            if next(self._tickets) < self._limit:
                return self._known.setdefault(value, value)
            self._is_full = True
            if self._say is not None:
                self._say(self._limit, value)
        return self._beyond
