"""A whole day: what a visitor does, in which order, how often."""

from __future__ import annotations

import threading
from collections import Counter

from .asking import Asking
from .kits import Kits
from .listening import Listener
from .people import People
from .picking import Picking
from .shelves import Shelves
from .shopping import Shopping
from .visitor import Over, Visitor
from .world import World


class Traffic:
    """One visitor, and somebody who listens to the events meanwhile.

    Args:
        url: Where the service is.
        rate: Requests a second, at most; after a stall nothing is made up for.
        seed: Chooses the day.
    """

    def __init__(self, url: str, *, rate: float = 20, seed: int = 1) -> None:
        self._visitor = Visitor(url, rate=rate, seed=seed)
        self._world = World()
        self._groups = [group(self._visitor, self._world) for group in (Shelves, Kits, Picking, Shopping, Asking, People)]
        self._listener = Listener(self._visitor.host, self._visitor.port, seed)

    @property
    def answers(self) -> Counter[int]:
        """The answers so far, by status."""
        return self._visitor.answers

    @property
    def unexpected(self) -> Counter[tuple[int, str, str]]:
        """The answers that there should not be, by status, method and path."""
        return self._visitor.unexpected

    @property
    def events_heard(self) -> int:
        """How many events the listener has heard."""
        return self._listener.heard

    def run(self, *, duration: float | None = None, requests: int | None = None, stop: threading.Event | None = None) -> None:
        """Work until ``stop`` is set, ``duration`` seconds are over or so many ``requests`` are answered; once.

        Raises:
            UnreachableError: The service never answered, or stopped answering.
        """
        visitor = self._visitor
        visitor.begin(duration=duration, requests=requests, stop=stop)
        try:
            for group in self._groups:
                group.look_around()
            with self._listener:
                for group in self._groups:
                    group.furnish()
                habits, weights = zip(*(habit for group in self._groups for habit in group.usual()), strict=True)
                while visitor.wait():
                    visitor.chance.choices(habits, weights)[0]()
        except Over:
            pass
        finally:
            visitor.close()
