"""The conformance kit of exporters: fixed numbers, fixed expectations, whatever the destination.

A destination proves itself by subclassing :class:`ExporterConformance` in a test module. It says how the exporter is made, and how to ask
the peer, a real one if possible, what it has got. ::

    class TestMyBackend(ExporterConformance):
        @pytest.fixture(autouse=True)
        def _peer(self, my_backend):
            self.backend = my_backend
            self.peer = my_backend.address             # "127.0.0.1:1234"

        def exporter(self, address, timeout):
            return MyBackend(f"http://{address}/", timeout=timeout)

        def counted(self, name, labels):
            return self.backend.value(f"{name}_total", labels)

        def measured(self, name, labels):
            return self.backend.value(name, labels)

        def observed(self, name, labels):
            return self.backend.value(f"{name}_count", labels), self.backend.value(f"{name}_sum", labels)

The tests need no test framework but run under any that collects ``test_`` methods of classes. Each makes exporters and registries of its
own; metric names are those of :class:`Numbers`. All amounts are multiples of a power of two, so that sums of them are exact in whatever
order they are added.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from math import inf, nan
from typing import Any, ClassVar

from measurand import clock
from measurand.exporters.delivery import Delivery
from measurand.exporters.protocol import Exporter, temporality_of
from measurand.exporters.routing import Route
from measurand.lifecycle.coordinator import Coordinator, Event
from measurand.lifecycle.exporting import Exporting
from measurand.lifecycle.polling import Polling
from measurand.lifecycle.report import ShutdownReport
from measurand.metrics.instruments import Counter, Enum, Gauge, Histogram, Info, Summary
from measurand.metrics.registry import CollectorRegistry
from measurand.testing.gate import Gate

__all__ = ["HOSTILE", "ExporterConformance", "Numbers"]

HOSTILE = (
    "",
    " ",
    "a b",
    "line\nbreak",
    "carriage\rreturn",
    "tab\t",
    'quote"back\\slash',
    "pipe|colon:hash#at@comma,semi;equals=",
    "ünïcode ✓ 字 😀",
    "{brace}",
    "%s %d",
    "../../etc",
    "nul\0",
    "x" * 300,
)
"""Label values that a backend's format may trip over."""

PATIENCE = 30.0
"""Seconds that a peer may take to show what it has got."""

_Stop = Callable[[float], ShutdownReport]
_runs = count(1)


class Numbers:
    """A registry with a metric of each kind, each with a label ``run`` that no other test has.

    Attributes:
        run: The label's value.
        registry: The registry.
        events: Counter ``kit_events_total``.
        level: Gauge ``kit_level``.
        seconds: Histogram ``kit_seconds``.
        sizes: Summary ``kit_bytes``.
    """

    def __init__(self, run: str | None = None) -> None:
        self.run = run or f"r{next(_runs)}"
        self.registry = CollectorRegistry()
        at = self.registry
        self.events = Counter("kit_events_total", "Events", ["run"], registry=at).labels(self.run)
        self.level = Gauge("kit_level", "A level", ["run"], registry=at).labels(self.run)
        self.seconds = Histogram("kit_seconds", "Durations", ["run"], buckets=(0.25, 1, 4), registry=at).labels(self.run)
        self.sizes = Summary("kit_bytes", "Sizes", ["run"], registry=at).labels(self.run)

    def record(self, chance: random.Random) -> None:
        """Record something of each kind."""
        self.events.inc(chance.choice((1, 2, 3, 0.5, 1024)))
        self.level.set(chance.choice((-3, 0, 0.25, 7, 4096)))
        self.seconds.observe(chance.choice((0.125, 0.5, 2, 8)))
        self.sizes.observe(chance.choice((1, 64, 2048)))


