"""redis-py emits OpenTelemetry metrics itself, if it is told to: ours are the same with and without."""

from __future__ import annotations

import json

import pytest

from tests.servers import Redis
from tests.support import run_python

pytestmark = pytest.mark.once

PROGRAM = """
import asyncio, json, sys
import redis, redis.asyncio
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from redis.observability import MetricGroup, OTelConfig, get_observability_instance
from measurand import CollectorRegistry
from measurand.integrations.redis import instrument

port = int(sys.argv[1])
reader = InMemoryMetricReader()

async def ask():
    async with redis.asyncio.Redis(port=port) as client:
        await client.get("a")
        await client.pipeline(transaction=False).get("a").execute()

def use():
    with redis.Redis(port=port) as client:
        client.set("a", 1)
        client.pipeline().incr("a").incr("a").execute()
        try:
            client.lpop("a")
        except redis.ResponseError:
            pass
    asyncio.run(ask())

def ours(registry):
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {" ".join([one.name, *one.labels.values()]): one.value for one in samples if one.name.endswith(("_count", "_total"))}

def theirs():
    data = reader.get_metrics_data()
    return {
        metric.name: sum(getattr(point, "count", 0) for point in metric.data.data_points)
        for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics for metric in scope.metrics
    }

said = {}
for when in ("without", "emitting afterwards", "emitting before"):
    registry = CollectorRegistry()
    handle = instrument(registry=registry)
    if when == "emitting afterwards":
        metrics.set_meter_provider(MeterProvider([reader]))
        get_observability_instance().init(OTelConfig(metric_groups=list(MetricGroup)))
    use()
    said[when] = {"ours": ours(registry), "names": sorted(family.name for family in registry.collect()), "theirs": theirs()}
    handle.uninstrument()
print(json.dumps(said))
"""


def test_ours_are_the_same_with_and_without_theirs(redis: Redis) -> None:
    done = run_python(f"import sys; sys.argv = ['', '{redis.port}']\n{PROGRAM}")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["without"]["ours"] == {
        **{f"redis_command_duration_seconds_count {command}": 1 for command in ("SET", "MULTI", "LPOP", "GET", "PIPELINE")},
        "redis_errors_total ResponseError": 1,
    }
    for when in ("emitting afterwards", "emitting before"):
        assert (said[when]["ours"], said[when]["names"]) == (said["without"]["ours"], said["without"]["names"])
    assert said["without"]["theirs"] == {}
    assert said["emitting before"]["theirs"]["db.client.operation.duration"] >= 8
