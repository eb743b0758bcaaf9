"""Instrumenting SQLAlchemy: one engine or all of them, each measured once, and all of it taken back."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import sqlalchemy
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, Pool, QueuePool, SingletonThreadPool

from measurand import CollectorRegistry
from measurand.catalog.database import DatabaseMetrics
from measurand.errors import MissingExtra
from measurand.integrations import sqlalchemy as integration
from measurand.integrations.handle import Handle
from measurand.integrations.sqlalchemy import instrument
from tests.support import eager_switching, run_python, run_threads

pytestmark = pytest.mark.once


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def make(**options: Any) -> Engine:
        made.append(create_engine(f"sqlite:///{tmp_path}/{len(made)}.db", **options))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


def ask(engine: Engine, times: int = 1) -> None:
    for _ in range(times):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))


def selects(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("db_queries_total", {"operation": "select", "status": "success"})


def waits(registry: CollectorRegistry) -> dict[str, float]:
    """How many connections were asked for, by pool."""
    families = {family.name: family for family in registry.collect()}
    samples = families["db_pool_wait_seconds"].samples
    return {sample.labels["pool"]: sample.value for sample in samples if sample.name.endswith("_count")}


def connections(registry: CollectorRegistry) -> dict[str, float]:
    families = {family.name: family for family in registry.collect()}
    found: dict[str, float] = {}
    for sample in families["db_connections"].samples if "db_connections" in families else ():
        found[sample.labels["pool"]] = found.get(sample.labels["pool"], 0) + sample.value
    return found


def traces() -> dict[str, Any]:
    """All that is put into SQLAlchemy as a whole."""
    return {
        "connect": (vars(Pool)["connect"], vars(SingletonThreadPool)["connect"]),
        "subclasses": [cls for cls in (QueuePool, NullPool) if "connect" in vars(cls)],
        "listeners": {name: list(getattr(QueuePool("no creator").dispatch, name)) for name in ("checkout", "checkin")},
    }


def test_one_engine_is_measured_and_no_other(make: Callable[..., Engine], registry: CollectorRegistry) -> None:
    engine, other = make(), make()
    handle = instrument(engine, name="orders", registry=registry)
    ask(engine, 3)
    ask(other)
    assert selects(registry) == 3
    assert waits(registry) == {"orders": 3}
    assert connections(registry) == {"orders": 1}
    assert handle.about == f"sqlalchemy {sqlalchemy.__version__}, the engine orders"
    handle.uninstrument()
    ask(engine)
    assert selects(registry) == 3
    assert waits(registry) == {"orders": 3}
    assert connections(registry) == {}


def test_every_engine_is_measured_whenever_it_is_made(make: Callable[..., Engine], registry: CollectorRegistry) -> None:
    before, connected = make(), make()
    ask(connected)
    with instrument(registry=registry) as handle:
        for engine in (before, connected, make(), make(pool_logging_name="orders"), make(poolclass=NullPool)):
            ask(engine, 2)
        in_memory = create_engine("sqlite://")
        ask(in_memory)
        in_memory.dispose()
        assert handle.about == f"sqlalchemy {sqlalchemy.__version__}, every engine"
        assert selects(registry) == 11
        assert waits(registry) == {"sqlite": 2, "sqlite_2": 2, "sqlite_3": 2, "orders": 2, "sqlite_4": 2, "sqlite_5": 1}
    ask(before)
    ask(make())
    assert selects(registry) == 11
    assert connections(registry) == {}


def test_a_pool_without_an_engine_is_one_too(registry: CollectorRegistry) -> None:
    with instrument(registry=registry):
        pools = [QueuePool(lambda: sqlite3.connect(":memory:")) for _ in range(2)]
        for pool in pools:
            pool.connect().close()
        assert connections(registry) == {"pool": 1, "pool_2": 1}
        for pool in pools:
            pool.dispose()


@pytest.mark.parametrize("first", ["one", "all"])
def test_what_is_instrumented_both_ways_is_measured_once_as_it_was_by_itself(
    make: Callable[..., Engine], registry: CollectorRegistry, first: str
) -> None:
    engine, other, of_all = make(), make(), CollectorRegistry()
    ways: dict[str, Callable[[], Handle]] = {
        "one": lambda: instrument(engine, name="orders", registry=registry),
        "all": lambda: instrument(registry=of_all),
    }
    handles = {first: ways[first]()}
    ask(engine)
    ask(other)
    (second,) = ways.keys() - {first}
    handles[second] = ways[second]()
    alone = {"one": (1, 0), "all": (0, 2)}[first]
    assert (selects(registry) or 0, selects(of_all) or 0) == alone
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert connections(registry) == {"orders": 1}
        ask(other)
        assert (selects(registry), selects(of_all)) == (alone[0] + 1, alone[1] + 1)
        handles["one"].uninstrument()
        connection.execute(text("SELECT 1"))
    assert connections(registry) == {}
    assert selects(registry) == alone[0] + 1
    assert selects(of_all) == alone[1] + 2  # now as one of all, its connection included
    assert sum(connections(of_all).values()) == 2
    handles["all"].uninstrument()
    ask(engine)
    assert selects(of_all) == alone[1] + 2


def test_twice_is_the_same_handle(make: Callable[..., Engine], registry: CollectorRegistry) -> None:
    engine = make()
    one, everything = instrument(engine, registry=registry), instrument(registry=registry)
    assert instrument(engine, registry=registry) is one
    assert instrument(engine.execution_options(schema_translate_map={})) is one
    assert instrument() is everything
    ask(engine)
    assert selects(registry) == 1
    for handle in (one, everything):
        handle.uninstrument()
        handle.uninstrument()


def test_threads_that_use_an_engine_first_make_one_of_it(make: Callable[..., Engine], registry: CollectorRegistry) -> None:
    made: list[Any] = []
    with instrument(registry=registry), eager_switching():
        for number in range(10):
            made.append(engine := make(pool_size=8))
            run_threads(*[lambda engine=engine: ask(engine)] * 8)
            assert sum(waits(registry).values()) == selects(registry) == 8 * (number + 1)
            assert len(waits(registry)) == number + 1
            assert sum(connections(registry).values()) == sum(one.pool.checkedin() for one in made)


def test_an_engine_with_options_is_the_engine_that_it_was_made_of(make: Callable[..., Engine], registry: CollectorRegistry) -> None:
    engine = make()
    with_options = engine.execution_options(isolation_level="AUTOCOMMIT")
    with instrument(with_options, name="orders", registry=registry):
        ask(engine)
        ask(with_options.execution_options(stream_results=True))
        assert selects(registry) == 2
        assert waits(registry) == {"orders": 2}


def test_an_asynchronous_engine_is_its_synchronous_one(registry: CollectorRegistry) -> None:
    engine = create_async_engine("postgresql+asyncpg://localhost/nothing")
    with instrument(engine, name="orders", registry=registry) as handle:
        assert instrument(engine.sync_engine) is handle
        assert connections(registry) == {"orders": 0}
        assert registry.get_sample_value("db_pool_size", {"pool": "orders"}) == 5


def test_all_of_it_is_taken_back(make: Callable[..., Engine], registry: CollectorRegistry) -> None:
    engine, other, in_memory = make(), make(), create_engine("sqlite://")
    before = traces()
    dialects = [dict(vars(engine.dialect)) for engine in (engine, other, in_memory)]
    handles = [instrument(engine, registry=registry), instrument(registry=registry)]
    assert traces() != before
    for one in (engine, other, in_memory):
        ask(one)
    engine.dispose()
    ask(engine)
    assert [dict(vars(one.dialect)).keys() for one in (engine, other, in_memory)] != [dialect.keys() for dialect in dialects]
    handles[0].uninstrument()
    assert traces() != before
    handles[1].uninstrument()
    assert traces() == before
    for one, dialect in zip((engine, other, in_memory), dialects, strict=True):
        assert {name for name in vars(one.dialect) if name.startswith(("do_", "_measurand"))} == set()
        assert {name for name in dialect if name.startswith(("do_", "_measurand"))} == set()
        ask(one)
        with one.connect() as connection:
            assert connection.connection.record_info == {}
        assert "measurand" not in repr(vars(one.pool))
        assert "_measurand_watch" not in vars(one.pool)
    in_memory.dispose()


def test_connect_stays_as_somebody_else_has_replaced_it(make: Callable[..., Engine], registry: CollectorRegistry) -> None:
    engine, calls, original = make(), [], Pool.connect
    handle = instrument(registry=registry)
    ours = Pool.connect

    def theirs(pool: Pool) -> Any:
        calls.append(pool)
        return ours(pool)

    setattr(Pool, "connect", theirs)  # noqa: B010 - mypy refuses to see it assigned
    try:
        handle.uninstrument()
        assert Pool.connect is theirs
        ask(engine)
        assert calls == [engine.pool]
        assert selects(registry) is None
        with instrument(registry=registry):  # around theirs, which is around ours
            ask(engine)
            assert waits(registry) == {"sqlite": 1}
        assert Pool.connect is theirs
    finally:
        setattr(Pool, "connect", original)  # noqa: B010


def test_engines_are_not_kept_alive(registry: CollectorRegistry) -> None:
    metrics = DatabaseMetrics(registry)
    engine = create_engine("sqlite://", pool_logging_name="short")
    other = create_engine("sqlite://")
    handles = [instrument(engine, metrics=metrics), instrument(metrics=metrics)]
    ask(engine)
    ask(other)
    engine.dispose()
    other.dispose()
    gone = [ref(engine), ref(other), ref(engine.pool), ref(other.pool)]
    del engine, other
    gc.collect()
    assert [one() for one in gone] == [None] * 4
    assert connections(registry) == {"short": 0, "sqlite": 0}
    last = create_engine("sqlite://")
    ask(last)
    assert connections(registry) == {"sqlite": 1}  # the name is free again
    last.dispose()
    for handle in handles:
        handle.uninstrument()
    assert connections(registry) == {}


def test_neither_is_one_whose_creator_knows_it(registry: CollectorRegistry) -> None:
    class Shop:
        def __init__(self) -> None:
            self.engine = create_engine("sqlite://", creator=self.connect, poolclass=QueuePool)

        def connect(self) -> Any:
            return sqlite3.connect(":memory:")

    shop = Shop()
    handle = instrument(shop.engine, registry=registry)
    ask(shop.engine)
    shop.engine.dispose()
    ask(shop.engine)
    shop.engine.dispose()
    gone = [ref(shop), ref(shop.engine), ref(shop.engine.pool), ref(shop.engine.dialect)]
    del shop
    gc.collect()
    assert [one() for one in gone] == [None] * 4
    handle.uninstrument()


def test_a_name_belongs_to_one_engine() -> None:
    with pytest.raises(ValueError, match="name='orders' is that of one engine, and none was given"):
        instrument(name="orders")


@pytest.mark.parametrize("what", [object(), "sqlite://", Engine])
def test_what_is_no_engine_is_refused(what: Any) -> None:
    with pytest.raises(TypeError, match="is no engine of SQLAlchemy"):
        instrument(what)


def test_a_version_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integration, "FLOOR", "1000.1")
    with pytest.raises(MissingExtra, match=r"1000\.1 or newer is needed; run: pip install --upgrade 'measurand\[sqlalchemy\]'"):
        instrument()


def test_listeners_of_others_are_heard_as_before(make: Callable[..., Engine], registry: CollectorRegistry) -> None:
    engine, heard = make(), []
    for name in ("connect", "checkout", "checkin", "close"):
        event.listen(engine, name, lambda *_, name=name: heard.append(name))
    with instrument(registry=registry):
        ask(engine)
        engine.dispose()
    assert heard == ["connect", "checkout", "checkin", "close"]
    assert selects(registry) == 1


FORKING = """
import os, sys
from sqlalchemy import create_engine, text
from measurand import REGISTRY
from measurand.integrations.sqlalchemy import instrument
from measurand.metrics import shared
from measurand.metrics.collecting import gather

