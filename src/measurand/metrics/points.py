"""A snapshot as series of plain numbers: what most destinations want to know.

A :class:`PointFamily` has the series of one metric, each with its labels and its numbers, whatever the snapshot got them from: the cells of
an instrument, or the samples of a custom collector. What a family's numbers are follows from its type:

=========  ==================================================================================================
type       numbers
=========  ==================================================================================================
counter    value
gauge      value
summary    count, sum
histogram  one count per bucket (not cumulative, the last one is that of +Inf), then the sum (NaN if unknown)
=========  ==================================================================================================

A native histogram's numbers are those of its cells, which are finer than both its classic and its native buckets: they can be added and
subtracted one by one, and then :meth:`PointFamily.classic` and :meth:`PointFamily.native_buckets` say what they come to.

Infos, state sets, quantiles of summaries and values of unknown type are gauges here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise, repeat
from math import inf, isnan, nan
from typing import Literal, NamedTuple
from weakref import WeakKeyDictionary

from measurand.core import Exemplar
from measurand.core.support import text
from measurand.metrics.definition import Definition
from measurand.metrics.native import MAX_BUCKETS, NativeBuckets, NativeScale
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import CellFamily, Family, SampleFamily

__all__ = ["Labels", "PointFamily", "PointType", "Series", "points_of"]

PointType = Literal["counter", "gauge", "summary", "histogram"]
Labels = tuple[tuple[str, str], ...]

_NO_EXEMPLARS: Mapping[int, Exemplar] = {}

SPARE = 100
"""How many series that are no more a metric's labels may be kept for, besides as many as there are."""


class Series(NamedTuple):
    """One series.

    Attributes:
        labels: Names and values, sorted by name; the registry's common labels are among them.
        numbers: See the module.
        created: When it began, in seconds since the Unix epoch; ``None`` if that is not known.
        timestamp: When the numbers were true, in seconds since the Unix epoch; ``None`` for the moment of the snapshot.
        exemplars: The latest exemplar by the number that it belongs to: of a counter's value, of a bucket, of a native histogram's cell.
    """

    labels: Labels
    numbers: tuple[float, ...]
    created: float | None = None
    timestamp: float | None = None
    exemplars: Mapping[int, Exemplar] = _NO_EXEMPLARS


@dataclass(frozen=True, slots=True)
class PointFamily:
    """The series of one metric.

    Attributes:
        name: The family's name, without a counter's ``_total``; an info's with ``_info``.
        type: What the numbers are, see the module.
        documentation: What the metric means.
        unit: The unit, or an empty string.
        series: The series, in the order of exposition.
        bounds: A histogram's upper bounds in ascending order, without +Inf; a native one's are those of its classic buckets.
        given_name: The name to show, if that does not follow from the others.
        native: How a native histogram's cells are arranged; ``None`` for any other family.
    """

    name: str
    type: PointType
    documentation: str
    unit: str
    series: list[Series]
    bounds: tuple[float, ...] = field(default=())
    given_name: str = ""
    native: NativeScale | None = None

    @property
    def cells(self) -> tuple[float, ...]:
        """The upper bounds, without +Inf, of what a histogram's series have a number for: of its buckets, or of a native one's cells."""
        return self.bounds if self.native is None else self.native.cells

    def classic(self, series: Series) -> tuple[float, ...]:
        """A histogram's series in its classic buckets: a count for each of ``bounds`` and for +Inf, not cumulative, then the sum."""
        return series.numbers if self.native is None else self.native.classic(series.numbers)

    def classic_exemplars(self, series: Series) -> Mapping[int, Exemplar]:
        """The latest exemplar by classic bucket."""
        return series.exemplars if self.native is None else self.native.classic_exemplars(series.exemplars)

    def native_buckets(self, series: Series, max_buckets: int = MAX_BUCKETS) -> NativeBuckets:
        """A series of a native histogram in its native buckets.

        Args:
            series: The series.
            max_buckets: How many there may be, see :meth:`measurand.metrics.native.NativeScale.buckets`.

        Raises:
            ValueError: This is no native histogram, or there are too few buckets.
        """
        if self.native is None:
            raise ValueError(f"{self.name} is no native histogram")
        return self.native.buckets(series.numbers, max_buckets)

    @property
    def exposed_name(self) -> str:
        """The name that Prometheus' text format shows, a counter's with ``_total``; of a metric that was renamed, its new name."""
        return self.given_name or (f"{self.name}_total" if self.type == "counter" else self.name)

    def with_series(self, series: list[Series]) -> PointFamily:
        """The same metric with other series."""
        return replace(self, series=series)


