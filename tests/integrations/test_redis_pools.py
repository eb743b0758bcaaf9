"""The connections of redis-py's pools, beside those that the server has."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator

import pytest
import redis as library
from redis import asyncio as aio

import measurand.integrations.redis as integration
from measurand import CollectorRegistry
from measurand.integrations.handle import version_of
from measurand.integrations.redis_pools import Pool
from tests.integrations.recorded import recorded
from tests.servers import Redis
from tests.support import wait_until

pytestmark = pytest.mark.once

OLD = ("PING",) if version_of("redis").startswith("5.2") else ()
"""What a pool wanted to know before it gave a connection."""


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(autouse=True)
def everything(registry: CollectorRegistry) -> Iterator[None]:
    """Every client is instrumented while the test runs."""
    with integration.instrument(registry=registry):
        yield


def shown(registry: CollectorRegistry) -> tuple[float, float]:
    found = recorded(registry, "redis_pool_connections")
    return found.get("active", 0), found.get("idle", 0)


@pytest.mark.parametrize("kind", [library.ConnectionPool, library.BlockingConnectionPool])
def test_the_connections_are_those_that_the_server_has(
    redis: Redis, registry: CollectorRegistry, kind: type[library.ConnectionPool]
) -> None:
    pool = kind(port=redis.port, max_connections=5)
    client = library.Redis(connection_pool=pool)
    assert shown(registry) == (0, 0)
    client.ping()
    assert shown(registry) == (0, 1)
    held = [pool.get_connection(*OLD) for _ in range(3)]
    assert shown(registry) == (3, 0)
    assert wait_until(lambda: redis.connections() == 3, 30)
    released = held.pop()
    pool.release(released)
    assert shown(registry) == (2, 1)
    released.disconnect()
    assert shown(registry) == (2, 0)
    assert wait_until(lambda: redis.connections() == 2, 30)
    for connection in held:
        pool.release(connection)
    assert shown(registry) == (0, 2)
    pool.disconnect()
    assert shown(registry) == (0, 0)
    assert wait_until(lambda: redis.connections() == 0, 30)


def test_they_are_added_up_and_go_with_their_pool(redis: Redis, registry: CollectorRegistry) -> None:
    clients = [library.Redis(port=redis.port) for _ in range(3)]
    for client in clients:
        client.ping()
    assert shown(registry) == (0, 3)
    clients.pop().close()
    del client
    gc.collect()
    assert shown(registry) == (0, 2)
    for client in clients:
        client.close()


def test_a_command_that_waits_holds_one(redis: Redis, registry: CollectorRegistry) -> None:
    with library.Redis(port=redis.port, retry=None) as client:
        waiting = threading.Thread(target=client.blpop, args=(["queue"],), kwargs={"timeout": 60})
        waiting.start()
        wait_until(lambda: shown(registry) == (1, 0), 30)
        with library.Redis(port=redis.port) as other:
            other.lpush("queue", "work")
        waiting.join(60)
        assert not waiting.is_alive()
        assert shown(registry)[0] == 0


def test_a_child_process_shows_its_own_only(redis: Redis, registry: CollectorRegistry) -> None:
    with library.Redis(port=redis.port, retry=None) as client:
        client.ping()
        before = shown(registry)
        child = os.fork()
        if child == 0:
            try:
                parents = shown(registry), Pool(client.connection_pool).connections()
                client.ping()
                os._exit(0 if (before, *parents, shown(registry)) == ((0, 1), (0, 0), (0, 0), (0, 1)) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert shown(registry) == (0, 1)


@pytest.mark.parametrize("kind", [aio.ConnectionPool, aio.BlockingConnectionPool])
def test_those_of_asynchronous_pools_are_too(redis: Redis, registry: CollectorRegistry, kind: type[aio.ConnectionPool]) -> None:
    async def connected(number: int) -> None:
        await asyncio.to_thread(wait_until, lambda: redis.connections() == number, 30)

    async def main() -> None:
        pool = kind(host="127.0.0.1", port=redis.port, max_connections=20)
        client = aio.Redis(connection_pool=pool)
        await asyncio.gather(*(client.ping() for _ in range(8)))
        active, idle = shown(registry)
        assert (active, 1 <= idle <= 8) == (0, True)
        await connected(int(idle))
        waiting = [asyncio.create_task(client.blpop(["queue"], timeout=60)) for _ in range(10)]
        await asyncio.to_thread(wait_until, lambda: shown(registry) == (10, 0), 30)
        await connected(10)
        for task in waiting[:5]:
            task.cancel()
        await asyncio.wait(waiting[:5])
        assert shown(registry)[0] == 5
        await connected(int(sum(shown(registry))))
        await client.lpush("queue", *range(5))
        await asyncio.gather(*waiting[5:])
        assert shown(registry)[0] == 0
        await connected(int(sum(shown(registry))))
        await pool.disconnect()
        assert shown(registry) == (0, 0)
        await connected(0)

    asyncio.run(main())
    gc.collect()
    assert shown(registry) == (0, 0)


def test_two_views_of_a_pool_are_one(redis: Redis) -> None:
    pool, other = library.ConnectionPool(port=redis.port), library.ConnectionPool(port=redis.port)
    view = Pool(pool)
    assert {view, Pool(pool), Pool(other)} == {view, Pool(other)}
    assert (view.is_of(pool), view.is_of(other), view == pool) == (True, False, False)
    assert view.connections() == (0, 0)
    del pool
    gc.collect()
    assert view.connections() is None


def test_what_cannot_be_counted_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Foreign:
        """A pool of another kind."""

    pool = Foreign()
    assert Pool(pool).connections() is None
    assert "connections of a" in caplog.text
