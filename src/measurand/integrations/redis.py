"""Commands of redis-py: synchronous and asynchronous clients, pipelines, transactions, clusters, and their pools.

One call of a client is one command, with its retries and the wait for a connection. A pipeline or a transaction is one, too, when it is
executed; what is read while keys are watched goes to the server by itself and is a command of its own. Publish/subscribe and MONITOR are
left alone. Commands that wait for something to happen are not timed; when they fail they are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from measurand import clock
from measurand.catalog.redis import BLOCKING, COMMANDS, PIPELINE, TRANSACTION, RedisMetrics
from measurand.integrations.handle import Handle, Installations, library, version_of
from measurand.integrations.redis_pools import Pool
from measurand.integrations.seams import Guarded, Seam, Seams
from measurand.lifecycle.background import renew_after_fork
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["FLOOR", "instrument"]

FLOOR = "5.2"

SWIFT = COMMANDS - BLOCKING - {"XREAD", "XREADGROUP"}
"""What is known not to wait, as redis-py spells it."""

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
            seams.drop(None if every else found, recorder)
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

    def see(self, owner: Any) -> None:
        """Something is in use; if it has connections, they are shown from now on."""
        known = self._pools.get(id(owner))
        if (known is not None and known.is_of(owner)) or not (hasattr(owner, "get_connection") or hasattr(owner, "nodes_manager")):
            return
        known = self._pools[id(owner)] = Pool(owner)
        self.metrics.watch(known)
        if len(self._pools) > 1000:  # of many clients that are made and thrown away only those are kept that still live
            self._pools = {key: one for key, one in list(self._pools.items()) if one.connections() is not None}

    def forget(self) -> None:
        """Show no pool any more."""
        pools, self._pools = self._pools, {}
        for pool in list(pools.values()):
            self.metrics.unwatch(pool)


Call = tuple[RedisMetrics, object, float | None]
"""One command under way: where it is recorded, its name, and when it began; ``None`` if it is not timed."""


def owner_of(client: Any) -> Any:
    """What a client shares with its pipelines: a connection pool, what knows a cluster's nodes, or an asynchronous cluster itself."""
    owner = getattr(client, "connection_pool", None)
    if owner is not None:
        return owner
    owner = getattr(client, "cluster_client", None) or getattr(client, "_client", None)
    if owner is not None:
        return owner
    owner = getattr(client, "nodes_manager", None)
    return client if owner is None or not hasattr(owner, "__weakref__") else owner


def begin_command(client: Any, arguments: tuple[Any, ...]) -> Call | None:
    """A command is about to be sent."""
    name = arguments[0]
    return begin(client, name, is_timed=name in SWIFT or not is_blocking(arguments))


def begin_pipeline(pipeline: Any, _: tuple[Any, ...]) -> Call | None:
    """A pipeline is about to be executed; ``None`` if there is nothing to do."""
    if not len(pipeline) and not getattr(pipeline, "watching", False):
        return None
    as_one = ("transaction", "is_transaction", "_transaction", "explicit_transaction")
    return begin(pipeline, TRANSACTION if any(getattr(pipeline, name, False) is True for name in as_one) else PIPELINE)


def begin(client: Any, name: object, *, is_timed: bool = True) -> Call | None:
    """Something is about to be sent; ``None`` if nobody records it."""
    owner = owner_of(client)
    recorder = seams.metrics_of(owner)
    if recorder is None:
        return None
    recorder.see(owner)
    return recorder.metrics, name, clock.monotonic() if is_timed else None


def end(call: Call, error: BaseException | None = None) -> None:
    """It has been answered, or has failed."""
    metrics, name, since = call
    if since is not None:
        metrics.observe(name, clock.monotonic() - since)
    if error is not None and not is_counted(error):
        metrics.failed(error)


def end_quietly(call: Call, response: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """A pipeline has been answered: it may have been told to return exceptions instead of raising one."""
    if not options.get("raise_on_error", arguments[0] if arguments else True) and isinstance(response, list):
        for one in response:
            if isinstance(one, BaseException):
                call[0].failed(one)


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
    name = as_word(arguments[0])
    if name not in ("XREAD", "XREADGROUP"):
        return name in BLOCKING
    for argument in arguments[1 if name == "XREAD" else 4 :]:  # behind the name of the command, or those of the group and its member
        word = as_word(argument)
        if word in ("BLOCK", "STREAMS"):
            return word == "BLOCK"
    return False


def as_word(argument: Any) -> str:
    """The beginning of an argument, as it is compared."""
    begin = argument[:20] if isinstance(argument, str | bytes) else ""
    return (begin.decode("ascii", "replace") if isinstance(begin, bytes) else begin).upper()


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
        guarded(end, call)
        if start is begin_pipeline:
            guarded(end_quietly, call, response, arguments, options)
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
        guarded(end, call)
        if start is begin_pipeline:
            guarded(end_quietly, call, response, arguments, options)
        return response

    return measured


def node_hook(original: Any) -> Any:
    """The replacement of the method that finds a node's client, for the sake of that client's pool."""

    @wraps(original)
    def measured(self: Any, *arguments: Any, **options: Any) -> Any:
        client = original(self, *arguments, **options)
        guarded(see_node, self, client)
        return client

    return measured


def see_node(cluster: Any, client: Any) -> None:
    """A node of a cluster is in use."""
    recorder = seams.metrics_of(owner_of(cluster))
    if recorder is not None:
        recorder.see(client.connection_pool)


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
    yield Seam(clusters.RedisCluster, "get_redis_connection", node_hook)


def _with(kind: Callable[[Any, Begin], Any], start: Begin) -> Callable[[Any], Any]:
    return lambda original: kind(original, start)


seams = Seams(_seams)
