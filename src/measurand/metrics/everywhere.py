"""A registry's snapshot, with what the other processes of the service recorded put in.

Stands between ``shared``, which knows what others have, and ``combining``, which knows what several processes' numbers come to. Used while
``Sharing.others`` is open, from one thread at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from measurand import clock, core
from measurand.metrics.combining import (
    WAS_SET,
    Entry,
    Mirrors,
    Notes,
    combined,
    combined_samples,
    definition_from,
    with_creation,
)
from measurand.metrics.inheritance import face_of
from measurand.metrics.removals import remaining
from measurand.metrics.snapshot import CellFamily, Family

if TYPE_CHECKING:
    from measurand.core import Exemplar
    from measurand.metrics.definition import Definition
    from measurand.metrics.instrument import MetricBase
    from measurand.metrics.places import Key, Shown, Token
    from measurand.metrics.registry import CollectorRegistry
    from measurand.metrics.sharing import Other, Sharing

__all__ = ["Combination", "rows_of"]


class Combination:
    """One snapshot of one registry.

    Args:
        sharing: This process' part in its family.
        registry: The registry.
        mirrors: Those of the registry.
        report: Told of what is left out: whose, and why.
    """

    def __init__(self, sharing: Sharing, registry: CollectorRegistry, mirrors: Mirrors, report: Callable[[str, str], None]) -> None:
        self._sharing = sharing
        self._registry = registry
        self._report = report
        self._mirrors = mirrors
        self._exemplars = sharing.exemplars()

    def of_all(self, ours: dict[int, Any], slots: list[list[Family]], others: dict[Token, list[Other]]) -> None:
        """Put everything in.

        Args:
            ours: The registry's instruments, by the slot of their families.
            slots: The snapshot; metrics that only others know are added at its end.
            others: What other processes have.
        """
        for slot, collector in ours.items():
            shown = self._sharing.shown_as(collector.definition)
            theirs = others.pop(shown.token, []) if shown is not None else []
            if shown is not None and slots[slot]:
                notes = _notes(self._sharing, collector.definition, self._exemplars)
                if theirs or notes.hidden or notes.left or _is_of_each(shown.content):
                    slots[slot] = self._of_one(collector.definition, shown.content, shown, slots[slot][0], theirs, notes)
        known = {collector.definition.name for collector in ours.values()}
        for (identity, name), theirs in others.items():
            if identity == self._registry.identity and name not in known and self._registry.find(name) is None:
                content = next(filter(_has_series, theirs), theirs[0]).metric.content
                definition = definition_from(content)
                slots.append(self._of_one(definition, content, None, None, theirs, Notes(self._sharing.removed, self._exemplars)))

    def _of_one(
        self, definition: Definition, content: dict[str, Any], shown: Shown | None, own: Family | None, theirs: list[Other], notes: Notes
    ) -> list[Family]:
        same = _same(content, theirs)
        if len(same) < len(theirs):
            self._report(definition.name, "conflict")
        same = [other for other in same if other.metric.series]
        if not same and (own is None or not (notes.hidden or notes.left or _is_of_each(content))):
            return [own] if own is not None else []
        common = self._registry.common_labels
        if definition.type in {"info", "stateset"}:
            return [combined_samples(definition, own, common, same, notes)]
        frozen = own.frozen if isinstance(own, CellFamily) else None
        entries = _own_entries(self._sharing, definition, frozen, shown, notes) if definition.type == "gauge" and shown is not None else {}
        definition, rows = combined(definition, content, frozen, entries, same, self._mirrors, notes)
        with_created = isinstance(own, CellFamily) and own.with_created and definition.type in {"counter", "summary", "histogram"}
        family = CellFamily(definition, rows, common, with_created, is_combined=True)
        return [with_creation(family, frozen, same, notes) if family.with_created else family]


def rows_of(sharing: Sharing, metric: MetricBase, others: dict[Token, list[Other]]) -> list[tuple[Key, tuple[float, ...]]] | None:
    """What all processes recorded on one metric; ``None`` if this process shows it to nobody."""
    definition = metric.definition
    shown = sharing.shown_as(definition)
    if shown is None:
        return None
    theirs = [other for other in _same(shown.content, others.get(shown.token, [])) if other.metric.series]
    frozen = core.freeze(metric)  # type: ignore[arg-type]
    _, rows = combined(definition, shown.content, frozen, {}, theirs, Mirrors(), _notes(sharing, definition, {}))
    return rows.rows()


def _same(content: dict[str, Any], theirs: list[Other]) -> list[Other]:
    """Those that are defined the same."""
    face = face_of(content)
    return [other for other in theirs if face_of(other.metric.content) == face]


def _is_of_each(content: dict[str, Any]) -> bool:
    """Whether a gauge shows each process by itself: with its id also where only one has set it, or that would depend on who is asked."""
    return content["type"] == "gauge" and str(content["rule"]).removeprefix("live") == "all"


def _has_series(other: Other) -> bool:
    return any(other.values[at - 1] for at in other.metric.series.values())


def _notes(sharing: Sharing, definition: Definition, exemplars: Mapping[float, Mapping[int, Exemplar]]) -> Notes:
    hidden, left = sharing.hidden_keys(definition), sharing.left_exemplars(definition, exemplars)
    return Notes(sharing.removed, exemplars, hidden, partial(sharing.own_cells, definition), left)


def _own_entries(sharing: Sharing, definition: Definition, frozen: Any, shown: Shown, notes: Notes) -> dict[Key, Entry]:
    """This process' values of a gauge."""
    called = {row for row, _ in frozen.payloads()}
    entries = {}
    places, values, pid = shown.places, sharing.own_values(), os.getpid()
    for row, (key, numbers) in enumerate(frozen.rows()):
        at = places.get(key)
        stamp, ways = (values[at + 1], int(values[at + 2])) if at is not None and values is not None else (0.0, 0)
        if row in called:
            stamp, ways = clock.monotonic(), WAS_SET
            metric: Any = shown.metric()
            if metric is not None:  # the others show this until it is called again
                core.GaugeBase.set(metric.labels(*key) if key else metric, numbers[0])
        entries[key] = Entry(numbers[0], stamp, ways, True, pid)
    for key in notes.hidden:
        rest = remaining("gauge", *notes.own(key), notes.removed)
        if rest is None:
            entries.pop(key, None)
        elif key in entries:
            entries[key] = entries[key]._replace(value=rest[0], stamp=rest[1], ways=int(rest[2]))
    return entries
