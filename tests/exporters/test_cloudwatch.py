"""CloudWatch: what arrives at an emulator, behind a stand-in that enforces every limit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any, ClassVar

import pytest

from measurand import CollectorRegistry, Counter, Gauge, Histogram, Summary, clock
from measurand.errors import ExportFailed
from measurand.exporters.cloudwatch import CloudWatch
from measurand.exporters.delivery import Delivery
from measurand.exporters.protocol import Exporter
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.exporting import Exporting
from measurand.lifecycle.polling import Polling
from measurand.testing.clock import FakeClock
from measurand.testing.exporters import ExporterConformance
from tests.exporters.cloudwatch_kit import REGION, Reader, exporter, single
from tests.exporters.cloudwatch_stand_in import CloudWatchStandIn, Fault
from tests.servers.emulators import CloudWatchEmulator
from tests.support import CLOSINGS

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("aws_credentials")]

THROTTLED = Fault(400, "Throttling")


class OnTheEmulator(ExporterConformance):
    closings = CLOSINGS
    delivery: ClassVar[Any] = "at-least-once"

    @pytest.fixture(autouse=True)
    def _stand_in(self, cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn) -> Iterator[None]:
        self.emulator = cloudwatch
        self.read = Reader(cloudwatch)
        self.levels: dict[str, float] = {}
        stand_in.judge = self.note
        self.peer = stand_in.url.removeprefix("http://")
        self.client = cloudwatch.client(stand_in.url, config=single())
        yield
        assert stand_in.rejections == []

    def forget(self) -> None:
        self.emulator.reset()
        self.levels.clear()

    def note(self, data: list[dict[str, Any]]) -> None:
        """Keep the levels in the order in which they come: the emulator tells those of one second together."""
        for datum in data:
            if datum["MetricName"] == "kit_level":
                self.levels[datum["Dimensions"][0]["Value"]] = datum["Value"]

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        if self.closings >= 1000 and address == self.peer:  # boto3 takes longer to make a client than for all that is sent
            return CloudWatch("Kit", client=self.client, delivery=self.delivery)
        # half of it is for an answer, and a busy machine needs a while for one
        return CloudWatch("Kit", region=REGION, endpoint_url=f"http://{address}", delivery=self.delivery, timeout=max(timeout, 6.0))

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return self.read.sum(f"{name}_total", labels)

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        return self.levels.get(labels["run"])

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        found = self.read.statistics(name, labels)
        return (None, None) if found is None else (found["SampleCount"], found["Sum"])


class TestAtLeastOnce(OnTheEmulator):
    pass


class TestAtMostOnce(OnTheEmulator):
    delivery = "at-most-once"
    gives_up_on_silence = True


def test_every_number_is_read_back(cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn) -> None:
    registry, read = CollectorRegistry(), Reader(cloudwatch)
    counter = Counter("orders", "d", ["channel"], registry=registry)
    level = Gauge("level_bytes", "d", registry=registry)
    took = Histogram("took_seconds", "d", buckets=(0.1, 0.5, 2.5), registry=registry)
    sizes = Summary("sizes", "d", registry=registry)
    counter.labels("web").inc(2)
    counter.labels("shop").inc(0.1)
    level.set(-17.5)
    for seconds in (0.07, 0.3, 0.31, 0.33, 1.7, 44.4):
        took.observe(seconds)
    for size in (0.1, 0.2, 0.3):
        sizes.observe(size)
    one = exporter(stand_in, dimensions={"Stage": "live"})
    Delivery(one, registry).deliver()
    one.close()
    assert read.sum("orders_total", {"channel": "web", "Stage": "live"}) == 2
    assert read.sum("orders_total", {"channel": "shop", "Stage": "live"}) == 0.1
    seen = read.statistics("level_bytes", {"Stage": "live"})
    assert seen is not None
    assert (seen["SampleCount"], seen["Minimum"], seen["Maximum"]) == (1, -17.5, -17.5)
    seen = read.statistics("took_seconds", {"Stage": "live"})
    assert seen is not None
    assert (seen["SampleCount"], seen["Sum"]) == (6, 0.07 + 0.3 + 0.31 + 0.33 + 1.7 + 44.4)
    assert 0 <= seen["Minimum"] <= 0.1
    assert seen["Maximum"] >= 2.5
    seen = read.statistics("sizes", {"Stage": "live"})
    assert seen is not None
    assert (seen["SampleCount"], seen["Sum"]) == (3, 0.1 + 0.2 + 0.3)
    assert stand_in.rejections == []


def test_an_hour_under_limits_and_throttling_loses_nothing_and_keeps_to_its_calls(
    cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn
) -> None:
    """1,203 series are two calls a minute, and never more, whatever CloudWatch answers; it refuses a third of them."""
    registry, chance, read = CollectorRegistry(), Random(35), Reader(cloudwatch)
    pages = Counter("pages", "d", ["page"], registry=registry, max_series=5000)
    took = Histogram("took_seconds", "d", registry=registry)
    sizes = Summary("sizes", "d", registry=registry)
    level = Gauge("level", "d", registry=registry)
    stand_in.judge = lambda data: chance.choice([None, None, None, None, THROTTLED, Fault(503, "ServiceUnavailable")])
    one = exporter(stand_in)
    delivery = Delivery(one, registry)
    not_before, calls = 0.0, [0]
    failures: list[ExportFailed] = []
    with FakeClock() as time:
        for minute in range(60):
            for page in range(1200) if minute < 3 else chance.sample(range(1200), 40):
                pages.labels(str(page)).inc(chance.choice((1, 0.5, 3)))
            took.observe(chance.choice((0.125, 0.5, 3.0, 20.0)))
            sizes.observe(chance.choice((1, 64)))
            level.set(minute)
            time.advance(60)
            if clock.monotonic() >= not_before:
                try:
                    delivery.deliver()
                except ExportFailed as failure:
                    failures.append(failure)
                    not_before = clock.monotonic() + (failure.retry_after or 0.0)
            calls.append(len(stand_in.calls))
        stand_in.judge = lambda data: None
        delivery.deliver()
    one.close()
    assert stand_in.rejections == []
    assert len(failures) >= 5
    assert {failure.dropped for failure in failures} == {0}
    assert read.sum("pages_total") == sum(sample.value for sample in pages.collect()[0].samples if sample.name == "pages_total")
    for page in chance.sample(range(1200), 20):
        assert read.sum("pages_total", {"page": str(page)}) == registry.get_sample_value("pages_total", {"page": str(page)})
    seen = read.statistics("took_seconds")
    assert seen is not None
    assert (seen["SampleCount"], seen["Sum"]) == (60, registry.get_sample_value("took_seconds_sum"))
    assert read.sum("sizes") == registry.get_sample_value("sizes_sum")
    assert max(after - before for before, after in pairwise(calls)) == 2
    assert all(call.data <= 1000 and call.size <= 1_000_000 for call in stand_in.calls)


@pytest.mark.parametrize("fault", [THROTTLED, Fault(500, "InternalFailure"), Fault(503, "ServiceUnavailable"), Fault(403, "AccessDenied")])
def test_what_was_refused_for_now_goes_with_the_next_delivery(
    cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn, fault: Fault
) -> None:
    registry = CollectorRegistry()
    counter = Counter("orders", "d", registry=registry)
    one = exporter(stand_in, interval=60.0)
    delivery = Delivery(one, registry)
    counter.inc(3)
    stand_in.faults.extend([fault] * 3)
    waits = []
    for _ in range(3):
        with pytest.raises(ExportFailed, match=f"CloudWatch answered {fault.status} {fault.code}: said by the stand-in") as failure:
            delivery.deliver()
        waits.append(failure.value.retry_after or 0.0)
        assert failure.value.dropped == 0
    assert len(stand_in.calls) == 3, "boto3 is not to repeat a call by itself"
    assert 30 <= waits[0] <= 60 <= waits[1] <= 120 <= waits[2] <= 240
    counter.inc(4)
    delivery.deliver()
    one.close()
    assert Reader(cloudwatch).sum("orders_total") == 7


def test_an_answer_that_does_not_come_counts_as_arrived_and_is_said(cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn) -> None:
    """The data had been taken: sending them again would count them twice."""
    registry = CollectorRegistry()
    counter = Counter("orders", "d", registry=registry)
    one = exporter(stand_in, timeout=6.0)
    delivery = Delivery(one, registry)
    counter.inc(3)
    stand_in.faults.append(Fault(is_taken=True))
    with pytest.raises(ExportFailed, match="1 series are given up, as they may have arrived") as failure:
        delivery.deliver()
    assert failure.value.dropped == 1
    counter.inc(4)
    delivery.deliver()
    one.close()
    assert Reader(cloudwatch).sum("orders_total") == 7


def test_an_answer_that_does_not_come_is_asked_for_again_where_nothing_may_be_lost(
    cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn
) -> None:
    registry = CollectorRegistry()
    counter = Counter("orders", "d", registry=registry)
    one = exporter(stand_in, timeout=6.0, delivery="at-least-once")
    delivery = Delivery(one, registry)
    counter.inc(3)
    stand_in.faults.append(Fault())
    with pytest.raises(ExportFailed, match="1 series are sent again, and may count twice") as failure:
        delivery.deliver()
    assert failure.value.dropped == 0
    delivery.deliver()
    one.close()
    assert Reader(cloudwatch).sum("orders_total") == 3


def test_where_nobody_listens_nothing_is_given_up(cloudwatch: CloudWatchEmulator) -> None:
    registry = CollectorRegistry()
    Counter("orders", "d", registry=registry).inc(3)
    with pytest.raises(ExportFailed, match="CloudWatch cannot be reached") as failure:
        Delivery(CloudWatch("Kit", region=REGION, endpoint_url="http://127.0.0.1:1"), registry).deliver()
    assert failure.value.dropped == 0


def test_one_series_that_cloudwatch_will_not_have_costs_no_other(
    cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry()
    pages = Counter("pages", "d", ["page"], registry=registry)
    for page in range(50):
        pages.labels(str(page)).inc()
    Counter("poison", "d", registry=registry).inc()
    stand_in.judge = lambda data: next((Fault(400, "InvalidParameterValue") for one in data if one["MetricName"] == "poison_total"), None)
    one = exporter(stand_in)
    delivery = Delivery(one, registry)
    with caplog.at_level(logging.WARNING, "measurand"):
        delivery.deliver()
        delivery.deliver()
    one.close()
    assert delivery.dropped == 0, "it is given up once, and not sent again"
    assert Reader(cloudwatch).sum("pages_total") == 50
    assert [message.partition(":")[0] for message in caplog.messages] == ["poison_total cannot go to cloudwatch"]
    assert len(stand_in.calls) <= 14


def test_a_request_that_is_too_large_is_divided(cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn) -> None:
    registry = CollectorRegistry()
    pages = Counter("pages", "d", ["page"], registry=registry)
    for page in range(100):
        pages.labels(str(page)).inc()
    stand_in.judge = lambda data: Fault(413, "RequestEntityTooLarge") if len(data) > 30 else None
    one = exporter(stand_in)
    Delivery(one, registry).deliver()
    one.close()
    assert Reader(cloudwatch).sum("pages_total") == 100
    assert [call.data for call in stand_in.calls] == [100, 50, 25, 25, 50, 25, 25]


def test_large_deliveries_are_divided_by_their_bytes_and_compressed(stand_in: CloudWatchStandIn) -> None:
    registry = CollectorRegistry()
    pages = Gauge("pages", "d", ["page"], registry=registry)
    for page in range(900):
        pages.labels(f"{page}" + "x" * 1000).set(1)
    for compress in (True, False):
        one = exporter(stand_in, compress=compress)
        Delivery(one, registry).deliver()
        one.close()
    assert stand_in.rejections == []
    assert [call.is_compressed for call in stand_in.calls] == [True, True, False, False]
    assert sum(call.data for call in stand_in.calls) == 1800
    assert stand_in.calls[0].size < 100_000 < 800_000 < stand_in.calls[2].size


def test_more_calls_than_allowed_are_made_in_turn(cloudwatch: CloudWatchEmulator, stand_in: CloudWatchStandIn) -> None:
    registry = CollectorRegistry()
    pages = Counter("pages", "d", ["page"], registry=registry, max_series=5000)
    one = exporter(stand_in, max_calls=1)
    delivery = Delivery(one, registry)
    for _ in range(3):
        for page in range(2500):
            pages.labels(str(page)).inc()
        with pytest.raises(ExportFailed, match="1500 series are left for the next delivery to CloudWatch: max_calls is 1"):
            delivery.deliver()
    one.close()
    assert len(stand_in.calls) == 3
    read = Reader(cloudwatch)
    arrived = [read.sum("pages_total", {"page": str(page)}) for page in (0, 1200, 2499)]
    assert None not in arrived, "each has had its turn"
    assert read.sum("pages_total") == 1000 * 1 + 1000 * 2 + 500 * 3 + 500 * 2


def test_a_delivery_ends_with_its_time(stand_in: CloudWatchStandIn) -> None:
    registry = CollectorRegistry()
    Counter("orders", "d", registry=registry).inc()
    stand_in.faults.append(Fault())
    one = exporter(stand_in, timeout=600)
    begun = clock.system_monotonic()
    with pytest.raises(ExportFailed, match="did not answer"):
        Delivery(one, registry).deliver(2.0)
    assert clock.system_monotonic() - begun < 20
    with pytest.raises(ExportFailed, match="there was no more time"):
        Delivery(one, registry).deliver(0.0)
    one.close()


def test_a_service_says_what_it_could_not_send(stand_in: CloudWatchStandIn) -> None:
    registry = CollectorRegistry()
    polling, lifecycle = Polling(registry=registry), Coordinator(budget=30, drain_delay=0, registry=registry)
    Exporting(polling, lifecycle, registry).add(exporter(stand_in))
    Gauge("level", "d", registry=registry).set(float("nan"))
    assert lifecycle.shutdown().lost == {}
    assert registry.get_sample_value("measurand_export_dropped_total", {"exporter": "cloudwatch"}) == 1
