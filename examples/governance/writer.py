"""Appends acts to the event store: the only place that does.

Promises: what comes out is recorded and committed, or refused with a reason; counted means done; an act that comes a second time (a queue
delivers at least once) gives the event that it already is.
"""

from __future__ import annotations

import logging

from measurand import Counter

from .constitution import Constitution, Kind
from .domains import GOVERNANCE
from .events import Act, Event
from .following import Follower
from .rules import admit
from .store import EventStore

LOG = logging.getLogger(__name__)

EVENTS = Counter("governance_events_total", "Acts recorded", ["act"], registry=GOVERNANCE, label_values={"act": list(Kind)})


class Writer:
    """Records acts, one at a time. Blocks; safe to call from any thread."""

    def __init__(self, store: EventStore, constitution: Constitution) -> None:
        self._store = store
        self._follower = Follower(store, constitution)
        self._is_prepared = False

    def prepare(self) -> None:
        """Create the tables, once. Raises what the database raises; the next call tries again."""
        if not self._is_prepared:
            self._store.create_tables()
            self._is_prepared = True

    def record(self, act: Act) -> Event:
        """Append an act.

        Raises:
            RefusedError: A rule forbids it.
            sqlalchemy.exc.SQLAlchemyError: The database does not answer; nothing is recorded.
        """
        self.prepare()
        with self._follower.current() as record:
            known = self._store.find(act.id)
            if known is not None:
                return known
            event = self._store.append(admit(record, act))
        EVENTS.labels(event.act.kind).inc()  # after the commit
        LOG.info("recorded", extra={"sequence": event.sequence, "act": event.act.kind, "id": event.act.id})
        return event
