"""Statements of SQLAlchemy: each counted once, by kind and outcome, for the time that the driver took."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, event, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from measurand import CollectorRegistry, generate_latest
from measurand.catalog.database import DatabaseMetrics
from measurand.integrations.sqlalchemy import instrument
from measurand.integrations.sqlalchemy_queries import Statements
from measurand.testing.clock import FakeClock
from tests.servers import Postgres
from tests.support import run_threads

pytestmark = pytest.mark.once

TABLE = Table("parts", MetaData(), Column("id", Integer, primary_key=True), Column("name", String(50), unique=True))


class Shop:
    """A database, and what was measured of it."""

    def __init__(self, url: str, **options: Any) -> None:
        self.registry = CollectorRegistry()
        self.engine = create_engine(url, **options)
        TABLE.metadata.create_all(self.engine)
        self.handle = instrument(self.engine, name="shop", registry=self.registry)

    def counted(self) -> dict[tuple[str, str], float]:
        families = {family.name: family for family in self.registry.collect()}
        return {
            (sample.labels["operation"], sample.labels["status"]): sample.value
            for sample in families["db_queries"].samples
            if sample.name.endswith("_total")
        }

    def seconds(self, operation: str) -> float | None:
        return self.registry.get_sample_value("db_query_duration_seconds_sum", {"operation": operation})


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(f"sqlite:///{tmp_path}/shop.db")
    yield made
    made.handle.uninstrument()
    made.engine.dispose()


def test_each_statement_is_counted_once_by_kind(shop: Shop) -> None:
    with shop.engine.begin() as connection:
        connection.execute(insert(TABLE).values(name="bolt"))
        connection.execute(select(TABLE)).all()
        connection.execute(text("/* who */ select 1")).all()
        connection.exec_driver_sql("SELECT 1").all()
        connection.execute(text("WITH a AS (SELECT 1) DELETE FROM parts"))
        connection.execute(text("PRAGMA user_version"))
    assert shop.counted() == {("insert", "success"): 1, ("select", "success"): 3, ("delete", "success"): 1, ("pragma", "success"): 1}


def test_many_rows_at_once_are_as_many_statements_as_the_driver_is_called(shop: Shop) -> None:
    rows = [{"name": f"bolt {number}"} for number in range(2_500)]
    calls: list[str] = []
    event.listen(shop.engine, "before_cursor_execute", lambda *arguments: calls.append(arguments[2]))
    with shop.engine.begin() as connection:
        connection.execute(insert(TABLE), rows)  # executemany
        assert shop.counted() == {("insert", "success"): 1}
        connection.execute(text("DELETE FROM parts"))
        connection.execute(insert(TABLE).returning(TABLE.c.id), rows).all()  # several rows in each statement, in batches
    assert shop.counted() == {("insert", "success"): len(calls) - 1, ("delete", "success"): 1}
    assert len(calls) > 3


def test_savepoints_are_statements_and_commits_are_not(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        connection.begin_nested().rollback()
        connection.begin_nested().commit()
        connection.commit()
        connection.rollback()
    assert shop.counted() == {("savepoint", "success"): 2, ("rollback", "success"): 1, ("release", "success"): 1}


def test_a_failure_is_counted_and_the_error_is_the_drivers(shop: Shop) -> None:
    with shop.engine.connect() as connection:
        connection.execute(insert(TABLE).values(name="bolt"))
        with pytest.raises(IntegrityError) as caught:
            connection.execute(insert(TABLE).values(name="bolt"))
        assert isinstance(caught.value.orig, sqlite3.IntegrityError)
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT secret_of_somebody FROM parts"))
        with pytest.raises(OperationalError):
            connection.execute(text("nonsense"))
    assert shop.counted() == {
        ("insert", "success"): 1,
        ("insert", "failed"): 1,
        ("select", "failed"): 1,
        ("other", "failed"): 1,
    }
    page = generate_latest(shop.registry)
    assert b"secret" not in page
    assert b"bolt" not in page
    assert b"shop.db" not in page


def test_the_time_is_that_of_the_driver(shop: Shop, metrics_clock: FakeClock) -> None:
    def advance(seconds: float) -> float:
        metrics_clock.advance(seconds)
        return seconds

    shop.engine.dispose()
    event.listen(shop.engine, "connect", lambda connection, _: connection.create_function("advance", 1, advance))
    event.listen(shop.engine, "before_cursor_execute", lambda *_: metrics_clock.advance(100))
    with shop.engine.connect() as connection:
        connection.execute(text("SELECT advance(0.5)")).scalar()
        connection.execute(text("INSERT INTO parts (name) VALUES (advance(2))"))
        with pytest.raises(OperationalError):
            connection.execute(text("UPDATE parts SET id = advance(4), name = (SELECT abs(-9223372036854775808))"))
    assert (shop.seconds("select"), shop.seconds("insert"), shop.seconds("update")) == (0.5, 2, 4)


def test_a_connection_that_was_there_before_is_measured_too(tmp_path: Path) -> None:
    engine, registry = create_engine(f"sqlite:///{tmp_path}/shop.db"), CollectorRegistry()
    with engine.connect() as connection:
        with instrument(engine, registry=registry):
            connection.execute(text("SELECT 1"))
        connection.execute(text("SELECT 1"))
    assert registry.get_sample_value("db_queries_total", {"operation": "select", "status": "success"}) == 1
    engine.dispose()


def test_threads_are_counted_exactly(shop: Shop) -> None:
    def work() -> None:
        for _ in range(50):
            with shop.engine.connect() as connection:
                connection.execute(text("SELECT 1"))

    run_threads(*[work] * 8)
    assert shop.counted() == {("select", "success"): 400}


def test_what_runs_in_asyncio_is_counted_also_when_it_is_cancelled(postgres: Postgres) -> None:
    registry = CollectorRegistry()

    async def main() -> None:
        for driver in ("asyncpg", "psycopg"):
            engine = create_async_engine(postgres.url.replace("postgresql:", f"postgresql+{driver}:"))
            handle = instrument(engine, registry=registry)
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
                stream = await connection.stream(text("SELECT generate_series(1, 5000)"))
                assert len([row async for row in stream]) == 5_000

            async def sleep(engine: Any = engine) -> None:
                async with engine.connect() as connection:
                    await connection.execute(text("UPDATE pg_settings SET setting = setting WHERE pg_sleep(60) IS NULL"))

            task = asyncio.create_task(sleep())
            asking = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'UPDATE%'"
            while (await asyncio.to_thread(postgres.execute, asking)) == [(0,)]:
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await sleep()
            handle.uninstrument()
            await engine.dispose()

    asyncio.run(main())
    cancelled = registry.get_sample_value("db_queries_total", {"operation": "update", "status": "cancelled"})
    succeeded = registry.get_sample_value("db_queries_total", {"operation": "select", "status": "success"})
    assert cancelled is not None
    assert cancelled >= 2  # the time may be over before a statement is sent
    assert succeeded is not None
    assert succeeded >= 4
    assert registry.get_sample_value("db_queries_total", {"operation": "update", "status": "failed"}) is None


# -- around the methods ------------------------------------------------------------------------------------------------------------


class Driver:
    """What stands where a dialect stands."""

    raises: BaseException | None = None

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        if self.raises is not None:
            raise self.raises

    do_executemany = do_execute

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        self.do_execute(cursor, statement, None, context)


class Broken(DatabaseMetrics):
    def succeeded(self, statement: str, duration: float) -> None:
        raise KeyError(statement)

    def failed(self, statement: str, duration: float, status: Any = "failed") -> None:
        raise KeyError(statement)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError(), GeneratorExit()])
def test_whoever_is_told_to_stop_has_cancelled_it(error: BaseException) -> None:
    registry, driver = CollectorRegistry(), Driver()
    Statements(driver, DatabaseMetrics(registry))
    driver.raises = error
    with pytest.raises(type(error)) as caught:
        driver.do_execute(None, "SELECT 1", ())
    assert caught.value is error
    assert registry.get_sample_value("db_queries_total", {"operation": "select", "status": "cancelled"}) == 1


def test_what_cannot_be_recorded_harms_nobody_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    driver, error = Driver(), ZeroDivisionError()
    Statements(driver, Broken(CollectorRegistry()))
    with caplog.at_level(logging.WARNING, "measurand.integrations"):
        for _ in range(3):
            driver.do_execute(None, "SELECT 1", ())
        driver.raises = error
        with pytest.raises(ZeroDivisionError) as caught:
            driver.do_executemany(None, "SELECT 1", ())
    assert caught.value is error
    assert len([message for message in caplog.messages if "could not be recorded" in message]) <= 1


def test_the_methods_are_given_back(shop: Shop) -> None:
    driver, registry = Driver(), CollectorRegistry()
    statements = Statements(driver, DatabaseMetrics(registry))
    assert set(vars(driver)) == {"do_execute", "do_executemany", "do_execute_no_params"}
    driver.do_execute_no_params(None, "SELECT 1")
    counted = registry.get_sample_value("db_queries_total", {"operation": "select", "status": "success"})
    assert counted == 2  # this driver's method calls another of them
    statements.put_back(driver)
    assert vars(driver) == {}


def test_what_somebody_else_has_put_there_stays() -> None:
    driver, registry, calls = Driver(), CollectorRegistry(), []

    def before(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        calls.append("before")

    vars(driver)["do_executemany"] = before
    statements = Statements(driver, DatabaseMetrics(registry))
    ours: Any = driver.do_execute

    def after(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        calls.append("after")
        ours(cursor, statement, parameters, context)

    vars(driver)["do_execute"] = after
    statements.put_back(driver)
    driver.do_execute(None, "SELECT 1", ())
    driver.do_executemany(None, "SELECT 1", ())
    assert calls == ["after", "before"]
    assert vars(driver) == {"do_execute": after, "do_executemany": before}
    assert registry.get_sample_value("db_queries_total", {"operation": "select", "status": "success"}) is None
