"""Counted means done: recordings that take effect when a SQLAlchemy session commits, and not otherwise.

::

    def accept(session: Session, order: Order) -> None:
        session.add(order)
        on_commit(session).inc(ORDERS.labels(order.channel))

What is staged belongs to the innermost transaction that is open at that moment, a savepoint included. When a savepoint is released it
passes to the transaction around it; when the outermost one has been committed it is recorded; when a transaction is rolled back, or ends in
any other way, what was staged in it is dropped. A session on a connection with a transaction of somebody else's knows only its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

from measurand.errors import MissingExtra
from measurand.metrics.instruments import Counter, Gauge, Histogram, Summary

__all__ = ["Stage", "on_commit"]

LOG = logging.getLogger("measurand")

KEY = "measurand.on_commit"
"""Where a session keeps its stage, in ``session.info``."""


class Stage:
    """What a session will record when it commits; from :func:`on_commit`. Belongs to the session's thread, as the session does."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._staged: dict[Any, list[Callable[[], object]]] = {}

    def inc(self, series: Counter | Gauge, amount: float = 1) -> None:
        """Add to a counter or gauge on commit.

        Args:
            series: A metric without labels, or one series of a metric with labels.
            amount: What to add; what the metric refuses is refused on commit, and logged.
        """
        self.call(lambda: series.inc(amount))

    def observe(self, series: Histogram | Summary, amount: float) -> None:
        """Observe a value on commit."""
        self.call(lambda: series.observe(amount))

    def set(self, series: Gauge, value: float) -> None:
        """Set a gauge on commit."""
        self.call(lambda: series.set(value))

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on commit; what it raises is logged. It must not use the session."""
        self._staged.setdefault(self._innermost(), []).append(function)

    def _innermost(self) -> Any:
        """The transaction that what is staged now belongs to; ``None`` before the session has begun one."""
        return self._session.get_nested_transaction() or self._session.get_transaction()

    # -- what the session says -----------------------------------------------------------------------------------------------

    def began(self, session: Any, transaction: Any) -> None:
        """A transaction has begun: what was staged before there was one belongs to it."""
        if transaction.parent is None and None in self._staged:
            self._staged[transaction] = self._staged.pop(None)

    def committed(self, session: Any) -> None:
        """A savepoint was released, or the outermost transaction committed."""
        transaction = self._innermost()
        staged = self._staged.pop(transaction, [])
        outer = transaction.parent if transaction is not None and transaction.nested else None
        while outer is not None and outer.parent is not None and not outer.nested:
            outer = outer.parent  # a flush has transactions of its own, within the one that it belongs to
        if outer is not None:
            if staged:
                self._staged.setdefault(outer, []).extend(staged)
            return
        for function in staged:
            try:
                function()
            except Exception:
                LOG.warning("what was to be recorded on commit could not be", exc_info=True)

    def ended(self, session: Any, transaction: Any) -> None:
        """A transaction is over: what is still staged in it was not committed."""
        self._staged.pop(transaction, None)


def on_commit(session: Any) -> Stage:
    """The stage of a session.

    Args:
        session: A ``Session``, an ``AsyncSession``, or a scoped one.

    Raises:
        MissingExtra: SQLAlchemy is not installed.
        TypeError: This is no session.
    """
    session = _plain(session)
    stage = session.info.get(KEY)
    if stage is None:
        try:
            event = import_module("sqlalchemy").event
        except ImportError:
            raise MissingExtra("sqlalchemy", "sqlalchemy") from None
        stage = session.info[KEY] = Stage(session)
        event.listen(session, "after_transaction_create", stage.began)
        event.listen(session, "after_commit", stage.committed)
        event.listen(session, "after_transaction_end", stage.ended)
    found: Stage = stage
    return found


def _plain(session: Any) -> Any:
    """The session itself, of a scoped or an asynchronous one."""
    given = session
    if hasattr(session, "registry") and callable(session.registry):
        session = session.registry()
    session = getattr(session, "sync_session", session)
    if not hasattr(session, "get_nested_transaction") or not hasattr(session, "info"):
        raise TypeError(f"{given!r} is no session of SQLAlchemy")
    return session
