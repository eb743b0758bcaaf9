"""What the processes of one service show together: each metric's numbers, combined as the metric declares.

Counters, histograms and summaries add up, those of processes that are gone included. A gauge goes by its rule:

===================  =========================================================================================================
rule                 value
===================  =========================================================================================================
``sum``, ``livesum`` the sum over the processes that live
``max``, ``min``     the largest or smallest, also of processes that are gone
``mostrecent``       what was written last, also by a process that is gone
``live…``            the same for ``max``, ``min``, ``mostrecent`` over the processes that live
``all``, ``liveall`` one series per process that lives, told apart by a label ``pid``
``auto``             where none is declared: ``sum`` if any process has moved it by ``inc`` or ``dec``, else ``mostrecent``
===================  =========================================================================================================

A gauge that a process has not written to since it made it does not count, unless no process has. An info shows every fact that a living
process states; an enumeration every state that a living process is in.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from measurand import clock, core
from measurand.core import Exemplar, Frozen, Spec
from measurand.metrics.definition import Definition, Source
from measurand.metrics.exemplars import merged
from measurand.metrics.inheritance import WAS_ADDED, WAS_LEFT, WAS_SET, Key, without_mark
from measurand.metrics.native import scale_of
from measurand.metrics.removals import NOTHING, Removed, remaining
from measurand.metrics.sample import Sample
from measurand.metrics.sharing import Other
from measurand.metrics.snapshot import CellFamily, Family, SampleFamily

__all__ = [
    "WAS_ADDED",
    "WAS_SET",
    "Entry",
    "Mirror",
    "Mirrors",
    "Notes",
    "combined",
    "combined_samples",
    "definition_from",
    "with_creation",
]

ELSEWHERE = Source("another process", 0)


class Notes(NamedTuple):
    """What processes have said of a metric besides its numbers.

    Attributes:
        removed: All removals.
        exemplars: What other processes gave, by state and cell.
        hidden: This process' series of which others have removed something.
        own: Gives the state and the cells of one of this process' series.
        left: What earlier processes gave to the series that this one has taken over from them.
    """

    removed: Mapping[float, Removed] = NOTHING
    exemplars: Mapping[float, Mapping[int, Exemplar]] = {}
    hidden: Sequence[Key] = ()
    own: Callable[[Key], tuple[float, list[float]]] = lambda key: (0.0, [])
    left: Mapping[Key, Mapping[int, Exemplar]] = {}


NO_NOTES = Notes()


class Entry(NamedTuple):
    """One process' value of a gauge's series."""

    value: float
    stamp: float
    ways: int
    alive: bool
    writer: int


# -- rows --------------------------------------------------------------------------------------------------------------------


def added(rows: dict[Key, list[float]], others: Iterable[Other], width: int, removed: Mapping[float, Removed] = NOTHING) -> None:
    """Add what others recorded to the rows of this process."""
    for metric, values, _, _ in others:
        for key, at in metric.series.items():
            state = values[at - 1]
            rest = None
            if not state > 0.0 or state in removed:
                rest = remaining("counter", state, values[at : at + width], removed)
                if rest is None:
                    continue
            row = rows.get(key)
            if row is None:
                rows[key] = rest or list(values[at : at + width])
            elif width == 1:
                row[0] += rest[0] if rest else values[at]
            else:
                rows[key] = [mine + theirs for mine, theirs in zip(row, rest or values[at : at + width], strict=True)]


def by_rule(rule: str, entries: Mapping[Key, list[Entry]]) -> dict[Key, list[float]]:
    """A gauge's rows: its entries by the rule; those of ``all`` have the writer behind their label values."""
    if rule == "auto":
        rule = "sum" if any(entry.ways & WAS_ADDED for of in entries.values() for entry in of) else "mostrecent"
    only_live = rule.startswith("live") or rule in {"sum", "all"}
    rule = rule.removeprefix("live")
    rows: dict[Key, list[float]] = {}
    for key, of in entries.items():
        counting = [entry for entry in of if entry.alive] if only_live else of
        counting = [entry for entry in counting if entry.ways] or counting
        if not counting:
            continue
        if rule == "all":
            rows.update({(*key, str(entry.writer)): [entry.value] for entry in counting})
        elif rule == "sum":
            rows[key] = [sum(entry.value for entry in counting)]
        elif rule == "max":
            rows[key] = [max(entry.value for entry in counting)]
        elif rule == "min":
            rows[key] = [min(entry.value for entry in counting)]
        else:
            rows[key] = [max(counting, key=lambda entry: entry.stamp).value]
    return rows


def entries_of(others: Iterable[Other], expire_after: float | None, removed: Mapping[float, Removed] = NOTHING) -> dict[Key, list[Entry]]:
    """What others say of a gauge, without what has expired."""
    oldest = clock.monotonic() - expire_after if expire_after is not None else float("-inf")
    entries: dict[Key, list[Entry]] = {}
    for metric, values, alive, writer in others:
        for key, at in metric.series.items():
            state, value, stamp, ways = values[at - 1], values[at], values[at + 1], values[at + 2]
            if not state > 0.0 or state in removed:
                rest = remaining("gauge", state, without_mark((value, stamp, ways)), removed)
                if rest is None:
                    continue
                value = rest[0]
            if expire_after is None or stamp >= oldest:
                lives = alive and not int(ways) & WAS_LEFT
                entries.setdefault(key, []).append(Entry(value, stamp, int(ways), lives, writer))
    return entries


