"""The metrics of databases: statements by kind, pools as they are at each scrape."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from measurand import CollectorRegistry, generate_latest
from measurand.catalog.database import AT_HAND, CANCELLED, FAILED, SUCCESS, DatabaseMetrics, DatabaseQuery
from measurand.testing.pools import StubPool
from measurand.testing.readings import Readings


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_statements_are_counted_and_timed_by_kind(registry: CollectorRegistry) -> None:
    metrics = DatabaseMetrics(registry)
    for _ in range(3):
        metrics.succeeded("SELECT * FROM users WHERE name = 'somebody'", 0.25)
    metrics.succeeded("WITH a AS (SELECT 1) DELETE FROM t", 2)
    metrics.succeeded("SET x = 1", 1)
    metrics.failed("SELECT 1", 1)
    metrics.failed("insert into t", 0.5, CANCELLED)
    readings = Readings(registry)
    assert readings.value("db_queries_total", operation="select", status=SUCCESS) == 3
    assert readings.value("db_queries_total", operation="select", status=FAILED) == 1
    assert readings.value("db_queries_total", operation="delete", status=SUCCESS) == 1
    assert readings.value("db_queries_total", operation="set", status=SUCCESS) == 1
    assert readings.value("db_queries_total", operation="insert", status=CANCELLED) == 1
    assert readings.value("db_query_duration_seconds_count", operation="select") == 4
    assert readings.value("db_query_duration_seconds_sum", operation="select") == 1.75
    assert b"somebody" not in generate_latest(registry)


def test_an_event_records_the_same(registry: CollectorRegistry) -> None:
    metrics = DatabaseMetrics(registry)
    metrics.record(DatabaseQuery("SELECT", SUCCESS, 0.25))
    metrics.record(DatabaseQuery("SELECT secret FROM t", CANCELLED, 0.25))
    made_up: Any = "made up"
    metrics.record(DatabaseQuery("update", made_up, 0.25))
    assert value(registry, "db_queries_total", operation="select", status=SUCCESS) == 1
    assert value(registry, "db_queries_total", operation="other", status=CANCELLED) == 1
    assert value(registry, "db_queries_total", operation="update", status=FAILED) == 1
    assert b"secret" not in generate_latest(registry)


def test_ways_to_write_a_keyword_are_bounded_and_all_counted(registry: CollectorRegistry) -> None:
    metrics = DatabaseMetrics(registry)
    ways = [
        "".join(letter.upper() if number >> place & 1 else letter for place, letter in enumerate(word))
        for word in ("select", "insert", "update", "delete")
        for number in range(64)
    ]
    assert len(ways) > AT_HAND
    for way in ways * 2:
        metrics.succeeded(f"{way} x", 0.1)
    for word in ("select", "insert", "update", "delete"):
        assert value(registry, "db_queries_total", operation=word, status=SUCCESS) == 128


def test_a_pool_is_asked_at_every_scrape(registry: CollectorRegistry) -> None:
    pool = StubPool(active=2, idle=1, size=5, overflow=0)
    stop = DatabaseMetrics(registry).watch("orders", pool)
    readings = Readings(registry)
    assert readings.value("db_connections", pool="orders", state="active") == 2
    assert readings.value("db_connections", pool="orders", state="idle") == 1
    assert readings.value("db_pool_size", pool="orders") == 5
    assert readings.value("db_pool_overflow", pool="orders") == 0
    pool.active, pool.idle, pool.overflow = 8, 0, 3
    assert readings.value("db_connections", pool="orders", state="active") == 8
    assert readings.value("db_pool_overflow", pool="orders") == 3
    stop()
    assert b"orders" not in generate_latest(registry)
    stop()


def test_a_pool_without_a_limit_has_no_size(registry: CollectorRegistry) -> None:
    DatabaseMetrics(registry).watch("orders", StubPool(active=2))
    assert value(registry, "db_connections", pool="orders", state="active") == 2
    assert value(registry, "db_pool_size", pool="orders") is None
    assert value(registry, "db_pool_overflow", pool="orders") is None


def test_pools_of_one_name_are_added_up_also_from_two_sets(registry: CollectorRegistry) -> None:
    stop = DatabaseMetrics(registry).watch("orders", StubPool(active=2, idle=1))
    second = StubPool(active=3, idle=4, size=5, overflow=1)
    DatabaseMetrics(registry).watch("orders", second)
    assert value(registry, "db_connections", pool="orders", state="active") == 5
    assert value(registry, "db_connections", pool="orders", state="idle") == 5
    assert value(registry, "db_pool_size", pool="orders") == 5
    stop()
    assert value(registry, "db_connections", pool="orders", state="active") == 3
    assert value(registry, "db_pool_overflow", pool="orders") == 1


def test_a_pool_that_is_gone_is_dropped_when_another_comes(registry: CollectorRegistry) -> None:
    metrics, first = DatabaseMetrics(registry), StubPool(active=2, size=5)
    metrics.watch("first", first)
    first.is_gone = True
    assert value(registry, "db_connections", pool="first", state="active") == 0
    metrics.watch("second", StubPool())
    assert value(registry, "db_connections", pool="first", state="active") is None
    assert value(registry, "db_pool_size", pool="first") is None
    assert value(registry, "db_connections", pool="second", state="active") == 0


def test_waiting_and_use_are_recorded_by_pool(registry: CollectorRegistry) -> None:
    series = DatabaseMetrics(registry).pool("orders")
    series.waited(0.5)
    series.waited(30)
    series.timed_out()
    series.used(2)
    assert value(registry, "db_pool_wait_seconds_count", pool="orders") == 2
    assert value(registry, "db_pool_wait_seconds_sum", pool="orders") == 30.5
    assert value(registry, "db_pool_timeouts_total", pool="orders") == 1
    assert value(registry, "db_connection_use_seconds_sum", pool="orders") == 2


def test_names_of_pools_are_limited(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    metrics = DatabaseMetrics(registry, max_pools=2)
    with caplog.at_level(logging.WARNING, "measurand.database"):
        for number in range(5):
            metrics.watch(f"pool{number}", StubPool(active=1))
            metrics.pool(f"pool{number}").timed_out()
    assert value(registry, "db_connections", pool="pool1", state="active") == 1
    assert value(registry, "db_connections", pool="pool2", state="active") is None
    assert value(registry, "db_connections", pool="__other__", state="active") == 3
    assert value(registry, "db_pool_timeouts_total", pool="__other__") == 3
    assert len(caplog.messages) == 1
