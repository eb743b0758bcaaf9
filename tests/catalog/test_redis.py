"""The metrics of Redis clients: names, labels, and what bounds them."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as some

from measurand import CollectorRegistry
from measurand.catalog.redis import BLOCKING, COMMANDS, RedisCommand, RedisMetrics
from measurand.testing.readings import Readings
from measurand.testing.redis import StubPool


def test_a_command_is_timed_by_its_name(registry: CollectorRegistry) -> None:
    metrics, readings = RedisMetrics(registry), Readings(registry)
    metrics.record(RedisCommand("GET", 0.25))
    metrics.observe("get", 0.5)
    assert readings.value("redis_command_duration_seconds_count", command="GET") == 2
    assert readings.value("redis_command_duration_seconds_sum", command="GET") == 0.75
    assert readings.samples("redis_errors_total") == []


def test_a_failure_is_timed_and_counted_by_kind(registry: CollectorRegistry) -> None:
    metrics, readings = RedisMetrics(registry), Readings(registry)
    metrics.record(RedisCommand("SET", 5.0, "TimeoutError"))
    metrics.failed(TimeoutError("10.0.0.1:6379"))
    metrics.failed(asyncio.CancelledError())
    assert readings.value("redis_command_duration_seconds_count", command="SET") == 1
    assert readings.value("redis_errors_total", error_type="TimeoutError") == 2
    assert readings.value("redis_errors_total", error_type="cancelled") == 1


def test_what_waits_for_something_else_is_not_timed(registry: CollectorRegistry) -> None:
    metrics, readings = RedisMetrics(registry), Readings(registry)
    metrics.record(RedisCommand("BLPOP", None, "ConnectionError"))
    assert readings.samples("redis_command_duration_seconds_count") == []
    assert readings.value("redis_errors_total", error_type="ConnectionError") == 1


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ("GET", "GET"),
        ("get", "GET"),
        (b"GET", "GET"),
        ("CONFIG GET", "CONFIG"),
        ("SET session:4711 secret", "SET"),
        ("session:4711", "_OTHER"),
        ("JSON.GET", "_OTHER"),
        ("", "_OTHER"),
        (4711, "_OTHER"),
        ("PIPELINE", "PIPELINE"),
        ("MULTI", "MULTI"),
    ],
)
def test_a_label_is_a_known_name_or_none(registry: CollectorRegistry, given: object, label: str) -> None:
    metrics = RedisMetrics(registry)
    assert metrics.label(given) == label
    for _ in range(2):
        metrics.observe(given, 1.0)
    assert Readings(registry).value("redis_command_duration_seconds_count", command=label) == 2


def test_further_names_can_be_given(registry: CollectorRegistry) -> None:
    metrics = RedisMetrics(registry, commands=["json.get"])
    assert (metrics.label("JSON.GET"), metrics.label("JSON.SET")) == ("JSON.GET", "_OTHER")


@given(some.lists(some.one_of(some.text(), some.binary(), some.integers(), some.sampled_from(sorted(COMMANDS))), max_size=50))
def test_no_text_becomes_a_label_that_is_not_on_the_list(commands: list[object]) -> None:
    registry = CollectorRegistry()
    metrics = RedisMetrics(registry)
    for command in commands:
        metrics.observe(command, 0.001)
    counts = Readings(registry).samples("redis_command_duration_seconds_count")
    assert {sample.labels["command"] for sample in counts} <= COMMANDS | {"_OTHER", "PIPELINE"}
    assert sum(sample.value for sample in counts) == len(commands)


def test_names_of_exceptions_are_bounded(registry: CollectorRegistry) -> None:
    metrics, readings = RedisMetrics(registry, max_exceptions=2), Readings(registry)
    for number in range(5):
        metrics.record(RedisCommand("GET", 0.1, f"Error{number}"))
    assert readings.value("redis_errors_total", error_type="_OTHER") == 3
    assert sum(sample.value for sample in readings.samples("redis_errors_total")) == 5


def test_the_connections_of_all_pools_are_added_up(registry: CollectorRegistry) -> None:
    metrics, readings = RedisMetrics(registry), Readings(registry)
    one, other = StubPool(active=2, idle=1), StubPool(active=3)
    metrics.watch(one)
    metrics.watch(one)
    RedisMetrics(registry).watch(other)
    RedisMetrics(registry).watch(one)

    def shown() -> tuple[float, float]:
        return readings.value("redis_pool_connections", state="active"), readings.value("redis_pool_connections", state="idle")

    assert shown() == (5, 1)
    one.active, one.idle = 0, 3
    assert shown() == (3, 3)
    other.is_gone = True
    assert shown() == (0, 3)
    other.is_gone = False
    assert shown() == (0, 3)
    metrics.unwatch(one)
    metrics.unwatch(one)
    assert shown() == (0, 0)


def test_without_a_pool_there_are_no_connections_to_show(registry: CollectorRegistry) -> None:
    RedisMetrics(registry).unwatch(StubPool())
    assert Readings(registry).samples("redis_pool_connections") == []


def test_events_cannot_be_changed() -> None:
    event = RedisCommand("GET", 0.1)
    with pytest.raises(FrozenInstanceError):
        event.command = "SET"  # type: ignore[misc]


def test_commands_that_wait_are_commands() -> None:
    assert BLOCKING < COMMANDS
