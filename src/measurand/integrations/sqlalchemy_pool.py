"""Connections of SQLAlchemy's pools: how many there are, who waits for one, for how long they are out.

What a pool says of itself is not what is true: a place in it whose connection was lost counts as a connection, connections that are out
when the pool is disposed of are forgotten, and pools without a limit count nothing. So the places themselves are looked at: each knows
whether it has a connection and whether somebody uses it. They are met when a connection is made or taken, and referred to weakly. Making is
seen at the pool's creator: the event comes later, by as much as it takes to get to know a database at the first connection.

Waiting has no event, so ``Pool.connect`` is replaced while anything is instrumented. It leaves in a context variable whose pool is asked,
which the events do not tell.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, Generic, TypeVar
from weakref import ref

from measurand import clock
from measurand.catalog.database import DatabaseMetrics, PoolSnapshot
from measurand.integrations.sqlalchemy_queries import Statements, complain
from measurand.lifecycle.background import renew_after_fork

__all__ = ["Living", "PoolHooks", "Watch", "owner_of", "watch_of"]

ATTRIBUTE = "_measurand_watch"
"""Where a dialect has its watch, and each of its pools; a pool without a dialect has it alone."""

CREATOR = "_invoke_creator"
"""Where a pool has what makes a connection for a place."""

KEY = "measurand"
"""Where a place has its entry, in ``record_info``."""

T = TypeVar("T")

_current: ContextVar[Watch | None] = ContextVar("measurand_sqlalchemy", default=None)


def _forget(known: dict[int, Any], key: int, _: object) -> None:
    known.pop(key, None)


class Living(Generic[T]):
    """Objects that are referred to weakly; unlike a ``WeakSet`` it can be looked through while another thread adds one."""

    def __init__(self) -> None:
        self._found: dict[int, ref[T]] = {}

    def add(self, one: T) -> bool:
        """Refer to it; whether nobody has before."""
        made = ref(one, partial(_forget, self._found, id(one)))
        return self._found.setdefault(id(one), made) is made

    def discard(self, one: T) -> None:
        """Refer to it no longer."""
        self._found.pop(id(one), None)

    def all(self) -> list[T]:
        """Those that are there."""
        return [one for found in list(self._found.values()) if (one := found()) is not None]


def owner_of(pool: Any) -> Any:
    """What stays when a pool is exchanged by ``dispose()``: the engine's dialect; the pool itself if it belongs to no engine."""
    dialect = getattr(pool, "_dialect", None)
    return dialect if hasattr(dialect, "do_execute") else pool


def watch_of(owner: Any) -> Watch | None:
    """The watch of a dialect, or of a pool without one."""
    found: Watch | None = vars(owner).get(ATTRIBUTE)
    return found


class Entry:
    """What is known of a place in a pool.

    Attributes:
        record: The place, referred to weakly.
        is_new: Whether its connection was made for somebody who does not have it yet.
        since: When it was taken; ``None`` if it was not.
    """

    __slots__ = ("is_new", "record", "since", "watch")

    def __init__(self, record: Any, watch: Watch) -> None:
        self.watch = watch
        self.is_new = False
        self.since: float | None = None
        self.record = ref(record, partial(_forget, watch.entries, id(self)))


_watches: Living[Watch] = Living()


