"""What a core promises, whichever twin implements it.

A core keeps numbers in memory cells and hands out consistent copies of them. It knows neither registries nor formats.

**Instruments and series.** An instrument is a *root*: it carries a :class:`Spec`. A root without label names is its own only
series and owns cells. A root with label names owns a table of *children*, one per tuple of label values; each child owns cells
and is an instance of the root's class. Layers above subclass the four bases (and ``Instrument`` itself) and call
:func:`define` once per root.

**Cells** are doubles; integral sums stay exact to 2**53. Per kind, in this order:

=========  =====================================================================
kind       cells
=========  =====================================================================
counter    value
gauge      value
summary    count, sum
histogram  one count per bucket (not cumulative, the last one is +Inf), then sum
other      ``width`` cells that the layer above gives a meaning
=========  =====================================================================

**Shared memory.** ``move()`` puts the cells of a series elsewhere, for example into a file that other processes read. A gauge that was
moved has two marks behind its cell: when it was last written to (monotonic seconds; noted only where the spec is ``stamped`` or expires)
and how it has been written to since it was made, the sum of 1 for ``set`` and 2 for ``inc`` or ``dec``. No two stamps of one process are
equal. One that sets values in quick succession has the exact time with the first of a tick of the system's coarse clock (4 ms or less).

**Threads.** Recording takes no lock, performs no I/O and allocates nothing that the garbage collector tracks, so it may be
re-entered from signal handlers, ``gc`` callbacks and finalizers at any point; nothing is lost. An addition is a single step.
:func:`freeze` copies one instrument in a single step as seen by other threads: a histogram's count is the sum of its copied buckets, and
:meth:`GaugeBase.replace` is seen wholly or not at all. Without the interpreter lock the same holds: whoever copies, moves or replaces
waits for the recordings under way on that instrument, and others wait for it; the Python twin records under one lock there.

**Fork.** A core holds no lock across any call, so a child process can record, freeze and define at once.

**Errors** are raised, and their messages written, by :mod:`measurand.core.support` for both twins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

__all__ = ["DEFAULT_MAX_SERIES", "OVERFLOW_VALUE", "Exemplar", "Kind", "Spec"]

Kind = Literal["counter", "gauge", "summary", "histogram", "other"]

OVERFLOW_VALUE = "__other__"
"""The value of every label of a metric's overflow series."""

DEFAULT_MAX_SERIES = 2000
"""How many label sets of its own a metric keeps unless told otherwise; those beyond share the overflow series."""


class Exemplar(NamedTuple):
    """One event that stands for a recorded value.

    Attributes:
        labels: What identifies the event, for example ``{"trace_id": "…"}``; names and values together at most 128 characters.
        value: The value that was recorded with it.
        timestamp: When, in seconds since the Unix epoch; ``None`` if unknown.
    """

    labels: Mapping[str, str]
    value: float
    timestamp: Any = None


@dataclass(frozen=True, slots=True)
class Spec:
    """What a core needs to know of one instrument.

    Attributes:
        name: The metric's name, for messages.
        type: The metric's exposed type ("counter", "stateset", …), for messages.
        kind: The layout of the cells.
        labelnames: The label names, in the order in which ``labels()`` takes values.
        bounds: A histogram's upper bounds in ascending order, without +Inf.
        width: The number of cells per series.
        max_series: How many label sets get a series of their own; ``None`` for no limit.
        expire_after: Seconds without a write after which a gauge's series is dropped; ``None`` for never.
        additive: Whether ``inc`` and ``dec`` are allowed (a gauge whose processes combine by the most recent value refuses them).
        stamped: Whether a gauge in shared memory notes when it is set (its processes combine by the most recent value).
        adopt: Called with each new child before it becomes visible; ``None`` for nothing.
        said: Which warnings about this instrument have been given, so that each is given once.
    """

    name: str
    type: str
    kind: Kind
    labelnames: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    width: int = 1
    max_series: int | None = DEFAULT_MAX_SERIES
    expire_after: float | None = None
    additive: bool = True
    stamped: bool = False
    adopt: Callable[[Any], None] | None = field(default=None, compare=False)
    said: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
