"""Reading what a test changed, with metrics that live as long as the process.

Module-level metrics keep counting from test to test. :class:`Readings` notes all values when it is made and answers relative to them,
so that tests need no reset, run in any order, and do not disturb each other. It reads through the same snapshots as a scrape. Functions
given to ``set_function()`` and custom collectors run only when a value of theirs is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf, isnan
from typing import Any

from measurand import core
from measurand.metrics import shared
from measurand.metrics.definition import Definition, definition_of, is_plain
from measurand.metrics.domains import REGISTRY
from measurand.metrics.names import SUFFIXES
from measurand.metrics.quantile import quantile
from measurand.metrics.registry import CollectorRegistry
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import CellFamily, Family

__all__ = ["Change", "Readings"]

SeriesKey = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, eq=False)
class Change:
    """A series that is not what it was. Two are equal if they say the same; NaN is the same as NaN.

    Attributes:
        name: The series' full name.
        labels: Its labels.
        before: Its value at the start; ``None`` if it is new.
        after: Its value now; ``None`` if it is gone.
    """

    name: str
    labels: Mapping[str, str]
    before: float | None
    after: float | None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Change):
            return NotImplemented
        is_same_series = self.name == other.name and dict(self.labels) == dict(other.labels)
        return is_same_series and _is_same(self.before, other.before) and _is_same(self.after, other.after)

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.labels.items())))

    def __str__(self) -> str:
        return f"{_show(self.name, self.labels)}: {_or(self.before, 'new')} -> {_or(self.after, 'gone')}"


def _is_same(one: float | None, other: float | None) -> bool:
    return one == other or (one is not None and other is not None and isnan(one) and isnan(other))


class Readings:
    """The values of a registry's metrics, relative to the moment at which it was made.

    Label arguments select: series match that have all the given labels with the given values. Values are compared as strings, so
    ``status=200`` works.

    Args:
        registry: The registry to read.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        families = list(self._instruments())
        self._before = _by_series(families)
        self._cells_before = _cells_of(families)

    def value(self, name: str, /, **labels: object) -> float:
        """The value of one series now.

        Args:
            name: The series' full name: ``orders_total``, ``latency_seconds_count``.
            **labels: Enough labels to select one series.

        Raises:
            LookupError: No series, or more than one, matches; the message lists what there is.
        """
        __tracebackhide__ = True  # a failing test shows its own line, not ours
        all_of_it = self.samples(name)
        found = [sample for sample in all_of_it if _selected(sample.labels, labels)]
        if len(found) == 1:
            return found[0].value
        if found:
            listed = "\n  ".join(_show(sample.name, sample.labels) for sample in found[:10])
            raise LookupError(f"{len(found)} series match {_show(name, labels)}; give more labels, or use samples():\n  {listed}")
        raise LookupError(self._missing(name, labels, all_of_it))

    def delta(self, name: str, /, **labels: object) -> float:
        """How much a value has changed since the start, added up over all series that match.

        A series that did not exist then counts as zero; so does one that does not exist now.

        Args:
            name: The series' full name: ``orders_total``, ``latency_seconds_count``.
            **labels: Labels to select by.

        Raises:
            LookupError: The registry has no instrument with a series of this name or with these labels, and the message suggests similar
                names; or a function gives the value, so that there is none from the start.
        """
        __tracebackhide__ = True
        owner = self._require_known(name, labels)
        now = _by_series(self._instruments())
        if any(_matches(key, name, labels) for key in _computed(self._registry.families(owner))):
            raise LookupError(f"{_show(name, labels)} is given by a function, which was not called at the start; compare two value()s")
        return sum(value for key, value in now.items() if _matches(key, name, labels)) - sum(
            value for key, value in self._before.items() if _matches(key, name, labels)
        )

    def samples(self, name: str, /, **labels: object) -> list[Sample]:
        """The samples of this name now, custom collectors' included.

        Args:
            name: The series' full name.
            **labels: Labels to select by.
        """
        known = self._registry.find(name) is not None  # then nobody else is asked: what they raise is not this test's matter
        source = self._registry.restricted_registry([name]) if known else self._registry
        return [
            sample for metric in source.collect() for sample in metric.samples if sample.name == name and _selected(sample.labels, labels)
        ]

    def quantile(self, name: str, q: float, /, **labels: object) -> float:
        """Estimate a quantile of what a histogram observed since the start, over all series that match.

        Args:
            name: The histogram's name, without ``_bucket``.
            q: The quantile as a ratio, 0 to 1.
            **labels: Labels to select by.

        Returns:
            The estimate, NaN if nothing was observed.

        Raises:
            LookupError: The registry has no histogram of this name.
        """
        __tracebackhide__ = True
        bucket = f"{name}_bucket"
        definition = definition_of(self._require_known(bucket, labels))
        if definition is not None and definition.native is not None:
            return self._native_quantile(definition, q, labels)
        counts: dict[float, float] = {}
        for sign, values in ((1, _by_series(self._instruments())), (-1, self._before)):
            for key, count in values.items():
                if _matches(key, bucket, labels):
                    bound = float(dict(key[1])["le"])
                    counts[bound] = counts.get(bound, 0.0) + sign * count
        bounds = sorted(counts) or [inf]
        return quantile(q, bounds, [counts.get(bound, 0.0) for bound in bounds])

    def _native_quantile(self, definition: Definition, q: float, labels: Mapping[str, object]) -> float:
        """A quantile from all cells, which are finer than the buckets that are shown."""
        bounds = (*definition.cells, inf)
        cumulative = [0.0] * len(bounds)
        for sign, cells in ((1, _cells_of(self._instruments())), (-1, self._cells_before)):
            for key, numbers in cells.items():
                if _matches(key, definition.name, labels):
                    cumulative = [total + sign * number for total, number in zip(cumulative, numbers, strict=False)]
        return quantile(q, bounds, cumulative)

    def changes(self) -> list[Change]:
        """Every series of the registry's instruments that has changed, come or gone since the start; without those that functions give."""
        now = _by_series(self._instruments())
        keys = sorted(now.keys() | self._before.keys(), key=lambda key: (key[0], sorted(key[1])))
        pairs = [(key, self._before.get(key), now.get(key)) for key in keys]
        return [Change(key[0], dict(key[1]), before, after) for key, before, after in pairs if not same(before, after)]

    def assert_no_unexpected_series(self, *expected: str) -> None:
        """Check that nothing has changed since the start but the expected series.

        Args:
            *expected: Names or patterns (``orders_*``) of the series that may have changed; a metric's name stands for all of its series.

        Raises:
            AssertionError: Something else has changed; the message lists it.
        """
        __tracebackhide__ = True
        patterns = [
            variant
            for name in expected
            for variant in (name, *(f"{name}{suffix}" for suffix in ("_total", "_bucket", "_count", "_sum", "_info")))
        ]
        unexpected = [change for change in self.changes() if not any(fnmatchcase(change.name, pattern) for pattern in patterns)]
        if unexpected:
            listed = "\n  ".join(str(change) for change in unexpected[:20])
            raise AssertionError(f"{len(unexpected)} series changed unexpectedly; expected only {list(expected)}:\n  {listed}")

    def assert_series_budget(self, limit: int, name: str = "*") -> None:
        """Check that not more than ``limit`` series have appeared since the start.

        A histogram counts once for each label set, not for each bucket.

        Args:
            limit: The number that is still right.
            name: A metric's name or a pattern; all by default.

        Raises:
            AssertionError: There are more; the message lists the metrics that grew.
        """
        __tracebackhide__ = True
        growth: dict[str, int] = {}
        known = {(key[0], _without_own(key[1])) for key in self._before}
        for family in self._instruments():
            fresh = {
                _without_own(_key(sample)[1]) for sample in family.samples() if (sample.name, _without_own(_key(sample)[1])) not in known
            }
            if fresh and fnmatchcase(family.name, name.removesuffix("_total")):
                growth[family.name] = len(fresh)
        total = sum(growth.values())
        if total > limit:
            listed = ", ".join(f"{metric} {count}" for metric, count in sorted(growth.items(), key=lambda item: -item[1])[:10])
            raise AssertionError(f"{total} new series, the budget is {limit}: {listed}. Does a label hold ids or raw paths?")

    def _instruments(self) -> Iterator[Family]:
        """Those of all processes; no function is called."""
        plain = [collector for collector in self._registry.collectors() if is_plain(collector)]
        for families in shared.combined(self._registry, plain, call=False):
            yield from families

    def _require_known(self, name: str, labels: Mapping[str, object]) -> Any:
        __tracebackhide__ = True
        owner = self._registry.find(name)
        definition = definition_of(owner)
        if owner is not None and not is_plain(owner):
            raise LookupError(f"{name} comes from a custom collector, which was not asked at the start; compare two value()s")
        if definition is None or name not in _series_names(definition):
            raise LookupError(self._missing(name, labels, []))
        own = {*definition.labelnames, *self._registry.common_labels, "le", definition.name}
        if not set(labels) <= own and definition.type != "info":
            raise LookupError(f"{definition.name} has the labels {list(definition.labelnames)}, not {sorted(set(labels) - own)}")
        return owner

    def _missing(self, name: str, labels: Mapping[str, object], others: list[Sample]) -> str:
        if others:
            listed = "\n  ".join(_show(sample.name, sample.labels) for sample in others[:20])
            return f"no series {_show(name, labels)}; there are:\n  {listed}"
        there = {sample.name for family in self._instruments() for sample in family.samples()}
        definitions = [definition for collector in self._registry.collectors() if (definition := definition_of(collector)) is not None]
        there.update(definition.name + suffix for definition in definitions for suffix in _SHOWN.get(definition.type, ("",)))
        similar = difflib.get_close_matches(name, there, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(similar)}?" if similar else "; the registry has no instrument with such a series"
        return f"no series named {name}{hint}"


