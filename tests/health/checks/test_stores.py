"""Redis: a real one that is stopped, started and paused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis as client
import redis.asyncio as async_client

from measurand.health import checks
from tests.health.kit import Running, Threads
from tests.servers import Redis
from tests.support import wait_until

pytestmark = pytest.mark.once

TIMEOUT = 0.25


@pytest.fixture(autouse=True)
def resumed(redis: Redis) -> Iterator[None]:
    """Nothing is left hanging in a paused server."""
    yield
    redis.resume()


def follow(redis: Redis, running: Running) -> None:
    """Take the server through its states; the check follows."""
    running.wait_for("redis", None)
    redis.stop()
    running.wait_for("redis", "connection_refused")
    redis.start()
    running.wait_for("redis", None)
    redis.pause()
    running.wait_for("redis", "timeout")
    failures = timeouts(running)
    wait_until(lambda: timeouts(running) >= failures + 5)
    redis.resume()
    running.wait_for("redis", None)


def timeouts(running: Running) -> float:
    return running.registry.get_sample_value("health_check_failures_total", {"check": "redis", "reason": "timeout"}) or 0.0


@pytest.mark.parametrize("socket_timeout", [None, 0.2])
def test_a_sync_client(redis: Redis, running: Running, threads: Threads, socket_timeout: float | None) -> None:
    pool = client.BlockingConnectionPool.from_url(redis.url, max_connections=1, timeout=0.05, socket_timeout=socket_timeout)
    with closing(client.Redis(connection_pool=pool)) as store:
        running.monitor.add(checks.redis(store, timeout=TIMEOUT))
        follow(redis, running)
        assert threads.names.count("measurand-health-redis") == 1
        running.monitor.stop()
        wait_until(lambda: store.set("key", "value"))  # the only connection of the pool is free
        assert redis.connections() == 1
        pool.disconnect()


def test_an_async_client(redis: Redis, running: Running, loop: asyncio.AbstractEventLoop) -> None:
    async def connect() -> async_client.Redis:
        pool = async_client.BlockingConnectionPool.from_url(redis.url, max_connections=1, timeout=0.05)
        return async_client.Redis(connection_pool=pool)

    def do(awaitable: object) -> object:
        return asyncio.run_coroutine_threadsafe(awaitable, loop).result(30)  # type: ignore[arg-type]

    store = do(connect())
    assert isinstance(store, async_client.Redis)
    running.monitor.attach(loop)
    running.monitor.add(checks.redis(store, timeout=TIMEOUT))
    follow(redis, running)
    running.monitor.stop()
    assert do(store.set("key", "value"))  # the only connection of the pool is free
    wait_until(lambda: redis.connections() == 1, what=lambda: f"the server counts {redis.connections()}")
    do(store.connection_pool.disconnect())


def test_a_wrong_password_is_told_apart(redis: Redis, running: Running) -> None:
    with closing(client.Redis.from_url(redis.url)) as admin, closing(client.Redis.from_url(redis.url, password="wrong")) as store:
        admin.config_set("requirepass", "right")
        running.monitor.add(checks.redis(store), name="cache")
        running.wait_for("cache", "auth")


def test_settings_are_those_of_any_check() -> None:
    check = checks.redis(client.Redis(), name="cache", criticality="degraded", timeout=2.0, interval=30.0)
    assert (check.name, check.criticality, check.timeout, check.interval) == ("cache", "degraded", 2.0, 30.0)
    assert not check.is_async
    assert checks.redis(async_client.Redis()).is_async
