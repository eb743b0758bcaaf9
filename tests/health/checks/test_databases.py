"""Databases: SQLite, and a real PostgreSQL that is stopped, started and paused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

from measurand.health import checks
from tests.health.kit import Running, Threads, call_in
from tests.servers import Postgres
from tests.support import wait_until

pytestmark = pytest.mark.once

TIMEOUT = 0.25

DRIVERS = ["psycopg", "psycopg async", "asyncpg"]


class Application:
    """One that uses a database through an engine, in its event loop if the engine is asynchronous."""

    def __init__(self, driver: str, url: str, loop: asyncio.AbstractEventLoop, **settings: Any) -> None:
        self.is_async = driver in ("psycopg async", "asyncpg")
        self.loop = loop
        make: Callable[..., Any] = create_async_engine if self.is_async else create_engine
        dialect = f"postgresql+{driver.removesuffix(' async')}"
        self.engine = make(url.replace("postgresql", dialect, 1), **settings)
        self.pool = (self.engine.sync_engine if self.is_async else self.engine).pool
        self.held: Any = None

    def hold(self) -> None:
        """Take a connection."""
        self.held = self.do(self.engine.connect().start() if self.is_async else self.engine.connect)

    def let_go(self) -> None:
        """Give it back."""
        self.do(self.held.close() if self.is_async else self.held.close)

    def query(self) -> int:
        """Ask the database something."""
        if not self.is_async:
            with self.engine.connect() as connection:
                return int(connection.execute(text("SELECT 42")).scalar())

        async def ask() -> int:
            async with self.engine.connect() as connection:
                return int((await connection.execute(text("SELECT 42"))).scalar())

        return int(self.do(ask()))

    def do(self, what: Any) -> Any:
        """Call it, or await it in the loop."""
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(30) if self.is_async else what()

    def close(self) -> None:
        self.do(self.engine.dispose() if self.is_async else self.engine.dispose)


@pytest.fixture
def connect(postgres: Postgres, running: Running, loop: asyncio.AbstractEventLoop) -> Iterator[Callable[..., Application]]:
    made: list[Application] = []

    def connect(driver: str, **settings: Any) -> Application:
        made.append(Application(driver, postgres.url, loop, **settings))
        running.monitor.attach(loop)
        running.monitor.add(checks.sqlalchemy(made[0].engine, timeout=TIMEOUT))
        return made[0]

    yield connect
    postgres.resume()
    running.monitor.stop()
    for application in made:
        application.close()


class TestSqlite:
    def test_one_that_answers_passes(self, running: Running) -> None:
        engine = create_engine("sqlite://")
        running.monitor.add(checks.sqlalchemy(engine))
        assert running.wait_for("database", None).latency is not None
        running.monitor.stop()
        engine.dispose()

    def test_one_that_cannot_be_opened_fails(self, running: Running, tmp_path: Path) -> None:
        running.monitor.add(checks.sqlalchemy(create_engine(f"sqlite:///{tmp_path}/nowhere/shop.db")))
        running.wait_for("database", "unavailable")

    def test_another_statement_can_be_chosen(self, running: Running) -> None:
        running.monitor.add(checks.sqlalchemy(create_engine("sqlite://"), statement="SELECT * FROM nowhere", name="wrong"))
        running.wait_for("wrong", "unavailable")

    def test_settings_are_those_of_any_check(self) -> None:
        check = checks.sqlalchemy(create_engine("sqlite://"), name="orders", criticality="degraded", timeout=2.0, interval=30.0)
        assert (check.name, check.criticality, check.timeout, check.interval) == ("orders", "degraded", 2.0, 30.0)


def timeouts(running: Running) -> float:
    return running.registry.get_sample_value("health_check_failures_total", {"check": "database", "reason": "timeout"}) or 0.0


@pytest.mark.parametrize("driver", DRIVERS)
class TestPostgres:
    def test_it_follows_a_server_that_stops_starts_and_hangs_and_leaks_nothing(
        self, driver: str, connect: Callable[..., Application], postgres: Postgres, running: Running, threads: Threads
    ) -> None:
        application = connect(driver, pool_size=2, max_overflow=0)
        running.wait_for("database", None)
        postgres.stop()
        running.wait_for("database", "connection_refused", "connection_lost", "unavailable")
        postgres.start()
        running.wait_for("database", None)

        postgres.pause()
        running.wait_for("database", "timeout")
        failures = timeouts(running)
        wait_until(lambda: timeouts(running) >= failures + 5)
        assert application.pool.checkedout() <= 1
        assert len([name for name in threads.names if name == "measurand-health-database"]) <= 1
        postgres.resume()
        running.wait_for("database", None)

        running.monitor.stop()
        wait_until(lambda: application.pool.checkedout() == 0)
        assert application.query() == 42
        wait_until(lambda: postgres.connections() <= 2, what=lambda: f"the server counts {postgres.connections()}")

    def test_a_connection_that_it_waited_for_too_long_goes_back_to_the_pool(
        self, driver: str, connect: Callable[..., Application], postgres: Postgres, running: Running
    ) -> None:
        application = connect(driver, pool_size=1, max_overflow=0)
        running.wait_for("database", None)
        application.hold()
        running.wait_for("database", "timeout")
        application.let_go()
        running.wait_for("database", None)
        running.monitor.stop()
        wait_until(lambda: application.pool.checkedout() == 0)
        assert application.query() == 42
        assert postgres.connections() <= 1


def test_a_pool_with_its_own_patience_says_that_it_is_exhausted(running: Running, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect():
        running.monitor.add(checks.sqlalchemy(engine))
        running.wait_for("database", "exhausted")
    running.wait_for("database", None)
    running.monitor.stop()
    engine.dispose()


def test_a_wrong_password_is_told_apart(postgres: Postgres, running: Running, loop: asyncio.AbstractEventLoop) -> None:
    postgres.execute("CREATE ROLE stranger LOGIN PASSWORD 'right'")
    postgres.demand_passwords()
    url = postgres.url.replace("postgresql://postgres@", "postgresql+asyncpg://stranger:wrong@")
    engine = create_async_engine(url)
    running.monitor.attach(loop)
    running.monitor.add(checks.sqlalchemy(engine))
    running.wait_for("database", "auth")
    running.monitor.stop()
    call_in(loop, engine.sync_engine.dispose)
