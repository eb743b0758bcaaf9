"""AnyIO's worker threads, in which Starlette and FastAPI run plain functions: 40 for each event loop, unless told otherwise.

Recorded are calls of ``anyio.to_thread.run_sync`` through its module, as those frameworks do. What is submitted is counted from then until
a thread takes it or nobody waits for it any longer, and from there until it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from measurand.catalog.thread_pools import ThreadPoolMetrics
from measurand.integrations.handle import Handle, Installations, library, version_of
from measurand.integrations.pooled import Pool, Pools
from measurand.integrations.seams import Guarded, Seam, Seams
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["FLOOR", "instrument"]

FLOOR = "3.7"
"""The oldest version of AnyIO that will do."""

_installations = Installations()
_guarded = Guarded("AnyIO's threads")


def _library() -> Any:
    return library("anyio.to_thread", extra="anyio", floor=FLOOR)


def _replace(original: Callable[..., Any]) -> Callable[..., Any]:
    default = _library().current_default_thread_limiter

    @wraps(original)
    async def run_sync(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        call = _guarded(_call, func, options.get("limiter"), default)
        if call is None:
            return await original(func, *args, **options)
        try:
            return await original(call, *args, **options)
        finally:
            call.leave()  # where it was given up before a thread took it

    return run_sync


def _call(func: Callable[..., Any], limiter: Any, default: Callable[[], Any]) -> Any:
    if limiter is None:
        limiter = default()
    pools = _seams.metrics_of(limiter)
    return None if pools is None else pools.call(limiter, func)


_seams = Seams(lambda: [Seam(_library(), "run_sync", _replace)])


def instrument(
    target: Any = None,
    *,
    metrics: ThreadPoolMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
    name: str = "anyio",
) -> Handle:
    """Record what is run in AnyIO's worker threads, from the next call on. Safe from any thread.

    Args:
        target: A ``CapacityLimiter``, whose calls are recorded. By default those of every limiter, the default ones of event loops
            included, all together.
        metrics: The set to record to.
        registry: Where the metrics are exposed, if no set is given.
        name: What the threads are called: the label ``pool``.

    Raises:
        MissingExtra: AnyIO is not installed, or too old.
    """
    module = _library()

    def make() -> Handle:
        pools = Pools(metrics or ThreadPoolMetrics(registry), lambda limiter: Pool(name, _tokens))
        _seams.record(target, pools)

        def undo(given: Any) -> None:
            _seams.drop(None if given is module else given, pools)
            pools.end()

        what = "every limiter" if target is None else f"the limiter of {name}"
        return Handle(f"anyio {version_of('anyio')}, {what}", pools.metrics, module if target is None else target, undo)

    return _installations.once(module if target is None else target, metrics, make)


def _tokens(limiter: Any) -> float:
    return float(limiter.total_tokens)
