"""How exporting goes."""

from measurand import CollectorRegistry
from measurand.catalog.export import ExportMetrics


def test_failures_are_told_apart_by_exporter() -> None:
    registry = CollectorRegistry()
    ExportMetrics(registry).failures.labels("textfile").inc()
    ExportMetrics(registry).failures.labels("textfile").inc()  # a second set is the same metric
    assert registry.get_sample_value("measurand_export_failures_total", {"exporter": "textfile"}) == 2
