"""Metrics that other libraries registered with the real ``prometheus_client``, read for our exposition.

Nothing is imported for this: if no one else has imported ``prometheus_client``, there is nothing to read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from measurand.metrics.registry import CollectorRegistry, families_of
from measurand.metrics.snapshot import Family

__all__ = ["SHARED_MARK", "readers", "unrestricted"]

SHARED_MARK = "measurand_shares"
"""The attribute of the collector by which our metrics appear in the real registry; it is left out here."""


def readers(registry: CollectorRegistry) -> list[tuple[Any, Callable[[], list[Family]]]]:
    """The collectors of the real default registry, each with a function that reads what ``registry`` does not have itself."""
    theirs: Any = getattr(sys.modules.get("prometheus_client"), "REGISTRY", None)
    if theirs is None or isinstance(theirs, CollectorRegistry):
        return []

    def reader(collector: Any) -> Callable[[], list[Family]]:
        return lambda: [
            family.with_labels(registry.common_labels) for family in families_of(collector.collect()) if registry.find(family.name) is None
        ]

    return [
        (collector, reader(collector))
        for collector in list(getattr(theirs, "_collector_to_names", ()))
        if not hasattr(collector, SHARED_MARK)
    ]


def unrestricted(registry: Any) -> tuple[Any, frozenset[str] | None]:
    """The real registry behind its view of some names, and these; any other registry as it is.

    The real library makes a new view for each request, and a snapshot has to know the registry again.
    """
    behind, names = getattr(registry, "_registry", None), getattr(registry, "_name_set", None)
    return (registry, None) if behind is None or names is None else (behind, frozenset(names))
