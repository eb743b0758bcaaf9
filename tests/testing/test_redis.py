"""The stub of a pool of connections."""

from measurand import CollectorRegistry
from measurand.catalog.redis import PoolMonitor, RedisMetrics
from measurand.testing.readings import Readings
from measurand.testing.redis import StubPool


def test_it_says_what_it_is_told() -> None:
    pool: PoolMonitor = StubPool(active=1, idle=2)
    assert pool.connections() == (1, 2)


def test_it_is_shown_until_it_is_gone() -> None:
    registry, pool = CollectorRegistry(), StubPool(idle=4)
    RedisMetrics(registry).watch(pool)
    readings = Readings(registry)
    assert readings.value("redis_pool_connections", state="idle") == 4
    pool.is_gone = True
    assert pool.connections() is None
    assert readings.value("redis_pool_connections", state="idle") == 0
