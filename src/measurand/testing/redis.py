"""A pool of connections that says what a test tells it to, for programs that have a pool monitor of their own."""

from __future__ import annotations

__all__ = ["StubPool"]


class StubPool:
    """A pool for :meth:`measurand.catalog.redis.RedisMetrics.watch`.

    Attributes:
        active: How many connections are in use.
        idle: How many wait for use.
        is_gone: Whether the pool is no more.
    """

    def __init__(self, active: int = 0, idle: int = 0) -> None:
        self.active = active
        self.idle = idle
        self.is_gone = False

    def connections(self) -> tuple[int, int] | None:
        """What it was told."""
        return None if self.is_gone else (self.active, self.idle)
