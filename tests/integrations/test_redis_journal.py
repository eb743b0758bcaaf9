"""What is recorded of many clients at once, beside what the server says it has done and what the clients have begun."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter as Tally
from random import Random

import pytest
import redis as library
from redis import asyncio as aio

import measurand.integrations.redis as integration
from measurand import CollectorRegistry
from tests.integrations.recorded import recorded
from tests.servers import Redis
from tests.support import SCALE, run_threads

pytestmark = pytest.mark.once

STEPS = int(60 * min(SCALE, 50))
ALONE = ("SET", "GET", "INCRBY", "LPUSH", "LRANGE", "HGET")
"""Commands that are never sent in pipelines here, so that the server's number of them is ours."""


def run_threads_of_clients(redis: Redis, tally: Tally[str]) -> None:
    def work(seed: int) -> None:
        random = Random(seed)
        mine: Tally[str] = Tally()
        with library.Redis(port=redis.port, retry=None, socket_timeout=60) as client:
            for _ in range(STEPS):
                with contextlib.suppress(library.ResponseError, library.WatchError):
                    match random.randrange(7):
                        case 0:
                            client.set(f"key:{random.randrange(3)}", "text")
                        case 1:
                            client.get(f"key:{random.randrange(3)}")
                        case 2:
                            mine["errors"] += 1
                            client.incr("text")
                        case 3:
                            mine["errors"] += 1
                            client.lrange("text", 0, 1)
                        case 4:
                            mine["PIPELINE"] += 1
                            mine["errors"] += 1
                            client.pipeline(transaction=False).append("a", "b").rpush("text", 1).strlen("a").execute(raise_on_error=False)
                        case 5:
                            mine["MULTI"] += 1
                            client.pipeline().append("a", "b").strlen("a").execute()
                        case 6:
                            with client.pipeline() as pipeline:
                                mine["WATCH"] += 1
                                pipeline.watch("watched")
                                pipeline.multi()
                                pipeline.append("watched", "x")
                                mine["MULTI"] += 1
                                try:
                                    pipeline.execute()
                                except library.WatchError:
                                    mine["changed meanwhile"] += 1
        for name, number in mine.items():
            tally[f"{seed} {name}"] += number

    run_threads(*[lambda seed=seed: work(seed) for seed in range(4)])


async def run_tasks(redis: Redis, tally: Tally[str]) -> None:
    pool = aio.BlockingConnectionPool(host="127.0.0.1", port=redis.port, max_connections=5, timeout=60)
    client, random = aio.Redis(connection_pool=pool), Random(4)

    async def work() -> None:
        tally["ECHO"] += 1
        await client.echo("hello")

    for _ in range(STEPS // 10 + 1):
        tasks = [asyncio.create_task(work()) for _ in range(20)]
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        for task in tasks:
            if random.random() < 0.5:
                task.cancel()
        tally["cancelled"] += sum(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*tasks, return_exceptions=True))
    await pool.disconnect()


def test_threads_are_counted_as_the_server_counts(redis: Redis) -> None:
    registry, tally = CollectorRegistry(), Tally[str]()
    with library.Redis(port=redis.port) as client:
        client.set("text", "hello")
        client.config_resetstat()
        with integration.instrument(registry=registry):
            run_threads_of_clients(redis, tally)
        stats = client.info("commandstats")
    timed = recorded(registry, "redis_command_duration_seconds_count")
    errors = recorded(registry, "redis_errors_total")

    def begun(name: str) -> int:
        return sum(number for key, number in tally.items() if key.split(" ", 1)[1] == name)

    for name in ALONE:
        server = stats.get(f"cmdstat_{name.lower()}", {"calls": 0, "rejected_calls": 0})
        assert timed.get(name, 0) == server["calls"] + server["rejected_calls"], name
    assert timed["MULTI"] == stats["cmdstat_multi"]["calls"] == begun("MULTI")
    assert timed["WATCH"] == stats["cmdstat_watch"]["calls"] == begun("WATCH")
    assert timed["PIPELINE"] == begun("PIPELINE")
    assert errors.get("ResponseError", 0) == begun("errors")
    assert errors.get("WatchError", 0) == begun("changed meanwhile")


def test_tasks_are_counted_as_they_began_cancelled_ones_too(redis: Redis) -> None:
    registry, tally = CollectorRegistry(), Tally[str]()
    with integration.instrument(registry=registry):
        asyncio.run(run_tasks(redis, tally))
    timed = recorded(registry, "redis_command_duration_seconds_count")
    cancelled = recorded(registry, "redis_errors_total").get("cancelled", 0)
    assert timed == {"ECHO": tally["ECHO"]}
    assert 0 < cancelled <= tally["cancelled"]  # some were cancelled before they began
    assert recorded(registry, "redis_pool_connections").get("active", 0) == 0
