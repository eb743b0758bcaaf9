"""Commands to Redis as a client sees them: how long they take, which fail, how many connections there are.

What a program can make up is bounded: names of commands come from a list, names of exceptions are limited, and keys are never looked at.
Everything here is safe from any thread and after a fork; no call blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

from measurand.catalog.failure import failure_name
from measurand.catalog.http import CANCELLED, OTHER
from measurand.catalog.limited import Limited
from measurand.catalog.timing import named, stopwatch
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry
from measurand.metrics.timed import Stopwatch

__all__ = ["BLOCKING", "BUCKETS", "COMMANDS", "PIPELINE", "TRANSACTION", "PoolMonitor", "RedisCommand", "RedisMetrics"]

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

PIPELINE = "PIPELINE"
"""The label value of commands that are sent together: one round trip, whatever their number."""

TRANSACTION = "MULTI"
"""The label value of commands that are sent together and executed as one."""

NAMES = """
ACL APPEND ASKING AUTH BGREWRITEAOF BGSAVE BITCOUNT BITFIELD BITFIELD_RO BITOP BITPOS BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP
BZPOPMAX BZPOPMIN CLIENT CLUSTER COMMAND CONFIG COPY DBSIZE DEBUG DECR DECRBY DEL DISCARD DUMP ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO
EXEC EXISTS EXPIRE EXPIREAT EXPIRETIME FAILOVER FCALL FCALL_RO FLUSHALL FLUSHDB FUNCTION GEOADD GEODIST GEOHASH GEOPOS GEORADIUS
GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HELLO
HEXISTS HEXPIRE HEXPIREAT HEXPIRETIME HGET HGETALL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HPERSIST HPEXPIRE
HPEXPIREAT HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT INFO KEYS LASTSAVE
LATENCY LCS LINDEX LINSERT LLEN LMOVE LMPOP LOLWUT LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MEMORY MGET MIGRATE MODULE MONITOR
MOVE MSET MSETNX MULTI OBJECT PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFDEBUG PFMERGE PFSELFTEST PING PSETEX PSUBSCRIBE
PSYNC PTTL PUBLISH PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE RENAME RENAMENX REPLCONF REPLICAOF RESET RESTORE
RESTORE-ASKING ROLE RPOP RPOPLPUSH RPUSH RPUSHX SADD SAVE SCAN SCARD SCRIPT SDIFF SDIFFSTORE SELECT SENTINEL SET SETBIT SETEX SETNX
SETRANGE SHUTDOWN SINTER SINTERCARD SINTERSTORE SISMEMBER SLAVEOF SLOWLOG SMEMBERS SMISMEMBER SMOVE SORT SORT_RO SPOP SPUBLISH
SRANDMEMBER SREM SSCAN SSUBSCRIBE STRLEN SUBSCRIBE SUBSTR SUNION SUNIONSTORE SUNSUBSCRIBE SWAPDB SYNC TIME TOUCH TTL TYPE UNLINK
UNSUBSCRIBE UNWATCH WAIT WAITAOF WATCH XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE
XSETID XTRIM ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN
ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE
ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE
"""
COMMANDS = frozenset(NAMES.split())
"""The commands that are told apart: those of Redis itself, without its modules'."""

