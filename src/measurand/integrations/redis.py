"""Commands of redis-py: synchronous and asynchronous clients, pipelines, transactions, clusters, and their pools.

One call of a client is one command, with its retries and the wait for a connection. A pipeline or a transaction is one, too, when it is
executed; what is read while keys are watched goes to the server by itself and is a command of its own. Publish/subscribe and MONITOR are
left alone. Commands that wait for something to happen are not timed; when they fail they are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NamedTuple

from measurand import clock
from measurand.catalog.redis import BLOCKING, PIPELINE, TRANSACTION, RedisMetrics
from measurand.integrations.handle import Handle, Installations, library, version_of
from measurand.integrations.redis_pools import Pool
from measurand.integrations.seams import Guarded, Seam, Seams
from measurand.lifecycle.background import renew_after_fork
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["FLOOR", "instrument"]

FLOOR = "5.2"

installations = Installations()
guarded = Guarded("a command to Redis")


def instrument(target: Any = None, *, metrics: RedisMetrics | None = None, registry: CollectorRegistry = REGISTRY) -> Handle:
    """Record the commands and the connections of clients.

    Args:
        target: A client, and with it whatever uses its connection pool; or a pool; or a client of a cluster. ``None`` for every client in
            this process, those made later included.
        metrics: The metric set to record to.
        registry: Where to make one otherwise.

    Returns:
        A handle that takes it back. Asked for again, it is the same one.

    Raises:
        MissingExtra: redis-py is not installed, or older than 5.2.
    """
    redis = library("redis", extra="redis", floor=FLOOR)
    every = target is None
    owner = redis if every else owner_of(target)
    about = f"redis {version_of('redis')}, {'every client' if every else 'one client'}"

    def make() -> Handle:
        used = metrics or RedisMetrics(registry)
        recorder = Recorder(used)
        seams.record(None if every else owner, recorder)

        def undo(found: Any) -> None:
            seams.drop(None if every else found)
            recorder.forget()

        return Handle(about, used, owner, undo)

    return installations.once(owner, metrics, make)


class Recorder:
    """A metric set, and the pools that have been seen to record to it."""

    def __init__(self, metrics: RedisMetrics) -> None:
        self.metrics = metrics
        self._pools: dict[int, Pool] = {}
        renew_after_fork(self)

    def renew(self) -> None:
        """In a new child process: see pools afresh."""
        self._pools = {}

    def see(self, pool: Any) -> None:
        """A pool is in use."""
        known = self._pools.get(id(pool))
        if known is None or not known.is_of(pool):
            known = self._pools[id(pool)] = Pool(pool)
            self.metrics.watch(known)
            if len(self._pools) > 1000:  # of many clients that are made and thrown away only those are kept that still live
                self._pools = {key: one for key, one in list(self._pools.items()) if one.connections() is not None}

    def forget(self) -> None:
        """Show no pool any more."""
        pools, self._pools = self._pools, {}
        for pool in list(pools.values()):
            self.metrics.unwatch(pool)


class Call(NamedTuple):
    """One command under way."""

    metrics: RedisMetrics
    name: object
    since: float | None


def owner_of(client: Any) -> Any:
    """What a client shares with its pipelines: a connection pool, what knows a cluster's nodes, or an asynchronous cluster itself."""
    for name in ("connection_pool", "cluster_client", "_client"):
        found = getattr(client, name, None)
        if found is not None:
            return found
    nodes = getattr(client, "nodes_manager", None)
    return client if nodes is None or not hasattr(nodes, "__weakref__") else nodes


def begin_command(client: Any, arguments: tuple[Any, ...]) -> Call | None:
    """A command is about to be sent."""
    call = begin(client, arguments[0])
    return call._replace(since=None) if call is not None and is_blocking(arguments) else call


def begin_pipeline(pipeline: Any, _: tuple[Any, ...]) -> Call | None:
    """A pipeline is about to be executed; ``None`` if there is nothing to do."""
    if not len(pipeline) and not getattr(pipeline, "watching", False):
        return None
    as_one = ("transaction", "is_transaction", "_transaction", "explicit_transaction")
    return begin(pipeline, TRANSACTION if any(getattr(pipeline, name, False) is True for name in as_one) else PIPELINE)


