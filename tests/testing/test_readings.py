"""Reading what a test changed, and saying what is wrong in a way that helps."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, disable_created_metrics, enable_created_metrics
from measurand.metrics.families import GaugeMetricFamily
from measurand.testing.clock import FakeClock
from measurand.testing.readings import Change, Readings
from tests.support import run_threads


class Shop:
    """A registry with one metric of each type that has recorded before the test begins."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.orders = Counter("orders", "d", ["channel", "status"], registry=self.registry)
        self.level = Gauge("level", "d", registry=self.registry)
        self.sizes = Summary("sizes", "d", registry=self.registry)
        self.seconds = Histogram("seconds", "d", ["step"], registry=self.registry, buckets=[1, 2, 4])
        self.build = Info("build", "d", registry=self.registry)
        self.state = Enum("state", "d", states=["on", "off"], registry=self.registry)
        self.orders.labels("web", 200).inc(100)
        self.level.set(100)
        self.sizes.observe(100)
        self.seconds.labels("old").observe(3)
        self.build.info({"version": "1"})


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def metrics(shop: Shop) -> Readings:
    return Readings(shop.registry)


class Queue:
    def __init__(self, describe: bool) -> None:
        self.lengths = {"mail": 1.0, "print": 2.0}
        if describe:
            self.describe: Callable[[], Any] = lambda: [GaugeMetricFamily("queue_length", "d")]

    def collect(self) -> Iterable[Any]:
        family = GaugeMetricFamily("queue_length", "d", labels=["queue"])
        for name, length in self.lengths.items():
            family.add_metric([name], length)
        return [family]


# -- changes of values -----------------------------------------------------------------------------------------------------------------


def test_a_delta_is_the_change_since_the_start(shop: Shop, metrics: Readings) -> None:
    assert metrics.delta("orders_total") == 0
    shop.orders.labels("web", 200).inc()
    shop.orders.labels("web", 500).inc(2)
    shop.orders.labels("phone", 200).inc(4)
    assert metrics.delta("orders_total", channel="web", status="200") == 1
    assert metrics.delta("orders_total", channel="web") == 3
    assert metrics.delta("orders_total", status=200) == 5  # compared as text
    assert metrics.delta("orders_total") == 7
    assert metrics.delta("orders_total", channel="fax") == 0  # it may come yet


def test_a_delta_of_every_type(shop: Shop, metrics: Readings) -> None:
    shop.level.dec(30)
    shop.sizes.observe(5)
    shop.seconds.labels("old").observe(1.5)
    shop.seconds.labels("new").observe(3)
    shop.build.info({"version": "2"})
    shop.state.state("off")
    assert metrics.delta("level") == -30
    assert (metrics.delta("sizes_count"), metrics.delta("sizes_sum")) == (1, 5)
    assert metrics.delta("seconds_count") == 2
    assert metrics.delta("seconds_sum", step="new") == 3
    assert metrics.delta("seconds_bucket", step="old", le="2.0") == 1
    assert (metrics.delta("build_info", version="1"), metrics.delta("build_info", version="2")) == (-1, 1)
    assert (metrics.delta("state", state="on"), metrics.delta("state", state="off")) == (-1, 1)


def test_a_series_that_goes_counts_with_what_it_had(shop: Shop, metrics: Readings) -> None:
    shop.orders.clear()
    assert metrics.delta("orders_total") == -100


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10)), max_size=10), st.lists(st.sampled_from("abc"), max_size=4))
def test_deltas_of_parts_add_up_to_the_delta_of_all(events: list[tuple[str, int]], before: list[str]) -> None:
    registry = CollectorRegistry()
    counter = Counter("c", "d", ["l"], registry=registry)
    for label in before:
        counter.labels(label).inc(3)
    metrics = Readings(registry)
    for label, amount in events:
        counter.labels(label).inc(amount)
    assert metrics.delta("c_total") == sum(amount for _, amount in events)
    for each in "abc":
        assert metrics.delta("c_total", l=each) == sum(amount for label, amount in events if label == each)