engine = create_engine("sqlite:///" + sys.argv[1])
def ask():
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
def shown():
    (found,) = (family for family in gather(REGISTRY).families if family.name == "db_connections")
    return int(sum(sample.value for sample in found.samples()))
def tell(pipe):
    os.write(pipe[1], b"x")
def hear(pipe):
    assert os.read(pipe[0], 1) == b"x"

instrument(engine, name="orders")
ask()
to_parent, to_child = os.pipe(), os.pipe()
child = os.fork()
if not child:
    shared.publish()
    tell(to_parent)
    hear(to_child)
    if sys.argv[2] == "disposes":
        engine.dispose(close=False)
    ask()
    shared.publish()
    tell(to_parent)
    hear(to_child)
    os._exit(0)
print(shown())
hear(to_parent)
print(shown())
tell(to_child)
hear(to_parent)
print(shown())
tell(to_child)
os.waitpid(child, 0)
print(shown())
"""


@pytest.mark.parametrize("disposes", ["disposes", "uses what it has"])
def test_a_forked_process_has_those_connections_only_that_it_uses(disposes: str, tmp_path: Path) -> None:
    done = run_python(f"import sys; sys.argv[1:] = [{str(tmp_path / 'orders.db')!r}, {disposes!r}]\n{FORKING}")
    assert (done.stderr, done.stdout.split()) == ("", ["1", "1", "2", "1"])
