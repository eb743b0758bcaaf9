"""Keeps what it is sent, for tests and for looking at what a destination would get."""

from __future__ import annotations

from typing import NamedTuple

from measurand.exporters.protocol import Snapshot, Temporality
from measurand.metrics.points import PointFamily, Series

__all__ = ["Delivered", "Memory"]


class Delivered(NamedTuple):
    """One export.

    Attributes:
        time: When the numbers were true, in seconds since the Unix epoch.
        families: The series; differences where the exporter takes these.
    """

    time: float
    families: list[PointFamily]


class Memory:
    """Exports to a list.

    Safe to read from any thread while a runtime exports to it.

    Args:
        temporality: ``"cumulative"`` for totals, ``"delta"`` for differences.
        interval: Seconds between two exports.
        keep: How many exports are kept; the oldest go first. Sums of differences are kept of all.
        name: What this exporter is called.

    Attributes:
        delivered: The last exports, the oldest first; each export makes another list.
        keep: As given.
    """

    def __init__(
        self, temporality: Temporality = "cumulative", *, interval: float = 15.0, keep: int = 1000, name: str = "memory"
    ) -> None:
        self.name = name
        self.interval = interval
        self.temporality = temporality
        self.keep = keep
        self.delivered: list[Delivered] = []
        self._held: dict[tuple[str, str], dict[tuple[tuple[str, str], ...], tuple[float, ...]]] = {}

    def __repr__(self) -> str:
        return f"Memory({self.temporality!r})"

    def export(self, snapshot: Snapshot) -> None:
        """Keep the snapshot."""
        families = snapshot.points()
        for family in families:
            held = self._held.setdefault((family.exposed_name, family.type), {})
            for series in family.series:
                held[series.labels] = self._next(family, held.get(series.labels), series)
        kept = [*self.delivered, Delivered(snapshot.time, families)]
        self.delivered = kept[max(len(kept) - self.keep, 0) :]  # another list, as somebody may be looking through this one

    def numbers(self, name: str, /, **labels: str) -> tuple[float, ...] | None:
        """What has arrived of one series, see :mod:`measurand.metrics.points`: the sum of the differences, or the last value.

        Args:
            name: As exposed, a counter's with ``_total``.
            **labels: All labels of the series.
        """
        wanted = tuple(sorted(labels.items()))
        return next((held[wanted] for (known, _), held in list(self._held.items()) if known == name and wanted in held), None)

    def value(self, name: str, /, **labels: str) -> float | None:
        """The first number of :meth:`numbers`: what a counter or gauge has come to."""
        numbers = self.numbers(name, **labels)
        return None if numbers is None else numbers[0]

    def _next(self, family: PointFamily, held: tuple[float, ...] | None, series: Series) -> tuple[float, ...]:
        if self.temporality == "cumulative" or family.type == "gauge" or held is None or len(held) != len(series.numbers):
            return series.numbers
        return tuple([before + more for before, more in zip(held, series.numbers, strict=True)])
