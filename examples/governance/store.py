"""The event store: one table that only grows, in SQLite by default and in PostgreSQL when the URL says so.

Promises: events are appended one at a time, each after the one before it, whoever else appends; an act is recorded once, however often it
is handed over; the database itself refuses changes and removals, so that tampering takes intent. Everything blocks, and may be called
from any thread; a connection goes back to its pool before a call returns.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    DDL,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
)

from .events import LONGEST_NAME, LONGEST_TEXT, Act, Event, Head

SECONDS_TO_CONNECT = 2
SECONDS_TO_WAIT_FOR_A_LOCK = 5
POOL_SIZE = 5
LOCK = 0x60CE  # an advisory lock that nobody else uses

metadata = MetaData()
events = Table(
    "events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("id", String(LONGEST_NAME), nullable=False, unique=True),
    Column("kind", String(LONGEST_NAME), nullable=False),
    Column("actor", String(LONGEST_NAME), nullable=False),
    Column("subject", String(LONGEST_NAME), nullable=False),
    Column("text", String(LONGEST_TEXT), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
)


class EventStore:
    """The events of one database.

    Args:
        url: A SQLAlchemy URL; ``postgresql://`` uses psycopg.
        name: Shown by PostgreSQL as the owner of the connections.
    """

    def __init__(self, url: str, *, name: str = "governance") -> None:
        where = make_url(url)
        if where.drivername == "postgresql":
            where = where.set(drivername="postgresql+psycopg")
        if where.get_backend_name() == "sqlite":
            if where.database in {None, "", ":memory:"}:
                raise ValueError("an in-memory SQLite database is private to one process; name a file: sqlite:///governance.db")
            self.engine: Engine = create_engine(where, connect_args={"timeout": SECONDS_TO_WAIT_FOR_A_LOCK})
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = create_engine(
                where,
                pool_size=POOL_SIZE,
                pool_pre_ping=True,  # a connection from before the server's restart is replaced, not handed out
                pool_timeout=SECONDS_TO_CONNECT,
                connect_args={"connect_timeout": SECONDS_TO_CONNECT, "application_name": name},
            )
        self._exclusive = self.engine.execution_options(sqlite_begin="IMMEDIATE")

    def create_tables(self) -> None:
        """Create what is missing."""
        with self._writing() as connection:
            metadata.create_all(connection)

    def append(self, act: Act, *, at: datetime | None = None) -> Event:
        """Record an act as the next event; one that is recorded already is returned as it was recorded.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database does not answer; nothing is recorded.
        """
        with self._writing() as connection:
            recorded = connection.execute(select(events).where(events.c.id == act.id)).first()
            if recorded is not None:
                return _as_event(recorded)
            new = Event.after(_head(connection), act, at or datetime.now(UTC))
            connection.execute(insert(events).values(_as_row(new)))
            return new

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that no other writer's overlaps."""
        with self._exclusive.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
            yield connection

    def head(self) -> Head:
        """Where the chain ends now."""
        with self.engine.connect() as connection:
            return _head(connection)

    def last(self) -> Event | None:
        """The last event."""
        with self.engine.connect() as connection:
            row = connection.execute(select(events).order_by(events.c.sequence.desc()).limit(1)).first()
            return None if row is None else _as_event(row)

    def find(self, identity: str) -> Event | None:
        """The event that an act has become."""
        with self.engine.connect() as connection:
            row = connection.execute(select(events).where(events.c.id == identity)).first()
            return None if row is None else _as_event(row)

    def read(self, *, after: int = 0, limit: int = 500) -> list[Event]:
        """Up to ``limit`` events behind a place in the sequence, in order."""
        query = select(events).where(events.c.sequence > after).order_by(events.c.sequence).limit(limit)
        with self.engine.connect() as connection:
            return [_as_event(row) for row in connection.execute(query)]

    def read_all(self, *, after: int = 0, at_once: int = 500) -> Iterator[Event]:
        """All events behind a place in the sequence, read in pieces."""
        while piece := self.read(after=after, limit=at_once):
            yield from piece
            after = piece[-1].sequence

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def _head(connection: Connection) -> Head:
    row = connection.execute(select(events.c.sequence, events.c.digest).order_by(events.c.sequence.desc()).limit(1)).first()
    return Head() if row is None else Head(row.sequence, row.digest)


def _as_event(row: Row[Any]) -> Event:
    return Event(row.sequence, row.at, Act(row.kind, row.actor, row.subject, row.text, row.id), row.previous, row.digest)


def _as_row(new: Event) -> dict[str, Any]:
    return {**new.as_json(), "kind": str(new.act.kind)}


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late to protect what was read; ours stands below
    connection.execute("PRAGMA journal_mode = WAL")  # the others read while the writer appends
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'DEFERRED')}")


# The database's own lock on the past. Who can drop a trigger can still tamper: that is what the chain is for.
for _act in ("UPDATE", "DELETE"):
    event.listen(
        events,
        "after_create",
        DDL(
            f"CREATE TRIGGER events_refuse_{_act.lower()} BEFORE {_act} ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
        ).execute_if(dialect="sqlite"),
    )
event.listen(
    events,
    "after_create",
    DDL(
        "CREATE FUNCTION events_refuse_changes() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'events are append-only'; END $$"
    ).execute_if(dialect="postgresql"),
)
event.listen(
    events,
    "after_create",
    DDL(
        "CREATE TRIGGER events_refuse_changes BEFORE UPDATE OR DELETE OR TRUNCATE ON events"
        " FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_changes()"
    ).execute_if(dialect="postgresql"),
)
