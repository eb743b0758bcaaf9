"""Private names of ``prometheus_client`` that programs and test suites lean on.

Nothing in this package leans on them; of a subclass's own ``_metric_init`` and ``_child_samples`` the metric takes note.
They read and write the live state, so that ``metric._value.get()``, ``metric._metrics.clear()`` or ``REGISTRY._names_to_collectors`` do
what they always did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import nullcontext
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

from measurand import core
from measurand.core import Exemplar
from measurand.core.support import missing_labels
from measurand.metrics.sample import Sample

if TYPE_CHECKING:
    from measurand.metrics.definition import Definition

__all__ = ["InstrumentPrivates", "RegistryPrivates", "Value"]


class Value:
    """One cell with the face of ``prometheus_client.values.MutexValue``."""

    __slots__ = ("_index", "_series")

    def __init__(self, series: Any, index: int) -> None:
        self._series = series
        self._index = index

    def get(self) -> float:
        """The cell's number."""
        return core.read(self._series)[self._index]

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set the cell."""
        core.write(self._series, self._index, value)

    def inc(self, amount: float) -> None:
        """Add to the cell; not exact between threads, unlike the instrument's own methods."""
        self.set(self.get() + amount)

    def get_exemplar(self) -> Exemplar | None:
        """The cell's latest exemplar."""
        return core.exemplars(self._series).get(self._index)

    def set_exemplar(self, exemplar: Exemplar) -> None:
        """Give the cell an exemplar."""
        core.set_exemplars(self._series, {**core.exemplars(self._series), self._index: exemplar})


class _Bucket(Value):
    """A classic bucket of a native histogram, which has several cells: ``first`` and those up to ``index``."""

    __slots__ = ("_first",)

    def __init__(self, series: Any, first: int, index: int) -> None:
        super().__init__(series, index)
        self._first = first

    def get(self) -> float:
        return sum(core.read(self._series)[self._first : self._index + 1])

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set the bucket: its last cell has what the others do not, and all of it if they have more."""
        others = sum(core.read(self._series)[self._first : self._index])
        if others > value:
            for cell in range(self._first, self._index):
                core.write(self._series, cell, 0.0)
            others = 0.0
        core.write(self._series, self._index, value - others)

    def get_exemplar(self) -> Exemplar | None:
        found = core.exemplars(self._series)
        newest = max((cell for cell in found if self._first <= cell <= self._index), key=lambda cell: found[cell].timestamp, default=None)
        return None if newest is None else found[newest]


class _SeriesView(MutableMapping[tuple[str, ...], Any]):
    """A metric's children by label values; taking one out removes it from the metric."""

    def __init__(self, instrument: Any) -> None:
        self._instrument = instrument

    def _all(self) -> dict[tuple[str, ...], Any]:
        return {core.key(child) or (): child for child in core.children(self._instrument)}

    def __getitem__(self, key: tuple[str, ...]) -> Any:
        return self._all()[key]

    def __setitem__(self, key: tuple[str, ...], value: Any) -> None:
        raise TypeError("series are made by labels(), not by assignment")

    def __delitem__(self, key: tuple[str, ...]) -> None:
        if key not in self._all():
            raise KeyError(key)
        self._instrument.remove(*key)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(core.children(self._instrument))

    def clear(self) -> None:
        self._instrument.clear()

    def copy(self) -> dict[tuple[str, ...], Any]:
        return self._all()


