"""Removing what this process shows of a metric, where the other processes of its service go on to show theirs.

An instrument's own ``remove`` and ``clear`` are about all processes. The library's own gauges, which say something of one process, are
removed with these. They raise what the methods raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from measurand import core
from measurand.metrics import shared

if TYPE_CHECKING:
    from measurand.metrics.instrument import MetricBase

__all__ = ["clear_here", "remove_here"]


def remove_here(metric: MetricBase, *labelvalues: object) -> None:
    """Remove one series of this process."""
    root: Any = metric
    with shared.removing_here(metric):
        core.Instrument.remove(root, *labelvalues)


def clear_here(metric: MetricBase) -> None:
    """Remove all series of this process."""
    root: Any = metric
    with shared.removing_here(metric):
        core.Instrument.clear(root)
