"""The exporter that keeps what it is sent."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry, Counter, Gauge, Histogram, Summary
from measurand.exporters.delivery import Delivery
from measurand.exporters.memory import Memory
from tests.support import StillClock, in_background

pytestmark = pytest.mark.once


class Shop:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.orders = Counter("orders_total", "Orders", ["channel"], registry=self.registry)
        self.level = Gauge("level", "Level", registry=self.registry)
        self.seconds = Histogram("seconds", "Seconds", buckets=(1, 4), registry=self.registry)
        self.sizes = Summary("sizes", "Sizes", registry=self.registry)

    def record(self) -> None:
        self.orders.labels("web").inc(2)
        self.level.inc(-3)
        for amount in (0.5, 2, 8):
            self.seconds.observe(amount)
            self.sizes.observe(amount)


@pytest.mark.parametrize("memory", [Memory(), Memory("delta")], ids=repr)
def test_it_says_what_has_arrived_of_each_kind_whatever_was_sent(memory: Memory) -> None:
    shop = Shop()
    delivery = Delivery(memory, shop.registry)
    for _ in range(3):
        shop.record()
        delivery.deliver()
    assert memory.value("orders_total", channel="web") == 6
    assert memory.value("level") == -9
    assert memory.numbers("seconds") == (3, 3, 3, 31.5)
    assert memory.numbers("sizes") == (9, 31.5)


def test_what_never_arrived_is_not_there() -> None:
    memory, shop = Memory(), Shop()
    shop.record()
    Delivery(memory, shop.registry).deliver()
    assert memory.value("orders_total", channel="shop") is None
    assert memory.value("orders_total") is None
    assert memory.value("orders", channel="web") is None
    assert memory.numbers("nothing") is None


def test_the_last_deliveries_are_kept_and_sums_are_of_all(still_clock: StillClock) -> None:
    memory, shop = Memory("delta", keep=2), Shop()
    delivery = Delivery(memory, shop.registry)
    for _ in range(5):
        still_clock.advance(10)
        shop.orders.labels("web").inc()
        delivery.deliver()
    assert [delivered.time for delivered in memory.delivered] == [still_clock.date - 10, still_clock.date]
    assert memory.value("orders_total", channel="web") == 5


def test_a_service_that_begins_again_is_added_where_differences_are_and_replaces_where_totals_are() -> None:
    for memory, expected in ((Memory("delta"), 4), (Memory(), 2)):
        for _ in range(2):
            shop = Shop()
            shop.record()
            Delivery(memory, shop.registry).deliver()
        assert memory.value("orders_total", channel="web") == expected


def test_it_can_be_read_while_it_is_exported_to() -> None:
    memory, registry = Memory("delta", keep=5), CollectorRegistry()
    delivery = Delivery(memory, registry)
    made = 0

    def export() -> None:
        nonlocal made
        made += 1
        Counter(f"things{made}_total", "Things", registry=registry).inc()
        delivery.deliver()

    with in_background(export):
        while made < 150:
            memory.value("nothing_total")
            list(memory.delivered)
    assert memory.value("things1_total") == 1
