"""SQLAlchemy, synchronous and asynchronous: statements, connections, waits for one.

::

    from measurand.integrations import sqlalchemy

    sqlalchemy.instrument(engine, name="orders")
    sqlalchemy.instrument()  # or every engine of the process, also those that are made later

An engine that is instrumented both ways is measured once, as it was by itself. What is recorded:
:class:`measurand.catalog.database.DatabaseMetrics`.

A statement is measured around the call of the driver, once for each call: ``executemany`` is one, and so is each batch of a large
``insert``. Rows that are fetched afterwards do not count. Savepoints are statements; commits and rollbacks are calls of
the driver, and none.

Connections that an engine had before it was instrumented are known from their next use on; one that was detached belongs to no pool any
more.
"""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakSet, ref

from measurand.catalog.database import DatabaseMetrics
from measurand.integrations.handle import Handle, Installations, library, version_of
from measurand.integrations.sqlalchemy_pool import Living, PoolHooks, Watch, free_name, owner_of, watch_of
from measurand.integrations.sqlalchemy_queries import complain
from measurand.lifecycle.background import renew_after_fork
from measurand.metrics.domains import REGISTRY
from measurand.metrics.registry import CollectorRegistry

__all__ = ["FLOOR", "instrument"]

FLOOR = "2.0.36"


def instrument(
    engine: Any = None,
    *,
    name: str | None = None,
    metrics: DatabaseMetrics | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> Handle:
    """Measure an engine, or all of them. Safe from any thread; measures once, however often it is called.

    Args:
        engine: An ``Engine`` or ``AsyncEngine``; ``None`` for every one that the process has or makes, from its first connection on.
        name: The label ``pool`` of this engine. Without one it is the engine's ``pool_logging_name``, else the kind of database, with a
            number from the second one on: ``postgresql``, ``postgresql_2``.
        metrics: Where to record; a set of its own in ``registry`` if there is none.
        registry: Where to expose.

    Returns:
        What takes it back.

    Raises:
        MissingExtra: SQLAlchemy is not installed, or too old.
        TypeError: This is no engine.
        ValueError: A name was given, and no engine.
    """
    sqlalchemy = library("sqlalchemy", extra="sqlalchemy", floor=FLOOR)
    about = f"sqlalchemy {version_of('sqlalchemy')}"
    if engine is None:
        if name is not None:
            raise ValueError(f"name={name!r} is that of one engine, and none was given")
        return _installations.once(sqlalchemy.Engine, metrics, lambda: _everything(sqlalchemy, about, metrics or DatabaseMetrics(registry)))
    target = _plain(sqlalchemy, engine)
    return _installations.once(target, metrics, lambda: _one(sqlalchemy, about, target, name, metrics or DatabaseMetrics(registry)))


def _plain(sqlalchemy: Any, engine: Any) -> Any:
    """The synchronous engine of an asynchronous one; the engine of which one with options was made."""
    found = getattr(engine, "sync_engine", engine)
    if not isinstance(found, sqlalchemy.Engine):
        raise TypeError(f"{engine!r} is no engine of SQLAlchemy")
    while (base := getattr(found, "_proxied", None)) is not None:
        found = base
    return found


class _State:
    """What is instrumented in this process."""

    def __init__(self) -> None:
        self.everything: DatabaseMetrics | None = None
        self._hooks: PoolHooks | None = None
        self._users: WeakSet[Any] = WeakSet()
        self._guard = threading.RLock()

    def renew(self) -> None:
        """In a new child process: have a lock that nobody holds."""
        self._guard = threading.RLock()

    def begin(self, sqlalchemy: Any, target: Any) -> None:
        """A target needs the hooks."""
        renew_after_fork(self)
        with self._guard:
            self._users.add(target)
            if self._hooks is None:
                self._hooks = PoolHooks(sqlalchemy, self.find)
                self._hooks.install()

    def end(self, target: Any) -> None:
        """It needs them no longer."""
        with self._guard:
            if target is not None:
                self._users.discard(target)
            if not self._users and self._hooks is not None:
                self._hooks.remove()
                self._hooks = None

    def find(self, pool: Any) -> Watch | None:
        """The watch of a pool that is asked for a connection; a new one if everything is watched."""
        try:
            owner = owner_of(pool)
            watch = watch_of(owner)
            if watch is None:
                if self.everything is None:
                    return None
                watch = self.watch(owner, pool, self.everything)
            if watch is not None:
                watch.meet(pool)
            return watch
        except Exception:  # noqa: BLE001 - ours, and logged
            complain("a pool")
            return None

    def watch(self, owner: Any, pool: Any, metrics: DatabaseMetrics) -> Watch | None:
        """A watch for one of all engines, or that which it has; ``None`` if no longer all are watched."""
        with self._guard:
            there = watch_of(owner)
            if there is None and metrics is self.everything:
                there = Watch(owner, pool, metrics, _name(owner, pool))
                there.start()
                _of_everything.add(there)
            return there

    def watch_alone(self, engine: Any, name: str | None, metrics: DatabaseMetrics) -> Watch:
        """A watch for one engine, in the place of that which it may have as one of all."""
        owner, pool, kept = engine.dialect, engine.pool, ref(engine)
        with self._guard:
            before = watch_of(owner)
            if before is not None:
                before.stop()
                _of_everything.discard(before)
            made = Watch(owner, pool, metrics, name or _name(owner, pool), lambda: getattr(kept(), "pool", None))
            if before is not None:
                made.take(before)
            made.start()
            return made

    def watch_as_one_of_all(self, engine: Any, before: Watch) -> None:
        """Watch an engine as one of all, if all are watched, in the place of a watch for it alone, which has been stopped."""
        if self.everything is not None:
            now = self.watch(engine.dialect, engine.pool, self.everything)
            if now is not None:
                now.take(before)


_state = _State()
_installations = Installations()
_of_everything: Living[Watch] = Living()


def _everything(sqlalchemy: Any, about: str, metrics: DatabaseMetrics) -> Handle:
    _state.begin(sqlalchemy, sqlalchemy.Engine)
    _state.everything = metrics

    def undo(target: Any) -> None:
        _state.everything = None
        _state.end(target)
        for watch in _of_everything.all():
            watch.stop()
            _of_everything.discard(watch)

    return Handle(f"{about}, every engine", metrics, sqlalchemy.Engine, undo)


def _one(sqlalchemy: Any, about: str, engine: Any, name: str | None, metrics: DatabaseMetrics) -> Handle:
    _state.begin(sqlalchemy, engine)
    watch, kept = _state.watch_alone(engine, name, metrics), ref(engine)

    def undo(_: Any) -> None:
        watch.stop()
        target = kept()
        if target is not None:
            _state.watch_as_one_of_all(target, watch)
        _state.end(target)

    return Handle(f"{about}, the engine {watch.name}", metrics, sqlalchemy.Engine, undo)  # to be taken back also when the engine is gone


def _name(owner: Any, pool: Any) -> str:
    """What a pool is called if nobody has said it here."""
    given = getattr(pool, "logging_name", None)
    return str(given) if given else free_name(str(getattr(owner, "name", "pool")))