def points_of(families: Iterable[Family]) -> list[PointFamily]:
    """The families of a snapshot as series of numbers.

    What is no number of a series (a custom collector may yield anything) is left out. A custom collector's histograms of different
    buckets become a family each.
    """
    found: list[PointFamily] = []
    for family in families:
        found += [_of_cells(family)] if isinstance(family, CellFamily) else _of_samples(family)
    return found


def _of_cells(family: CellFamily) -> PointFamily:
    definition = family.definition
    type_: PointType = definition.type if definition.type in {"counter", "summary", "histogram"} else "gauge"  # type: ignore[assignment]
    rows = family.frozen.rows()
    labels = _labels_of(definition, family.common, [values for values, _ in rows])
    numbers = [_apart(cells) for _, cells in rows] if type_ == "histogram" else [cells for _, cells in rows]
    born: Iterable[float | None] = repeat(None) if family.is_combined else family.frozen.created()
    columns = zip(labels, numbers, born, repeat(None), repeat(_NO_EXEMPLARS), strict=False)
    series = list(map(Series._make, columns))
    if type_ in {"counter", "histogram"}:
        for row, exemplars in family.frozen.exemplars():
            series[row] = series[row]._replace(exemplars=exemplars)
    given_name = str(definition.options.get("exposed_name", ""))
    return PointFamily(
        definition.name, type_, definition.documentation, definition.unit, series, definition.bounds, given_name, definition.native
    )


_known: WeakKeyDictionary[Definition, tuple[Mapping[str, str], dict[tuple[str, ...], Labels]]] = WeakKeyDictionary()
"""The labels of each series, so that they are put together once."""


def _labels_of(definition: Definition, common: Mapping[str, str], rows: list[tuple[str, ...]]) -> list[Labels]:
    known = _known.get(definition)
    if known is None or known[0] != common or len(known[1]) > 2 * len(rows) + SPARE:
        known = _known[definition] = dict(common), {}
    found = known[1]
    of_rows: list[tuple[str, int | None, str]] = [(name, at, "") for at, name in enumerate(definition.labelnames)]
    pairs = sorted([*of_rows, *((name, None, value) for name, value in common.items())], key=lambda pair: pair[0])
    labels = []
    for values in rows:
        these = found.get(values)
        if these is None:
            these = found[values] = tuple([(name, values[at] if at is not None else constant) for name, at, constant in pairs])
        labels.append(these)
    return labels


def _apart(cumulative: tuple[float, ...]) -> tuple[float, ...]:
    counts = cumulative[:-1]
    return (counts[0], *[high - low for low, high in pairwise(counts)], cumulative[-1])


# -- custom collectors -------------------------------------------------------------------------------------------------------


def _of_samples(family: SampleFamily) -> list[PointFamily]:
    if family.type == "counter":
        return _counters(family)
    if family.type == "summary":
        return _summaries(family)
    if family.type == "histogram":
        return _histograms(family) if family.cells is None or family.cells.definition.native is None else [_with_births(family)]
    return [*_gauges(family, family.content)]


def _family(family: SampleFamily, name: str, type_: PointType, series: list[Series], bounds: tuple[float, ...] = ()) -> PointFamily:
    return PointFamily(name, type_, family.documentation, family.unit, series, bounds)


def _gauges(family: SampleFamily, samples: Iterable[Sample]) -> list[PointFamily]:
    """Samples that stand for themselves, a family for each name."""
    by_name: dict[str, dict[Labels, Series]] = {}
    for sample in samples:
        series = _plain(sample)
        if series is not None:
            by_name.setdefault(sample.name, {})[series.labels] = series
    return [_family(family, name, "gauge", list(series.values())) for name, series in by_name.items()]


