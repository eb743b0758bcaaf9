"""Pools of SQLAlchemy: what the gauges say is what there is, whatever happens to connections."""

from __future__ import annotations

import gc
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool

from measurand import CollectorRegistry
from measurand.integrations.sqlalchemy import instrument
from measurand.testing.clock import FakeClock
from tests.support import SCALE, run_threads

pytestmark = pytest.mark.once


class Database:
    """An engine whose connections are counted where they are made and closed, and what is measured of it."""

    def __init__(self, poolclass: Any = QueuePool, *, instrumented: bool = True, **options: Any) -> None:
        self.open: WeakSet[Any] = WeakSet()  # one that is collected is closed, too
        self.fails: Exception | None = None
        self.registry = CollectorRegistry()
        database = self

        class Counted(sqlite3.Connection):
            def close(self) -> None:
                super().close()
                database.open.discard(self)

        def connect() -> sqlite3.Connection:
            if self.fails is not None:
                raise self.fails
            made = sqlite3.connect(":memory:", factory=Counted, check_same_thread=False)
            self.open.add(made)
            return made

        self.engine: Engine = create_engine("sqlite://", creator=connect, poolclass=poolclass, **options)
        self.handle = instrument(self.engine, name="orders", registry=self.registry) if instrumented else None

    def close(self) -> None:
        if self.handle is not None:
            self.handle.uninstrument()
        self.engine.dispose()

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"pool": "orders", **labels})

    @property
    def connections(self) -> tuple[float | None, float | None]:
        """How many are active and idle."""
        return self.value("db_connections", state="active"), self.value("db_connections", state="idle")

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """The size, and the overflow."""
        return self.value("db_pool_size"), self.value("db_pool_overflow")


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    made = Database(**getattr(request, "param", {"pool_size": 2, "max_overflow": 3}))
    yield made
    made.close()


def test_connections_are_active_then_idle(database: Database) -> None:
    assert database.connections == (0, 0)
    assert database.limits == (2, 0)
    taken = [database.engine.connect() for _ in range(4)]
    assert database.connections == (4, 0)
    assert database.limits == (2, 2)
    for connection in taken:
        connection.close()
    assert database.connections == (0, 2) == (0, len(database.open))
    assert database.limits == (2, 0)
    with database.engine.connect():
        assert database.connections == (1, 1)


def test_a_connection_that_is_out_when_the_pool_is_disposed_of_still_counts(database: Database) -> None:
    with database.engine.connect() as connection:
        with database.engine.connect():
            pass
        for _ in range(3):
            database.engine.dispose()
            assert database.connections == (1, 0)
        with database.engine.connect():
            assert database.connections == (2, 0) == (len(database.open), 0)
            connection.execute(text("SELECT 1"))
    gc.collect()
    assert sum(database.connections) == len(database.open)


def test_a_place_whose_connection_was_lost_counts_for_nothing(database: Database) -> None:
    connection = database.engine.connect()
    connection.invalidate()
    assert database.connections == (0, 0)
    connection.close()
    assert database.engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    assert database.connections == (0, 0) == (0, len(database.open))
    with database.engine.connect():
        assert database.connections == (1, 0) == (len(database.open), 0)


def test_a_detached_connection_belongs_to_no_pool(database: Database) -> None:
    with database.engine.connect() as connection:
        connection.detach()
        assert database.connections == (0, 0)
        with database.engine.connect():
            assert database.connections == (1, 0)
    assert database.connections == (0, 1) == (0, len(database.open))


def test_a_connection_that_nobody_gave_back_is_found_when_it_is_collected(database: Database) -> None:
    connection: Connection | None = database.engine.connect()
    assert database.connections == (1, 0)
    connection = None  # noqa: F841 - the last reference
    gc.collect()
    assert database.connections == (0, 1)


@pytest.mark.parametrize("database", [{"poolclass": NullPool}], indirect=True)
def test_without_a_pool_there_are_the_connections_that_are_used(database: Database) -> None:
    assert database.connections == (0, 0)
    with database.engine.connect(), database.engine.connect():
        assert database.connections == (2, 0) == (len(database.open), 0)
    assert database.connections == (0, 0) == (0, len(database.open))
    assert database.limits == (None, None)


@pytest.mark.parametrize("database", [{"poolclass": StaticPool}, {"poolclass": AssertionPool}], indirect=True)
def test_one_connection_is_one_connection(database: Database) -> None:
    with database.engine.connect():
        assert database.connections == (1, 0)
    assert database.connections == (0, 1) == (0, len(database.open))
    assert database.limits == (None, None)


