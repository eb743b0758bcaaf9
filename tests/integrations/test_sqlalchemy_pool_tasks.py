"""Pools of asynchronous engines under tasks of which half are cancelled: at every probe the gauges are the true connections.

What is true is counted where the driver makes and closes connections, and asked of PostgreSQL whenever nothing moves.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from measurand import CollectorRegistry
from measurand.integrations.sqlalchemy import instrument
from tests.servers import Postgres
from tests.servers.postgres import binary
from tests.support import SCALE

pytestmark = pytest.mark.once

TASKS = 200
ROUNDS = max(int(min(SCALE, 20)), 1)
SIZE, OVERFLOW = 5, 10


@pytest.fixture(scope="module")
def server(_postgres_template: Path) -> Iterator[Postgres]:
    with Postgres(binary(), _postgres_template, max_connections="300") as running:
        yield running


class Truth:
    """The connections of an engine, counted at its driver."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.open: set[int] = set()
        self.most = self.made = 0
        self._counted: dict[type, type] = {}
        event.listen(engine.sync_engine, "do_connect", self._connect)

    def _connect(self, dialect: Any, _: Any, arguments: Any, settings: Any) -> Any:
        connection = dialect.connect(*arguments, **settings)
        kind = type(connection)
        connection.__class__ = self._counted.get(kind) or self._counted.setdefault(kind, self._counting(kind))
        self.open.add(id(connection))
        self.most, self.made = max(self.most, len(self.open)), self.made + 1
        return connection

    def _counting(self, kind: Any) -> type:
        open_now = self.open

        def ending(name: str) -> Callable[[Any], None]:
            original = getattr(kind, name)

            def end(connection: Any) -> None:
                try:
                    original(connection)
                finally:
                    open_now.discard(id(connection))

            return end

        ends = {name: ending(name) for name in ("close", "terminate") if hasattr(kind, name)}
        return type(kind.__name__, (kind,), {"__slots__": (), **ends})


class Trial:
    """An engine, its truth, and tasks that use it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.truth, self.registry = engine, Truth(engine), CollectorRegistry()
        self.handle = instrument(engine, name="orders", registry=self.registry)
        self.holding = self.probes = self.busiest = 0
        self.wrong: list[Any] = []

    def gauges(self) -> tuple[int, int]:
        states = (self.registry.get_sample_value("db_connections", {"pool": "orders", "state": state}) for state in ("active", "idle"))
        active, idle = (-1 if value is None else int(value) for value in states)
        return active, idle

    def probe(self) -> None:
        active, idle = self.gauges()
        self.probes += 1
        self.busiest = max(self.busiest, active)
        if active + idle != len(self.truth.open) or active < self.holding:
            self.wrong.append((active, idle, len(self.truth.open), self.holding))

    async def work(self, chance: random.Random) -> None:
        with suppress(DBAPIError, PoolTimeout):
            async with self.engine.connect() as connection:
                self.holding += 1
                try:
                    for _ in range(chance.randrange(3)):
                        statement = chance.choice(["SELECT 1", "SELECT pg_sleep(0.005)", "SELECT generate_series(1, 300)", "nonsense"])
                        await connection.execute(text(statement))
                        await asyncio.sleep(0)
                    if chance.random() < 0.3:
                        await connection.invalidate()
                finally:
                    self.holding -= 1

    async def storm(self, chance: random.Random) -> None:
        """Run the tasks, cancel half of them at any moment, and probe at every turn of the loop."""
        tasks = [asyncio.create_task(self.work(chance)) for _ in range(TASKS)]
        doomed = chance.sample(tasks, TASKS // 2)
        while not all(task.done() for task in tasks):
            self.probe()
            if doomed and chance.random() < 0.7:
                doomed.pop().cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        self.probe()

    async def hold(self, number: int, server: Postgres) -> None:
        """Have so many connections out at once: what is shown is what the database sees."""
        out = [await self.engine.connect() for _ in range(number)]
        active, _ = self.gauges()
        assert active == number
        await self.settle(server)
        for connection in out:
            await connection.close()
        self.probe()
        assert self.gauges()[0] == 0
        await self.settle(server)

    async def settle(self, server: Postgres) -> None:
        """Wait until the database has closed what was closed here, and no longer."""
        gc.collect()  # a connection of which the driver was told to stop making it
        deadline = asyncio.get_running_loop().time() + 30
        while (seen := await asyncio.to_thread(server.connections)) != sum(self.gauges()):
            assert asyncio.get_running_loop().time() < deadline, f"the database sees {seen} connections, shown are {self.gauges()}"

    def value(self, name: str) -> float | None:
        return self.registry.get_sample_value(name, {"pool": "orders"})


CASES = [(AsyncAdaptedQueuePool, "asyncpg"), (NullPool, "psycopg"), (NullPool, "asyncpg"), (AsyncAdaptedQueuePool, "psycopg")]


@pytest.mark.parametrize(("poolclass", "driver"), CASES if SCALE > 1 else CASES[:2])
def test_the_gauges_are_the_true_connections_at_every_probe(server: Postgres, driver: str, poolclass: Any) -> None:
    pooled = poolclass is AsyncAdaptedQueuePool
    options: dict[str, Any] = {"pool_size": SIZE, "max_overflow": OVERFLOW, "pool_timeout": 60} if pooled else {}

    async def main() -> Trial:
        engine = create_async_engine(server.url.replace("postgresql:", f"postgresql+{driver}:"), poolclass=poolclass, **options)
        trial = Trial(engine)
        for number in range(ROUNDS):
            await trial.storm(random.Random(f"{driver} {poolclass} {number}"))
            await trial.hold(SIZE + OVERFLOW, server)
            if pooled and number % 2:
                await engine.dispose()
                trial.probe()
        overflow = trial.value("db_pool_overflow")
        assert overflow == (0 if pooled else None)
        await engine.dispose()
        assert trial.gauges() == (0, 0)
        await trial.settle(server)
        trial.handle.uninstrument()
        return trial

    trial = asyncio.run(main())
    assert trial.wrong == []
    assert trial.probes > 20 * ROUNDS
    assert trial.busiest > SIZE
    assert trial.truth.made > trial.truth.most  # some were lost and made again
    if pooled:
        assert trial.truth.most <= SIZE + OVERFLOW
    assert (trial.value("db_pool_wait_seconds_count") or 0) > TASKS / 2