def test_threads_and_tasks_are_counted(shop: Shop, metrics: Readings) -> None:
    run_threads(*[lambda: [shop.orders.labels("thread", 1).inc() for _ in range(100)] and None] * 4)

    async def order() -> None:
        await asyncio.sleep(0)
        shop.orders.labels("task", 1).inc()

    async def main() -> None:
        await asyncio.gather(*[order() for _ in range(50)])

    asyncio.run(main())
    assert (metrics.delta("orders_total", channel="thread"), metrics.delta("orders_total", channel="task")) == (400, 50)


def test_readings_do_not_disturb_each_other(shop: Shop, metrics: Readings) -> None:
    shop.level.set(1)
    later = Readings(shop.registry)
    shop.level.set(5)
    assert (metrics.delta("level"), later.delta("level")) == (-95, 4)


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("order_total", {}, r"no series named order_total; did you mean orders_total\?"),
        ("orders", {}, r"no series named orders; did you mean orders_total"),
        ("seconds", {}, r"no series named seconds; did you mean seconds_"),
        ("nothing_like_it", {}, "no series named nothing_like_it; the registry has no instrument with such a series"),
        ("orders_total", {"chanel": "web"}, r"orders has the labels \['channel', 'status'\], not \['chanel'\]"),
        ("level", {"channel": "web"}, r"level has the labels \[\], not \['channel'\]"),
    ],
)
def test_a_misspelt_name_is_no_zero(metrics: Readings, name: str, labels: dict[str, str], message: str) -> None:
    with pytest.raises(LookupError, match=message):
        metrics.delta(name, **labels)


def test_a_series_that_nothing_was_recorded_in_is_suggested_too() -> None:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders", ["channel"], registry=registry)
    with pytest.raises(LookupError, match=r"no series named order_total; did you mean orders_total\?"):
        Readings(registry).delta("order_total")


def test_a_name_as_it_is_exposed_is_not_its_name(shop: Shop) -> None:
    Counter("shop.hits", "d", registry=shop.registry).inc()
    metrics = Readings(shop.registry)
    with pytest.raises(LookupError, match=r"did you mean shop\.hits_total"):
        metrics.delta("shop_hits_total")
    assert metrics.delta("shop.hits_total") == 0


def test_common_labels_select_too(shop: Shop) -> None:
    shop.registry.set_common_labels({"service": "shop"})
    metrics = Readings(shop.registry)
    shop.level.inc()
    assert metrics.delta("level", service="shop") == 1
    assert metrics.delta("level", service="other") == 0
    assert metrics.value("level", service="shop") == 101


# -- values and samples ------------------------------------------------------------------------------------------------------------------


def test_the_value_of_one_series(shop: Shop, metrics: Readings) -> None:
    shop.orders.labels("phone", 200).inc()
    assert metrics.value("orders_total", channel="phone") == 1
    assert metrics.value("level") == 100
    assert metrics.value("build_info", version="1") == 1
    assert [sample.labels for sample in metrics.samples("orders_total")] == [
        {"channel": "web", "status": "200"},
        {"channel": "phone", "status": "200"},
    ]
    assert metrics.samples("nothing") == []


def test_what_selects_no_series_or_several_says_what_there_is(shop: Shop, metrics: Readings) -> None:
    shop.orders.labels("phone", 200).inc()
    with pytest.raises(
        LookupError, match=r'2 series match orders_total\{status="200"\}; give more labels.*\n.*channel="web".*\n.*="phone"'
    ):
        metrics.value("orders_total", status=200)
    with pytest.raises(
        LookupError, match=r'no series orders_total\{channel="fax"\}; there are:\n  orders_total\{channel="web", status="200"\}'
    ):
        metrics.value("orders_total", channel="fax")
    with pytest.raises(LookupError, match="did you mean level"):
        metrics.value("levle")


