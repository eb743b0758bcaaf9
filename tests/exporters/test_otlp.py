"""OTLP against a server that answers as it is told: what is sent, what is tried again, what is given up."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from measurand.errors import ExportFailed
from measurand.exporters.delivery import Delivery
from measurand.exporters.otlp import OTLP
from measurand.metrics.families import HistogramMetricFamily
from measurand.metrics.instruments import Counter, Gauge, Histogram, Summary
from measurand.metrics.registry import CollectorRegistry
from tests.exporters.otlp_peers import Answer, Receiver, metrics_in
from tests.support import StillClock, wait_until

pytestmark = pytest.mark.once

UNAVAILABLE = [429, 502, 503, 504]


class Shop:
    """Two counters and a gauge, and their delivery."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.registry = CollectorRegistry()
        self.orders = Counter("orders_total", "Orders", ["channel"], registry=self.registry)
        self.visits = Counter("visits_total", "Visits", registry=self.registry)
        self.exporter = OTLP(url, **{"timeout": 20.0, **settings})
        self.delivery = Delivery(self.exporter, self.registry)

    def deliver(self) -> ExportFailed | None:
        """Deliver, and say how it failed."""
        try:
            self.delivery.deliver(60.0)
        except ExportFailed as failure:
            return failure
        return None


Open = Callable[..., Shop]


@pytest.fixture
def open_shop() -> Iterator[Open]:
    """Makes shops whose exporters are closed in the end."""
    opened: list[Shop] = []

    def open_one(url: str, **settings: Any) -> Shop:
        opened.append(Shop(url, **settings))
        return opened[-1]

    yield open_one
    for shop in opened:
        shop.exporter.close()


def values(points: list[Any]) -> list[float]:
    return [point.as_double for point in points]


# -- what is sent ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "/", "/v1/metrics", "/v1/metrics/"])
@pytest.mark.parametrize("base", ["", "/opentelemetry"])
def test_the_path_of_metrics_is_appended_unless_it_is_there(open_shop: Open, base: str, given: str) -> None:
    with Receiver() as receiver:
        assert open_shop(receiver.url + base + given).deliver() is None
        assert [taken.path for taken in receiver.taken] == [f"{base}/v1/metrics"]


@pytest.mark.parametrize("compression", ["gzip", None])
@pytest.mark.parametrize(("protocol", "content_type"), [("http/protobuf", "application/x-protobuf"), ("http/json", "application/json")])
def test_a_request_says_what_it_is(open_shop: Open, protocol: Any, content_type: str, compression: Any) -> None:
    with Receiver() as receiver:
        headers = {"X-Scope-OrgID": "tenant"}
        shop = open_shop(receiver.url, protocol=protocol, compression=compression, headers=headers, bearer_token="secret")
        shop.visits.inc(3)
        assert shop.deliver() is None
    (taken,) = receiver.taken
    told = {name: taken.headers.get(name) for name in ("content-type", "content-encoding", "x-scope-orgid", "authorization")}
    assert told == {
        "content-type": content_type,
        "content-encoding": compression,
        "x-scope-orgid": "tenant",
        "authorization": "Bearer secret",
    }
    assert taken.method == "POST"
    if protocol == "http/json":
        (about,) = json.loads(taken.content)["resourceMetrics"]
        names = [metric["name"] for metric in about["scopeMetrics"][0]["metrics"]]
    else:
        names = [metric.name for metric in metrics_in(taken.message)]
    assert names == ["visits_total"]


def test_the_resource_is_what_the_service_was_told_unless_it_is_said_otherwise(open_shop: Open) -> None:
    with Receiver() as receiver:
        shop = open_shop(receiver.url, resource={"service.instance.id": "a", "service.version": "2.0", "port": 80})
        assert shop.deliver() is None
        shop.exporter.identify("shop", "production", "1.0")
        assert shop.deliver() is None
        shop.exporter.identify("shop", "", "unknown")
        assert shop.deliver() is None
    found = []
    for taken in receiver.taken:
        (about,) = taken.message.resource_metrics
        found.append({each.key: each.value.int_value or each.value.string_value for each in about.resource.attributes})
    given = {"service.instance.id": "a", "service.version": "2.0", "port": 80}
    assert found == [
        {"service.name": "unknown_service", **given},
        {"service.name": "shop", "deployment.environment.name": "production", **given},
        {"service.name": "shop", **given},
    ]