class Watch:
    """Measures one engine: its statements, its pool, and the pools it had before. Keeps neither alive. Safe from any thread.

    Args:
        owner: From :func:`owner_of`.
        pool: Its pool.
        metrics: Where to record.
        name: What the pool is called.
        pool_now: Returns the pool that the engine has now; without it, that which was asked last.
    """

    def __init__(self, owner: Any, pool: Any, metrics: DatabaseMetrics, name: str, pool_now: Callable[[], Any] | None = None) -> None:
        self.name = name
        self.metrics = metrics
        self.entries: dict[int, Entry] = {}
        self.is_on = True
        self._owner = ref(owner)
        self._pool_now = pool_now
        self._series = metrics.pool(name)
        self._statements: Statements | None = None
        self._hide: Callable[[], None] = lambda: None
        self._pools: Living[Any] = Living()
        self._pool = ref(pool)

    def start(self) -> None:
        """Show the pool, and record statements."""
        owner = self._owner()
        if owner is None:
            return
        _watches.add(self)
        renew_after_fork(self)
        self._hide = self.metrics.watch(self.name, self)
        if hasattr(owner, "do_execute"):
            self._statements = Statements(owner, self.metrics)
        pool = self._pool()
        if pool is not None:
            self.meet(pool)
        setattr(owner, ATTRIBUTE, self)  # last: whoever finds it does not wait for the rest

    def stop(self) -> None:
        """Show and record nothing any longer."""
        self.is_on = False
        self._hide()
        owner = self._owner()
        if owner is None:
            return
        if self._statements is not None:
            self._statements.put_back(owner)
        if watch_of(owner) is self:
            delattr(owner, ATTRIBUTE)
        for pool in self._pools.all():
            if watch_of(pool) is self:
                delattr(pool, ATTRIBUTE)
            ours = vars(pool).get(CREATOR)
            if getattr(ours, "watch", None) is self:
                setattr(pool, CREATOR, ours.__wrapped__)
        for entry in list(self.entries.values()):
            record = entry.record()
            if record is not None:
                record.record_info.pop(KEY, None)

    def renew(self) -> None:
        """In a new child process: the connections are those of the parent."""
        for entry in list(self.entries.values()):
            entry.since = None
        self.entries.clear()

    @property
    def is_there(self) -> bool:
        """Whether it is on, and there still is what is watched."""
        return self.is_on and self._owner() is not None

    # -- what hooks tell ---------------------------------------------------------------------------------------------------------

    def meet(self, pool: Any) -> None:
        """The pool that is asked now, and measured from now on."""
        self._pool = ref(pool)
        if not self._pools.add(pool):
            return
        original = vars(pool).get(CREATOR)
        if original is not None:

            def create(record: Any) -> Any:
                self._is_made(record)
                return original(record)

            ours: Any = create  # the pool alone keeps the original, which may know the engine
            ours.watch, ours.__wrapped__ = self, original
            setattr(pool, CREATOR, ours)
        setattr(pool, ATTRIBUTE, self)

    def _is_made(self, record: Any) -> None:
        try:
            if self.is_on:
                self.entry(record).is_new = True
        except Exception:  # noqa: BLE001 - ours, and logged
            complain("a new connection")

    def entry(self, record: Any) -> Entry:
        """The entry of a place, which is new if it is not known."""
        info = record.record_info
        entry: Entry | None = info.get(KEY)
        if entry is None or entry.watch is not self:
            entry = info[KEY] = Entry(record, self)
        self.entries[id(entry)] = entry
        return entry

    def take(self, other: Watch) -> None:
        """Know the places that another watch knows, which has been stopped."""
        for old in list(other.entries.values()):
            record = old.record()
            if record is not None:
                entry = self.entry(record)
                entry.is_new, entry.since = old.is_new, old.since

    def waited(self, seconds: float) -> None:
        """Somebody has waited."""
        self._series.waited(seconds)

    def timed_out(self) -> None:
        """Somebody has waited in vain."""
        self._series.timed_out()

    def used(self, seconds: float) -> None:
        """A connection has come back."""
        if self.is_on:
            self._series.used(seconds)

    # -- what a scrape asks ------------------------------------------------------------------------------------------------------

    def read(self) -> PoolSnapshot | None:
        """The connections at this moment."""
        if not self.is_there:
            return None
        active = idle = 0
        for entry in list(self.entries.values()):
            record = entry.record()
            if record is None or record.dbapi_connection is None:
                continue
            if entry.is_new or record.in_use:
                active += 1
            else:
                idle += 1
        pool = self._pool() if self._pool_now is None else self._pool_now()
        return PoolSnapshot(active, idle, *_limits(pool))