_SHOWN = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum"), "info": ("_info",)}
"""What stands behind a metric's name in those of its series, also of one that has none yet."""


def _or(value: float | None, absent: str) -> str:
    return absent if value is None else str(value)


def same(before: float | None, after: float | None) -> bool:
    """Whether a value is what it was; what is not a number still is none."""
    return before == after or (before is not None and after is not None and isnan(before) and isnan(after))


def _series_names(definition: Definition) -> list[str]:
    """The names that the metric's samples carry: a gauge's its own, a counter's only with the suffix."""
    names = definition.series_names(SUFFIXES)
    return names if definition.type in {"gauge", "stateset"} else names[1:]


def _key(sample: Sample) -> SeriesKey:
    return sample.name, frozenset(sample.labels.items())


def _by_series(families: Iterable[Family]) -> dict[SeriesKey, float]:
    """The values by series; without times of creation, and without those that a function gives."""
    values = {}
    for family in families:
        if isinstance(family, CellFamily):
            family.frozen.drop([row for row, _ in family.frozen.payloads()])
            family.with_created = False
        made = f"{family.name}_created" if family.type in _SHOWN else None
        values.update({_key(sample): sample.value for sample in family.samples() if sample.name != made})
    return values


def _cells_of(families: Iterable[Family]) -> dict[SeriesKey, tuple[float, ...]]:
    """The cumulative cells of native histograms, then their sums, by name and labels."""
    found = {}
    for family in families:
        cells = family if isinstance(family, CellFamily) else family.cells
        if cells is not None and cells.definition.native is not None:
            for values, numbers in cells.frozen.rows():
                labels = {**dict(zip(cells.definition.labelnames, values, strict=False)), **cells.common}
                found[cells.name, frozenset(labels.items())] = numbers
    return found


def _computed(families: Iterable[Family]) -> list[SeriesKey]:
    """The series that a function gives."""
    found: list[SeriesKey] = []
    for family in families:
        if isinstance(family, CellFamily):
            rows = {row for row, _ in family.frozen.payloads()}
            family.frozen.drop([row for row in range(len(family.frozen)) if row not in rows])
            found += [_key(sample) for sample in family.samples()]
    return found


def _without_own(labels: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    return frozenset(pair for pair in labels if pair[0] != "le")


def _matches(key: SeriesKey, name: str, labels: Mapping[str, object]) -> bool:
    return key[0] == name and _selected(dict(key[1]), labels)


def _selected(labels: Mapping[str, str], wanted: Mapping[str, object]) -> bool:
    return all(labels.get(name) == _text(name, value) for name, value in wanted.items())


def _text(name: str, value: object) -> str:
    """A label's value as it is exposed; a bound or a quantile may be given as a number."""
    if name in {"le", "quantile"} and isinstance(value, int | float):
        return core.format_number(float(value))
    return str(value)


def _show(name: str, labels: Mapping[str, object]) -> str:
    inside = ", ".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name