def test_nothing_is_sent_where_there_is_nothing_to_say(open_shop: Open) -> None:
    with Receiver() as receiver:
        shop = open_shop(receiver.url, temporality="delta")
        assert shop.deliver() is None
        assert receiver.taken == []


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_many_points_go_into_several_requests_on_one_connection(open_shop: Open, protocol: Any) -> None:
    with Receiver() as receiver:
        shop = open_shop(receiver.url, protocol=protocol, max_points_per_request=3)
        for number in range(7):
            shop.orders.labels(str(number)).inc(number)
        assert shop.deliver() is None
        counts = [taken.content.count(b"asDouble") for taken in receiver.taken]
        if protocol == "http/protobuf":
            counts = [sum(len(metric.sum.data_points) for metric in metrics_in(taken.message)) for taken in receiver.taken]
            assert sorted(values(receiver.accepted("orders_total"))) == [0, 1, 2, 3, 4, 5, 6]
    assert counts == [3, 3, 2]


def test_totals_count_since_their_series_began_and_differences_follow_on_each_other(open_shop: Open, still_clock: StillClock) -> None:
    with Receiver() as receiver:
        totals, differences = open_shop(receiver.url), open_shop(receiver.url, temporality="delta")
        for shop in (totals, differences):
            assert shop.registry.get_sample_value("visits_total") == 0  # the series begins with its metric
        for _ in range(3):
            still_clock.advance(60)
            for shop in (totals, differences):
                shop.visits.inc()
                assert shop.deliver() is None
        found = receiver.accepted("visits_total")
    began_at, minute = 1_700_000_000 * 10**9, 60 * 10**9
    assert [(point.start_time_unix_nano, point.time_unix_nano, point.as_double) for point in found[::2]] == [
        (began_at, began_at + minute, 1),
        (began_at, began_at + 2 * minute, 2),
        (began_at, began_at + 3 * minute, 3),
    ]
    assert [(point.start_time_unix_nano, point.time_unix_nano, point.as_double) for point in found[3::2]] == [
        (began_at + minute, began_at + 2 * minute, 1),
        (began_at + 2 * minute, began_at + 3 * minute, 1),
    ]
    assert found[1].start_time_unix_nano <= began_at  # of the first, all that is known is when the process was started


def test_a_series_that_begins_anew_says_so(open_shop: Open, still_clock: StillClock) -> None:
    with Receiver() as receiver:
        shop = open_shop(receiver.url)
        shop.orders.labels("web").inc(5)
        assert shop.deliver() is None
        still_clock.advance(60)
        shop.orders.remove("web")
        shop.orders.labels("web").inc(1)
        still_clock.advance(60)
        assert shop.deliver() is None
        before, after = receiver.accepted("orders_total")
    assert after.start_time_unix_nano == before.start_time_unix_nano + 60 * 10**9


class Halves:
    """A custom collector with half an observation, beside a whole one."""

    def collect(self) -> list[HistogramMetricFamily]:
        family = HistogramMetricFamily("halves", "Halves", labels=["of"])
        family.add_metric(["it"], [("1", 0.5), ("+Inf", 2.0)], 3.0)
        family.add_metric(["none"], [("1", 1.0), ("+Inf", 2.0)], 3.0)
        return [family]


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_what_the_protocol_cannot_have_is_left_out_and_counted_and_costs_nothing_else(
    open_shop: Open, caplog: pytest.LogCaptureFixture, temporality: Any
) -> None:
    with Receiver() as receiver, caplog.at_level(logging.WARNING, "measurand"):
        shop = open_shop(receiver.url, temporality=temporality)
        shop.registry.register(Halves())
        shop.visits.inc(3)
        assert shop.deliver() is None
        assert shop.delivery.dropped == 1
        (point,) = receiver.accepted("halves")
        assert values(receiver.accepted("visits_total")) == [3]
    assert "halves cannot go to OpenTelemetry: it has a count that is no whole number" in caplog.text
    assert (point.count, list(point.bucket_counts), point.attributes[0].value.string_value) == (2, [1, 1], "none")


