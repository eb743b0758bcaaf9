"""Counts the connections of redis-py's pools, whatever kind of pool it is, and of clusters."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any
from weakref import ref

__all__ = ["Pool"]

LOG = logging.getLogger("measurand.integrations")


class Pool:
    """A pool, as the process sees it that has noticed it; or the asynchronous client of a cluster, whose nodes have the connections.

    Held weakly. Implements :class:`~measurand.catalog.redis.PoolMonitor`.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = ref(pool)
        self._identity = id(pool)
        self._pid = os.getpid()

    def __hash__(self) -> int:
        return self._identity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pool) and self._identity == other._identity and self._pool() is other._pool()

    def is_of(self, pool: Any) -> bool:
        """Whether this is about that pool."""
        return self._pool() is pool

    def connections(self) -> tuple[int, int] | None:
        """How many connections are in use, and how many are open and wait for use; ``None`` once the pool is gone.

        A pool that came with a fork is gone: its connections are the parent's, until it is used here.
        """
        pool = self._pool()
        if pool is None or self._pid != os.getpid():
            return None
        if getattr(pool, "pid", self._pid) != self._pid:
            return 0, 0  # to be used for the first time since a fork, and still has the parent's
        try:
            return _count(pool)
        except Exception:
            LOG.warning("the connections of a %s cannot be counted", type(pool).__qualname__, exc_info=True)
            return None


def _count(pool: Any) -> tuple[int, int]:
    nodes = getattr(pool, "nodes_manager", None)
    if nodes is not None:
        found = {id(node): node for node in (*nodes.nodes_cache.values(), *nodes.startup_nodes.values())}.values()
        return sum(len(node._connections) - len(node._free) for node in found), sum(_open(list(node._free)) for node in found)
    queue = getattr(pool, "pool", None)
    if queue is None:
        return len(pool._in_use_connections), _open(list(pool._available_connections))
    waiting = {id(connection): connection for connection in list(queue.queue) if connection is not None}
    active = sum(id(connection) not in waiting for connection in list(pool._connections))
    return active, _open(waiting.values())


def _open(connections: Iterable[Any]) -> int:
    """How many of these have a socket: an idle one may have been closed and is opened again when it is used."""
    return sum(1 for connection in connections if _is_open(connection))


def _is_open(connection: Any) -> bool:
    if hasattr(connection, "is_connected"):
        return bool(connection.is_connected)
    return getattr(connection, "_sock", True) is not None
