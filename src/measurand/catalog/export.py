"""How exporting goes."""

from __future__ import annotations

from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter
from measurand.metrics.registry import CollectorRegistry

__all__ = ["ExportMetrics"]


class ExportMetrics:
    """The metrics of exporters.

    Args:
        registry: Where they are exposed.

    Attributes:
        failures: ``measurand_export_failures_total``, exports that did not arrive, or not as a whole, by exporter.
        dropped: ``measurand_export_dropped_total``, points that were given up, by exporter.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.failures = Counter("measurand_export_failures_total", "Exports that did not arrive", ["exporter"], registry=registry)
        self.dropped = Counter("measurand_export_dropped_total", "Points that were given up", ["exporter"], registry=registry)
