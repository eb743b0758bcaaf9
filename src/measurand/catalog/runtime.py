"""What the interpreter knows of itself: its version, and its garbage collector's work."""

from __future__ import annotations

import gc
import platform as this_platform
from collections.abc import Iterable
from typing import Any

from measurand.metrics.domains import REGISTRY
from measurand.metrics.families import CounterMetricFamily, GaugeMetricFamily, Metric
from measurand.metrics.registry import CollectorRegistry

__all__ = ["GC_COLLECTOR", "PLATFORM_COLLECTOR", "GCCollector", "PlatformCollector"]


class GCCollector:
    """Exposes the garbage collector's counts by generation: objects collected, objects found uncollectable, collections.

    Args:
        registry: Where to register; ``None`` for nowhere.
    """

    is_optional = True  # see CollectorRegistry.unregister

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        if registry is not None:
            registry.register(self)

    def describe(self) -> list[CounterMetricFamily]:
        """The families without samples."""
        return [
            CounterMetricFamily("python_gc_objects_collected", "Objects collected during gc", labels=["generation"]),
            CounterMetricFamily("python_gc_objects_uncollectable", "Uncollectable objects found during GC", labels=["generation"]),
            CounterMetricFamily("python_gc_collections", "Number of times this generation was collected", labels=["generation"]),
        ]

    def collect(self) -> Iterable[Metric]:
        """The families."""
        families = self.describe()
        for generation, counts in enumerate(gc.get_stats()):
            for family, key in zip(families, ("collected", "uncollectable", "collections"), strict=True):
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
