"""The database: one engine, and short sessions for reading and for writing.

Promises: a session always goes back to the pool; a writing session commits when its block ends and rolls back when its block raises.
On SQLite a writing session takes the write lock when it begins, so that "look, then change" is one step; other databases lock the rows
that ``find(..., lock=True)`` names. Safe to use from many threads, one session each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from .errors import ConflictError, InvalidError, NotFoundError
from .models import Base

Row = TypeVar("Row", bound=Base)

SECONDS_TO_WAIT_FOR_A_LOCK = 10


class Database:
    """The engine of one database, with its tables.

    Args:
        url: A SQLAlchemy URL. In-memory SQLite is refused: every thread would see a database of its own.
    """

    def __init__(self, url: str) -> None:
        where = make_url(url)
        sqlite = where.get_backend_name() == "sqlite"
        if sqlite and where.database in {None, "", ":memory:"}:
            raise InvalidError("an in-memory SQLite database is private to one thread; name a file: sqlite:///inventory.db")
        self.engine = create_engine(where, connect_args={"timeout": SECONDS_TO_WAIT_FOR_A_LOCK} if sqlite else {})
        if sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._reading = sessionmaker(self.engine)
        self._writing = sessionmaker(self.engine.execution_options(sqlite_begin="IMMEDIATE"))

    def create_tables(self) -> None:
        """Create what is missing; tables that exist are left as they are."""
        with self.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            Base.metadata.create_all(connection)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session over one consistent view; released at the end of the block, whatever happens in it."""
        with self._reading.begin() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls back when the block raises; released either way.

        Raises:
            ConflictError: Another writer was there first (a name taken, a row still in use); nothing has changed.
        """
        try:
            with self._writing.begin() as session:
                yield session
        except IntegrityError as reason:
            raise ConflictError("this contradicts something that is stored already; read it again, then retry") from reason

    def close(self) -> None:
        """Close the pooled connections. Sessions still open keep theirs until they end."""
        self.engine.dispose()


def find(session: Session, kind: type[Row], key: Any, *, lock: bool = False) -> Row:
    """The row with this primary key, locked against other writers on request.

    Raises:
        NotFoundError: There is none; the message names what was looked for.
    """
    row = session.get(kind, key, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"there is no {kind.spoken_name} {key}")
    return row


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late to protect what was read; ours stands below
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")  # the dashboard reads while stock changes are written
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'DEFERRED')}")
