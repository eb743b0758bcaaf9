"""Databases, through SQLAlchemy."""

from __future__ import annotations

from typing import Any

from measurand.health.check import TIMEOUT, Check

__all__ = ["sqlalchemy"]


def sqlalchemy(
    engine: Any,
    *,
    name: str = "database",
    criticality: str = "critical",
    timeout: float = TIMEOUT,
    interval: float | None = None,
    statement: str = "SELECT 1",
) -> Check:
    """A check that the database answers a query, on a connection of the engine's pool.

    A pool without a free connection is a failure, too: the application would wait as well. The connection goes back to the pool in any
    case; one in the middle of a query that was given up is closed.

    Args:
        engine: An ``Engine`` or an ``AsyncEngine``.
        name: The check's name.
        criticality: What a failure means: "critical", "degraded" or "info".
        timeout: Seconds that it may take.
        interval: Seconds from one run to the next; ``None`` for the monitor's.
        statement: What to execute; ``SELECT 1 FROM DUAL`` for old versions of Oracle.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    def run() -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    async def run_async() -> None:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(statement)

    chosen: Any = run_async if hasattr(engine, "sync_engine") else run
    return Check(name, chosen, criticality=criticality, timeout=timeout, interval=interval)