class _Live:
    """A private attribute that shows the live state, until a subclass puts something of its own in its place."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else self._read(instance)


class InstrumentPrivates:
    """The private attributes of an instrument, and the private methods by which subclasses keep and show numbers of their own."""

    if TYPE_CHECKING:

        @property
        def definition(self) -> Definition: ...  # noqa: D102 - the metric's own

    @property
    def _name(self) -> str:
        return self.definition.name

    @property
    def _documentation(self) -> str:
        return self.definition.documentation

    @property
    def _unit(self) -> str:
        return self.definition.unit

    @property
    def _labelnames(self) -> tuple[str, ...]:
        return self.definition.labelnames

    @property
    def _labelvalues(self) -> tuple[str, ...]:
        return core.key(self) or ()  # type: ignore[arg-type]

    @property
    def _original_name(self) -> str:
        return self.definition.given[0]

    @property
    def _namespace(self) -> str:
        return self.definition.given[1]

    @property
    def _subsystem(self) -> str:
        return self.definition.given[2]

    @property
    def _kwargs(self) -> dict[str, Any]:
        return {name: value for name, value in self.definition.options.items() if value is not None}

    @_Live
    def _created(self) -> float:
        return core.created(self)  # type: ignore[arg-type]

    @property
    def _lock(self) -> Any:
        return nullcontext()

    @property
    def _metrics(self) -> _SeriesView:
        if not self._is_parent():
            raise AttributeError("_metrics")
        return _SeriesView(self)

    @_Live
    def _value(self) -> Any:
        self._need_cells("_value")
        return Value(self, 0)

    def _need_cells(self, name: str) -> None:
        if self._is_parent():
            raise AttributeError(f"{name}: {self.definition.name} has labels, its values are with its series")

    def _is_observable(self) -> bool:
        return not self._is_parent()

    def _raise_if_not_observable(self) -> None:
        if self._is_parent():
            missing_labels(core.spec(self))  # type: ignore[arg-type]

    def _is_parent(self) -> bool:
        return bool(self.definition.labelnames) and core.key(self) is None  # type: ignore[arg-type]

    def _metric_init(self) -> None:
        for index in range(len(core.read(self))):  # type: ignore[arg-type]
            core.write(self, index, 0.0)  # type: ignore[arg-type]

    def _get_metric(self) -> Any:
        return next(iter(self.describe()))  # type: ignore[attr-defined]

    def _samples(self) -> Iterable[Sample]:
        name = self.definition.name
        for metric in self.collect():  # type: ignore[attr-defined]
            for sample in metric.samples:
                yield sample._replace(name=sample.name.removeprefix(name))

    _multi_samples = _samples

    def _child_samples(self) -> Iterable[Sample]:
        self._need_cells("_child_samples")
        name = self.definition.name
        return [sample._replace(name=sample.name.removeprefix(name)) for sample in self._series_samples()]  # type: ignore[attr-defined]

    def _made_samples(self) -> list[Sample]:
        """What a subclass's own ``_child_samples`` says of each series, as the family's samples."""
        names = self.definition.labelnames
        members: Iterable[tuple[tuple[str, ...], Any]] = self._metrics.items() if self._is_parent() else [((), self)]
        return [
            sample._replace(name=self.definition.name + sample.name, labels={**dict(zip(names, key, strict=bool(key))), **sample.labels})
            for key, member in members
            for sample in (Sample(*given) for given in member._child_samples())
        ]


class HistogramPrivates(InstrumentPrivates):
    """What a histogram has besides."""

    @property
    def _kwargs(self) -> dict[str, Any]:
        return {"buckets": self.definition.bounds, **super()._kwargs}

    @property
    def _upper_bounds(self) -> list[float]:
        return [*self.definition.bounds, inf]

    @_Live
    def _buckets(self) -> list[Value]:
        self._need_cells("_buckets")
        native = self.definition.native
        if native is None:
            return [Value(self, index) for index in range(len(self.definition.bounds) + 1)]
        return [_Bucket(self, below + 1, end) for below, end in pairwise((-1, *native.ends))]

    @_Live
    def _sum(self) -> Value:
        self._need_cells("_sum")
        return Value(self, -1)


class SummaryPrivates(InstrumentPrivates):
    """What a summary has besides."""

    @_Live
    def _count(self) -> Value:
        self._need_cells("_count")
        return Value(self, 0)

    @_Live
    def _sum(self) -> Value:
        self._need_cells("_sum")
        return Value(self, 1)


class RegistryPrivates:
    """The private attributes of a registry: the very tables that it works on."""

    if TYPE_CHECKING:
        _names_of: dict[Any, list[str]]
        _owner_of: dict[str, Any]
        _nameless: list[Any]
        _target: Any

    @property
    def _collector_to_names(self) -> dict[Any, list[str]]:
        return self._names_of

    @property
    def _names_to_collectors(self) -> dict[str, Any]:
        return self._owner_of

    @property
    def _collectors_without_names(self) -> list[Any]:
        return self._nameless

    @property
    def _target_info(self) -> Any:
        return self._target

    @property
    def _lock(self) -> Any:
        return nullcontext()

    def _get_names(self, collector: Any) -> list[str]:
        return self._names_produced_by(collector)  # type: ignore[attr-defined,no-any-return]
