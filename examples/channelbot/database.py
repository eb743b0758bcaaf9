"""The database: one engine, and short sessions.

Promises: a session always goes back to the pool; it commits when its block ends and rolls back when its block raises. On SQLite a session
that writes takes the write lock when it begins. Safe from many threads, one session each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.orm import Session, sessionmaker

from .models import Base

SECONDS_TO_WAIT_FOR_A_LOCK = 10


class Database:
    """The engine of one database.

    Args:
        url: A SQLAlchemy URL. Of SQLite, a file: what is in memory is private to one thread.
    """

    def __init__(self, url: str) -> None:
        where = make_url(url)
        sqlite = where.get_backend_name() == "sqlite"
        if sqlite and where.database in {None, "", ":memory:"}:
            raise ValueError("an in-memory SQLite database is private to one thread; name a file: sqlite:///channelbot.db")
        self.engine = create_engine(where, connect_args={"timeout": SECONDS_TO_WAIT_FOR_A_LOCK} if sqlite else {}, pool_pre_ping=not sqlite)
        if sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._reading = sessionmaker(self.engine)
        self._writing = sessionmaker(self.engine.execution_options(sqlite_begin="IMMEDIATE"), expire_on_commit=False)

    def create_tables(self) -> None:
        """Create what is missing."""
        with self.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            Base.metadata.create_all(connection)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session over one consistent view."""
        with self._reading.begin() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits at the end of the block."""
        with self._writing.begin() as session:
            yield session

    def renew(self) -> None:
        """In a new child process: leave the parent's connections to the parent."""
        self.engine.dispose(close=False)

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late to protect what was read; ours stands below
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'DEFERRED')}")