def _counters(family: SampleFamily) -> list[PointFamily]:
    name = f"{family.name}_total"
    born = _creations(family)
    found: dict[Labels, Series] = {}
    rest = []
    for sample in family.content:
        series = _plain(sample) if sample.name in {name, family.name} else None
        if series is not None:
            exemplars = {0: sample.exemplar} if sample.exemplar is not None else _NO_EXEMPLARS
            found[series.labels] = series._replace(created=born.get(series.labels), exemplars=exemplars)
        elif sample.name != f"{family.name}_created":
            rest.append(sample)
    return [_family(family, family.name, "counter", list(found.values())), *_gauges(family, rest)]


def _summaries(family: SampleFamily) -> list[PointFamily]:
    born = _creations(family)
    count_name, sum_name = f"{family.name}_count", f"{family.name}_sum"
    found: dict[Labels, dict[str, float]] = {}
    when: dict[Labels, float | None] = {}
    rest = []
    for sample in family.content:
        series = _plain(sample)
        if series is None:
            continue
        if sample.name in {count_name, sum_name}:
            found.setdefault(series.labels, {})[sample.name] = series.numbers[0]
            when[series.labels] = series.timestamp
        elif sample.name != f"{family.name}_created":
            rest.append(sample)
    complete = [
        Series(labels, (numbers[count_name], numbers.get(sum_name, nan)), born.get(labels), when[labels])
        for labels, numbers in found.items()
        if count_name in numbers
    ]
    return [*([_family(family, family.name, "summary", complete)] if complete else []), *_gauges(family, rest)]


def _histograms(family: SampleFamily) -> list[PointFamily]:
    born = _creations(family)
    buckets: dict[Labels, dict[float, tuple[float, Exemplar | None]]] = {}
    sums: dict[Labels, float] = {}
    when: dict[Labels, float | None] = {}
    for sample in family.content:
        series = _plain(sample)
        if series is None:
            continue
        if sample.name == f"{family.name}_bucket":
            bound = _number(dict(series.labels).get("le"))
            if bound is not None:
                labels = tuple([pair for pair in series.labels if pair[0] != "le"])
                buckets.setdefault(labels, {})[bound] = series.numbers[0], sample.exemplar
                when[labels] = series.timestamp
        elif sample.name == f"{family.name}_sum":
            sums[series.labels] = series.numbers[0]
    by_bounds: dict[tuple[float, ...], list[Series]] = {}
    for labels, counts in buckets.items():
        if inf not in counts:
            continue
        bounds = sorted(counts)
        numbers = (*_apart((*(counts[bound][0] for bound in bounds), 0.0))[:-1], sums.get(labels, nan))
        exemplars = {at: known for at, bound in enumerate(bounds) if (known := counts[bound][1]) is not None}
        series = Series(labels, numbers, born.get(labels), when[labels], exemplars or _NO_EXEMPLARS)
        by_bounds.setdefault(tuple(bounds[:-1]), []).append(series)
    return [_family(family, family.name, "histogram", series, bounds) for bounds, series in by_bounds.items()]


def _with_births(family: SampleFamily) -> PointFamily:
    """A native histogram of several processes, of which the time of creation is among the samples."""
    assert family.cells is not None
    born = _creations(family)
    cells = _of_cells(family.cells)
    return cells.with_series([series._replace(created=born.get(series.labels)) for series in cells.series])


def _creations(family: SampleFamily) -> dict[Labels, float]:
    name = f"{family.name}_created"
    found = [(sample, _plain(sample)) for sample in family.content if sample.name == name]
    return {series.labels: series.numbers[0] for _, series in found if series is not None and not isnan(series.numbers[0])}


def _plain(sample: Sample) -> Series | None:
    """A sample as a series of one number; ``None`` for what is none."""
    value = _number(sample.value)
    if value is None or not isinstance(sample.name, str):
        return None
    try:
        labels = tuple(sorted((str(name), text(value)) for name, value in sample.labels.items()))
        when = None if sample.timestamp is None else float(sample.timestamp)
    except (AttributeError, TypeError, ValueError):
        return None
    return Series(labels, (value,), None, when)


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
