"""Message brokers, through Celery."""

from __future__ import annotations

from typing import Any

from measurand.health.check import TIMEOUT, Check, time_allowed

__all__ = ["celery"]


def celery(
    app: Any, *, name: str = "broker", criticality: str = "critical", timeout: float = TIMEOUT, interval: float | None = None
) -> Check:
    """A check that the broker accepts a connection, as a worker would make it. It says nothing of workers.

    Each run makes a connection of its own and closes it.

    Args:
        app: The Celery application.
        name: The check's name.
        criticality: What a failure means: "critical", "degraded" or "info".
        timeout: Seconds that it may take.
        interval: Seconds from one run to the next; ``None`` for the monitor's.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    def run() -> None:
        seconds = time_allowed()
        with app.connection_for_read(connect_timeout=seconds) as connection:
            # no second attempt: zero retries would do, but older versions of kombu read zero as "for ever"
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0, timeout=seconds)

    return Check(name, run, criticality=criticality, timeout=timeout, interval=interval)
