"""The garbage collector's pauses, by the interpreter's own callbacks before and after each collection.

A collection does not begin within another one, nor in another thread meanwhile, so one moment is all that has to be remembered; what is
recorded is a clock read and an addition.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

from measurand.catalog.gc import GENERATIONS, GCMetrics
from measurand.core import now
from measurand.integrations.handle import Handle, Installations
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["instrument"]

_installations = Installations()


def instrument(target: ModuleType | None = None, *, metrics: GCMetrics | None = None, registry: CollectorRegistry = REGISTRY) -> Handle:
    """Record the pauses of this process' collector. Safe from any thread; a forked child goes on with it.

    Args:
        target: The module ``gc``, of which there is one.
        metrics: The set to record to.
        registry: Where the metrics are exposed, if no set is given.
    """

    def make() -> Handle:
        chosen = metrics or GCMetrics(registry)
        hook = _hook(chosen)
        gc.callbacks.append(hook)

        def undo(_: ModuleType) -> None:
            with suppress(ValueError):  # somebody has cleared the list
                gc.callbacks.remove(hook)

        return Handle("gc, every generation", chosen, gc, undo)

    return _installations.once(gc, metrics, make)


def _hook(metrics: GCMetrics) -> Callable[[str, dict[str, int]], None]:
    observers, last = metrics.observers, GENERATIONS - 1
    began: float | None = None  # the first that is heard of may be the end of a collection

    def hook(phase: str, info: Mapping[str, Any]) -> None:
        nonlocal began
        if phase == "start":
            began = now()
        elif began is not None:
            duration, began = now() - began, None
            observers[min(info["generation"], last)](duration if duration > 0.0 else 0.0)

    return hook
