"""Statements of a SQLAlchemy dialect, measured around the call of the driver.

A dialect hands every statement of its engine to the driver in one of three methods, which are replaced on the one dialect while it is
instrumented. Events of cursors would tell the same; but an engine with listeners of any kind takes a slower way through each statement
and each transaction, which costs several times as much, and connections that exist already would not be seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from measurand import clock
from measurand.catalog.database import CANCELLED, FAILED, DatabaseMetrics

__all__ = ["Statements", "complain"]

LOG = logging.getLogger("measurand.integrations")

Call = Callable[..., Any]

_said: set[str] = set()


def complain(about: str) -> None:
    """Log what is being handled, the first time for each kind."""
    if about not in _said:
        _said.add(about)
        LOG.warning("sqlalchemy: %s could not be recorded; said once", about, exc_info=True)


class Statements:
    """Records the statements of one dialect, which is not kept alive by this. Safe from any thread.

    Args:
        dialect: The dialect of an engine.
        metrics: Where to.
    """

    def __init__(self, dialect: Any, metrics: DatabaseMetrics) -> None:
        self.is_on = True
        self._metrics = metrics
        for name, make in (
            ("do_execute", self._with_parameters),
            ("do_executemany", self._with_parameters),
            ("do_execute_no_params", self._without_parameters),
        ):
            original = getattr(dialect, name)
            ours: Any = wraps(original)(make(original))
            ours.statements = self
            setattr(dialect, name, ours)

    def put_back(self, dialect: Any) -> None:
        """Record no more, and give the dialect its methods back, except those that somebody else has replaced since."""
        self.is_on = False
        for name in ("do_execute", "do_executemany", "do_execute_no_params"):
            current = vars(dialect).get(name)
            if getattr(current, "statements", None) is self:
                original = current.__wrapped__
                if getattr(original, "__func__", original) is getattr(type(dialect), name, None):
                    delattr(dialect, name)
                else:
                    setattr(dialect, name, original)

    def _with_parameters(self, original: Call) -> Call:
        succeeded, failed = self._metrics.succeeded, self._failed

        def execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
            started = clock.monotonic()
            try:
                result = original(cursor, statement, parameters, context)
            except BaseException as error:
                failed(statement, started, error)
                raise
            if self.is_on:
                try:
                    succeeded(statement, clock.monotonic() - started)
                except Exception:  # noqa: BLE001 - ours, and logged
                    complain("a statement")
            return result

        return execute

    def _without_parameters(self, original: Call) -> Call:
        def with_any(cursor: Any, statement: str, parameters: Any, context: Any) -> Any:
            return original(cursor, statement, context)

        measured = self._with_parameters(with_any)
        return lambda cursor, statement, context=None: measured(cursor, statement, None, context)

    def _failed(self, statement: str, started: float, error: BaseException) -> None:
        if self.is_on:
            try:
                self._metrics.failed(statement, clock.monotonic() - started, FAILED if isinstance(error, Exception) else CANCELLED)
            except Exception:  # noqa: BLE001 - ours, and logged
                complain("a statement")
