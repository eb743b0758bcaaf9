"""A pool of connections for tests: says what it is told to say."""

from __future__ import annotations

from measurand.catalog.database import PoolSnapshot

__all__ = ["StubPool"]


class StubPool:
    """A :class:`~measurand.catalog.database.PoolMonitor` without a database.

    ::

        pool = StubPool(active=2, size=5, overflow=0)
        DatabaseMetrics(registry).watch("orders", pool)
        pool.idle = 3

    Args:
        active: Connections that somebody has.
        idle: Connections that nobody has.
        size: How many the pool keeps, if there is a limit.
        overflow: How many there are beyond that, if there is such a thing.

    Attributes:
        is_gone: Whether it says that there is no pool any more.
    """

    def __init__(self, active: int = 0, idle: int = 0, size: int | None = None, overflow: int | None = None) -> None:
        self.active, self.idle, self.size, self.overflow = active, idle, size, overflow
        self.is_gone = False

    def read(self) -> PoolSnapshot | None:
        """What it was told; ``None`` if it is gone."""
        return None if self.is_gone else PoolSnapshot(self.active, self.idle, self.size, self.overflow)
