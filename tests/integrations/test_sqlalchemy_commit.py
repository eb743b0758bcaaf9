"""Recordings that take effect when a session commits: what the counter shows is what the database has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, Integer, String, create_engine, event, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from measurand import CollectorRegistry, Counter, Gauge, Histogram, Summary
from measurand.integrations.sqlalchemy_commit import on_commit
from tests.servers import Postgres

pytestmark = pytest.mark.once


MEMORY = "sqlite://"


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String, unique=True)


def make_engine(url: str) -> Engine:
    """A database with transactions as SQLAlchemy says them: the driver would begin none before a savepoint."""
    engine = create_engine(url) if url != MEMORY else create_engine(url, poolclass=StaticPool)

    @event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    Base.metadata.create_all(engine)
    return engine


class Shop:
    def __init__(self, url: str = MEMORY) -> None:
        self.engine = make_engine(url)
        self.registry = CollectorRegistry()
        self.made = Counter("made", "Made", registry=self.registry)
        self._names = iter(range(1_000_000))

    def make(self, session: Session) -> None:
        session.add(Row(name=f"row {next(self._names)}"))
        on_commit(session).inc(self.made)

    @property
    def counted(self) -> float | None:
        return self.registry.get_sample_value("made_total")

    @property
    def committed(self) -> int:
        with Session(self.engine) as session:
            return session.scalar(select(func.count()).select_from(Row)) or 0


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.engine.dispose()


def test_it_counts_when_the_session_commits_and_not_before(shop: Shop) -> None:
    with Session(shop.engine) as session:
        shop.make(session)
        session.flush()
        assert shop.counted == 0
        session.commit()
        assert shop.counted == 1
        shop.make(session)
        shop.make(session)
        session.commit()
        session.commit()
    assert shop.counted == shop.committed == 3


@pytest.mark.parametrize("end", [Session.rollback, Session.close, Session.reset, Session.invalidate])
def test_what_is_not_committed_is_not_counted(end: Any, tmp_path: Path) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/rows.db")
    with Session(shop.engine) as session:
        shop.make(session)
        session.flush()
        end(session)
        shop.make(session)
        session.commit()
    assert shop.counted == shop.committed == 1
    shop.engine.dispose()


def test_what_the_database_refuses_is_not_counted(shop: Shop) -> None:
    with Session(shop.engine) as session:
        session.add(Row(name="taken"))
        session.commit()
        on_commit(session).inc(shop.made)
        session.add(Row(name="taken"))
        with pytest.raises(IntegrityError, match="UNIQUE"):
            session.commit()
        session.rollback()
        session.commit()
    assert shop.counted == 0


def fail_in_a_savepoint(shop: Shop, session: Session) -> None:
    with suppress(KeyError), session.begin_nested():
        shop.make(session)
        raise KeyError


def test_savepoints_that_are_rolled_back_drop_only_their_own(shop: Shop) -> None:
    with Session(shop.engine) as session, session.begin():
        shop.make(session)
        fail_in_a_savepoint(shop, session)
        with session.begin_nested():
            shop.make(session)
            fail_in_a_savepoint(shop, session)
    assert shop.counted == shop.committed == 2


Step = Any
STEPS: st.SearchStrategy[Step] = st.recursive(
    st.sampled_from(["make", "flush"]),
    lambda inner: st.tuples(st.sampled_from(["release", "roll back", "crash"]), st.lists(inner, max_size=4)),
    max_leaves=20,
)
ENDS = st.sampled_from(["commit", "rollback", "close", "crash"])


@settings(max_examples=60, deadline=None)
@given(transactions=st.lists(st.tuples(st.lists(STEPS, max_size=5), ENDS), max_size=5))
def test_the_counter_is_the_number_of_rows_that_were_committed_whatever_happens(transactions: list[tuple[list[Step], str]]) -> None:
    shop = Shop()

    def run(session: Session, steps: list[Step]) -> None:
        for step in steps:
            if step == "make":
                shop.make(session)
            elif step == "flush":
                session.flush()
            else:
                end, inner = step
                nested = session.begin_nested()
                try:
                    run(session, inner)
                    if end == "crash":
                        raise KeyError
                    nested.commit() if end == "release" else nested.rollback()
                except KeyError:
                    nested.rollback()

    with Session(shop.engine) as session:
        for steps, end in transactions:
            run(session, steps)
            if end == "crash":
                with pytest.raises(OperationalError):
                    session.execute(text("nonsense"))
                session.rollback()
            else:
                getattr(session, end)()
    assert shop.counted == shop.committed
    shop.engine.dispose()


def test_two_sessions_at_a_time_do_not_mix(shop: Shop, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/two.db")
    Base.metadata.create_all(engine)
    with Session(engine) as one, Session(engine) as other:
        on_commit(one).inc(shop.made)
        on_commit(other).inc(shop.made, 10)
        one.execute(select(Row))
        other.execute(select(Row))
        other.commit()
        assert shop.counted == 10
        one.rollback()
        other.commit()
        assert shop.counted == 10
    engine.dispose()


def test_a_session_of_a_scope_is_the_one_of_the_moment(shop: Shop) -> None:
    sessions = scoped_session(sessionmaker(shop.engine))
    sessions.add(Row(name="scoped"))
    on_commit(sessions).inc(shop.made)
    sessions.commit()
    sessions.remove()
    assert shop.counted == shop.committed == 1


def test_anything_can_be_staged_and_what_cannot_be_recorded_harms_nobody(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    level, seconds = Gauge("level", "d", registry=shop.registry), Histogram("seconds", "d", registry=shop.registry)
    sizes = Summary("sizes", "d", registry=shop.registry)
    with Session(shop.engine) as session:
        stage = on_commit(session)
        stage.set(level, 7)
        stage.inc(shop.made, -1)
        stage.observe(seconds, 0.5)
        stage.observe(sizes, 3)
        stage.inc(level, 2)
        session.execute(select(Row))
        with caplog.at_level(logging.WARNING, "measurand"):
            session.commit()
    values = [shop.registry.get_sample_value(name) for name in ("level", "seconds_sum", "sizes_sum", "made_total")]
    assert values == [9, 0.5, 3, 0]
    assert "what was to be recorded on commit could not be" in caplog.text


@pytest.mark.parametrize("what", [None, object(), "session"])
def test_what_is_no_session_is_refused(what: Any) -> None:
    with pytest.raises(TypeError, match="is no session of SQLAlchemy"):
        on_commit(what)


def test_it_works_in_asynchronous_sessions_that_interleave(shop: Shop, postgres: Postgres) -> None:
    async def main() -> int:
        engine = create_async_engine(postgres.url.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

        async def work(number: int) -> None:
            async with AsyncSession(engine) as session:
                session.add(Row(name=f"row {number}"))
                on_commit(session).inc(shop.made)
                await session.flush()
                await asyncio.sleep(0)
                nested = await session.begin_nested()
                session.add(Row(name=f"nested {number}"))
                on_commit(session).inc(shop.made)
                await (nested.commit() if number % 2 else nested.rollback())
                await (session.commit() if number % 3 else session.rollback())

        await asyncio.gather(*(work(number) for number in range(12)))
        scoped = async_scoped_session(async_sessionmaker(engine), asyncio.current_task)
        scoped.add(Row(name="scoped"))
        on_commit(scoped).inc(shop.made)
        await scoped.commit()
        found = await scoped.scalar(select(func.count()).select_from(Row))
        await scoped.remove()
        await engine.dispose()
        return found or 0

    assert asyncio.run(main()) == shop.counted == 8 + 4 + 1