@pytest.mark.parametrize("describe", [True, False])
def test_custom_collectors_have_values_and_no_deltas(shop: Shop, describe: bool) -> None:
    queue = Queue(describe)
    shop.registry.register(queue)
    metrics = Readings(shop.registry)
    queue.lengths["mail"] = 7
    assert metrics.value("queue_length", queue="mail") == 7
    assert len(metrics.samples("queue_length")) == 2
    with pytest.raises(LookupError, match=r'queue="mail".*\n.*queue="print"'):
        metrics.value("queue_length", queue="fax")
    with pytest.raises(LookupError, match=r"custom collector.*compare two value\(\)s" if describe else "no instrument with such"):
        metrics.delta("queue_length")
    assert metrics.changes() == []


def test_functions_of_gauges_have_values_and_no_deltas(shop: Shop) -> None:
    waiting = [1, 2]
    gauge = Gauge("waiting", "d", ["l"], registry=shop.registry)
    gauge.labels("asked").set_function(lambda: len(waiting))
    gauge.labels("told").set(1)
    metrics = Readings(shop.registry)
    waiting.append(3)
    gauge.labels("told").set(5)
    assert metrics.value("waiting", l="asked") == 3
    assert metrics.delta("waiting", l="told") == 4
    for labels in ({"l": "asked"}, {}):
        with pytest.raises(
            LookupError, match=r"waiting.* is given by a function, which was not called at the start; compare two value\(\)s"
        ):
            metrics.delta("waiting", **labels)
    assert [change.labels for change in metrics.changes()] == [{"l": "told"}]


def test_what_other_metrics_fail_with_is_not_this_tests_matter(shop: Shop) -> None:
    def fail() -> float:
        raise ConnectionError("no database here")

    class Broken:
        def describe(self) -> list[Any]:
            return []

        def collect(self) -> list[Any]:
            raise ConnectionError("no database here either")

    Gauge("broken", "d", registry=shop.registry).set_function(fail)
    shop.registry.register(Broken())
    metrics = Readings(shop.registry)
    shop.level.inc()
    assert metrics.value("level") == 101
    assert metrics.delta("level") == 1
    assert len(metrics.changes()) == 1
    metrics.assert_no_unexpected_series("level")
    with pytest.raises(ConnectionError, match="no database here"):
        metrics.value("broken")


# -- quantiles ---------------------------------------------------------------------------------------------------------------------------


