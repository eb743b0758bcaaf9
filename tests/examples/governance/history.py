"""Events as a test needs them, at moments that the test chooses; and what somebody with the database's password can do to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from examples.governance.constitution import Choice, Kind
from examples.governance.events import Act, Event
from examples.governance.store import EventStore

BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)


class History:
    """Appends straight to a store, whatever the rules say.

    Attributes:
        seconds: The moment of the next event, from a fixed beginning on.
    """

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.seconds = 0.0

    @property
    def now(self) -> float:
        """The moment of the next event, in seconds since the epoch."""
        return (BEGINNING + timedelta(seconds=self.seconds)).timestamp()

    def add(self, kind: Kind, actor: str = "ada", subject: str = "", text: str = "") -> str:
        """Append an act; its id."""
        return self.event(kind, actor, subject, text).act.id

    def event(self, kind: Kind, actor: str = "ada", subject: str = "", text: str = "") -> Event:
        """Append an act; its event."""
        return self.store.append(Act(kind, actor, subject, text), at=BEGINNING + timedelta(seconds=self.seconds))

    def proposal(self) -> str:
        """A proposal of Ada's."""
        return self.add(Kind.PROPOSAL, "ada", text="Tea")

    def decided(self) -> tuple[str, str]:
        """A proposal and its decision, by two votes."""
        proposal = self.proposal()
        for voter in ("ada", "bob"):
            self.add(Kind.VOTE, voter, proposal, Choice.FOR)
        return proposal, self.add(Kind.DECISION, "ada", proposal, "adopted")

    def tamper(self, statement: str) -> None:
        """Run SQL against the table, its guards taken off."""
        with self.store.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            for guard in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS events_refuse_{guard}"))
            connection.execute(text(statement))
