"""redis-py's asynchronous clients on a real server: each command once, whatever it is sent with, and what is cancelled too."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis as library
from redis import asyncio as aio

import measurand.integrations.redis as integration
from measurand import CollectorRegistry
from measurand.testing.clock import FakeClock
from tests.integrations.recorded import recorded
from tests.servers import Redis
from tests.servers.redis import binary

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One for those who do not stop it."""
    with Redis(binary(), tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@asynccontextmanager
async def connected(server: Redis, **options: Any) -> AsyncIterator[aio.Redis]:
    options = {"retry": None, **options}
    async with aio.Redis(host="127.0.0.1", port=server.port, **options) as client:
        yield client


Step = Callable[[aio.Redis], Awaitable[None]]


@pytest.fixture
def run(server: Redis, registry: CollectorRegistry) -> Callable[[Step], None]:
    """Runs a coroutine with a client, while every client is instrumented, and empties the server."""

    def run(step: Step) -> None:
        async def main() -> None:
            async with connected(server) as client:
                with integration.instrument(registry=registry):
                    await step(client)
                await client.flushall()

        asyncio.run(main())

    return run


def timed(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "redis_command_duration_seconds_count")


def errors(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "redis_errors_total")


def test_each_is_counted_once_by_its_name(run: Callable[[Step], None], registry: CollectorRegistry) -> None:
    async def step(client: aio.Redis) -> None:
        await client.set("session:4711", "secret")
        assert await client.get("session:4711") == b"secret"
        with pytest.raises(library.ResponseError):
            await client.incr("session:4711")

    run(step)
    assert timed(registry) == {"SET": 1, "GET": 1, "INCRBY": 1}
    assert errors(registry) == {"ResponseError": 1}


def test_how_long_it_takes_is_what_the_clock_says(run: Callable[[Step], None], registry: CollectorRegistry) -> None:
    async def step(client: aio.Redis) -> None:
        with FakeClock() as clock:
            client.set_response_callback("ECHO", lambda response: clock.advance(0.25))
            await client.echo("hello")

    run(step)
    assert recorded(registry, "redis_command_duration_seconds_sum") == {"ECHO": 0.25}


def test_pipelines_and_transactions_are_one_each(run: Callable[[Step], None], registry: CollectorRegistry) -> None:
    async def step(client: aio.Redis) -> None:
        async with client.pipeline(transaction=False) as pipeline:
            assert await pipeline.set("a", 1).incr("a").execute() == [True, 2]
        async with client.pipeline() as pipeline:
            assert await (await pipeline.incr("a").incr("a")).execute() == [3, 4]
        async with client.pipeline() as pipeline:
            assert await pipeline.execute() == []

    run(step)
    assert timed(registry) == {"PIPELINE": 1, "MULTI": 1}


def test_what_is_read_while_watching_goes_by_itself(run: Callable[[Step], None], registry: CollectorRegistry) -> None:
    async def step(client: aio.Redis) -> None:
        async with client.pipeline() as pipeline:
            await pipeline.watch("a")
            assert await pipeline.get("a") is None
            pipeline.multi()
            pipeline.set("a", 1)
            await client.set("a", 2)
            with pytest.raises(library.WatchError):
                await pipeline.execute()

    run(step)
    assert timed(registry) == {"WATCH": 1, "GET": 1, "SET": 1, "MULTI": 1}
    assert errors(registry) == {"WatchError": 1}


def test_failures_in_a_pipeline_are_counted_raised_or_not(run: Callable[[Step], None], registry: CollectorRegistry) -> None:
    async def step(client: aio.Redis) -> None:
        await client.set("text", "hello")
        async with client.pipeline() as pipeline:
            responses = await pipeline.incr("text").get("text").incr("text").execute(False)
            assert [type(one) for one in responses] == [library.ResponseError, bytes, library.ResponseError]
        assert errors(registry) == {"ResponseError": 2}
        broken = client.register_script("this is no Lua")
        async with client.pipeline() as pipeline:
            await broken(client=pipeline)
            with pytest.raises(library.ResponseError):
                await pipeline.execute()

    run(step)
    assert errors(registry) == {"ResponseError": 3}


def test_what_is_cancelled_is_timed_and_counted(server: Redis, run: Callable[[Step], None], registry: CollectorRegistry) -> None:
    async def step(client: aio.Redis) -> None:
        await client.ping()
        server.pause()
        try:
            asking = [asyncio.create_task(client.get("a")), asyncio.create_task(client.blpop(["queue"]))]
            await asyncio.wait(asking, timeout=0.05)
            for task in asking:
                task.cancel()
            done, _ = await asyncio.wait(asking, timeout=30)
            assert [task.cancelled() for task in done] == [True, True]
        finally:
            server.resume()

    run(step)
    assert timed(registry) == {"PING": 1, "GET": 1}
    assert errors(registry) == {"cancelled": 2}


def test_a_server_that_is_gone_is_an_error_and_one_command(redis: Redis, registry: CollectorRegistry) -> None:
    async def main() -> None:
        async with connected(redis) as client:
            await client.ping()
            redis.stop()
            with integration.instrument(registry=registry), pytest.raises(library.ConnectionError):
                await client.get("a")

    asyncio.run(main())
    assert timed(registry) == {"GET": 1}
    assert errors(registry) == {"ConnectionError": 1}


def test_listening_is_left_alone(run: Callable[[Step], None], registry: CollectorRegistry) -> None:
    async def step(client: aio.Redis) -> None:
        async with client.pubsub() as listener:
            await listener.subscribe("news")
            assert (await listener.get_message(timeout=30))["type"] == "subscribe"
            await client.publish("news", "hello")
            assert (await listener.get_message(timeout=30))["data"] == b"hello"

    run(step)
    assert timed(registry) == {"PUBLISH": 1}


def test_many_tasks_lose_nothing(run: Callable[[Step], None], registry: CollectorRegistry) -> None:
    async def step(client: aio.Redis) -> None:
        async def work() -> None:
            for _ in range(10):
                await client.incr("number")

        await asyncio.gather(*(work() for _ in range(50)))
        assert int(await client.get("number")) == 500

    run(step)
    assert timed(registry) == {"INCRBY": 500, "GET": 1}


def test_one_client_is_that_client_and_its_pipelines(server: Redis, registry: CollectorRegistry) -> None:
    async def main() -> None:
        async with connected(server) as client, connected(server) as other:
            with integration.instrument(client, registry=registry):
                for each in (client, other):
                    await each.ping()
                    await each.pipeline().ping().execute()

    asyncio.run(main())
    assert timed(registry) == {"PING": 1, "MULTI": 1}


def test_the_methods_are_still_coroutine_functions(registry: CollectorRegistry) -> None:
    with integration.instrument(registry=registry):
        assert inspect.iscoroutinefunction(aio.Redis.execute_command)
        assert inspect.iscoroutinefunction(aio.client.Pipeline.execute)
