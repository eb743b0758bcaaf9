"""Exporters while the service runs: added and removed, left alone, asked whether they are there, spread over their interval."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.memory import Memory
from measurand.exporters.protocol import Snapshot
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.exporting import Exporting
from measurand.lifecycle.polling import Polling
from measurand.testing.clock import FakeClock
from tests.support import wait_until

pytestmark = pytest.mark.once


class Destination(Memory):
    """Does what the test says with the next exports; notes what else it is told."""

    def __init__(self, name: str = "ledger", interval: float = 100.0, *, temporality: Any = "delta") -> None:
        super().__init__(temporality, interval=interval, name=name)
        self.error: Exception | None = None
        self.calls = 0
        self.told: list[str] = []

    def export(self, snapshot: Snapshot) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error
        super().export(snapshot)

    def end(self, seconds: float) -> None:
        assert 0 <= seconds < 60
        self.told.append("end")

    def close(self) -> None:
        self.told.append("close")


class Asked(Destination):
    """Can be asked whether it is there."""

    def __init__(self, reason: Exception | None = None) -> None:
        super().__init__("asked")
        self.reason = reason
        self.entered, self.open = threading.Event(), threading.Event()
        self.open.set()

    def check(self) -> None:
        self.told.append("check")
        self.entered.set()
        self.open.wait(30)
        if self.reason is not None:
            raise self.reason


class Service:
    """Runs by a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.things = Counter("things_total", "Things", registry=self.registry)
        self.polling = Polling(registry=self.registry)
        self.lifecycle = Coordinator(budget=20.0, drain_delay=0, registry=self.registry)
        self.exporting = Exporting(self.polling, self.lifecycle, self.registry)

    def value(self, name: str, /, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def after(self, seconds: float) -> None:
        """Let so much time pass, and what is due begin."""
        self.clock.advance(seconds)
        self.polling.run_due()

    def exports(self, destination: Destination) -> int:
        """How often it was called by now, after every call that is due is over."""
        wait_until(lambda: not [one for one in threading.enumerate() if one.name == "measurand-poll-run"])
        return destination.calls


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    with made.clock:
        made.polling.start()
        yield made
        made.polling.stop(30)


# -- added and removed -------------------------------------------------------------------------------------------------------


def test_an_exporter_that_is_added_later_is_called_from_then_on(service: Service) -> None:
    first, second = Destination("first"), Destination("second")
    service.exporting.add(first)
    service.things.inc(3)
    service.after(100)
    assert service.exports(first) == 1
    service.exporting.add(second)
    assert (len(service.exporting), [one.name for one in service.exporting]) == (2, ["first", "second"])
    service.things.inc(4)
    service.after(100)
    assert (service.exports(first), service.exports(second)) == (2, 1)
    assert (first.value("things_total"), second.value("things_total")) == (7, 7)


def test_an_exporter_that_is_removed_gets_the_numbers_of_this_moment_and_no_more(service: Service) -> None:
    stays, goes = Destination("stays"), Destination("goes")
    service.exporting.add(stays, goes)
    service.things.inc(3)
    service.exporting.remove("goes")
    assert (goes.value("things_total"), goes.told) == (3, ["end", "close"])
    service.things.inc(4)
    service.after(500)
    assert service.exports(stays) == 1
    assert service.lifecycle.shutdown().flushed == ("stays",)
    assert (goes.calls, stays.value("things_total"), stays.told) == (1, 7, ["end", "close"])


def test_a_name_is_free_again_after_its_exporter_was_removed(service: Service) -> None:
    service.exporting.add(Destination())
    service.exporting.remove("ledger")
    again = Destination()
    service.exporting.add(again)
    service.things.inc()
    service.after(100)
    assert service.exports(again) == 1


def test_what_is_not_there_cannot_be_removed(service: Service) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no exporter named 'x'; these are: none"):
        service.exporting.remove("x")
    service.exporting.add(Destination())
    with pytest.raises(ConfigurationError, match=r"there is no exporter named 'x'; these are: 'ledger'"):
        service.exporting.remove("x")


@pytest.mark.parametrize("taken", ["ledger", "polled"])
def test_of_several_that_are_added_all_are_or_none(service: Service, taken: str) -> None:
    """Whatever the name is taken by."""
    service.exporting.add(Destination("ledger"))
    service.polling.register("export_polled", lambda: None)
    with pytest.raises(ConfigurationError, match=f"{taken}'"):
        service.exporting.add(Destination("new"), Destination(taken))
    assert [one.name for one in service.exporting] == ["ledger"]
    service.exporting.add(Destination("new"))
    assert set(service.lifecycle.shutdown().flushed) == {"ledger", "new"}


def test_addresses_stand_for_exporters(service: Service, tmp_path: Path) -> None:
    service.exporting.add(f"textfile://{tmp_path}/shop.prom?interval=30")
    service.things.inc(2)
    service.exporting.remove("textfile")
    assert "things_total 2.0" in (tmp_path / "shop.prom").read_text()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (object(), "is no exporter: it has no name and no interval and no export"),
        (Destination, "; give an instance of it"),
        (Destination(interval=0), "the interval of the exporter 'ledger' must be a number of seconds above 0, not 0"),
        (Destination(interval=float("nan")), "must be a number of seconds above 0, not nan"),
        (Destination(interval=True), "must be a number of seconds above 0, not True"),
        (Destination(temporality="both"), "the temporality of 'ledger' must be 'cumulative' or 'delta', not 'both'"),
    ],
)
def test_what_is_no_exporter_is_refused_with_the_reason(service: Service, wrong: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        service.exporting.add(wrong)
    assert said in str(caught.value)
    assert len(service.exporting) == 0


# -- failures ----------------------------------------------------------------------------------------------------------------


def test_a_destination_that_asks_for_it_is_left_alone_for_so_long(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """And is no success meanwhile: nothing has arrived, and its age says so."""
    destination = Destination()
    service.exporting.add(destination)
    service.things.inc(3)
    destination.error = ExportFailed("too much", dropped=5, retry_after=250)
    with caplog.at_level(logging.INFO, "measurand"):
        for calls in (1, 1, 1):
            service.after(100)
            assert service.exports(destination) == calls
        assert (service.value("measurand_poll_age_seconds", name="export_ledger") or 0) >= 300
        assert caplog.text.count("too much") == 1
        assert "works again" not in caplog.text
        destination.error = None
        service.after(100)
        assert service.exports(destination) == 2
    assert destination.value("things_total") == 3
    assert service.value("measurand_export_failures_total", exporter="ledger") == 1
    assert service.value("measurand_export_dropped_total", exporter="ledger") == 5
    assert "works again" in caplog.text


def test_nobody_is_left_alone_for_ever_and_the_last_numbers_are_tried_in_any_case(service: Service) -> None:
    destination = Destination()
    service.exporting.add(destination)
    destination.error = ExportFailed("go away", retry_after=1e9)
    service.after(100)
    assert service.exports(destination) == 1
    service.after(600)
    assert service.exports(destination) == 2
    destination.error = None
    service.things.inc(2)
    assert service.lifecycle.shutdown().flushed == ("ledger",)
    assert destination.value("things_total") == 2


def test_what_was_not_delivered_is_not_ended(service: Service) -> None:
    destination = Destination()
    destination.error = ConnectionError("no route")
    service.exporting.add(destination)
    assert dict(service.lifecycle.shutdown().lost) == {"ledger": "the last numbers: ConnectionError"}
    assert destination.told == ["close"]


def test_what_fails_after_the_last_numbers_does_not_lose_them(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Destination):
        def end(self, seconds: float) -> None:
            raise ConnectionError("no route")

        def close(self) -> None:
            raise ConnectionError("no way")

    service.exporting.add(Failing())
    assert service.lifecycle.shutdown().flushed == ("ledger",)
    assert "have arrived, but what was to be done after that failed" in caplog.text
    assert "the exporter ledger could not be closed" in caplog.text


# -- asked whether they are there --------------------------------------------------------------------------------------------


def test_a_destination_that_is_not_there_is_said_once_in_one_line(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    missing, there = Asked(ConnectionError("nobody listens on 127.0.0.1:8125")), Destination("there")
    service.exporting.add(missing, there)
    service.exporting.take_part()
    wait_until(lambda: "cannot deliver yet" in caplog.text)
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "measurand-export-check"])
    (record,) = caplog.records
    assert record.getMessage() == (
        "the exporter asked cannot deliver yet: nobody listens on 127.0.0.1:8125; it is tried every 100 s"
    )
    assert record.exc_info is None
    assert missing.told == ["check"]


def test_one_that_is_added_while_the_service_runs_is_asked_too(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.exporting.take_part()
    asked = Asked()
    service.exporting.add(asked)
    wait_until(lambda: asked.told == ["check"])
    assert caplog.records == []


def test_nothing_is_exported_while_a_destination_is_asked(service: Service) -> None:
    """An exporter is called by one thread at a time."""
    asked = Asked()
    asked.open.clear()
    service.exporting.add(asked)
    service.exporting.take_part()
    assert asked.entered.wait(30)
    service.things.inc()
    service.after(100)
    assert asked.calls == 0
    asked.open.set()
    wait_until(lambda: asked.value("things_total") == 1)


# -- spread ------------------------------------------------------------------------------------------------------------------


def test_services_that_start_together_do_not_export_together(service: Service) -> None:
    """The first export comes up to a fifth of the interval early, and the others an interval after it."""
    destinations = [Destination(f"d{number}") for number in range(30)]
    service.exporting.add(*destinations)

    def called() -> int:
        return sum(min(service.exports(one), 1) for one in destinations)

    service.after(79.9)
    assert called() == 0
    service.after(10)
    assert 0 < called() < 30
    service.after(10.1)
    assert called() == 30
    before = [one.calls for one in destinations]
    service.after(100)
    called()
    assert [one.calls for one in destinations] == [calls + 1 for calls in before]
