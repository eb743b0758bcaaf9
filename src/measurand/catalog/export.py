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
        failures: ``measurand_export_failures_total``, exports that did not arrive, by exporter.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.failures = Counter("measurand_export_failures_total", "Exports that did not arrive", ["exporter"], registry=registry)
