"""Thread pools of ``concurrent.futures``: event loops' own ones, and any other.

What is submitted is counted from then until a thread takes it or it is cancelled, and from there until it ends. It runs in the thread, with
the arguments and the outcome that it would have had; nothing is kept of it that the pool would not have kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import wraps
from typing import Any

from measurand.catalog.thread_pools import ThreadPoolMetrics
from measurand.integrations.handle import Handle, Installations
from measurand.integrations.pooled import Pool, Pools
from measurand.integrations.seams import Guarded, Seam, Seams
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["instrument"]

NUMBER = re.compile(r"[-_.]?\d+$")
"""What a pool's own name ends with, and does not make it another pool."""

_installations = Installations()
_guarded = Guarded("thread pools")


def _look(pool: Any, name: str | None) -> Pool | None:
    if any(cls.__name__ == "InterpreterPoolExecutor" for cls in type(pool).__mro__):
        return None  # what is submitted goes to another interpreter, where we are not
    name = name or NUMBER.sub("", str(getattr(pool, "_thread_name_prefix", ""))) or "ThreadPoolExecutor"
    return Pool(name, _most, _threads)


def _most(pool: Any) -> float:
    return 0.0 if getattr(pool, "_shutdown", False) else float(getattr(pool, "_max_workers", 0))


def _threads(pool: Any) -> float:
    return float(sum(thread.is_alive() for thread in list(getattr(pool, "_threads", ()))))


def _replace(original: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        pools = _seams.metrics_of(self)
        call = None if pools is None else _guarded(pools.call, self, fn)
        if call is None:
            return original(self, fn, *args, **kwargs)
        try:
            future = original(self, call, *args, **kwargs)
        except BaseException:
            call.leave()
            raise
        future.add_done_callback(call.forget)
        return future

    return submit


_seams = Seams(lambda: [Seam(ThreadPoolExecutor, "submit", _replace)])


def instrument(
    target: ThreadPoolExecutor | None = None,
    *,
    metrics: ThreadPoolMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
    name: str | None = None,
) -> Handle:
    """Record the work of thread pools, from the next call that is submitted on. Safe from any thread.

    Args:
        target: A pool. By default every pool, also those that are made later: event loops' own ones are called ``asyncio`` or ``uvloop``.
        metrics: The set to record to.
        registry: Where the metrics are exposed, if no set is given.
        name: What the pool is called; by default the prefix of its threads' names without a number at its end.
    """

    def make() -> Handle:
        pools = Pools(metrics or ThreadPoolMetrics(registry), lambda pool: _look(pool, name))
        _seams.record(target, pools)

        def undo(given: Any) -> None:
            _seams.drop(None if given is ThreadPoolExecutor else given, pools)
            pools.end()

        what = "every pool" if target is None else f"the pool {name or ''}".strip()
        return Handle(f"thread pools, {what}", pools.metrics, target or ThreadPoolExecutor, undo)

    return _installations.once(target or ThreadPoolExecutor, metrics, make)
