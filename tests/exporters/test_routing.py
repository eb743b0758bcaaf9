"""What of the metrics goes to a destination, and how it is called there."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from measurand.encoding import openmetrics
from measurand.encoding.text import encode
from measurand.errors import ConfigurationError
from measurand.exporters.delivery import Delivery
from measurand.exporters.memory import Memory
from measurand.exporters.routing import Rename, Route
from measurand.metrics.collecting import Gathering, gather
from measurand.metrics.families import CounterMetricFamily

pytestmark = pytest.mark.once


class Page:
    """Keeps the last page in the text format, without comments."""

    name, interval = "page", 15.0

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.heard: list[Any] = []

    def __repr__(self) -> str:
        return "Page()"

    def export(self, snapshot: Gathering) -> None:
        self.lines = [line for line in encode(snapshot).decode().splitlines() if not line.startswith("# HELP")]

    def identify(self, *who: str) -> None:
        self.heard.append(who)

    def check(self) -> None:
        self.heard.append("check")

    def end(self, seconds: float) -> None:
        self.heard.append(seconds)

    def close(self) -> None:
        self.heard.append("close")


class Rows:
    def collect(self) -> list[CounterMetricFamily]:
        return [CounterMetricFamily("rows", "Rows", value=4)]


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders", registry=registry).inc(3)
    Gauge("queue_length", "Queue", registry=registry).set(2)
    registry.register(Rows())
    return registry


def names(registry: CollectorRegistry, **settings: Any) -> list[str]:
    """The names that a route with these settings lets through."""
    memory = Memory()
    Delivery(Route(memory, **settings), registry).deliver()
    return [family.exposed_name for family in memory.delivered[-1].families]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["orders_total", "queue_length", "rows_total"]),
        ({"include": ["orders_*"]}, ["orders_total"]),
        ({"include": "queue_length"}, ["queue_length"]),
        ({"include": ["orders"]}, ["orders_total"]),
        ({"include": ["*_total"]}, ["orders_total", "rows_total"]),
        ({"include": ["ORDERS_*"]}, []),
        ({"include": ["?ows_total", "queue*"]}, ["queue_length", "rows_total"]),
        ({"exclude": ["orders*"]}, ["queue_length", "rows_total"]),
        ({"include": ["*_total"], "exclude": ["rows"]}, ["orders_total"]),
        ({"include": (pattern for pattern in ["rows*"])}, ["rows_total"]),
        ({"prefix": "shop_"}, ["shop_orders_total", "shop_queue_length", "shop_rows_total"]),
        ({"rename": {"orders_total": "Orders", "rows": "lines_total"}}, ["Orders", "queue_length", "lines_total"]),
        ({"rename": "x_{}".format}, ["x_orders_total", "x_queue_length", "x_rows_total"]),
        ({"rename": str.title, "exclude": ["rows*"]}, ["Orders_Total", "Queue_Length"]),
        (
            {"include": ["orders*"], "rename": {"orders_total": "sales_total"}, "prefix": "shop_", "exclude": ["sales*", "shop_*"]},
            ["shop_sales_total"],
        ),
    ],
)
def test_a_part_of_the_metrics_goes_through_under_other_names(
    registry: CollectorRegistry, settings: dict[str, Any], expected: list[str]
) -> None:
    assert names(registry, **settings) == expected


@pytest.mark.parametrize("setting", ["include", "exclude"])
@pytest.mark.parametrize("wrong", [[""], [3], ["orders_*", None]])
def test_a_pattern_that_is_none_is_refused(setting: str, wrong: list[Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{setting} of a route must be patterns of names such as 'orders_\\*', not "):
        Route(Memory(), **{setting: wrong})


def test_every_kind_is_renamed_wholly() -> None:
    registry = CollectorRegistry()
    Counter("a_total", "A", ["kind"], registry=registry).labels("x").inc()
    Gauge("b", "B", registry=registry).set(2)
    Histogram("c", "C", buckets=(1,), registry=registry).observe(0.5)
    Summary("d", "D", registry=registry).observe(3)
    Info("e", "E", registry=registry).info({"version": "1"})
    Enum("f", "F", states=["on", "off"], registry=registry).state("off")
    registry.register(Rows())
    page = Page()
    rename: Rename = {"a_total": "first_total", "d": "sizes"}
    Delivery(Route(page, prefix="shop_", rename=rename), registry).deliver()
    assert page.lines == [
        "# TYPE shop_first_total counter",
        'shop_first_total{kind="x"} 1.0',
        "# TYPE shop_b gauge",
        "shop_b 2.0",
        "# TYPE shop_c histogram",
        'shop_c_bucket{le="1.0"} 1.0',
        'shop_c_bucket{le="+Inf"} 1.0',
        "shop_c_count 1.0",
        "shop_c_sum 0.5",
        "# TYPE shop_sizes summary",
        "shop_sizes_count 1.0",
        "shop_sizes_sum 3.0",
        "# TYPE shop_e_info gauge",
        'shop_e_info{version="1"} 1.0',
        "# TYPE shop_f gauge",
        'shop_f{shop_f="on"} 0.0',
        'shop_f{shop_f="off"} 1.0',
        "# TYPE shop_rows_total counter",
        "shop_rows_total 4.0",
    ]
    snapshot = gather(registry)
    snapshot.select(Route(page, prefix="shop_", rename=rename).select)
    assert len([one for one in parse(openmetrics.encode(snapshot).decode()) if one.name.startswith("shop_")]) == 7
    assert snapshot.report() == []


def test_two_routes_of_one_registry_do_not_disturb_each_other(registry: CollectorRegistry) -> None:
    pages = [Page() for _ in range(3)]
    routes = [Route(pages[0], prefix="a_"), Route(pages[1], prefix="b_"), pages[2]]
    for _ in range(2):
        for route in routes:
            Delivery(route, registry).deliver()
    for page, line in zip(pages, ("a_orders_total 3.0", "b_orders_total 3.0", "orders_total 3.0"), strict=True):
        assert line in page.lines


def test_differences_are_those_of_the_route(registry: CollectorRegistry) -> None:
    memory = Memory("delta")
    delivery = Delivery(Route(memory, include=["orders_*"], prefix="shop_"), registry)
    delivery.deliver()
    delivery.deliver()
    assert memory.value("shop_orders_total") == 3
    assert [len(delivered.families) for delivered in memory.delivered] == [1, 0]


def test_a_route_is_called_and_scheduled_as_it_says_and_else_as_its_destination() -> None:
    memory = Memory("delta", interval=7, name="ledger")
    plain, named = Route(memory), Route(memory, name="orders", interval=90)
    assert (plain.name, plain.interval, plain.temporality, plain.registry) == ("ledger", 7, "delta", None)
    assert (named.name, named.interval, repr(named)) == ("orders", 90, "Route(Memory('delta'))")


def test_what_a_destination_is_told_goes_through() -> None:
    page = Page()
    route = Route(Route(page))
    route.identify("shop", "test", "1")
    route.check()
    route.end(2.0)
    route.close()
    assert page.heard == [("shop", "test", "1"), "check", 2.0, "close"]


def test_a_destination_that_cannot_be_told_anything_need_not_be() -> None:
    class Bare:
        name, interval = "bare", 15.0

        def export(self, snapshot: Any) -> None:
            self.seen = snapshot

    bare = Bare()
    route = Route(bare)
    route.identify("shop", "test", "1")
    route.check()
    route.end(2.0)
    route.close()
    route.export("snapshot")
    assert bare.seen == "snapshot"


def test_a_route_within_a_route_narrows_it(registry: CollectorRegistry) -> None:
    memory = Memory()
    inner = Route(memory, include=["*_total"], prefix="in_")
    Delivery(Route(inner, exclude=["in_rows*"], prefix="out_"), registry).deliver()
    assert [family.exposed_name for family in memory.delivered[0].families] == ["out_in_orders_total"]
