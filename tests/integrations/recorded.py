"""What the suites about clients look at: all that was recorded, as plain numbers."""

from __future__ import annotations

from measurand import CollectorRegistry
from measurand.testing.readings import Readings

__all__ = ["recorded"]


def recorded(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """The values of a metric that are not zero, by the values of its labels, with a space between them."""
    samples = Readings(registry).samples(name)
    return {" ".join(sample.labels.values()): sample.value for sample in samples if sample.value}
