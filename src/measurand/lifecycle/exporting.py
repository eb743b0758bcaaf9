"""Exporters in their intervals, and once more at the end.

Each is polled by its own interval, so one that hangs or fails concerns nobody else; a failure is counted, and logged once until it works
again. When the service shuts down, each delivers the final numbers within what is left of the budget.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any

from measurand.catalog.export import ExportMetrics
from measurand.errors import ConfigurationError
from measurand.exporters.protocol import Exporter
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.polling import Polling
from measurand.metrics.collecting import gather
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["schedule"]

LOG = logging.getLogger("measurand")


def schedule(exporters: Iterable[Exporter], polling: Polling, coordinator: Coordinator, registry: CollectorRegistry = REGISTRY) -> None:
    """Let exporters deliver what a registry holds.

    Args:
        exporters: The destinations.
        polling: Calls them in their intervals.
        coordinator: Calls them at the end.
        registry: What they deliver, and where failures are counted.

    Raises:
        ConfigurationError: Something is no exporter, or two have one name.
    """
    chosen = list(exporters)
    names: set[str] = set()
    for exporter in chosen:
        lacking = [name for name in ("name", "interval", "export") if not hasattr(exporter, name)]
        if lacking:
            raise ConfigurationError(f"{exporter!r} is no exporter: it has no {' and no '.join(lacking)}")
        if exporter.name in names:
            raise ConfigurationError(f"there are two exporters named {exporter.name!r}; give each a name of its own: name='…'")
        names.add(exporter.name)
    for exporter in chosen:
        coordinator.add_flush(exporter.name, _Destination(exporter, polling, registry).flush)


class _Destination:
    """One exporter. The lock keeps the last delivery from overlapping with one that is under way."""

    def __init__(self, exporter: Exporter, polling: Polling, registry: CollectorRegistry) -> None:
        self._exporter = exporter
        self._registry = registry
        self._failures = ExportMetrics(registry).failures.labels(exporter.name)
        self._turn = threading.Lock()
        polling.register(f"export_{exporter.name}", self.export, interval=exporter.interval, first="after-interval")

    def export(self) -> None:
        with self._turn:
            self._export()

    def flush(self, seconds: float) -> str | None:
        """Deliver the final numbers, and say what was lost."""
        if not self._turn.acquire(timeout=max(seconds, 0.0)):
            return "the last numbers: the export before is still under way"
        try:
            self._export()
        except Exception as reason:
            LOG.warning("the last export to %s failed", self._exporter.name, exc_info=True)
            return f"the last numbers: {type(reason).__name__}"
        finally:
            self._turn.release()
        return None

    def _export(self) -> Any:
        try:
            self._exporter.export(gather(self._registry))
        except BaseException:
            self._failures.inc()
            raise
