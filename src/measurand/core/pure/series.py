"""Instruments and their tables of series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from measurand import clock
from measurand.core import support
from measurand.core.contract import OVERFLOW_VALUE, Exemplar, Spec
from measurand.core.pure.exclusive import step

if TYPE_CHECKING:
    from measurand.core.pure.lines import Layout

Cells = Any  # a list of floats, or a memoryview of doubles
Key = tuple[str, ...]
S = TypeVar("S", bound="Instrument")


class _Root:
    """What all series of one instrument share."""

    __slots__ = ("dropped", "instrument", "overflow", "spec", "version", "watcher")

    def __init__(self, instrument: Instrument, spec: Spec) -> None:
        self.instrument = instrument
        self.spec = spec
        self.overflow = (OVERFLOW_VALUE,) * len(spec.labelnames)
        self.dropped = 0
        self.version = 0  # odd while replace() exchanges cells that were moved
        self.watcher: Callable[[Any], None] | None = None


class Instrument:
    """A root or one of its series; see ``measurand.core.contract``."""

    __slots__ = ("_block", "_born", "_cells", "_exemplars", "_home", "_key", "_marks", "_payload", "_root", "_table", "_touched", "_ways")

    _root: _Root
    _key: Key | None  # a child's label values
    _cells: Any  # a list, or a memoryview if they were moved; () on a root that has labels, so that recording on it raises IndexError
    _table: dict[Key, tuple[Instrument, Cells]]  # a root's children with their cells; empty elsewhere
    _exemplars: dict[int, Exemplar] | None
    _payload: Any
    _marks: Any  # what stands behind a moved gauge's cell, else None
    _ways: int
    _home: tuple[memoryview[float], int] | None  # which memory they were moved to, and where in it
    _born: float
    _touched: float
    _block: tuple[Layout, list[str]] | None

    def labels(self, /, *labelvalues: object, **labelkwargs: object) -> Self:
        """Return the series with these label values, creating it at its first use.

        Values are given by position, in the order of the label names, or by keyword; each is converted with ``str()``.
        Keep the returned series when the values are known early: recording on it skips the look-up.

        Raises:
            LabelError: The metric has no labels, the values do not fit its label names, or this is a series already.
        """
        if not labelkwargs:
            for value in labelvalues:
                if type(value) is not str:
                    break
            else:
                try:
                    return self._table[labelvalues][0]  # type: ignore[index,return-value]
                except KeyError:
                    pass
        spec = self._root.spec
        require_labelled_root(self)
        key = support.by_keyword(spec, labelvalues, labelkwargs) if labelkwargs else support.by_position(spec, labelvalues)
        return find_series(self, key)

    def remove(self, *labelvalues: object) -> None:
        """Drop the series with these label values, if it exists.

        Code that kept the series can go on recording on it, unseen.

        Raises:
            LabelError: The metric has no labels, or the number of values is not that of its label names.
        """
        require_labelled_root(self)
        drop(self, support.by_position(self._root.spec, labelvalues))

    def remove_by_labels(self, labels: Mapping[str, object]) -> None:
        """Drop every series whose labels include all of ``labels``; an empty mapping drops nothing.

        Raises:
            LabelError: The metric has no labels, or not one of these names.
            TypeError: ``labels`` is not a mapping.
        """
        require_labelled_root(self)
        matches = support.partial_match(self._root.spec, labels)
        for key in list(self._table):
            if matches(key):
                drop(self, key)

    def clear(self) -> None:
        """Drop every series of a metric with labels; without labels, do nothing."""
        if self._root.spec.labelnames:
            require_labelled_root(self)
            self._table = {}


def require_labelled_root(series: Instrument) -> None:
    """Refuse what only a root with labels can do."""
    if not series._root.spec.labelnames:
        support.unlabelled(series._root.spec)
    if series._key is not None:
        support.chained(series._root.spec, series._key)


def define(instrument: Instrument, spec: Spec) -> None:
    """Make ``instrument`` a root.

    Without label names it gets its cells at once. May be called again: the instrument then starts from nothing.
    """
    instrument._root = _Root(instrument, spec)
    instrument._key = None
    instrument._table = {}
    start(instrument)
    if spec.labelnames:
        instrument._cells = ()


def start(series: Instrument) -> None:
    """Give a series its cells, at zero."""
    series._cells = [0.0] * series._root.spec.width
    series._exemplars = None
    series._payload = None
    series._marks = None
    series._home = None
    series._ways = 0
    series._born = clock.wall()
    series._touched = clock.monotonic()
    series._block = None


def new_series(instrument: S, key: Key) -> S:
    """A child that is not in the table yet."""
    series = type(instrument).__new__(type(instrument))
    series._root = instrument._root
    series._key = support.shared(key)
    series._table = {}
    start(series)
    support.adopt(series, series._root.spec)
    return series


def attach(series: S) -> S:
    """The series that stands for a series' labels from now on: this one, unless another does already. The watcher is told of this one."""
    root, key, entry = series._root, series._key, (series, series._cells)
    assert key is not None
    stands = root.instrument._table.setdefault(key, entry)
    if stands is entry and root.watcher is not None:
        root.watcher(series)
    return stands[0]  # type: ignore[return-value]