# -- what is tried again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", UNAVAILABLE)
def test_differences_are_put_back_while_the_destination_is_not_available(open_shop: Open, status: int) -> None:
    with Receiver([status, Answer(status, headers={"Retry-After": "17"})]) as receiver:
        shop = open_shop(receiver.url, temporality="delta")
        shop.visits.inc(3)
        first = shop.deliver()
        shop.visits.inc(4)
        second = shop.deliver()
        assert shop.deliver() is None
        assert values(receiver.accepted("visits_total")) == [7]
    assert first is not None
    assert second is not None
    assert (first.dropped, first.retry_after, second.dropped, second.retry_after) == (0, None, 0, 17)
    assert str(status) in str(first)


def test_a_connection_that_breaks_is_tried_again(open_shop: Open) -> None:
    with Receiver([Answer(None)]) as receiver:
        shop = open_shop(receiver.url, temporality="delta")
        shop.visits.inc(3)
        failure = shop.deliver()
        assert failure is not None
        assert failure.dropped == 0
        assert shop.deliver() is None
        assert values(receiver.accepted("visits_total")) == [3]


def test_differences_to_which_no_answer_came_are_sent_again(open_shop: Open) -> None:
    with Receiver() as receiver:
        shop = open_shop(receiver.url, temporality="delta", timeout=0.2)
        shop.visits.inc(3)
        receiver.hold.clear()
        assert shop.deliver() is not None
        receiver.hold.set()
        wait_until(lambda: shop.deliver() is None)  # a busy machine may take more than that for an answer
        assert set(values(receiver.accepted("visits_total"))) == {3}


def test_a_part_that_has_arrived_is_not_sent_again_and_its_next_difference_begins_there(open_shop: Open, still_clock: StillClock) -> None:
    with Receiver([200, 503]) as receiver:
        shop = open_shop(receiver.url, temporality="delta", max_points_per_request=1)
        shop.orders.labels("web").inc(2)
        shop.visits.inc(3)
        assert shop.deliver() is not None
        still_clock.advance(60)
        shop.orders.labels("web").inc(5)
        assert shop.deliver() is None
        still_clock.advance(60)
        shop.orders.labels("web").inc(1)
        assert shop.deliver() is None
        orders, visits = receiver.accepted("orders_total"), receiver.accepted("visits_total")
    assert (values(orders), values(visits)) == ([2, 5, 1], [3])
    assert [point.start_time_unix_nano for point in orders[1:]] == [point.time_unix_nano for point in orders[:2]]
    assert visits[0].start_time_unix_nano == orders[0].start_time_unix_nano


def test_a_delivery_ends_in_time(open_shop: Open) -> None:
    with Receiver() as receiver:
        shop = open_shop(receiver.url)
        with pytest.raises(ExportFailed, match="no time"):
            shop.delivery.deliver(0.0)
        assert receiver.taken == []


