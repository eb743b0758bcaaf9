"""Events by level and logger, counted where a logger hands an event to its handlers.

That is the one place which every event comes through that is enabled and passes the logger's filters, and comes through once: whatever
handlers there are, whether they let it pass or not, whether it propagates, and however logging is configured later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from measurand.catalog.logs import LogMetrics
from measurand.integrations.handle import Handle, Installations
from measurand.integrations.seams import Guarded, Seam, Seams
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["instrument"]

_installations = Installations()
_guarded = Guarded("logging")


def _replace(original: Callable[[logging.Logger, logging.LogRecord], Any]) -> Callable[[logging.Logger, logging.LogRecord], Any]:
    @wraps(original)
    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> Any:  # noqa: N802, RUF100 - the name of what it replaces
        metrics = _seams.metrics_of(self)
        if metrics is not None:
            _guarded(metrics.count, record.levelno, record.name)
        return original(self, record)

    return callHandlers


_seams = Seams(lambda: [Seam(logging.Logger, "callHandlers", _replace)])


def instrument(
    target: logging.Logger | None = None, *, metrics: LogMetrics | None = None, registry: CollectorRegistry = REGISTRY
) -> Handle:
    """Count events of the standard library's logging. Safe from any thread; a forked child goes on with it.

    Args:
        target: A logger, whose own events are counted, and not those of the loggers below it. By default every logger, also those that are
            made later.
        metrics: The set to record to.
        registry: Where the metrics are exposed, if no set is given.
    """

    def make() -> Handle:
        chosen = metrics or LogMetrics(registry)
        _seams.record(target, chosen)
        what = "every logger" if target is None else f"the logger {target.name}"
        undo = lambda given: _seams.drop(None if given is logging else given, chosen)  # noqa: E731 - nothing to name
        return Handle(f"logging, {what}", chosen, target or logging, undo)

    return _installations.once(target or logging, metrics, make)