@pytest.mark.parametrize("database", [{"poolclass": SingletonThreadPool, "pool_size": 3}], indirect=True)
def test_a_connection_for_each_thread(database: Database) -> None:
    with database.engine.connect(), database.engine.connect():  # the same one
        assert database.connections == (1, 0)
        assert database.limits == (3, None)
        thread = threading.Thread(target=lambda: database.engine.connect().close())
        thread.start()
        thread.join()
        assert database.connections == (1, 1) == (1, len(database.open) - 1)
    assert database.value("db_connection_use_seconds_count") == 2
    assert database.value("db_pool_wait_seconds_count") == 3


@pytest.mark.parametrize("database", [{"pool_size": 0}], indirect=True)
def test_a_pool_without_a_limit_has_none(database: Database) -> None:
    with database.engine.connect():
        assert database.connections == (1, 0)
    assert database.limits == (None, None)


def test_waiting_and_using_are_timed(database: Database, metrics_clock: FakeClock) -> None:
    event.listen(database.engine, "connect", lambda *_: metrics_clock.advance(2))
    with database.engine.connect():
        metrics_clock.advance(30)
    with database.engine.connect():
        metrics_clock.advance(0.5)
    assert (database.value("db_pool_wait_seconds_count"), database.value("db_pool_wait_seconds_sum")) == (2, 2)
    assert (database.value("db_connection_use_seconds_count"), database.value("db_connection_use_seconds_sum")) == (2, 30.5)
    assert database.value("db_pool_timeouts_total") == 0


@pytest.mark.parametrize("database", [{"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05}], indirect=True)
def test_waiting_in_vain_is_counted(database: Database) -> None:
    with database.engine.connect():
        for _ in range(2):
            with pytest.raises(PoolTimeout):
                database.engine.connect()
    assert database.value("db_pool_timeouts_total") == 2
    assert database.value("db_pool_wait_seconds_count") == 3
    waited = database.value("db_pool_wait_seconds_sum")
    assert waited is not None
    assert waited >= 0.1
    assert database.connections == (0, 1)


def test_a_connection_that_cannot_be_made_leaves_nothing_behind(database: Database) -> None:
    database.fails = sqlite3.OperationalError("unreachable")
    with pytest.raises(DBAPIError) as caught:
        database.engine.connect()
    assert caught.value.orig is database.fails
    assert database.connections == (0, 0)
    assert database.value("db_pool_wait_seconds_count") == 1
    assert database.value("db_pool_timeouts_total") == 0
    database.fails = None
    with database.engine.connect():
        assert database.connections == (1, 0)


@pytest.mark.parametrize("name", ["connect", "checkout"])
def test_neither_does_one_that_a_listener_refuses(database: Database, name: str) -> None:
    refuses = [True]

    def refuse(*_: Any) -> None:
        if refuses[0]:
            raise KeyError(name)

    event.listen(database.engine, name, refuse)
    with pytest.raises(KeyError):
        database.engine.connect()
    gc.collect()
    assert database.connections == (0, len(database.open))
    refuses[0] = False
    with database.engine.connect():
        assert database.connections == (1, 0) == (len(database.open), 0)


def test_a_connection_that_turns_out_to_be_dead_is_replaced(database: Database) -> None:
    with database.engine.connect():
        pass
    dead = set(database.open)

    def check(connection: Any, *_: Any) -> None:
        assert database.connections == (1, 0)
        if connection in dead:
            raise DisconnectionError

    event.listen(database.engine, "checkout", check)
    with database.engine.connect():
        assert database.connections == (1, 0) == (len(database.open), 0)
    assert not dead.intersection(database.open)
    assert database.value("db_connection_use_seconds_count") == 1 + 1


def test_an_engine_that_another_ones_connection_needs_is_not_mixed_up_with_it() -> None:
    inner, foreign = Database(), Database(instrumented=False)

    def connect() -> Any:
        with inner.engine.connect(), foreign.engine.connect():
            return sqlite3.connect(":memory:")

    outer = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    registry = CollectorRegistry()
    with instrument(outer, name="orders", registry=registry), outer.connect():
        assert registry.get_sample_value("db_connections", {"pool": "orders", "state": "active"}) == 1
        assert registry.get_sample_value("db_connections", {"pool": "orders", "state": "idle"}) == 0
        assert inner.connections == (0, 1)
    outer.dispose()
    inner.close()
    foreign.close()


def test_connections_from_before_are_known_when_they_are_used() -> None:
    database = Database(instrumented=False)
    out = database.engine.connect()
    with database.engine.connect():
        pass
    database.handle = instrument(database.engine, name="orders", registry=database.registry)
    assert database.connections == (0, 0)
    with database.engine.connect():
        assert database.connections == (1, 0)
    out.close()
    with database.engine.connect(), database.engine.connect():
        assert database.connections == (2, 0)
    assert database.connections == (0, 2)
    database.close()


@pytest.mark.parametrize("database", [{"pool_size": 3, "max_overflow": 2, "pool_timeout": 60}], indirect=True)
def test_threads_that_wait_for_each_other_are_counted_exactly(database: Database) -> None:
    all_out, go_on = threading.Barrier(6), threading.Event()

    def work() -> None:
        for _ in range(30):
            with database.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        with database.engine.connect():
            all_out.wait(60)
            assert go_on.wait(60)

    def look() -> None:
        all_out.wait(60)
        found = database.connections, database.limits
        go_on.set()
        assert found == ((5, 0), (3, 2))

    run_threads(*[work] * 5, look)
    assert database.connections == (0, 3) == (0, len(database.open))
    assert database.value("db_connection_use_seconds_count") == database.value("db_pool_wait_seconds_count") == 5 * 31


@pytest.mark.parametrize("database", [{"pool_size": 1, "max_overflow": 0, "pool_timeout": 60}], indirect=True)
def test_the_time_that_a_thread_waits_is_recorded(database: Database, monkeypatch: pytest.MonkeyPatch, metrics_clock: FakeClock) -> None:
    waiting, pool = threading.Event(), database.engine.pool
    get: Any = QueuePool._do_get  # noqa: SLF001 - where a pool begins to wait

    def begin(self: QueuePool) -> Any:
        waiting.set()
        return get(self)

    holder = database.engine.connect()
    monkeypatch.setattr(type(pool), "_do_get", begin)
    thread = threading.Thread(target=lambda: database.engine.connect().close(), daemon=True)
    thread.start()
    assert waiting.wait(30)
    metrics_clock.advance(7)
    holder.close()
    thread.join(30)
    assert database.value("db_pool_wait_seconds_sum") == 7


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "give", "give", "invalidate", "mark", "detach", "dispose", "lose", "query", "fail", "forbid"]),
        st.integers(0, 7),
    ),
    max_size=40,
)