# -- what is given up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500, 501])
@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_what_is_refused_is_given_up_and_counted(open_shop: Open, status: int, temporality: Any) -> None:
    with Receiver([status]) as receiver:
        shop = open_shop(receiver.url, temporality=temporality, max_points_per_request=1)
        shop.orders.labels("web").inc(2)
        shop.visits.inc(3)
        failure = shop.deliver()
        assert failure is not None
        assert (failure.dropped, failure.retry_after) == (1, None)
        assert str(status) in str(failure)
        shop.visits.inc(1)
        assert shop.deliver() is None
        orders, visits = values(receiver.accepted("orders_total")), values(receiver.accepted("visits_total"))
    expected = ([], [3, 1]) if temporality == "delta" else ([2], [3, 4])
    assert (orders, visits) == expected


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-protobuf", b"\x08\x03\x12\x0eno such tenant"),
        ("application/json", b'{"code": 3, "message": "no such tenant"}'),
        ("text/plain", b"no such tenant"),
    ],
)
def test_a_refusal_says_why(open_shop: Open, content_type: str, body: bytes) -> None:
    with Receiver([Answer(400, body, {"Content-Type": content_type})]) as receiver:
        assert f"{receiver.url}/v1/metrics answered 400: no such tenant" in str(open_shop(receiver.url).deliver())


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-protobuf", b"\x0a\x0b\x08\x02\x12\x07too old"),
        ("application/json", b'{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"too old"}}'),
    ],
)
def test_points_that_are_rejected_are_counted_and_never_sent_again(open_shop: Open, content_type: str, body: bytes) -> None:
    with Receiver([Answer(200, body, {"Content-Type": content_type})]) as receiver:
        shop = open_shop(receiver.url, temporality="delta", max_points_per_request=2)
        for channel in ("web", "phone"):
            shop.orders.labels(channel).inc(2)
        shop.visits.inc(3)
        failure = shop.deliver()
        assert shop.deliver() is None
        assert len(receiver.taken) == 2
        assert values(receiver.accepted("visits_total")) == [3]
    assert failure is not None
    assert failure.dropped == 2
    assert "rejected 2 of 2 points: too old" in str(failure)


def test_a_warning_is_no_failure(open_shop: Open, caplog: pytest.LogCaptureFixture) -> None:
    body = b'{"partialSuccess":{"errorMessage":"this endpoint goes in May"}}'
    with Receiver([Answer(200, body, {"Content-Type": "application/json"})] * 3) as receiver, caplog.at_level(logging.WARNING, "measurand"):
        shop = open_shop(receiver.url)
        for _ in range(3):
            assert shop.deliver() is None
    assert caplog.text.count("this endpoint goes in May") == 1


# -- exactly -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_whatever_fails_on_the_way_differences_add_up_and_follow_on_each_other(open_shop: Open, seed: int) -> None:
    chance = random.Random(seed)
    answers = [Answer(chance.choice([200, 200, *UNAVAILABLE, None])) for _ in range(60)]
    with Receiver(answers) as receiver:
        shop = open_shop(receiver.url, temporality="delta", max_points_per_request=2)
        took = Histogram("took_seconds", "Took", buckets=(0.25, 1), registry=shop.registry)
        native = Histogram("native_seconds", "Native", native=True, registry=shop.registry)
        size = Summary("size_bytes", "Size", registry=shop.registry)
        Gauge("level", "Level", registry=shop.registry).set(7)
        for _ in range(25):
            for _ in range(chance.randrange(4)):
                shop.orders.labels(chance.choice("abc")).inc(chance.choice((1, 0.5)))
                for metric in (took, native, size):
                    metric.observe(chance.choice((0.125, 0.5, 4)))
            shop.deliver()
        while shop.deliver() is not None:
            continue

        def total(name: str, **labels: str) -> float | None:
            return shop.registry.get_sample_value(name, labels)

        for channel in "abc":
            points = [point for point in receiver.accepted("orders_total") if point.attributes[0].value.string_value == channel]
            assert sum(values(points)) == total("orders_total", channel=channel)
            for before, after in pairwise(points):
                assert before.time_unix_nano <= after.start_time_unix_nano <= after.time_unix_nano
        for name in ("took_seconds", "native_seconds", "size_bytes"):
            points = receiver.accepted(name)
            assert sum(point.count for point in points) == total(f"{name}_count")
            assert sum(point.sum for point in points) == total(f"{name}_sum")
        buckets = [sum(counts) for counts in zip(*[point.bucket_counts for point in receiver.accepted("took_seconds")], strict=True)]
        assert buckets[0] == total("took_seconds_bucket", le="0.25")
        assert sum(buckets) == total("took_seconds_bucket", le="+Inf")
    assert {taken.status for taken in receiver.taken} >= {200, 503}
