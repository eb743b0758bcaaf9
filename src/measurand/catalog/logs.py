"""Events that a program logs, by level and logger.

Levels of a program's own count as the standard one below them. Names of loggers can be made up at run time, so the first few are told apart
and the rest share one label value.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from measurand.catalog.limited import Limited
from measurand.core import OVERFLOW_VALUE
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter
from measurand.metrics.registry import CollectorRegistry

__all__ = ["AT_HAND", "LEVELS", "LogEvent", "LogMetrics", "level_name"]

LOG = logging.getLogger("measurand.logs")

LEVELS = ((logging.CRITICAL, "critical"), (logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))
"""From which level on an event is called what; below them it is ``debug``."""

AT_HAND = 4096
"""How many combinations of a level and a logger are kept with their series; further ones are looked up each time."""


def level_name(level: int) -> str:
    """What a level is called: ``debug``, ``info``, ``warning``, ``error`` or ``critical``."""
    return next((name for least, name in LEVELS if level >= least), "debug")


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event.

    Attributes:
        level: Its level as a number.
        logger: The name of the logger that it was given to.
    """

    level: int
    logger: str


class LogMetrics:
    """The metrics of logging.

    ====================  =======  =============
    ``log_events_total``  counter  level, logger
    ====================  =======  =============

    Safe from any thread and after a fork; logs nothing but one line when the limit is reached.

    Args:
        registry: Where they are exposed.
        max_loggers: How many names of loggers are told apart; further ones are ``__other__``, which is said once.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, max_loggers: int = 200) -> None:
        self._events = Counter(
            "log_events_total", "Events logged", ["level", "logger"], registry=registry, max_series=(len(LEVELS) + 1) * (max_loggers + 1)
        )
        self._loggers = Limited(max_loggers, OVERFLOW_VALUE, {OVERFLOW_VALUE}, _say)
        self._at_hand: dict[tuple[int, str], Callable[[], None]] = {}

    def count(self, level: int, logger: str) -> None:
        """Count an event; see :class:`LogEvent`."""
        inc = self._at_hand.get((level, logger))
        (self._find(level, logger) if inc is None else inc)()

    def record(self, event: LogEvent) -> None:
        """Count an event."""
        self.count(event.level, event.logger)

    def _find(self, level: int, logger: str) -> Callable[[], None]:
        inc: Callable[[], None] = self._events.labels(level_name(level), self._loggers.label(logger)).inc
        if len(self._at_hand) < AT_HAND:
            self._at_hand[level, logger] = inc
        return inc


def _say(limit: int, first_beyond: str) -> None:
    LOG.warning(
        "log metrics have %d loggers, the limit; %r and further ones are recorded as logger %r. "
        "If the program has so many that are to be told apart, raise max_loggers.",
        limit,
        first_beyond[:200],
        OVERFLOW_VALUE,
    )
