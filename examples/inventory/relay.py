"""Carries what is to be told to listeners from the worker in which it happened to the others.

The process that starts the workers makes the pipes, one for each place that a worker can have; all of them inherit all ends, so there is
nothing to name, to find or to clean up. Promises: telling the others never waits: what a worker is too slow to take is lost to its
listeners, as it would be if they had been away, and said in the log; a line arrives whole or not at all, whoever writes at the same time;
a worker that takes the place of one that has died is not told what that one was told.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

LOG = logging.getLogger(__name__)

LONGEST = select.PIPE_BUF
"""Bytes of a line with its end: what the system writes to a pipe in one piece."""


class Relay:
    """The pipes of one service. Made before its workers are forked; each of them calls :meth:`take`, then :meth:`tell` from any thread.

    Args:
        places: Workers that there can be at once.
    """

    def __init__(self, places: int) -> None:
        self._pipes = [os.pipe() for _ in range(places)]
        for ends in self._pipes:
            for end in ends:
                os.set_blocking(end, False)
        self._place: int | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def free(self, taken: Iterable[int | None]) -> int | None:
        """A place for the next worker, besides those that are taken; ``None`` if there is none."""
        return next(iter(sorted(set(range(len(self._pipes))) - set(taken))), None)

    def take(self, place: int, heard: Callable[[bytes], None]) -> None:
        """Have this process take a place.

        Args:
            place: Nobody else's.
            heard: Called in a thread of the relay's own with each line that another worker tells; must not raise.
        """
        self._place = place
        while self._read():  # what was meant for whoever was here before
            pass
        self._thread = threading.Thread(target=self._listen, args=(heard,), name="relay", daemon=True)
        self._thread.start()

    def tell(self, line: bytes) -> None:
        """Tell the workers at all other places. A line has no line break in it."""
        if len(line) >= LONGEST:
            LOG.warning("an event of %d bytes is too long to be told to the other workers", len(line))
            return
        for place, (_, end) in enumerate(self._pipes):
            if place != self._place:
                try:
                    os.write(end, line + b"\n")
                except BlockingIOError:  # nobody is at that place, or somebody who is far behind
                    LOG.debug("the worker at place %d is not told of an event", place)

    def close(self) -> None:
        """Listen no more. For a worker; its place can be taken by another one when it is gone."""
        self._stopping = True
        if self._place is not None and self._thread is not None:
            with suppress(BlockingIOError):  # a full pipe has woken it up already
                os.write(self._pipes[self._place][1], b"\n")
            self._thread.join(timeout=1)

    def _listen(self, heard: Callable[[bytes], None]) -> None:
        assert self._place is not None
        rest = b""
        while not self._stopping:
            select.select([self._pipes[self._place][0]], [], [])
            *lines, rest = (rest + self._read()).split(b"\n")
            for line in filter(None, lines):
                heard(line)

    def _read(self) -> bytes:
        assert self._place is not None
        try:
            return os.read(self._pipes[self._place][0], 1 << 16)
        except BlockingIOError:
            return b""