def begin(client: Any, name: object) -> Call | None:
    """Something is about to be sent; ``None`` if nobody records it."""
    owner = owner_of(client)
    recorder = seams.metrics_of(owner)
    if recorder is None:
        return None
    if hasattr(owner, "get_connection"):
        recorder.see(owner)
    return Call(recorder.metrics, name, clock.monotonic())


def end(call: Call, error: BaseException | None = None, errors: tuple[BaseException, ...] = ()) -> None:
    """It has been answered, or has failed."""
    if call.since is not None:
        call.metrics.observe(call.name, clock.monotonic() - call.since)
    if error is not None and not is_counted(error):
        call.metrics.failed(error)
    for one in errors:
        call.metrics.failed(one)


def is_counted(error: BaseException) -> bool:
    """Whether a command within a pipeline has failed with this, and has been counted: our own code is further down in its traceback."""
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    while trace is not None:
        if trace.tb_frame.f_code in (HOOK, ASYNC_HOOK):
            return True
        trace = trace.tb_next
    return False


def is_blocking(arguments: tuple[Any, ...]) -> bool:
    """Whether a command waits for something to happen."""
    name = arguments[0]
    if not isinstance(name, str):
        return False
    name = name.upper()
    if name not in ("XREAD", "XREADGROUP"):
        return name in BLOCKING
    for argument in arguments[1 if name == "XREAD" else 4 :]:
        word = argument.decode("ascii", "replace") if isinstance(argument, bytes) else argument
        if isinstance(word, str) and word.upper() in ("BLOCK", "STREAMS"):
            return word.upper() == "BLOCK"
    return False


def failures_in(response: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[BaseException, ...]:
    """The exceptions in the response of a pipeline that was told not to raise them."""
    if options.get("raise_on_error", arguments[0] if arguments else True) or not isinstance(response, list):
        return ()
    return tuple(one for one in response if isinstance(one, BaseException))


Begin = Callable[[Any, tuple[Any, ...]], Call | None]


def hook(original: Any, start: Begin) -> Any:
    """The replacement of a method."""

    @wraps(original)
    def measured(self: Any, *arguments: Any, **options: Any) -> Any:
        call = guarded(start, self, arguments)
        if call is None:
            return original(self, *arguments, **options)
        try:
            response = original(self, *arguments, **options)
        except BaseException as error:
            guarded(end, call, error)
            raise
        guarded(end, call, None, guarded(failures_in, response, arguments, options) if start is begin_pipeline else ())
        return response

    return measured


def async_hook(original: Any, start: Begin) -> Any:
    """The replacement of an asynchronous method."""

    @wraps(original)
    async def measured(self: Any, *arguments: Any, **options: Any) -> Any:
        call = guarded(start, self, arguments)
        if call is None:
            return await original(self, *arguments, **options)
        try:
            response = await original(self, *arguments, **options)
        except BaseException as error:
            guarded(end, call, error)
            raise
        guarded(end, call, None, guarded(failures_in, response, arguments, options) if start is begin_pipeline else ())
        return response

    return measured


HOOK = hook(len, begin).__code__
ASYNC_HOOK = async_hook(len, begin).__code__


def _seams() -> Iterator[Seam]:
    clients = library("redis.client", extra="redis", floor=FLOOR)
    clusters = library("redis.cluster", extra="redis", floor=FLOOR)
    async_clients = library("redis.asyncio.client", extra="redis", floor=FLOOR)
    async_clusters = library("redis.asyncio.cluster", extra="redis", floor=FLOOR)
    for kind, client, pipeline, cluster, cluster_pipeline in (
        (hook, clients.Redis, clients.Pipeline, clusters.RedisCluster, clusters.ClusterPipeline),
        (async_hook, async_clients.Redis, async_clients.Pipeline, async_clusters.RedisCluster, async_clusters.ClusterPipeline),
    ):
        yield Seam(client, "execute_command", _with(kind, begin_command))
        yield Seam(pipeline, "immediate_execute_command", _with(kind, begin_command))
        yield Seam(pipeline, "execute", _with(kind, begin_pipeline))
        yield Seam(cluster, "execute_command", _with(kind, begin_command))
        yield Seam(cluster_pipeline, "execute", _with(kind, begin_pipeline))


def _with(kind: Callable[[Any, Begin], Any], start: Begin) -> Callable[[Any], Any]:
    return lambda original: kind(original, start)


seams = Seams(_seams)