def _limits(pool: Any) -> tuple[int | None, int | None]:
    """The size of a pool, and how many connections it has beyond that."""
    size, overflow = getattr(pool, "size", None), getattr(pool, "overflow", None)
    if callable(size):
        size = size()
    if not size:  # a size of zero stands for no limit
        return None, None
    return int(size), max(int(overflow()), 0) if callable(overflow) else None


def free_name(wanted: str, limit: int = 200) -> str:
    """The name itself, or with the first number that no pool has which is watched now."""
    taken = {watch.name for watch in _watches.all() if watch.is_there}
    name, number = wanted, 1
    while name in taken and number < limit:
        number += 1
        name = f"{wanted}_{number}"
    return name


class PoolHooks:
    """What is put into SQLAlchemy while anything is instrumented.

    Args:
        sqlalchemy: The library.
        find: Returns the watch of a pool, ``None`` if it is not to be measured.
    """

    def __init__(self, sqlalchemy: Any, find: Callable[[Any], Watch | None]) -> None:
        self._sqlalchemy = sqlalchemy
        self._timeout = sqlalchemy.exc.TimeoutError
        self._find = find
        self._is_in = False
        self._replaced: list[tuple[Any, Any, Any]] = []

    def install(self) -> None:
        """Put the hooks in."""
        self._is_in = True
        pools: list[Any] = [value for value in vars(self._sqlalchemy.pool).values() if isinstance(value, type) and "connect" in vars(value)]
        for cls in pools:
            if issubclass(cls, self._sqlalchemy.pool.Pool):
                original = vars(cls)["connect"]
                ours = self._measured(original)
                self._replaced.append((cls, original, ours))
                cls.connect = ours
        for name, listener in self._listeners():
            self._sqlalchemy.event.listen(self._sqlalchemy.pool.Pool, name, listener)

    def remove(self) -> None:
        """Take them out, except where somebody else has replaced ``connect`` since: ours only passes on then."""
        self._is_in = False
        for cls, original, ours in self._replaced:
            if vars(cls).get("connect") is ours:
                cls.connect = original
        self._replaced.clear()
        for name, listener in self._listeners():
            self._sqlalchemy.event.remove(self._sqlalchemy.pool.Pool, name, listener)

    def _listeners(self) -> tuple[tuple[str, Callable[..., None]], ...]:
        return ("checkout", _checked_out), ("checkin", _checked_in)

    def _measured(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        find, timeout = self._find, self._timeout

        @wraps(original)
        def connect(pool: Any) -> Any:
            if not self._is_in:
                return original(pool)
            watch = vars(pool).get(ATTRIBUTE) or find(pool)
            outer = _current.get()
            if watch is None and outer is None:
                return original(pool)
            started = clock.monotonic()
            _current.set(watch)
            in_vain = False
            try:
                return original(pool)
            except timeout:
                in_vain = True
                raise
            finally:
                _current.set(outer)  # not by a token: it may be another context that throws an exception in
                if watch is not None:
                    _waited(watch, clock.monotonic() - started, in_vain)

        return connect


def _waited(watch: Watch, seconds: float, in_vain: bool) -> None:
    try:
        if watch.is_on:
            watch.waited(seconds)
            if in_vain:
                watch.timed_out()
    except Exception:  # noqa: BLE001 - ours, and logged
        complain("a wait for a connection")


def _checked_out(_: Any, record: Any, __: Any) -> None:
    try:
        watch = _current.get()
        if watch is not None:
            entry = watch.entry(record)
            entry.is_new, entry.since = False, clock.monotonic()
    except Exception:  # noqa: BLE001 - ours, and logged
        complain("a connection that is taken")


def _checked_in(_: Any, record: Any) -> None:
    try:
        entry: Entry | None = record.record_info.get(KEY)
        if entry is not None:
            since, entry.since, entry.is_new = entry.since, None, False
            if since is not None:
                entry.watch.used(clock.monotonic() - since)
    except Exception:  # noqa: BLE001 - ours, and logged
        complain("a connection that is given back")
