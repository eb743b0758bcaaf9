"""The kit for exporters: it passes what is right, and finds each of the faults that exporters are known for."""

from __future__ import annotations

from typing import Any

import pytest

from measurand.exporters.memory import Memory
from measurand.exporters.protocol import Exporter, Snapshot
from measurand.testing import exporters
from measurand.testing.exporters import ExporterConformance
from tests.support import CLOSINGS

pytestmark = pytest.mark.once


class OnMemory(ExporterConformance):
    """All exporters of a test write to one memory, as they would to one server."""

    closings = CLOSINGS
    temporality: Any = "cumulative"

    def made(self) -> Memory:
        return Memory(self.temporality)

    @pytest.fixture(autouse=True)
    def _memory(self) -> None:
        self.memory = self.made()

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        return self.memory

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return self.memory.value(f"{name}_total", **labels)

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        return self.memory.value(name, **labels)

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        numbers = self.memory.numbers(name, **labels) or ()
        return (sum(numbers[:-1]), numbers[-1]) if numbers else (None, None)


class TestTotals(OnMemory):
    pass


class TestDifferences(OnMemory):
    temporality = "delta"


class Fault(OnMemory):
    """Made to be run by hand; see below."""

    __test__ = False
    made_of: Any = Memory

    def made(self) -> Memory:
        made: Memory = self.made_of(self.temporality)
        return made


class Forgetful(Memory):
    """Loses every third delivery and says nothing."""

    def export(self, snapshot: Snapshot) -> None:
        self.times = getattr(self, "times", 0) + 1
        if self.times % 3:
            super().export(snapshot)
        else:
            self.delivered.append(self.delivered[-1])


class Repeating(Memory):
    """Delivers everything twice."""

    def export(self, snapshot: Snapshot) -> None:
        super().export(snapshot)
        super().export(snapshot)


class OfGauges(Memory):
    """Adds up gauges, too."""

    def value(self, name: str, /, **labels: str) -> float | None:
        found = [
            series.numbers[0]
            for delivered in self.delivered
            for family in delivered.families
            if family.exposed_name == name
            for series in family.series
            if dict(series.labels) == labels
        ]
        return sum(found) if found else None


class Squeamish(Memory):
    """Cannot take a label with a line break."""

    def export(self, snapshot: Snapshot) -> None:
        for family in snapshot.points():
            for series in family.series:
                if any("\n" in value for _, value in series.labels):
                    raise ValueError("a line break")
        super().export(snapshot)


@pytest.mark.parametrize(
    ("exporter", "temporality", "test"),
    [
        (Forgetful, "delta", "test_what_arrives_adds_up_to_what_was_recorded"),
        (Repeating, "delta", "test_what_arrives_adds_up_to_what_was_recorded"),
        (Repeating, "delta", "test_closing_at_a_random_moment_loses_nothing_and_sends_nothing_twice"),
        (OfGauges, "delta", "test_a_gauge_is_a_value_that_goes_up_and_down"),
        (Squeamish, "cumulative", "test_labels_of_any_content_harm_nobody"),
    ],
)
def test_a_faulty_exporter_is_found(monkeypatch: pytest.MonkeyPatch, exporter: Any, temporality: str, test: str) -> None:
    monkeypatch.setattr(exporters, "PATIENCE", 0.2)
    kit = Fault()
    kit.memory = exporter(temporality)
    with pytest.raises((AssertionError, ValueError)):
        getattr(kit, test)()