@settings(max_examples=max(int(8 * SCALE), 1))
@given(operations=OPERATIONS, poolclass=st.sampled_from([QueuePool, NullPool]), pre_ping=st.booleans())
def test_the_gauges_are_the_true_connections_whatever_is_done(operations: list[tuple[str, int]], poolclass: Any, pre_ping: bool) -> None:
    options = {"pool_size": 2, "max_overflow": 3, "pool_timeout": 0} if poolclass is QueuePool else {}
    database = Database(poolclass, pool_pre_ping=pre_ping, **options)
    taken: list[Connection] = []
    detached: WeakSet[Any] = WeakSet()
    gc.collect()
    gc.freeze()  # what is collected below is ours only
    try:
        for operation, number in operations:
            with suppress(DBAPIError, InvalidRequestError, PoolTimeout):
                _do(database, operation, number, taken, detached)
            database.fails = None
            gc.collect()
            using = {id(one.connection.dbapi_connection) for one in taken if not one.invalidated and not one.connection.is_detached}
            assert database.connections == (len(using), len(database.open) - len(detached) - len(using)), operation
    finally:
        gc.unfreeze()
        del taken
        database.close()


def _do(database: Database, operation: str, number: int, taken: list[Connection], detached: WeakSet[Any]) -> None:
    if operation == "forbid":
        database.fails = sqlite3.OperationalError("unreachable")
    if operation in {"take", "forbid"}:
        taken.append(database.engine.connect())
    elif operation == "dispose":
        database.engine.dispose()
    if not taken:
        return
    one = taken[number % len(taken)]
    if operation == "give":
        taken.remove(one)
        one.close()
    elif operation == "lose":
        taken.remove(one)  # and it is collected
    elif operation == "invalidate":
        one.invalidate()
    elif operation == "mark":
        one.connection.invalidate(soft=True)
    elif operation == "query":
        one.execute(text("SELECT 1"))
    elif operation == "fail":
        one.execute(text("nonsense"))
    elif operation == "detach":
        detached.add(one.connection.dbapi_connection)
        one.detach()
