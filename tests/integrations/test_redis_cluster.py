"""redis-py's clients of clusters, on a real one of a single node that has all slots."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis as library
from redis import asyncio as aio

import measurand.integrations.redis as integration
from measurand import CollectorRegistry
from measurand.integrations.handle import version_of
from tests.integrations.recorded import recorded
from tests.servers import Redis
from tests.servers.process import free_port
from tests.servers.redis import binary
from tests.support import wait_until

pytestmark = pytest.mark.once

OLD = ("PING",) if version_of("redis").startswith("5.2") else ()
"""What a pool wanted to know before it gave a connection."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(binary(), tmp_path_factory.mktemp("redis"), "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as running:
        with library.Redis(port=running.port) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: client.cluster("INFO")["cluster_state"] == "ok", 30)
        yield running


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def timed(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "redis_command_duration_seconds_count")


def test_each_command_is_counted_once(cluster: Redis, registry: CollectorRegistry) -> None:
    with library.RedisCluster(host="127.0.0.1", port=cluster.port) as client, integration.instrument(registry=registry):
        client.set("a", "text")
        assert client.get("a") == b"text"
        with client.pipeline() as pipeline:
            assert pipeline.set("b", 1).get("b").execute() == [True, b"1"]
        with client.pipeline() as pipeline:
            assert pipeline.execute() == []
        with pytest.raises(library.ResponseError):
            client.incr("a")
    assert timed(registry) == {"SET": 1, "GET": 1, "PIPELINE": 1, "INCRBY": 1}
    assert recorded(registry, "redis_errors_total") == {"ResponseError": 1}


def test_one_client_is_that_client_and_its_pipelines(cluster: Redis, registry: CollectorRegistry) -> None:
    address = {"host": "127.0.0.1", "port": cluster.port}
    with (
        library.RedisCluster(**address) as client,
        library.RedisCluster(**address) as other,
        integration.instrument(client, registry=registry),
    ):
        for each in (client, other):
            each.ping()
            each.pipeline().get("a").execute()
    assert timed(registry) == {"PING": 1, "PIPELINE": 1}


def test_asynchronous_clients_too(cluster: Redis, registry: CollectorRegistry) -> None:
    async def main() -> None:
        address = {"host": "127.0.0.1", "port": cluster.port}
        async with aio.RedisCluster(**address) as client, aio.RedisCluster(**address) as other:
            with integration.instrument(client, registry=registry):
                for each in (client, other):
                    await each.set("a", "text")
                    async with each.pipeline() as pipeline:
                        assert await pipeline.set("b", 1).get("b").execute() == [True, b"1"]
                    with pytest.raises(library.ResponseError):
                        await each.incr("a")

    asyncio.run(main())
    assert timed(registry) == {"SET": 1, "PIPELINE": 1, "INCRBY": 1}
    assert recorded(registry, "redis_errors_total") == {"ResponseError": 1}


def test_the_connections_to_its_nodes_are_those_that_the_server_has(cluster: Redis, registry: CollectorRegistry) -> None:
    assert wait_until(lambda: cluster.connections() == 0, 30)
    with integration.instrument(registry=registry), library.RedisCluster(host="127.0.0.1", port=cluster.port) as client:
        client.set("a", 1)
        with client.pipeline() as pipeline:
            pipeline.get("a").execute()
        shown = recorded(registry, "redis_pool_connections")
        assert shown.keys() == {"idle"}
        assert wait_until(lambda: cluster.connections() == shown["idle"], 30)
        (node,) = client.get_nodes()
        held = node.redis_connection.connection_pool.get_connection(*OLD)
        assert recorded(registry, "redis_pool_connections")["active"] == 1
        node.redis_connection.connection_pool.release(held)
    assert wait_until(lambda: cluster.connections() == 0, 30)
    assert recorded(registry, "redis_pool_connections") == {}


def test_those_of_an_asynchronous_client_too(cluster: Redis, registry: CollectorRegistry) -> None:
    assert wait_until(lambda: cluster.connections() == 0, 30)

    async def main() -> None:
        async with aio.RedisCluster(host="127.0.0.1", port=cluster.port) as client:
            with integration.instrument(client, registry=registry):
                await asyncio.gather(*(client.set("a", number) for number in range(20)))
                shown = recorded(registry, "redis_pool_connections")
                assert shown.keys() == {"idle"}
                await asyncio.to_thread(wait_until, lambda: cluster.connections() == shown["idle"], 30)
                waiting = [asyncio.create_task(client.blpop(["queue"], timeout=60)) for _ in range(5)]
                await asyncio.to_thread(wait_until, lambda: recorded(registry, "redis_pool_connections").get("active") == 5, 30)
                await client.lpush("queue", *range(5))
                await asyncio.gather(*waiting)
                assert recorded(registry, "redis_pool_connections").keys() == {"idle"}

    asyncio.run(main())
    assert recorded(registry, "redis_pool_connections") == {}