def test_a_quantile_is_of_what_this_test_observed(shop: Shop, metrics: Readings) -> None:
    assert math.isnan(metrics.quantile("seconds", 0.5))
    for _ in range(10):
        shop.seconds.labels("old").observe(1.5)
    shop.seconds.labels("new").observe(3.5)
    assert metrics.quantile("seconds", 0.5, step="old") == 1.5  # the observation from before is not in it
    assert metrics.quantile("seconds", 1, step="new") == 4
    assert 1 < metrics.quantile("seconds", 0.5) < 2
    assert 2 < metrics.quantile("seconds", 0.99) < 4
    with pytest.raises(LookupError, match="no series named level_bucket"):
        metrics.quantile("level", 0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.quantile("seconds", 95)


def test_a_quantile_of_a_native_histogram_is_as_fine_as_its_cells() -> None:
    registry = CollectorRegistry(common_labels={"service": "shop"})
    histogram = Histogram("seconds", "d", ["step"], buckets=[1000], native=True, registry=registry)
    for _ in range(100):
        histogram.labels("old").observe(7)
    metrics = Readings(registry)
    assert math.isnan(metrics.quantile("seconds", 0.5))
    for value in range(1, 101):
        histogram.labels("new" if value > 50 else "old").observe(value)
    assert metrics.quantile("seconds", 0.5) == pytest.approx(50, rel=0.0906)
    assert metrics.quantile("seconds", 0.5, step="old", service="shop") == pytest.approx(25, rel=0.0906)
    assert metrics.quantile("seconds", 0.99, step="new") == pytest.approx(100, rel=0.0906)
    assert metrics.delta("seconds_bucket", le="1000.0") == 100


# -- changes -----------------------------------------------------------------------------------------------------------------------------


def test_two_changes_that_say_the_same_are_equal_and_nan_is_nan() -> None:
    change = Change("level", {"a": "b"}, float("nan"), 1)
    assert change == Change("level", {"a": "b"}, float("nan"), 1.0)
    others = [Change("other", {"a": "b"}, float("nan"), 1), Change("level", {}, float("nan"), 1), Change("level", {"a": "b"}, None, 1)]
    assert change not in [*others, Change("level", {"a": "b"}, float("nan"), 2), ("level", {"a": "b"}, float("nan"), 1)]


def test_changes_list_what_came_went_and_moved(shop: Shop, metrics: Readings) -> None:
    assert metrics.changes() == []
    shop.orders.labels("phone", 200).inc()
    shop.orders.remove("web", "200")
    shop.level.set(5)
    assert metrics.changes() == [
        Change("level", {}, 100, 5),
        Change("orders_total", {"channel": "phone", "status": "200"}, None, 1),
        Change("orders_total", {"channel": "web", "status": "200"}, 100, None),
    ]
    assert [str(change) for change in metrics.changes()] == [
        "level: 100.0 -> 5.0",
        'orders_total{channel="phone", status="200"}: new -> 1.0',
        'orders_total{channel="web", status="200"}: 100.0 -> gone',
    ]


def test_what_is_not_a_number_is_no_change_and_times_of_creation_are_none(shop: Shop) -> None:
    shop.level.set(float("nan"))
    metrics = Readings(shop.registry)
    enable_created_metrics()
    try:
        assert metrics.changes() == []
        shop.level.set(1)
        assert len(metrics.changes()) == 1
    finally:
        disable_created_metrics()


def test_an_expired_series_is_gone(shop: Shop) -> None:
    with FakeClock() as clock:
        Gauge("fading", "d", registry=shop.registry, expire_after=10).set(3)
        metrics = Readings(shop.registry)
        clock.advance(11)
        assert metrics.changes() == [Change("fading", {}, 3, None)]
        assert metrics.delta("fading") == -3


def test_unexpected_changes_are_listed(shop: Shop, metrics: Readings) -> None:
    metrics.assert_no_unexpected_series()
    shop.orders.labels("web", 200).inc()
    shop.seconds.labels("old").observe(1)
    metrics.assert_no_unexpected_series("orders_total", "seconds")
    metrics.assert_no_unexpected_series("orders", "seconds_*")
    metrics.assert_no_unexpected_series("*")
    with pytest.raises(
        AssertionError, match=r"1 series changed unexpectedly; expected only \['seconds'\]:\n  orders_total\{.*: 100\.0 -> 101\.0"
    ):
        metrics.assert_no_unexpected_series("seconds")
    with pytest.raises(AssertionError, match=r"expected only \['order'\]"):
        metrics.assert_no_unexpected_series("order")


def test_a_budget_of_new_series(shop: Shop, metrics: Readings) -> None:
    metrics.assert_series_budget(0)
    for number in range(5):
        shop.orders.labels(f"user-{number}", 200).inc()
    shop.seconds.labels("new").observe(1)  # one, whatever its buckets
    shop.orders.labels("web", 200).inc()  # not new
    metrics.assert_series_budget(6)
    metrics.assert_series_budget(5, "orders_total")
    metrics.assert_series_budget(1, "sec*")
    metrics.assert_series_budget(0, "level")
    with pytest.raises(AssertionError, match=r"6 new series, the budget is 5: orders 5, seconds 1. Does a label hold ids or raw paths?"):
        metrics.assert_series_budget(5)
    with pytest.raises(AssertionError, match="5 new series, the budget is 4: orders 5"):
        metrics.assert_series_budget(4, "orders_total")


def test_bounds_and_quantiles_may_be_numbers() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("seconds", "d", registry=registry, buckets=[1, 2.5])
    readings = Readings(registry)
    histogram.observe(0.5)
    assert [readings.delta("seconds_bucket", le=le) for le in (1, 1.0, "1.0", 2.5, math.inf)] == [1.0] * 5