class ExporterConformance:
    """What every exporter has to do; see the module.

    Attributes:
        peer: Host and port on which the peer takes TCP connections, as ``"127.0.0.1:1234"``: failures are tested then; ``None`` where it is
            not spoken to by TCP.
        answers: Whether the peer says that it has got something. One that says nothing cannot be known to have failed.
        gives_up_on_silence: Whether a delivery of which the peer said nothing is given up, and not repeated.
        closings: How often the exporter is closed at a random moment.
    """

    peer: str | None = None
    answers: ClassVar[bool] = True
    gives_up_on_silence: ClassVar[bool] = False
    closings: ClassVar[int] = 5
    _exporters: tuple[Exporter, ...] = ()

    # -- what a subclass says ------------------------------------------------------------------------------------------------

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        """A new exporter.

        Args:
            address: Where to send: ``peer``, or a gate before it.
            timeout: Seconds that a delivery may take.
        """
        raise LookupError(f"{type(self).__name__} has to say how its exporter is made")

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        """What the peer has of a counter; ``None`` if it has not heard of it.

        Args:
            name: As in the registry, without ``_total``.
            labels: Its labels.
        """
        raise LookupError(f"{type(self).__name__} has to say what its peer has of a counter")

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        """What the peer has of a gauge."""
        raise LookupError(f"{type(self).__name__} has to say what its peer has of a gauge")

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        """What the peer has of a histogram or summary: count and sum."""
        raise LookupError(f"{type(self).__name__} has to say what its peer has of a histogram")

    def forget(self) -> None:
        """Called after each closing: the peer will not be asked for what it has got so far, and need not keep it."""

    # -- the tests -----------------------------------------------------------------------------------------------------------

    def test_it_says_what_it_is_and_no_secrets(self) -> None:
        """Logs and metrics show its name."""
        exporter = self._make(self.peer, 5.0)
        assert isinstance(exporter.name, str)
        assert exporter.name
        assert 0 < exporter.interval < inf
        assert temporality_of(exporter) in {"cumulative", "delta"}
        assert "password" not in repr(exporter).lower()

    def test_numbers_of_every_kind_arrive(self) -> None:
        """Counters, gauges, histograms, summaries; infos and states do no harm."""
        numbers = Numbers()
        Info("kit_build", "Build", registry=numbers.registry).info({"version": "1.2"})
        Enum("kit_state", "State", states=["on", "off"], registry=numbers.registry).state("off")
        numbers.events.inc(3)
        numbers.level.set(-2.5)
        for amount in (0.125, 0.5, 0.5, 2, 8):
            numbers.seconds.observe(amount)
        numbers.sizes.observe(64)
        numbers.sizes.observe(2048)
        self._deliver(numbers)
        self._arrived(numbers, events=3, level=-2.5, seconds=(5, 11.125), sizes=(2, 2112))

    def test_what_arrives_adds_up_to_what_was_recorded(self) -> None:
        """However it is cut into deliveries, some of them without anything new."""
        numbers, chance = Numbers(), random.Random(7)
        delivery = Delivery(self._make(self.peer, 5.0), numbers.registry)
        for _ in range(12):
            for _ in range(chance.choice((0, 1, 5))):
                numbers.record(chance)
            delivery.deliver(30.0)
        self._all_arrived(numbers)

    def test_a_gauge_is_a_value_that_goes_up_and_down(self) -> None:
        """Never a difference."""
        numbers = Numbers()
        delivery = Delivery(self._make(self.peer, 5.0), numbers.registry)
        for level in (5.0, 2.0, -1.0, -4.0, 0.0, 3.5):
            numbers.level.set(level)
            delivery.deliver(30.0)
            self._arrived(numbers, level=level)

    def test_a_service_that_starts_anew_counts_from_nothing(self) -> None:
        """What was sent before counts on where differences are added up, and is replaced where totals are."""
        before = Numbers()
        before.events.inc(40)
        self._deliver(before)
        self._arrived(before, events=40)
        after = Numbers(before.run)
        after.events.inc(2)
        exporter = self._deliver(after)
        expected = 42 if temporality_of(exporter) == "delta" else 2
        self._arrived(after, events=expected)

    def test_a_counter_that_is_reset_loses_nothing(self) -> None:
        """Where differences are added up."""
        numbers = Numbers()
        exporter = self._make(self.peer, 5.0)
        delivery = Delivery(exporter, numbers.registry)
        numbers.events.inc(8)
        delivery.deliver(30.0)
        numbers.events.reset()
        numbers.events.inc(3)
        delivery.deliver(30.0)
        self._arrived(numbers, events=11 if temporality_of(exporter) == "delta" else 3)

    def test_labels_of_any_content_harm_nobody(self) -> None:
        """They arrive as the format allows, and whatever stands beside them is whole."""
        numbers = Numbers()
        hostile = Counter("kit_hostile_total", 'Help with \\ and "quotes"\nand lines', ["what"], registry=numbers.registry)
        for value in HOSTILE:
            hostile.labels(value).inc()
        numbers.record(random.Random(1))
        self._deliver(numbers)
        self._all_arrived(numbers)

    def test_numbers_that_a_format_may_not_have_harm_nobody(self) -> None:
        """Infinities and no numbers at all."""
        numbers = Numbers()
        odd = Gauge("kit_odd", "Odd", ["what"], registry=numbers.registry)
        for value in (nan, inf, -inf, -0.0, 5e-324, 1.7976931348623157e308):
            odd.labels(str(value)).set(value)
        numbers.record(random.Random(2))
        self._deliver(numbers)
        self._all_arrived(numbers)

    def test_a_registry_without_anything_is_no_failure(self) -> None:
        """There may be nothing to say."""
        Delivery(self._make(self.peer, 5.0), CollectorRegistry()).deliver(30.0)

    def test_what_a_peer_refused_arrives_later_and_once(self) -> None:
        """A refusal raises, and costs nothing."""
        if self.peer is None or not self.answers:
            return
        with self._gate() as gate:
            numbers = Numbers()
            delivery = Delivery(self._make(gate.address, 5.0), numbers.registry)
            numbers.record(random.Random(3))
            delivery.deliver(30.0)
            numbers.record(random.Random(4))
            gate.refuse()
            for _ in range(3):
                assert _raises(delivery), "a refusal has to raise"
            gate.open()
            numbers.record(random.Random(5))
            self._deliver_again(delivery)
            if not self.gives_up_on_silence:
                self._all_arrived(numbers)

    def test_a_silent_peer_is_given_up_in_time(self) -> None:
        """And what it has not got arrives later, unless it is given up for fear of sending it twice."""
        if self.peer is None or not self.answers:
            return
        with self._gate() as gate:
            numbers = Numbers()
            delivery = Delivery(self._make(gate.address, 0.3), numbers.registry)
            numbers.record(random.Random(6))
            gate.fall_silent()
            begun = clock.system_monotonic()
            assert _raises(delivery), "silence has to raise"
            assert clock.system_monotonic() - begun < PATIENCE / 2, "a delivery has to give up in time"
            gate.open()
            numbers.events.inc(0.5)
            self._deliver_again(delivery)
            if not self.gives_up_on_silence:
                self._all_arrived(numbers)

    def test_closing_at_a_random_moment_loses_nothing_and_sends_nothing_twice(self) -> None:
        """Also in the midst of a delivery."""
        chance = random.Random(11)
        for _ in range(self.closings):
            numbers = Numbers()
            with self._running(numbers, self.peer, 5.0, interval=0.004) as stop:
                for _ in range(chance.randrange(1, 200)):
                    numbers.record(chance)
                    if chance.random() < 0.05:
                        threading.Event().wait(chance.random() * 0.01)
                report = stop(30.0)
            assert not report.lost, report
            self._all_arrived(numbers)
            self.forget()
            self.teardown_method()  # now, as a thousand exporters may be too many to keep

    def test_the_end_does_not_wait_for_a_silent_peer(self) -> None:
        """And it says what was lost."""
        if self.peer is None or not self.answers:
            return
        with self._gate() as gate:
            numbers = Numbers()
            gate.fall_silent()
            with self._running(numbers, gate.address, 60.0, interval=3600) as stop:
                numbers.record(random.Random(8))
                begun = clock.system_monotonic()
                report = stop(1.0)
                assert clock.system_monotonic() - begun < PATIENCE / 2
            assert report.lost, "what was not delivered has to be said"

    def teardown_method(self) -> None:
        """Close the exporters that a test has made; pytest calls it after each."""
        made, self._exporters = self._exporters, ()
        for exporter in made:
            getattr(exporter, "close", list)()

    # -- how they do it ------------------------------------------------------------------------------------------------------

    def _make(self, address: str | None, timeout: float) -> Exporter:
        exporter = self.exporter(address, timeout)
        self._exporters = (*self._exporters, exporter)
        return exporter

    def _deliver(self, numbers: Numbers) -> Exporter:
        exporter = self._make(self.peer, 5.0)
        Delivery(exporter, numbers.registry).deliver(30.0)
        return exporter

    def _deliver_again(self, delivery: Delivery) -> None:
        """After a failure: an exporter may have to find out that its connection is no more."""
        self._eventually(lambda: not _raises(delivery), lambda: "no delivery has worked since the peer is there again")

    @contextmanager
    def _gate(self) -> Iterator[Gate]:
        assert self.peer is not None
        host, _, port = self.peer.rpartition(":")
        with Gate(host.strip("[]"), int(port)) as gate:
            yield gate

    @contextmanager
    def _running(self, numbers: Numbers, address: str | None, timeout: float, *, interval: float) -> Iterator[_Stop]:
        """The exporter on its schedule, as in a service; yields what ends it."""
        registry = CollectorRegistry()  # what is said of polling and exporting is not what is sent
        polling = Polling(registry=registry)
        coordinator = Coordinator(budget=60.0, drain_delay=0.0, registry=registry)
        coordinator.on(Event.SHUTDOWN, lambda: polling.stop(PATIENCE), name="polling")  # nothing is sent after the end
        Exporting(polling, coordinator, registry).add(Route(self._make(address, timeout), registry=numbers.registry, interval=interval))
        polling.start()
        try:
            yield coordinator.shutdown
        finally:
            polling.stop(PATIENCE)

    def _all_arrived(self, numbers: Numbers) -> None:
        found = {}
        for family in numbers.registry.collect():
            found.update({sample.name: sample.value for sample in family.samples if sample.labels.get("run") == numbers.run})
        self._arrived(
            numbers,
            events=found["kit_events_total"],
            level=found["kit_level"],
            seconds=(found["kit_seconds_count"], found["kit_seconds_sum"]),
            sizes=(found["kit_bytes_count"], found["kit_bytes_sum"]),
        )

    def _arrived(self, numbers: Numbers, **expected: Any) -> None:
        """Wait until the peer has exactly this."""
        labels = {"run": numbers.run}
        asked: dict[str, Callable[[], Any]] = {
            "events": lambda: self.counted("kit_events", labels),
            "level": lambda: self.measured("kit_level", labels),
            "seconds": lambda: self.observed("kit_seconds", labels),
            "sizes": lambda: self.observed("kit_bytes", labels),
        }
        for what, value in expected.items():
            has = partial(lambda ask, wanted: bool(ask() == wanted), asked[what], value)
            self._eventually(has, partial(_difference, what, asked[what], value))

    def _eventually(self, condition: Callable[[], bool], what: Callable[[], str]) -> None:
        deadline = clock.system_monotonic() + PATIENCE
        while not condition():
            if clock.system_monotonic() > deadline:
                raise AssertionError(what())
            threading.Event().wait(0.02)


def _difference(what: str, asked: Callable[[], Any], expected: Any) -> str:
    return f"{what}: the peer was to have {expected}, and has {asked()}"


def _raises(delivery: Delivery) -> bool:
    try:
        delivery.deliver(30.0)
    except Exception:  # noqa: BLE001 - whatever it is: it was said
        return True
    return False
