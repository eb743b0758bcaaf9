"""An hour of deliveries to peers that fail at random: nothing is lost, nothing comes twice, nothing piles up."""

from __future__ import annotations

import gc
import logging
import random
import struct
import tracemalloc
from collections.abc import Iterator

import pytest

from measurand import CollectorRegistry, Counter, Histogram
from measurand.exporters import OTLP, Pushgateway, RemoteWrite
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.exporting import Exporting
from measurand.lifecycle.polling import Polling
from measurand.testing.gate import Gate
from tests.exporters.otlp_peers import Answer, Receiver
from tests.exporters.receiver import Receiver as Writing
from tests.exporters.receiver import receiving
from tests.servers import Pushgateway as Gateway
from tests.support import StillClock, wait_until

pytestmark = pytest.mark.once

INTERVAL = 30.0
TICKS = 120
WARM = 40
"""After so many intervals everything has been made that is made once."""

GROWTH = 512 * 1024
"""Bytes that may be in use more at the end than when all was warm: snapshots that were kept would be more."""

CHANNELS = tuple(f"channel {number}" for number in range(50))

WELL = 0.6
"""How likely a peer does its work."""


class Hour:
    """A service with three destinations: differences over OTLP, totals to a Pushgateway and by remote write."""

    def __init__(self, clock: StillClock, otlp: Receiver, gate: Gate, writing: Writing, chance: random.Random) -> None:
        self.clock, self.otlp, self.gate, self.writing, self.chance = clock, otlp, gate, writing, chance
        self.registry, told = CollectorRegistry(), CollectorRegistry()
        self.orders = Counter("orders_total", "Orders", ["channel"], registry=self.registry)
        self.seconds = Histogram("order_seconds", "Time", buckets=(0.5, 2), registry=self.registry)
        self.polling, self.told = Polling(registry=told), told
        self.coordinator = Coordinator(budget=60, drain_delay=0, registry=told)
        self.exporting = Exporting(self.polling, self.coordinator, self.registry)
        common = {"interval": INTERVAL, "timeout": 20.0}
        self.exporting.add(
            OTLP(otlp.url, temporality="delta", **common),
            Pushgateway(gate.address, "shop", **common),
            RemoteWrite(writing.url, version="1.0", **common),
        )
        self.arrived = 0.0
        self.observed = 0
        self.written: dict[str, tuple[int, float]] = {}

    def calls(self) -> list[float]:
        """How often each destination has been delivered to, in vain or not."""
        name = "measurand_poll_duration_seconds_count"
        return [self.told.get_sample_value(name, {"name": f"export_{exporter.name}"}) or 0.0 for exporter in self.exporting]

    def failures(self) -> list[float]:
        name = "measurand_export_failures_total"
        return [self.registry.get_sample_value(name, {"exporter": exporter.name}) or 0.0 for exporter in self.exporting]

    def tick(self) -> None:
        """Record, let an interval pass, and wait until all have delivered or failed to."""
        for _ in range(self.chance.randrange(10)):
            self.orders.labels(self.chance.choice(CHANNELS)).inc(self.chance.choice((1, 2, 0.5)))
            self.seconds.observe(self.chance.choice((0.25, 1, 4)))
        if self.chance.random() < WELL:
            self.gate.open()
        else:
            self.gate.refuse()
        if self.chance.random() > WELL and not self.writing.answers:
            self.writing.answer(self.chance.choice((429, 500, 503)), headers={"Retry-After": self.chance.choice(("5", "75"))})
        before, failing = self.calls(), len(self.writing.answers)
        self.clock.advance(INTERVAL)
        self.polling.run_due()

        def have_called() -> bool:
            return all(now > then for now, then in zip(self.calls(), before, strict=True))

        wait_until(have_called, what=lambda: str(self.calls()), every=0.03)  # asking holds them up
        self.take(failing)

    def take(self, failing: int) -> None:
        """Add up what has arrived, and forget it; ``failing`` is how many requests of remote write were to fail."""
        self.arrived += sum(point.as_double for point in self.otlp.accepted("orders_total"))
        self.observed += sum(point.count for point in self.otlp.accepted("order_seconds"))
        self.otlp.taken.clear()
        for request in self.writing.requests[failing - len(self.writing.answers) :]:  # those that fail come first
            for labels, (number, moment) in request.written.samples.items():
                if ("__name__", "orders_total") in labels:
                    channel = dict(labels)["channel"]
                    assert moment > self.written.get(channel, (0, 0.0))[0], "a sample came twice, or late"
                    self.written[channel] = moment, struct.unpack("<d", number)[0]
        self.writing.requests.clear()


@pytest.fixture
def hour(still_clock: StillClock, pushgateway: Gateway) -> Iterator[Hour]:
    chance = random.Random(5)
    host, _, port = pushgateway.address.rpartition(":")
    failing = (Answer(None), Answer(503), Answer(429, headers={"Retry-After": "75"}), Answer(502))
    answers = [Answer() if chance.random() < WELL else chance.choice(failing) for _ in range(TICKS * 2 // 3)]  # then all is well
    with Receiver(answers) as otlp, Gate(host, int(port)) as gate, receiving() as writing:
        made = Hour(still_clock, otlp, gate, writing, random.Random(6))
        yield made
        made.polling.stop(30)


def test_an_hour_of_failures_loses_nothing_sends_nothing_twice_and_leaves_nothing_behind(
    hour: Hour, pushgateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "measurand")
    hour.polling.start()
    tracemalloc.start()
    try:
        for channel in CHANNELS:
            hour.orders.labels(channel).inc()
        for _ in range(WARM):
            hour.tick()
        gc.collect()
        warm = tracemalloc.get_traced_memory()[0]
        for _ in range(TICKS - WARM):
            hour.tick()
        gc.collect()
        growth = tracemalloc.get_traced_memory()[0] - warm
    finally:
        tracemalloc.stop()
    hour.gate.open()
    hour.writing.answers.clear()
    hour.clock.advance(600)  # nobody has asked to be left alone for longer
    report = hour.coordinator.shutdown(30)
    hour.take(0)
    assert not report.lost, report
    print(f"failures of {TICKS}: {hour.failures()}; {growth / 1024:.0f} KiB more")
    assert min(hour.failures()) > TICKS / 10, "the peers have hardly failed"
    assert growth < GROWTH
    samples = [sample for family in hour.registry.collect() for sample in family.samples if sample.name == "orders_total"]
    recorded = {sample.labels["channel"]: sample.value for sample in samples}
    assert recorded.keys() == {*CHANNELS}
    pushed = {channel: float(line.split()[-1]) for channel in recorded for line in pushgateway.metrics() if _is(line, channel)}
    assert hour.arrived == sum(recorded.values())
    assert hour.observed == hour.registry.get_sample_value("order_seconds_count")
    assert pushed == recorded
    assert {channel: value for channel, (_, value) in hour.written.items()} == recorded


def _is(line: str, channel: str) -> bool:
    return line.startswith("orders_total{") and f'channel="{channel}"' in line