# -- mirrors -----------------------------------------------------------------------------------------------------------------


NO_EXEMPLARS: Mapping[Key, Mapping[int, Exemplar]] = {}


class _Mirrored(core.Instrument):
    """A metric that is nobody's: it has the numbers that several processes' metrics come to."""


class Mirror:
    """Makes frozen rows of combined ones; keeps what encoders keep with series from one snapshot to the next."""

    def __init__(self, definition: Definition) -> None:
        kind = "histogram" if definition.type == "histogram" else "other"
        self._width = len(definition.cells) + 2 if definition.type == "histogram" else 2 if definition.type == "summary" else 1
        self._spec = Spec(
            name=definition.name,
            type=definition.type,
            kind=kind,  # type: ignore[arg-type]
            labelnames=definition.labelnames,
            bounds=definition.cells,
            width=self._width,
            max_series=None,
        )
        self._instrument = _Mirrored()
        core.define(self._instrument, self._spec)
        self._series: dict[Key, core.Instrument] = {}  # in the order in which freeze() gives them
        self._with_exemplars: set[Key] = set()
        self._memory: Any = memoryview(array("d"))

    def freeze(self, rows: Mapping[Key, list[float]], exemplars: Mapping[Key, Mapping[int, Exemplar]] = NO_EXEMPLARS) -> Frozen:
        """These rows, with these exemplars. From one thread at a time."""
        if self._series.keys() != rows.keys():
            self._arrange(rows)
        for key in self._with_exemplars.union(exemplars).intersection(self._series):
            core.set_exemplars(self._series[key], exemplars.get(key, {}))
        self._with_exemplars = set(exemplars)
        if rows:
            self._memory[:] = memoryview(array("d", [number for key in self._series for number in rows[key]]))
        frozen = core.freeze(self._instrument)
        if not rows and not self._spec.labelnames:
            frozen.drop([0])
        return frozen

    def _arrange(self, rows: Mapping[Key, list[float]]) -> None:
        for key in [key for key in self._series if key not in rows]:
            del self._series[key]
            if self._spec.labelnames:
                self._instrument.remove(*key)
        for key in rows:
            if key not in self._series:
                self._series[key] = self._instrument.labels(*key) if self._spec.labelnames else self._instrument
        self._memory = memoryview(array("d", bytes(8 * self._width * len(rows))))
        for row, series in enumerate(self._series.values()):
            core.move(series, self._memory, row * self._width, "leave")


