"""redis-py's clients of clusters, on a real one of a single node that has all slots."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis as library
from redis import asyncio as aio

import measurand.integrations.redis as integration
from measurand import CollectorRegistry
from tests.integrations.recorded import recorded
from tests.servers import Redis
from tests.servers.process import free_port
from tests.servers.redis import binary
from tests.support import wait_until

pytestmark = pytest.mark.once


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
