"""What measuring adds to a statement: an engine of SQLAlchemy with the instrumentation, less the same one without.

``SELECT 1`` through SQLAlchemy Core on a database in memory, whose own work is next to nothing. Three engines live in one process: one that
is left alone, one with two listeners for events of cursors that do nothing, which is the least that events can cost, and one that is
instrumented. They take turns, some hundreds of statements each, and the instrumentation is taken back in the turns of the others, as it may
reach into the library as a whole. Of all that an engine was timed the tenth part counts that was fastest: within one process, all that can
happen to a statement is that something else delays it. The clock is the thread's processor time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import quantiles
from time import thread_time
from typing import Any

from benchmarks.adapters import Adapter

__all__ = ["run"]

Timed = Callable[[int], float]
"""Executes a statement that many times, and returns the seconds of processor time that it took."""


def make() -> Any:
    """An engine with a pool of connections."""
    from sqlalchemy import create_engine  # noqa: PLC0415 - a library under test
    from sqlalchemy.pool import QueuePool  # noqa: PLC0415

    return create_engine("sqlite://", poolclass=QueuePool)


def listened_to() -> Any:
    """The same with two listeners that do nothing."""
    from sqlalchemy import event  # noqa: PLC0415 - a library under test

    def listener(connection: Any, cursor: Any, statement: Any, parameters: Any, context: Any, executemany: Any) -> None:
        pass

    engine = make()
    event.listen(engine, "before_cursor_execute", listener)
    event.listen(engine, "after_cursor_execute", listener)
    return engine


@contextmanager
def on_a_connection(engine: Any) -> Iterator[Timed]:
    """Statements on one connection, each of which begins nothing and ends nothing."""
    from sqlalchemy import text  # noqa: PLC0415 - a library under test

    statement = text("SELECT 1")
    with engine.connect() as connection:

        def timed(times: int) -> float:
            start = thread_time()
            for _ in range(times):
                connection.execute(statement).scalar()
            return thread_time() - start

        yield timed


@contextmanager
def each_on_its_own(engine: Any) -> Iterator[Timed]:
    """Statements that each take a connection from the pool, begin a transaction, and give it back."""
    from sqlalchemy import text  # noqa: PLC0415 - a library under test

    statement = text("SELECT 1")

    def timed(times: int) -> float:
        start = thread_time()
        for _ in range(times):
            with engine.connect() as connection:
                connection.execute(statement).scalar()
        return thread_time() - start

    yield timed


def run(adapter: Adapter, connects: bool, turns: int, samples: int, statements: int) -> dict[str, float] | None:
    """Nanoseconds that measuring adds to a statement (``ns``), what two empty listeners add (``listeners``), and what the statement takes
    without either (``baseline``)."""
    engines = {"baseline": make(), "listeners": listened_to(), "ns": make()}
    use = each_on_its_own if connects else on_a_connection
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(turns):
        for name, engine in engines.items():
            take_back = adapter.sqlalchemy(engine) if name == "ns" else lambda: None
            if take_back is None:
                return None
            with use(engine) as timed:
                timed(statements)
                times[name] += [timed(statements) for _ in range(samples)]
            take_back()
    quick = {name: quantiles(taken, n=10)[0] / statements * 1e9 for name, taken in times.items()}
    bare = quick.pop("baseline")
    return {"baseline": bare, **{name: max(taken - bare, 0.0) for name, taken in quick.items()}}
