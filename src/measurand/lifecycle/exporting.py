"""Exporters in their intervals, and once more at the end.

Each is polled by its own interval, so one that hangs or fails concerns nobody else; a failure is counted, and logged once until it works
again. When the service shuts down, each delivers the final numbers within what is left of the budget.

Of several processes of a service one exports, see ``polling``, and the last one to stop delivers the final numbers: what the others have
counted is in its snapshot too, and nothing that is older can arrive after it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from measurand.catalog.export import ExportMetrics
from measurand.errors import ConfigurationError
from measurand.exporters.protocol import Exporter
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.polling import Polling
from measurand.metrics import shared
from measurand.metrics.collecting import gather
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["schedule"]

LOG = logging.getLogger("measurand")


def schedule(
    exporters: Iterable[Exporter], polling: Polling, coordinator: Coordinator, registry: CollectorRegistry = REGISTRY
) -> Callable[[], None]:
    """Let exporters deliver what a registry holds.

    Args:
        exporters: The destinations.
        polling: Calls them in their intervals.
        coordinator: Calls them at the end.
        registry: What they deliver, and where failures are counted.

    Returns:
        To be called in every process that will shut down in an orderly way, so that the others leave the final numbers to it if it is the
        last one.

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
    destinations = [_Destination(exporter, polling, registry) for exporter in chosen]
    for destination in destinations:
        coordinator.add_flush(destination.name, destination.flush)

    def take_part() -> None:
        for destination in destinations:
            shared.take_part(destination.task)

    return take_part


class _Destination:
    """One exporter. The lock keeps the last delivery from overlapping with one that is under way."""

    def __init__(self, exporter: Exporter, polling: Polling, registry: CollectorRegistry) -> None:
        self.name = exporter.name
        self.task = f"export {exporter.name}"
        self._exporter = exporter
        self._registry = registry
        self._failures = ExportMetrics(registry).failures.labels(exporter.name)
        self._turn = threading.Lock()
        polling.register(f"export_{exporter.name}", self.export, interval=exporter.interval, first="after-interval")

    def export(self) -> None:
        with self._turn:
            self._export()

    def flush(self, seconds: float) -> str | None:
        """Deliver the final numbers, unless another process will, and say what was lost."""
        has_turn = self._turn.acquire(
            timeout=max(seconds, 0.0)
        )  # first: what is under way here must not arrive after what the last one sends
        try:
            with shared.stepping_back(self.task) as is_last:
                if not is_last:
                    LOG.info("the last numbers for %s are left to the other processes of this service", self.name)
                    return None
                if not has_turn:
                    return "the last numbers: the export before is still under way"
                self._export()
        except Exception as reason:
            LOG.warning("the last export to %s failed", self.name, exc_info=True)
            return f"the last numbers: {type(reason).__name__}"
        finally:
            if has_turn:
                self._turn.release()
        return None

    def _export(self) -> Any:
        try:
            self._exporter.export(gather(self._registry))
        except BaseException:
            self._failures.inc()
            raise
