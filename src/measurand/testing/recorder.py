"""A destination in memory: keeps snapshots for a test to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from measurand.metrics.collecting import gather
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry
from measurand.testing.readings import same

__all__ = ["Recorder", "Recording"]


@dataclass(frozen=True)
class Recording:
    """One snapshot as plain values.

    Attributes:
        types: Each family's type by its name.
        values: Each sample's value by name and labels, the labels as sorted pairs.
    """

    types: Mapping[str, str]
    values: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]

    def value(self, name: str, /, **labels: str) -> float | None:
        """The value of one sample with exactly these labels, or ``None``."""
        return self.values.get((name, tuple(sorted(labels.items()))))


class Recorder:
    """Takes snapshots of a registry, as an exporter would, and keeps them.

    Args:
        registry: The registry to read.

    Attributes:
        recordings: What was taken, the oldest first.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self.recordings: list[Recording] = []

    def record(self) -> Recording:
        """Take a snapshot now and keep it."""
        families = gather(self._registry).families
        recording = Recording(
            {family.name: family.type for family in families},
            {
                (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
                for family in families
                for sample in family.samples()
            },
        )
        self.recordings.append(recording)
        return recording

    def difference(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """What changed from the snapshot before the last to the last, by name and labels; a series that was not there counts as zero."""
        *_, before, after = [Recording({}, {}), Recording({}, {}), *self.recordings]
        return {
            key: after.values.get(key, 0.0) - before.values.get(key, 0.0)
            for key in sorted({*before.values, *after.values})
            if not same(before.values.get(key), after.values.get(key))
        }
