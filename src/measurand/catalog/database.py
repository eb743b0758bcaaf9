"""Databases as a client sees them: how many statements of which kind, how long, which failed; who has connections, and who waits for one.

A hook tells of statements with :meth:`DatabaseMetrics.succeeded` and :meth:`DatabaseMetrics.failed`, which take plain arguments and record
on series that are kept at hand; anybody else hands over a finished :class:`DatabaseQuery`. Pools of connections are not told of but asked,
at every scrape, through the port :class:`PoolMonitor`. Labels are bounded: kinds of statements come from a closed list and never hold SQL,
and names of pools are limited.

Everything here is safe from any thread and after a fork; no call blocks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol
from weakref import WeakKeyDictionary

from measurand.catalog.failure import failure_name
from measurand.catalog.limited import Limited
from measurand.catalog.sql import OPERATIONS, OTHER, operation_of
from measurand.catalog.timing import named, stopwatch
from measurand.core import OVERFLOW_VALUE
from measurand.metrics.domains import REGISTRY
from measurand.metrics.here import remove_here
from measurand.metrics.instruments import Counter, Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry
from measurand.metrics.timed import Stopwatch

__all__ = ["CANCELLED", "FAILED", "SUCCESS", "DatabaseMetrics", "DatabaseQuery", "PoolMonitor", "PoolSeries", "PoolSnapshot", "Status"]

LOG = logging.getLogger("measurand.database")

Status = Literal["success", "failed", "cancelled"]
SUCCESS: Status = "success"
FAILED: Status = "failed"
CANCELLED: Status = "cancelled"
STATUSES = (SUCCESS, FAILED, CANCELLED)

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
USE_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900)

AT_HAND = 128
"""How many ways to write a keyword have their series at hand."""

Series = tuple[Callable[[], None], Callable[[float], None]]
"""What counts a statement, and what takes its seconds."""


@dataclass(frozen=True, slots=True)
class DatabaseQuery:
    """One statement that was executed.

    Attributes:
        operation: The kind, such as ``select``; what is not in :data:`measurand.catalog.sql.OPERATIONS` is recorded as ``other``.
        status: ``success``, ``failed``, or ``cancelled`` if whoever waited for it was told to stop.
        duration: Seconds from handing it to the driver to having its result, or the error; rows that are fetched later do not count.
    """

    operation: str
    status: Status
    duration: float


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """The connections of a pool at one moment.

    Attributes:
        active: Connections that somebody has, or that are being made for somebody.
        idle: Connections that are open and nobody has.
        size: How many the pool keeps; ``None`` if it keeps none, or has no such limit.
        overflow: How many there are beyond ``size``, never less than zero; ``None`` if there is no such thing.
    """

    active: int
    idle: int
    size: int | None = None
    overflow: int | None = None


class PoolMonitor(Protocol):
    """Port: what knows a pool of connections."""

    def read(self) -> PoolSnapshot | None:
        """The pool as it is now, or ``None`` if it is gone for good. Called from any thread, at every scrape; must not block."""
        ...


@dataclass(frozen=True, slots=True)
class PoolSeries:
    """What records on one pool, to be kept.

    Attributes:
        waited: Takes the seconds that somebody waited for a connection.
        timed_out: Counts one who waited in vain.
        used: Takes the seconds that somebody had a connection.
    """

    waited: Callable[[float], None]
    timed_out: Callable[[], None]
    used: Callable[[float], None]


class DatabaseMetrics:
    """The metrics of databases, from the client's side.

    ================================  =========  =================
    ``db_queries_total``              counter    operation, status
    ``db_query_duration_seconds``     histogram  operation
    ``db_connections``                gauge      pool, state
    ``db_pool_size``                  gauge      pool
    ``db_pool_overflow``              gauge      pool
    ``db_pool_wait_seconds``          histogram  pool
    ``db_pool_timeouts_total``        counter    pool
    ``db_connection_use_seconds``     histogram  pool
    ================================  =========  =================

    ``state`` is ``active`` or ``idle``. Pools of the same name, in one process or in several of a service, are shown added up.

    Args:
        registry: Where they are exposed. A second set in the same registry shares the metrics and the pools.
        max_pools: How many names of pools are told apart; further ones are recorded as ``__other__``.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, max_pools: int = 100) -> None:
        self._queries = Counter("db_queries_total", "Statements executed, by kind", ["operation", "status"], registry=registry)
        self._duration = Histogram(
            "db_query_duration_seconds",
            "Time from handing a statement to the driver to having its result",
            ["operation"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._connections = Gauge("db_connections", "Open connections", ["pool", "state"], registry=registry, multiprocess_mode="livesum")
        self._size = Gauge("db_pool_size", "Connections that a pool keeps", ["pool"], registry=registry, multiprocess_mode="livesum")
        self._overflow = Gauge(
            "db_pool_overflow", "Connections of a pool beyond its size", ["pool"], registry=registry, multiprocess_mode="livesum"
        )
        self._wait = Histogram(
            "db_pool_wait_seconds",
            "Time from asking a pool for a connection to having one, or not",
            ["pool"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._timeouts = Counter("db_pool_timeouts_total", "Waits for a connection that a pool gave up", ["pool"], registry=registry)
        self._use = Histogram(
            "db_connection_use_seconds", "Time that connections were out of their pool", ["pool"], buckets=USE_BUCKETS, registry=registry
        )
        self._pools = _pools.setdefault(registry, _Pools())
        self._names = Limited(max_pools, OVERFLOW_VALUE, {OVERFLOW_VALUE}, _say_pools)
        self._at_hand: dict[str, Series] = {}
        self._by_operation: dict[tuple[str, Status], Series] = {}

    # -- statements --------------------------------------------------------------------------------------------------------------

    def succeeded(self, statement: str, duration: float) -> None:
        """A statement was executed.

        Args:
            statement: Its text, of which only the kind is recorded.
            duration: Seconds that it took.
        """
        at_hand = self._at_hand.get(statement[:6])
        if at_hand is None:
            at_hand = self._find(statement)
        at_hand[0]()
        at_hand[1](duration)

    def failed(self, statement: str, duration: float, status: Status = FAILED) -> None:
        """A statement was not executed, or not to its end.

        Args:
            statement: Its text, of which only the kind is recorded.
            duration: Seconds that it took.
            status: ``failed`` or ``cancelled``.
        """
        self._record(operation_of(statement), status, duration)

    def record(self, event: DatabaseQuery) -> None:
        """Record a statement."""
        operation = event.operation.lower()
        status = event.status if event.status in STATUSES else FAILED
        self._record(operation if operation in OPERATIONS else OTHER, status, event.duration)

    def stopwatch(self, name: str | None, labels: Mapping[str, str]) -> Stopwatch:
        """For :func:`measurand.timed`: each call is a statement, of the kind that the label ``operation`` says.

        Raises:
            LabelError: This label is not there, or there is another one.
        """
        operation = named("a statement", labels, operation=None)["operation"]

        def end(duration: float, error: BaseException | None) -> None:
            status = SUCCESS if error is None else CANCELLED if failure_name(error) == "cancelled" else FAILED
            self.record(DatabaseQuery(operation, status, duration))

        return stopwatch(end)

    def _record(self, operation: str, status: Status, duration: float) -> None:
        count, observe = self._series(operation, status)
        count()
        observe(duration)

    def _find(self, statement: str) -> Series:
        """The series of a statement; at hand from now on if the first six characters tell it."""
        operation = operation_of(statement)
        series = self._series(operation, SUCCESS)
        if len(self._at_hand) < AT_HAND and statement[:6].lower() == operation:
            self._at_hand[statement[:6]] = series
        return series

    def _series(self, operation: str, status: Status) -> Series:
        series = self._by_operation.get((operation, status))
        if series is None:
            made = self._queries.labels(operation, status).inc, self._duration.labels(operation).observe
            series = self._by_operation.setdefault((operation, status), made)
        return series

    # -- pools -------------------------------------------------------------------------------------------------------------------

    def pool(self, name: str) -> PoolSeries:
        """What records on a pool, to be kept."""
        label = self._names.label(name)
        return PoolSeries(self._wait.labels(label).observe, self._timeouts.labels(label).inc, self._use.labels(label).observe)

    def watch(self, name: str, monitor: PoolMonitor) -> Callable[[], None]:
        """Show a pool's connections from now on, until it says that it is gone. Pools of one name are added up.

        Returns:
            To be called when the pool shall not be shown any longer.
        """
        label = self._names.label(name)
        for name_of_gone, gone in self._pools.gone():
            self._drop(name_of_gone, gone)
        self._pools.add(label, monitor)
        self._show(label)
        return lambda: self._drop(label, monitor)

    def _show(self, label: str) -> None:
        for state in ("active", "idle"):
            self._connections.labels(label, state).set_function(partial(self._pools.sum, label, state))
        for gauge, field in ((self._size, "size"), (self._overflow, "overflow")):
            if self._pools.has(label, field):
                gauge.labels(label).set_function(partial(self._pools.sum, label, field))

    def _drop(self, label: str, monitor: PoolMonitor) -> None:
        self._pools.remove(label, monitor)
        if self._pools.of(label):
            return
        for state in ("active", "idle"):
            remove_here(self._connections, label, state)
        remove_here(self._size, label)
        remove_here(self._overflow, label)
        if self._pools.of(label):  # another thread has added one meanwhile
            self._show(label)


class _Pools:
    """The pools of one registry, by label. Safe from any thread; takes no lock, so a fork cannot break it."""

    def __init__(self) -> None:
        self._monitors: dict[str, dict[int, PoolMonitor]] = {}

    def add(self, label: str, monitor: PoolMonitor) -> None:
        self._monitors.setdefault(label, {})[id(monitor)] = monitor

    def remove(self, label: str, monitor: PoolMonitor) -> None:
        self._monitors.get(label, {}).pop(id(monitor), None)

    def of(self, label: str) -> list[PoolMonitor]:
        return list(self._monitors.get(label, {}).values())

    def gone(self) -> list[tuple[str, PoolMonitor]]:
        """Those that say that there is no pool any more."""
        return [(label, monitor) for label in list(self._monitors) for monitor in self.of(label) if monitor.read() is None]

    def has(self, label: str, field: str) -> bool:
        """Whether any pool of this name has such a number."""
        return any(getattr(monitor.read(), field, None) is not None for monitor in self.of(label))

    def sum(self, label: str, field: str) -> float:
        """What the pools of this name come to."""
        return float(sum(getattr(monitor.read(), field, None) or 0 for monitor in self.of(label)))


_pools: WeakKeyDictionary[CollectorRegistry, _Pools] = WeakKeyDictionary()


def _say_pools(limit: int, first_beyond: str) -> None:
    LOG.warning(
        "database metrics have %d names of pools, the limit; %r and further ones are recorded as pool %r. Is there an engine per request?",
        limit,
        first_beyond[:200],
        OVERFLOW_VALUE,
    )
