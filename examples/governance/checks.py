"""What being ready means here, beside what measurand checks by itself: health checks as a user writes them."""

from __future__ import annotations

from .store import EventStore


class EventStoreCheck:
    """The event store can be read, and its last event is what it was when it was recorded.

    The database may answer while the table is missing, or while somebody has written into it; neither is a store to decide upon.
    """

    name = "event_store"

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def run(self) -> bool:
        """Whether it is so. Blocks; raises what the database raises."""
        last = self._store.last()
        return last is None or last.is_genuine
