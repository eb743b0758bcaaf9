"""``prometheus_client.multiprocess`` for programs that were written for it.

Nothing of it is needed here: the processes of a service find each other by themselves, and whoever is asked shows what all have recorded.
What a program does for the other library's sake (a directory in ``PROMETHEUS_MULTIPROC_DIR``, a registry with a collector, a hook that
tells of dead workers) does no harm: the numbers are the same, and none is counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from measurand.metrics import shared
from measurand.metrics.domains import REGISTRY
from measurand.metrics.families import Metric
from measurand.metrics.registry import CollectorRegistry

__all__ = ["MultiProcessCollector", "mark_process_dead"]


class MultiProcessCollector:
    """Shows in a registry what is recorded in all the others, as of all processes.

    With the default registry, or one whose metrics are its own, it adds nothing that is there already. Domains keep to themselves.

    Args:
        registry: Where to register; ``None`` for nowhere.
        path: Not used.
    """

    def __init__(self, registry: Any, path: str | None = None) -> None:
        self._target = registry
        if registry is not None and registry is not REGISTRY:
            registry.register(self)

    def describe(self) -> list[Metric]:
        """No names of its own."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families; of several with one name that of the default registry, or the first."""
        seen = {metric.name for metric in self._named_in_target()}
        for registry in [REGISTRY, *(one for one in shared.registries() if type(one) is CollectorRegistry)]:
            for metric in registry.collect() if registry is not self._target else ():
                if metric.name not in seen:
                    seen.add(metric.name)
                    yield metric

    def _named_in_target(self) -> Iterator[Any]:
        for collector in self._target.collectors() if isinstance(self._target, CollectorRegistry) else ():
            if collector is not self and hasattr(collector, "describe"):
                yield from collector.describe()


def mark_process_dead(pid: int, path: str | None = None) -> None:
    """Nothing to do: that a process is gone shows by itself, however it ended.

    Args:
        pid: Not used.
        path: Not used.
    """
