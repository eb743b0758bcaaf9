"""Exporters in their intervals, and once more at the end."""

from __future__ import annotations

import logging
import threading
from math import isnan, nan
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Gauge
from measurand.encoding.text import encode
from measurand.errors import ConfigurationError
from measurand.exporters.routing import Route
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.exporting import Exporting
from measurand.lifecycle.polling import Polling
from measurand.metrics.collecting import Gathering
from tests.support import wait_until

pytestmark = pytest.mark.once


class Destination:
    """Keeps what arrives; fails or hangs when told to."""

    def __init__(self, name: str = "memory", interval: float = 0.02) -> None:
        self.name = name
        self.interval = interval
        self.arrived: list[str] = []
        self.error: BaseException | None = None
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def export(self, snapshot: Gathering) -> None:
        self.entered.set()
        self.open.wait()
        if self.error is not None:
            raise self.error
        self.arrived.append(encode(snapshot).decode())


class Service:
    def __init__(self, *destinations: Any, budget: float = 5.0) -> None:
        self.registry = CollectorRegistry()
        self.things = Counter("things_total", "Things", registry=self.registry)
        self.polling = Polling(registry=self.registry)
        self.lifecycle = Coordinator(budget=budget, drain_delay=0, registry=self.registry)
        self.exporting = Exporting(self.polling, self.lifecycle, self.registry)
        self.exporting.add(*destinations)

    def failures(self, name: str) -> float | None:
        return self.registry.get_sample_value("measurand_export_failures_total", {"exporter": name})


def test_each_is_called_in_its_interval_and_not_before() -> None:
    often, seldom = Destination("often"), Destination("seldom", interval=3600)
    service = Service(often, seldom)
    service.things.inc(3)
    service.polling.start()
    assert wait_until(lambda: len(often.arrived) > 2)
    assert service.polling.stop()
    assert "things_total 3.0\n" in often.arrived[0]
    assert seldom.arrived == []


def test_one_that_fails_or_hangs_is_counted_and_concerns_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    failing, hanging, working = Destination("failing"), Destination("hanging"), Destination("working")
    failing.error = OSError("no route")
    hanging.open.clear()
    service = Service(failing, hanging, working)
    with caplog.at_level(logging.WARNING, "measurand"):
        service.polling.start()
        assert wait_until(lambda: (service.failures("failing") or 0) > 2 and len(working.arrived) > 2)
        hanging.open.set()
        assert wait_until(lambda: hanging.arrived)
        service.polling.stop()
    assert service.failures("working") == 0
    # Once, whichever came first: on a busy machine it may be told that it takes too long before it has failed.
    assert caplog.text.count("polling export_failing ") == 1


def test_the_final_numbers_are_delivered_at_the_end() -> None:
    destination = Destination(interval=3600)
    service = Service(destination)
    service.things.inc(7)
    report = service.lifecycle.shutdown()
    assert report.flushed == ("memory",)
    assert "things_total 7.0\n" in destination.arrived[-1]


def test_what_could_not_be_delivered_at_the_end_is_said(caplog: pytest.LogCaptureFixture) -> None:
    destination = Destination(interval=3600)
    destination.error = ConnectionRefusedError("http://user:hunter2@10.0.0.1")
    service = Service(destination)
    report = service.lifecycle.shutdown()
    assert dict(report.lost) == {"memory": "the last numbers: ConnectionRefusedError"}
    assert service.failures("memory") == 1


def test_an_export_that_hangs_does_not_hold_up_the_end() -> None:
    destination = Destination()
    service = Service(destination, budget=1.0)
    destination.open.clear()
    service.polling.start()
    assert destination.entered.wait(30)
    report = service.lifecycle.shutdown()
    assert dict(report.lost) == {"memory": "the last numbers: the export before is still under way"}
    destination.open.set()
    service.polling.stop()


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="there are two exporters named 'memory'; give each a name of its own"):
        Service(Destination(), Destination())


class Named(Destination):
    """Wants to know whose numbers it gets."""

    def identify(self, service: str, environment: str, version: str) -> None:
        self.told = (service, environment, version)


def test_a_destination_is_told_which_service_it_is_whenever_it_is_added_and_through_a_route() -> None:
    registry = CollectorRegistry()
    identity = {"service": "shop", "environment": "test", "version": "1.2"}
    polling, lifecycle = Polling(registry=registry), Coordinator(registry=registry)
    exporting = Exporting(polling, lifecycle, registry, identity)
    first, second = Named("first"), Named("second")
    exporting.add(first, Destination("who does not ask"))
    exporting.add(Route(second, include=["shop_*"]))
    assert first.told == second.told == ("shop", "test", "1.2")


class Choosy(Destination):
    """Cannot have a number that is none."""

    def export(self, snapshot: Gathering) -> None:
        snapshot.dropped += sum(isnan(series.numbers[0]) for family in snapshot.points() for series in family.series)
        super().export(snapshot)


def test_what_a_destination_cannot_have_is_counted_and_no_failure() -> None:
    choosy = Choosy("choosy", interval=3600)
    service = Service(choosy)
    Gauge("level", "Level", registry=service.registry).set(nan)
    assert service.lifecycle.shutdown(5.0).lost == {}
    assert len(choosy.arrived) == 1
    assert service.registry.get_sample_value("measurand_export_dropped_total", {"exporter": "choosy"}) == 1
    assert service.failures("choosy") == 0
