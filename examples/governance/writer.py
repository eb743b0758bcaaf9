"""Appends acts to the event store: the only place that does.

Promises: what comes out is recorded and committed, or refused with a reason; counted means done; an act that comes a second time (a queue
delivers at least once) gives the event that it already is.
"""

from __future__ import annotations

import logging

from measurand import Counter, Histogram

from .constitution import Constitution, Kind
from .domains import GOVERNANCE
from .events import Act, Event
from .following import Follower
from .rules import Refusal, RefusedError, admit
from .store import EventStore

LOG = logging.getLogger(__name__)

EVENTS = Counter("governance_events_total", "Acts recorded", ["act"], registry=GOVERNANCE, label_values={"act": list(Kind)})
REFUSALS = Counter(
    "governance_refusals_total",
    "Acts that were not recorded because a rule forbids them",
    ["refusal"],
    registry=GOVERNANCE,
    label_values={"refusal": list(Refusal)},
)
APPEND_SECONDS = Histogram(
    "event_store_append_duration_seconds",
    "Time to append an event, commit included",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


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
            RefusedError: A rule forbids it; that is counted.
            sqlalchemy.exc.SQLAlchemyError: The database does not answer; nothing is recorded.
        """
        self.prepare()
        with self._follower.current() as record:
            known = self._store.find(act.id)
            if known is not None:
                return known
            try:
                admitted = admit(record, act)
            except RefusedError as refused:
                REFUSALS.labels(refused.reason).inc()
                raise
            with APPEND_SECONDS.time():
                event = self._store.append(admitted)
        EVENTS.labels(event.act.kind).inc()  # after the commit
        LOG.info("recorded", extra={"sequence": event.sequence, "act": event.act.kind, "id": event.act.id})
        return event