def find_series(instrument: S, key: Key) -> S:
    """The child for ``key``, new if need be; the overflow series, which has a place of its own, when the table is full.

    Threads that race for the last place can each get one here, so that this twin may pass the limit by as many.
    """
    root, table = instrument._root, instrument._table
    found = table.get(key)
    if found is not None:
        return found[0]  # type: ignore[return-value]
    limit = root.spec.max_series
    if limit is not None and key != root.overflow and len(table) - (root.overflow in table) >= limit:
        with step:
            root.dropped += 1
        if "overflowed" not in root.spec.said:
            support.overflowed(root.spec, [known for known in list(table) if known != root.overflow])
        return find_series(instrument, root.overflow)
    return attach(new_series(instrument, key))


def drop(instrument: Instrument, key: Key) -> None:
    """Take a child out of the table, if it is there."""
    instrument._table.pop(key, None)


def spec(series: Instrument) -> Spec:
    """What the series' root was defined with."""
    return series._root.spec


def root(series: Instrument) -> Instrument:
    """The instrument that was defined; a root is its own."""
    return series._root.instrument


def key(series: Instrument) -> Key | None:
    """A child's label values; ``None`` for a root."""
    return series._key


def created(series: Instrument) -> float:
    """When the series came to be or was reset, in seconds since the Unix epoch."""
    return series._born


def children(instrument: Instrument) -> list[Instrument]:
    """A root's children in the order of their creation, the overflow series included."""
    return [series for series, _ in list(instrument._table.values())]


def dropped(instrument: Instrument) -> int:
    """How often ``labels()`` was answered with the overflow series."""
    return instrument._root.dropped


def stands(series: Instrument) -> bool:
    """Whether a series is shown: a root always, a child until it is removed or has expired."""
    key, table = series._key, series._root.instrument._table
    return key is None or (key in table and table[key][0] is series)


def read(series: Instrument) -> tuple[float, ...]:
    """The cells of one series; empty for a root that has labels."""
    with step:
        return tuple(series._cells)


def write(series: Instrument, index: int, value: float) -> None:
    """Set one cell, negative indices counting from the end."""
    if not series._cells:
        support.missing_labels(series._root.spec)
    value = float(value)
    with step:
        series._cells[index] = value


def payload(series: Instrument) -> Any:
    """The object attached to a series: a gauge's callback, or what the layer above keeps there."""
    return series._payload


def set_payload(series: Instrument, value: Any) -> None:
    """Attach an object to a series; ``None`` detaches."""
    if not series._cells:
        support.missing_labels(series._root.spec)
    series._payload = value


def exemplars(series: Instrument) -> dict[int, Exemplar]:
    """The latest exemplar by cell."""
    return dict(series._exemplars or {})


def set_exemplars(series: Instrument, exemplars: Mapping[int, Exemplar]) -> None:
    """Give a series these exemplars by cell, in place of those that it has."""
    fresh: dict[int, Exemplar] = {}
    fresh.update(exemplars)
    series._exemplars = fresh
