"""Keeps a record of a store up to date, for whoever has to know the state of things: the writer before it appends, the api when asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .constitution import Constitution
from .events import Event
from .record import Record
from .store import EventStore


class Follower:
    """A record that is read on, not read again. Safe to use from many threads; each waits for its turn."""

    def __init__(self, store: EventStore, constitution: Constitution) -> None:
        self._store = store
        self._record = Record(constitution)
        self._sequence = 0
        self._turn = threading.Lock()

    @contextmanager
    def current(self) -> Iterator[Record]:
        """The record with everything that is stored by now; others wait until the block ends.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database does not answer.
        """
        with self._turn:
            for event in self._store.read_all(after=self._sequence):
                self.take_in(event)
            yield self._record

    def take_in(self, event: Event) -> None:
        """Read the next event, only inside the block; one that is not genuine says nothing, and is the observer's business."""
        self._sequence = event.sequence
        if event.is_genuine:
            self._record.apply(event)