class Mirrors:
    """The mirrors of one registry."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[Definition, Mirror]] = {}

    def of(self, definition: Definition) -> tuple[Definition, Mirror]:
        """The mirror of a definition, and the definition that stands for all that are equal to it."""
        known = self._of.get(definition.name)
        if known is None or _face(known[0]) != _face(definition):
            known = self._of[definition.name] = definition, Mirror(definition)
        return known


def _face(definition: Definition) -> tuple[object, ...]:
    return definition.type, definition.labelnames, definition.bounds, definition.cells, definition.unit, definition.documentation


# -- families ----------------------------------------------------------------------------------------------------------------


def definition_from(content: Mapping[str, Any]) -> Definition:
    """The definition of a metric that only others know."""
    name, bounds, native_range = content["token"][1], tuple(content["bounds"]), content.get("native_range")
    return Definition(
        name=name,
        type=content["type"],
        documentation=content["documentation"],
        labelnames=tuple(content["labelnames"]),
        unit=content["unit"],
        bounds=bounds,
        source=ELSEWHERE,
        native=scale_of(name, bounds, native_range is not None, native_range),
    )


def combined(
    definition: Definition,
    content: Mapping[str, Any],
    own: Frozen | None,
    own_entries: Mapping[Key, Entry],
    others: list[Other],
    mirrors: Mirrors,
    notes: Notes = NO_NOTES,
) -> tuple[Definition, Frozen]:
    """One metric of several processes as if it were of one.

    Args:
        definition: The metric.
        content: What is said of it in lanes.
        own: This process' rows.
        own_entries: A gauge's rows of this process, which count instead of ``own``.
        others: The other lanes that have it, defined the same.
        mirrors: The registry's.
        notes: What has been said besides.
    """
    if definition.type == "gauge":
        entries = entries_of(others, content["expire_after"], notes.removed)
        for key, entry in own_entries.items():
            entries.setdefault(key, []).append(entry)
        rule = content["rule"]
        rows = by_rule(rule, entries)
        if rule.removeprefix("live") == "all":
            definition = _with_writer(definition)
    else:
        rows = {key: _apart(definition, numbers) for key, numbers in own.rows()} if own is not None else {}
        for key in notes.hidden if rows else ():
            rest = remaining(definition.type, *notes.own(key), notes.removed)
            if rest is None:
                rows.pop(key, None)
            elif key in rows:
                rows[key] = rest
        added(rows, others, int(content["width"]), notes.removed)
    exemplars = _exemplars(own, others, notes) if definition.type in {"counter", "histogram"} else {}
    definition, mirror = mirrors.of(definition)
    return definition, mirror.freeze(rows, exemplars)


def _exemplars(own: Frozen | None, others: list[Other], notes: Notes) -> dict[Key, dict[int, Exemplar]]:
    """The newest exemplars of each row."""
    found: dict[Key, dict[int, Exemplar]] = {}
    if own is not None and (known := dict(own.exemplars())):
        keys = [key for key, _ in own.rows()]
        for row, ours in known.items():
            note = notes.removed.get(notes.own(keys[row])[0]) if keys[row] in notes.hidden else None
            merged(found.setdefault(keys[row], {}), ours, note.when if note is not None else 0.0)
    for key, theirs in notes.left.items():
        note = notes.removed.get(notes.own(key)[0]) if key in notes.hidden else None
        merged(found.setdefault(key, {}), theirs, note.when if note is not None else 0.0)
    for metric, values, _, _ in others if notes.exemplars else ():
        for key, at in metric.series.items():
            state = values[at - 1]
            if abs(state) in notes.exemplars:
                note = notes.removed.get(state)
                merged(found.setdefault(key, {}), notes.exemplars[abs(state)], note.when if note is not None else 0.0)
    return found


def with_creation(family: CellFamily, own: Frozen | None, others: list[Other], notes: Notes) -> SampleFamily:
    """A combined metric with the time at which the first process of those that count made each series."""
    made: dict[Key, float] = {}

    def take(key: Key, state: float, numbers: Sequence[float], when: object) -> None:
        if isinstance(when, float) and remaining(family.type, state, numbers, notes.removed) is not None:
            note = notes.removed.get(state)
            when = when if note is None else max(when, note.when)
            made[key] = min(made.get(key, when), when)

    for (key, _), when in zip(own.rows(), own.created(), strict=True) if own is not None else ():
        state, numbers = notes.own(key) if key in notes.hidden else (1.0, [1.0])
        take(key, state, numbers, when)
    for metric, values, _, _ in others:
        for key, at in metric.series.items():
            take(key, values[at - 1], values[at : at + metric.width], metric.notes.get(key))
    samples, lines = family.samples(), len(family.lines())
    for row, (key, _) in enumerate(family.frozen.rows()):
        last = (row + 1) * lines - 1  # where lines() has it
        samples[last] = samples[last]._replace(value=made.get(key, samples[last].value))
    return SampleFamily(family.name, family.documentation, family.type, family.unit, samples, family)


def _apart(definition: Definition, numbers: tuple[float, ...]) -> list[float]:
    """A row as cells: a histogram's buckets not cumulative."""
    if definition.type != "histogram":
        return list(numbers)
    counts = numbers[:-1]
    return [counts[0], *(high - low for low, high in pairwise(counts)), numbers[-1]]


def _with_writer(definition: Definition) -> Definition:
    return Definition(
        name=definition.name,
        type=definition.type,
        documentation=definition.documentation,
        labelnames=(*definition.labelnames, "pid"),
        unit=definition.unit,
        source=definition.source,
    )


def combined_samples(
    definition: Definition, own: Family | None, common: Mapping[str, str], others: list[Other], notes: Notes = NO_NOTES
) -> SampleFamily:
    """An info or an enumeration of several processes."""
    found: dict[tuple[tuple[str, str], ...], Sample] = {}
    unseen = [
        {**common, **dict(zip(definition.labelnames, key, strict=False))}.items()
        for key in notes.hidden
        if remaining(definition.type, *notes.own(key), notes.removed) is None
    ]
    for sample in own.samples() if own is not None else ():
        if not any(labels <= sample.labels.items() for labels in unseen):
            found[tuple(sorted(sample.labels.items()))] = sample
    for metric, values, alive, _ in others:
        for key, at in metric.series.items():
            if not alive or remaining(definition.type, values[at - 1], values[at : at + metric.width], notes.removed) is None:
                continue
            labels = {**common, **dict(zip(definition.labelnames, key, strict=False))}
            for sample in _samples_of(definition, metric, key, int(values[at]), labels):
                place = tuple(sorted(sample.labels.items()))
                if place not in found or sample.value > found[place].value:
                    found[place] = sample
    return SampleFamily(definition.name, definition.documentation, definition.type, definition.unit, list(found.values()))


def _samples_of(definition: Definition, metric: Any, key: Key, state: int, labels: dict[str, str]) -> list[Sample]:
    name = definition.name
    if definition.type == "info":
        return [Sample(f"{name}_info", {**labels, **metric.notes.get(key, {})}, 1.0)]
    states = metric.content["states"]
    return [Sample(name, {**labels, name: one}, 1 if index == state else 0) for index, one in enumerate(states)]
