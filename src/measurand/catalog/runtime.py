"""What the interpreter knows of itself: its version, and its garbage collector's work."""

from __future__ import annotations

import gc
import os
import platform as this_platform
import threading
from collections.abc import Iterable
from typing import Any

from measurand.metrics import shared
from measurand.metrics.domains import REGISTRY
from measurand.metrics.families import CounterMetricFamily, GaugeMetricFamily, Metric
from measurand.metrics.instruments import Counter
from measurand.metrics.registry import CollectorRegistry

_GC = {
    "collected": ("python_gc_objects_collected", "Objects collected during gc"),
    "uncollectable": ("python_gc_objects_uncollectable", "Uncollectable objects found during GC"),
    "collections": ("python_gc_collections", "Number of times this generation was collected"),
}

__all__ = ["GC_COLLECTOR", "PLATFORM_COLLECTOR", "GCCollector", "PlatformCollector"]


class _OfTheService(CollectorRegistry):
    """Where the processes of a service put their counts together; shown by the collector only."""

    def _named(self) -> str:
        return __name__


class GCCollector:
    """Exposes the garbage collector's counts by generation: objects collected, objects found uncollectable, collections.

    Where a service has several processes, the counts are those of all of them, also of those that are gone. Each process puts its own in
    when it is asked for metrics, so that those of the others are as of the last time at which they were.

    Args:
        registry: Where to register; ``None`` for nowhere.
    """

    is_optional = True  # see CollectorRegistry.unregister

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        self._together: list[Counter] = []
        self._noted: list[dict[str, int]] = []
        self._lock = threading.Lock()
        if registry is not None:
            registry.register(self)

    def describe(self) -> list[CounterMetricFamily]:
        """The families without samples."""
        return [CounterMetricFamily(name, documentation, labels=["generation"]) for name, documentation in _GC.values()]

    def registered(self) -> None:
        """Be ready for forks: what a child's interpreter has counted before it was one is its parent's."""
        if not self._together:
            self._service = _OfTheService()
            self._together = [Counter(*names, ["generation"], registry=self._service) for names in _GC.values()]
            shared.publishing(self.publish)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self._noted, self._lock = gc.get_stats(), threading.Lock()

    def publish(self) -> None:
        """Let the other processes see this one's counts."""
        self.registered()
        if not self._lock.acquire(blocking=False):
            return  # another thread does it
        try:
            now = gc.get_stats()
            before, self._noted = self._noted or [dict.fromkeys(_GC, 0) for _ in now], now
            for counter, key in zip(self._together, _GC, strict=True):
                for generation, (counts, noted) in enumerate(zip(now, before, strict=True)):
                    counter.labels(str(generation)).inc(max(counts[key] - noted[key], 0))
        finally:
            self._lock.release()

    def collect(self) -> Iterable[Metric]:
        """The families."""
        if shared.company() is not None:
            self.publish()
            return list(self._service.collect())
        families = self.describe()
        for generation, counts in enumerate(gc.get_stats()):
            for family, key in zip(families, _GC, strict=True):
                family.add_metric([str(generation)], counts[key])
        return families


class PlatformCollector:
    """Exposes the interpreter's version and implementation as ``python_info``.

    Args:
        registry: Where to register; ``None`` for nowhere.
        platform: Where to ask; the ``platform`` module by default.
    """

    is_optional = True  # see CollectorRegistry.unregister

    def __init__(self, registry: CollectorRegistry | None = REGISTRY, platform: Any = None) -> None:
        self._platform = platform or this_platform
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """The family."""
        major, minor, patchlevel = self._platform.python_version_tuple()
        facts = {
            "version": self._platform.python_version(),
            "implementation": self._platform.python_implementation(),
            "major": major,
            "minor": minor,
            "patchlevel": patchlevel,
        }
        family = GaugeMetricFamily("python_info", "Python platform information", labels=list(facts))
        family.add_metric(list(facts.values()), 1)
        return [family]


GC_COLLECTOR = GCCollector(registry=None)
"""Expose it with ``REGISTRY.register(GC_COLLECTOR)``."""

PLATFORM_COLLECTOR = PlatformCollector(registry=None)
"""Expose it with ``REGISTRY.register(PLATFORM_COLLECTOR)``."""
