"""The libraries under test. One file per library, found by being here.

A file defines one class ``Library``, a subclass of :class:`Adapter`. Its class attributes say what the library is, without importing it;
making an instance imports it and makes a registry of its own. A method that the library has no fair equivalent for is left alone: the
cell shows a dash."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.sinks import Sink

__all__ = ["BUCKETS", "LABEL_NAMES", "RECORDING", "Adapter", "Code", "libraries"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The 14 finite upper bounds that every histogram here has; +Inf comes on top."""

LABEL_NAMES = ("method", "endpoint", "status")

RECORDING = ("hot path", "threads", "exposition", "stall", "memory", "import")
"""The groups of benchmarks that a library of instruments takes part in."""


@dataclass(frozen=True, slots=True)
class Code:
    """A statement to be timed.

    Attributes:
        statement: What is timed.
        names: What the statement refers to; local variables of the timed loop.
        operations: How many operations one run of the statement is.
        awaits: Whether the statement contains ``await``.
    """

    statement: str
    names: Mapping[str, object]
    operations: int = 1
    awaits: bool = False


Touch = Callable[[str, str, str, float], object]
"""Records a number on the series with these three label values, making the series if need be."""


class Adapter:
    """One library.

    Attributes:
        title: The column heading.
        distribution: The distribution whose version is printed.
        order: Where the column stands.
        groups: The groups of benchmarks that the library takes part in.
        environment: Environment variables of the library's processes.
        import_statement: What a service has to import.
        first_counter: The same, and the definition of one counter.
        remarks: What a reader has to know of a benchmark's figure, by benchmark.
    """

    title: ClassVar[str]
    distribution: ClassVar[str]
    order: ClassVar[int] = 50
    groups: ClassVar[tuple[str, ...]] = RECORDING
    environment: ClassVar[Mapping[str, str]] = {}
    import_statement: ClassVar[str]
    first_counter: ClassVar[str]
    remarks: ClassVar[Mapping[str, str]] = {}

    # -- the hot path: a statement each

    def inc(self) -> Code | None:
        """Add one to a counter of three labels whose series was looked up before."""
        return None

    def labels_positional(self) -> Code | None:
        """Look a series up by three positional values, and add one."""
        return None

    def labels_keyword(self) -> Code | None:
        """Look a series up by three named values, and add one."""
        return None

    def labels_converted(self) -> Code | None:
        """The cheapest look-up again, with an ``int`` as the third value."""
        return None

    def labels_many(self, keys: list[tuple[str, str, str]]) -> Code | None:
        """The cheapest look-up again, going round ``keys``."""
        return None

    def observe(self) -> Code | None:
        """Observe 0.3 in a histogram with :data:`BUCKETS` and no labels."""
        return None

    def set(self) -> Code | None:
        """Set a gauge without labels."""
        return None

    def time_block(self) -> Code | None:
        """Time an empty ``with`` block into a histogram."""
        return None

    def timed_function(self, function: Callable[[], object]) -> Code | None:
        """Call ``function``, decorated to be timed into a histogram."""
        return None

    def timed_coroutine(self, function: Callable[[], Any]) -> Code | None:
        """Await the coroutine function ``function``, decorated to be timed into a histogram."""
        return None

    def timed_by_name(self, function: Callable[[], object]) -> Code | None:
        """Call ``function``, decorated by a helper that makes the metric itself and tells success from failure."""
        return None

    def timed_coroutine_by_name(self, function: Callable[[], Any]) -> Code | None:
        """Await ``function``, decorated by the same helper."""
        return None

    # -- requests

    def fastapi(self, app: Any) -> Any | None:
        """Measure the requests of a FastAPI application; returns what is to be served."""
        return None

    def flask(self, app: Any) -> Any | None:
        """Measure the requests of a Flask application; returns what is to be served."""
        return None

    # -- statements

    def sqlalchemy(self, engine: Any) -> Callable[[], object] | None:
        """Measure the statements of an engine of SQLAlchemy; returns what takes it back."""
        return None

    # -- several processes

    def unshared(self) -> Adapter | None:
        """This library once more, with metrics that no other process sees, if it has such in the same process."""
        return None

    def worker_ended(self, pid: int) -> None:
        """What a server is to call when one of its workers has ended."""

    def shared_files(self) -> list[Path]:
        """The files through which this process and others show their numbers to each other."""
        return []

    # -- destinations

    def destinations(self, sink: Sink) -> AbstractContextManager[Callable[[int], AbstractContextManager[Callable[[], bool]]]] | None:
        """A service that runs while the block lasts. Called with a number it delivers this instance's metrics to as many destinations, for
        the time of an inner block, which is given what says whether all of them have got something."""
        return None

    def counted_for_server(self, sink: Sink, known: bool, until: ExitStack) -> Code | None:
        """Count one of three labels for a server of StatsD or DogStatsD, with the labels ``known`` before, or given in the statement; what
        has to be ended goes to ``until``."""
        return None

    def delivery(self, destination: str, sink: Sink) -> tuple[Touch, Callable[[], object]] | None:
        """A counter with :data:`LABEL_NAMES` and no limit on its series: what adds to one of them, and what delivers all of them."""
        return None

    # -- the rest

    def shared_counter(self) -> tuple[Code, Callable[[], float]] | None:
        """Adds one to a counter without labels, to be run by many threads; and what reads the counter."""
        return None

    def counter_series(self) -> Touch | None:
        """A counter with :data:`LABEL_NAMES` and no limit on its series; returns what adds to one of them."""
        return None

    def histogram_series(self) -> Touch | None:
        """A histogram with :data:`LABEL_NAMES` and :data:`BUCKETS`; returns what observes in one of its series."""
        return None

    def exposition(self) -> Callable[[], bytes] | None:
        """What renders this instance's registry in the Prometheus text format."""
        return None


def libraries() -> dict[str, type[Adapter]]:
    """Every adapter here by the name of its file, in the order of the columns."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    found: dict[str, type[Adapter]] = {name: import_module(f"{__name__}.{name}").Library for name in names}
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))