BLOCKING = frozenset(["BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "WAIT", "WAITAOF"])
"""Commands that wait for something to happen, besides XREAD and XREADGROUP with BLOCK."""

STATES = ("active", "idle")
AT_HAND = 1024
"""How many spellings of commands are kept with their series; further ones are looked up each time."""


@dataclass(frozen=True, slots=True)
class RedisCommand:
    """One command that has been answered, or given up; or several that were sent together.

    Attributes:
        command: Its name; or :data:`PIPELINE` or :data:`TRANSACTION`. Never its keys.
        duration: Seconds from the call to its end, waiting for a connection and retries included; ``None`` if it was to wait for
            something to happen, which says nothing about the server.
        error_type: Why it failed: the name of an exception's class, or ``cancelled``; ``None`` if it did not.
    """

    command: str
    duration: float | None
    error_type: str | None = None


class PoolMonitor(Protocol):
    """What knows a pool of connections. Two that are equal are one."""

    def connections(self) -> tuple[int, int] | None:
        """How many connections are in use, and how many are open and wait for use; ``None`` once the pool is gone."""
        ...

    def __hash__(self) -> int: ...


class RedisMetrics:
    """The metrics of a Redis client.

    ==================================  =========  ==============================
    ``redis_command_duration_seconds``  histogram  command
    ``redis_errors_total``              counter    error_type
    ``redis_pool_connections``          gauge      state (``active`` or ``idle``)
    ==================================  =========  ==============================

    Args:
        registry: Where the metrics are registered; a second set in the same registry shares them.
        commands: Names that are told apart besides :data:`COMMANDS`, such as those of modules (``JSON.GET``); all others are ``_OTHER``.
        buckets: Upper bounds of the durations, in seconds.
        max_exceptions: How many names of exceptions are told apart; further ones are ``_OTHER``.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        commands: Iterable[str] = (),
        buckets: Sequence[float] = BUCKETS,
        max_exceptions: int = 50,
    ) -> None:
        self._commands = COMMANDS | {PIPELINE, *(command.upper() for command in commands)}
        self._duration = Histogram(
            "redis_command_duration_seconds",
            "Time that commands took, or that pipelines and transactions took as a whole",
            ["command"],
            buckets=buckets,
            registry=registry,
        )
        self._errors = Counter("redis_errors_total", "Commands that failed", ["error_type"], registry=registry)
        self._connections = Gauge(
            "redis_pool_connections",
            "Connections of pools, in use or waiting for it",
            ["state"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._error_types = Limited(max_exceptions, OTHER, {CANCELLED, OTHER})
        self._at_hand: dict[object, Callable[[float], None]] = {}

    # -- for hooks -------------------------------------------------------------------------------------------------------------

    def observe(self, command: object, duration: float) -> None:
        """A command has ended, well or not.

        Args:
            command: Its name, as it was given to the client.
            duration: Seconds that it took.
        """
        observe = self._at_hand.get(command)
        if observe is None:
            observe = self._look_up(command)
        observe(duration)

    def failed(self, error: BaseException) -> None:
        """A command has failed."""
        self._errors.labels(self._error_types.label(failure_name(error))).inc()

    def watch(self, monitor: PoolMonitor) -> None:
        """Show the connections of a pool from now on; once, however often it is said."""
        monitors = _monitors.setdefault(self._connections, {})
        if not monitors:
            for place, state in enumerate(STATES):
                self._connections.labels(state).set_function(_sum(monitors, place))
        monitors[monitor] = None

    def unwatch(self, monitor: PoolMonitor) -> None:
        """Show a pool no more."""
        _monitors.get(self._connections, {}).pop(monitor, None)

    # -- for everybody ---------------------------------------------------------------------------------------------------------

    def record(self, event: RedisCommand) -> None:
        """Record a command."""
        if event.duration is not None:
            self.observe(event.command, event.duration)
        if event.error_type is not None:
            self._errors.labels(self._error_types.label(event.error_type)).inc()

    def stopwatch(self, name: str | None, labels: Mapping[str, str]) -> Stopwatch:
        """For :func:`measurand.timed`: each call is the command that the label ``command`` names.

        Raises:
            LabelError: This label is not there, or there is another one.
        """
        command = named("a command", labels, command=None)["command"]

        def end(duration: float, error: BaseException | None) -> None:
            self.record(RedisCommand(command, duration, None if error is None else failure_name(error)))

        return stopwatch(end)

    def label(self, command: object) -> str:
        """The label value of a command: its first word, if that is one of those which are told apart."""
        text = command.decode("ascii", "replace") if isinstance(command, bytes) else str(command)
        name = text[:80].upper().split(" ", 1)[0]
        return name if name in self._commands else OTHER

    def _look_up(self, command: object) -> Callable[[float], None]:
        label = self.label(command)
        observe = self._duration.labels(label).observe
        if label != OTHER and isinstance(command, str) and len(command) <= 40 and len(self._at_hand) < AT_HAND:
            self._at_hand[command] = observe
        return observe


_monitors: WeakKeyDictionary[Gauge, dict[PoolMonitor, None]] = WeakKeyDictionary()
"""What is watched for each gauge: sets that share the gauge share this, too, so that a pool is counted once."""


def _sum(monitors: dict[PoolMonitor, None], place: int) -> Callable[[], float]:
    def total() -> float:
        number = 0
        for monitor in list(monitors):
            found = monitor.connections()
            if found is None:
                monitors.pop(monitor, None)
            else:
                number += found[place]
        return number

    return total
