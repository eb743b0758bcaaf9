"""Key-value stores: Redis and what speaks its protocol."""

from __future__ import annotations

import inspect
from typing import Any

from measurand.health.check import TIMEOUT, Check

__all__ = ["redis"]


def redis(
    client: Any, *, name: str = "redis", criticality: str = "critical", timeout: float = TIMEOUT, interval: float | None = None
) -> Check:
    """A check that the server answers ``PING``.

    A sync client without ``socket_timeout`` keeps the check's thread as long as the server hangs; nothing else waits for it.

    Args:
        client: A client of redis-py or valkey-py, sync or async, single or cluster; anything with ``ping()``.
        name: The check's name.
        criticality: What a failure means: "critical", "degraded" or "info".
        timeout: Seconds that it may take.
        interval: Seconds from one run to the next; ``None`` for the monitor's.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    def run() -> bool:
        return bool(client.ping())

    async def run_async() -> bool:
        return bool(await client.ping())

    is_async = inspect.iscoroutinefunction(client.ping) or inspect.iscoroutinefunction(getattr(client, "execute_command", None))
    chosen: Any = run_async if is_async else run
    return Check(name, chosen, criticality=criticality, timeout=timeout, interval=interval)
