"""From a registry to what a destination is told; see test_delivery_processes.py for processes that take turns."""

from __future__ import annotations

from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Gauge
from measurand.exporters.delivery import Delivery
from measurand.exporters.memory import Memory
from measurand.exporters.protocol import Snapshot
from measurand.exporters.routing import Route
from measurand.metrics.families import CounterMetricFamily
from tests.support import StillClock

pytestmark = pytest.mark.once


class Rows:
    """A collector that fails when it is told to."""

    def __init__(self) -> None:
        self.value: float | None = 5.0

    def collect(self) -> list[CounterMetricFamily]:
        if self.value is None:
            raise ConnectionError("the database is not there")
        return [CounterMetricFamily("rows", "Rows", value=self.value)]


class Faltering(Memory):
    """Acknowledges what its first family has, and then fails, when it is told to."""

    is_whole = True

    def export(self, snapshot: Snapshot) -> None:
        if self.is_whole:
            super().export(snapshot)
            return
        first = snapshot.points()[0]
        self.taken = [(first.name, series.numbers) for series in first.series]
        snapshot.acknowledge(first, first.series)
        raise TimeoutError("no answer")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_totals_are_sent_whole_every_time(registry: CollectorRegistry) -> None:
    memory, things = Memory(), Counter("things_total", "Things", registry=registry)
    delivery = Delivery(memory, registry)
    for _ in range(2):
        things.inc(3)
        delivery.deliver()
    assert [delivered.families[0].series[0].numbers for delivered in memory.delivered] == [(3.0,), (6.0,)]


def test_differences_are_sent_since_the_last_delivery(registry: CollectorRegistry) -> None:
    memory, things = Memory("delta"), Counter("things_total", "Things", registry=registry)
    delivery = Delivery(memory, registry)
    for _ in range(2):
        things.inc(3)
        delivery.deliver()
    assert [delivered.families[0].series[0].numbers for delivered in memory.delivered] == [(3.0,), (3.0,)]


def test_a_snapshot_says_when_it_was_taken_and_how_long_there_is(registry: CollectorRegistry, still_clock: StillClock) -> None:
    seen: list[tuple[float, float]] = []

    class Looking(Memory):
        def export(self, snapshot: Snapshot) -> None:
            seen.append((snapshot.time, snapshot.seconds))

    for temporality in ("cumulative", "delta"):
        Delivery(Looking(temporality), registry).deliver(2.5)  # type: ignore[arg-type]
    assert [time for time, _ in seen] == [still_clock.date] * 2
    assert all(0 < seconds <= 2.5 for _, seconds in seen)


def test_what_an_exporter_raises_passes_through_and_nothing_counts_as_sent(registry: CollectorRegistry) -> None:
    memory = Faltering("delta")
    first, second = (Counter(name, "Numbers", registry=registry) for name in ("a_total", "b_total"))
    delivery = Delivery(memory, registry)
    first.inc(2)
    second.inc(3)
    memory.is_whole = False
    with pytest.raises(TimeoutError, match="no answer"):
        delivery.deliver()
    assert memory.taken == [("a", (2.0,))]
    memory.is_whole = True
    first.inc(5)
    delivery.deliver()
    assert (memory.value("a_total"), memory.value("b_total")) == (5, 3)


def test_an_exporter_may_have_a_registry_of_its_own(registry: CollectorRegistry) -> None:
    own = CollectorRegistry()
    Counter("own_total", "Own", registry=own).inc()
    Counter("things_total", "Things", registry=registry).inc()
    memory = Memory()
    Delivery(Route(memory, registry=own), registry).deliver()
    assert [family.name for family in memory.delivered[0].families] == ["own"]


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_what_an_exporter_selects_is_all_it_gets(registry: CollectorRegistry, temporality: Any) -> None:
    """That collecting has failed is a metric like any other: who has not chosen it does not get it."""
    rows = Rows()
    registry.register(rows)
    rows.value = None
    Gauge("level", "Level", registry=registry).set(3)
    some, everything = Memory(temporality), Memory(temporality)
    Delivery(Route(some, include=["level"], prefix="shop_"), registry).deliver()
    Delivery(Route(everything, prefix="shop_"), registry).deliver()
    assert [family.exposed_name for family in some.delivered[0].families] == ["shop_level"]
    assert [family.exposed_name for family in everything.delivered[0].families] == ["shop_level", "shop_measurand_collect_failures_total"]


def test_a_collector_that_fails_for_a_moment_is_not_counted_anew(registry: CollectorRegistry) -> None:
    memory, rows = Memory("delta"), Rows()
    registry.register(rows)
    delivery = Delivery(memory, registry)
    for rows.value in (5.0, None, None, 7.0, None, 7.0):
        delivery.deliver()
    assert memory.value("rows_total") == 7


def test_a_collector_that_is_no_more_and_comes_back_begins_anew(registry: CollectorRegistry) -> None:
    memory, rows = Memory("delta"), Rows()
    delivery = Delivery(memory, registry)
    registry.register(rows)
    delivery.deliver()
    registry.unregister(rows)
    delivery.deliver()
    registry.register(rows)
    delivery.deliver()
    assert memory.value("rows_total") == 10
