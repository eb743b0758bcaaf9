"""Series of numbers as requests of Prometheus' remote write, version 1.0 and 2.0.

Source: prometheus.io/docs/specs, "Prometheus Remote-Write" 1.0 and 2.0 (rc.4). Names, the label ``le`` and which series there are follow
the text format: a classic histogram is its ``_bucket``, ``_count`` and ``_sum``, a summary its ``_count`` and ``_sum``. A histogram that is
declared native is one native histogram in both versions. Every series stands once in a snapshot's requests, with one number.

A series that is no more gets a stale marker, so that queries stop showing it at once; not if its timestamps are its collector's. An
exemplar is sent once.

:class:`Encoder` keeps what does not change between two snapshots: each series' labels, put together and sorted once, and most of each
request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from math import inf
from typing import Any, NamedTuple

from measurand.core import Exemplar
from measurand.core.support import EXEMPLAR_LIMIT, text
from measurand.encoding.escaping import ALLOW_UTF8, UNDERSCORES, escape_name
from measurand.encoding.remote_write_messages import (
    STALE,
    Entry,
    ExemplarPoint,
    Form1,
    Form2,
    Meta,
    Plan,
    Version,
    native,
    native_stale,
    sample,
    write,
)
from measurand.metrics.points import Labels, PointFamily, Series
from measurand.metrics.snapshot import bound_text

__all__ = ["MOST_SAMPLES", "Encoder", "Request", "Version"]

MOST_SAMPLES = 2000
"""Samples in one request: as many as Prometheus itself sends."""

_TYPES = {"counter": 1, "gauge": 2, "histogram": 3, "summary": 5}
"""Numbers of ``MetricType``, the same in both versions."""

_FORMS: dict[Version, type[Form1] | type[Form2]] = {"1.0": Form1, "2.0": Form2}


class Request(NamedTuple):
    """A message, not compressed.

    Attributes:
        version: Of the protocol.
        body: The message.
        samples: How many numbers and native histograms there are in it.
    """

    version: Version
    body: bytes
    samples: int


class _Layout:
    """The receiver's series of a family, as long as nothing but numbers changes."""

    __slots__ = ("created", "entries", "is_timed", "labels", "left_out", "meta", "width")

    def __init__(self, meta: Meta, *, is_timed: bool, labels: Sequence[Labels], created: Sequence[float | None]) -> None:
        self.meta = meta
        self.is_timed = is_timed
        self.labels = labels
        self.created = created
        self.entries: list[Entry | None] = []  # of all series in turn; None for what has names that cannot be sent
        self.width = 1  # how many each series becomes
        self.left_out: set[int] = set()


class Encoder:
    """Turns snapshots into requests. From one thread at a time.

    Args:
        labels: Labels that every series gets that does not have them itself.
        escaping: What becomes of names outside the classic set, see :mod:`measurand.encoding.escaping`.
        native: Whether histograms that are declared native are sent so; otherwise as classic ones.
        most_samples: Samples in one request.

    Raises:
        ValueError: The escaping is not known.

    Attributes:
        left_out: How many of the receiver's series the last snapshot had twice, or with a name that is reserved; these are not sent.
    """

    def __init__(
        self, labels: Mapping[str, str] | None = None, *, escaping: str = UNDERSCORES, native: bool = True, most_samples: int = MOST_SAMPLES
    ) -> None:
        escape_name("", escaping)
        self.left_out = 0
        self._labels = dict(labels or {})
        self._escaping = escaping
        self._native = native
        self._most = most_samples
        self._layouts: dict[Any, _Layout] = {}
        self._settled: list[_Layout] = []
        self._entries: dict[tuple[str, ...], Entry] = {}
        self._plans: list[Plan] = []
        self._version: Version = "2.0"
        self._round = 0

    def encode(self, families: Iterable[PointFamily], version: Version, now: int) -> list[Request]:
        """The requests of one snapshot; none if there is nothing to say.

        Native histograms, and series whose timestamps are their collector's, are in requests of their own: a receiver may refuse the whole
        of a request because of them. They come last.

        Args:
            families: The series.
            version: Which message to write.
            now: When the numbers were true, in milliseconds since the Unix epoch. It has to rise from snapshot to snapshot.
        """
        parts = [part for family in families for part in self._parts(family)]
        before, self._layouts = self._layouts, {}
        layouts = []
        for key, part in parts:
            layout = self._layouts[key] = self._layout(before.get(key), part, now, is_native=key[-1], is_timed=key[-2])
            layouts.append(layout)
        gone = [] if layouts == self._settled else self._settle(layouts)
        self.left_out = sum(len(layout.left_out) for layout in layouts)

        plain, others = _Numbers(), []
        form = _FORMS[version]
        for layout, (_, part) in zip(layouts, parts, strict=True):
            if layout.meta.is_native or layout.is_timed:
                others.append((layout, part))
            else:
                self._add(plain, layout, part)
        found = self._plain(plain, version, now)
        stale = [(entry, native_stale(now) if entry.meta.is_native else sample(STALE, now), ()) for entry in gone]
        found += self._single(form, version, stale)
        for is_timed in (False, True):
            lines = (line for layout, part in others if layout.is_timed is is_timed for line in self._lines(layout, part, now))
            found += self._single(form, version, lines)
        return found

    # -- which series --------------------------------------------------------------------------------------------------------

    def _parts(self, family: PointFamily) -> Iterator[tuple[tuple[Any, ...], PointFamily]]:
        """A family, series with timestamps of their own apart; what tells it from others."""
        is_native = self._native and family.native is not None
        key = (family.exposed_name, family.type, family.documentation, family.unit, family.bounds)
        timed = [one for one in family.series if one.timestamp is not None]
        if len(timed) < len(family.series):
            plain = [one for one in family.series if one.timestamp is None] if timed else family.series
            yield (*key, False, is_native), family.with_series(plain) if timed else family
        if timed:
            yield (*key, True, is_native), family.with_series(timed)

    def _layout(self, before: _Layout | None, family: PointFamily, now: int, *, is_native: bool, is_timed: bool) -> _Layout:
        labels = [series.labels for series in family.series]
        created = [None if family.type == "gauge" else series.created for series in family.series]
        if before is not None and before.labels == labels and before.created == created:
            return before
        name = self._name(family.exposed_name)
        meta = before.meta if before else Meta(name, _TYPES[family.type], family.documentation, family.unit, is_native)
        layout = _Layout(meta, is_timed=is_timed, labels=labels, created=created)
        lines = _names(family, meta)
        layout.width = len(lines)
        width = range(len(lines))
        known: dict[tuple[Labels, float | None], Sequence[Entry | None]] = {}
        if before is not None:
            old = before.entries
            known = {
                key: old[at * len(lines) : (at + 1) * len(lines)] for at, key in enumerate(zip(before.labels, before.created, strict=True))
            }
        for key in zip(labels, created, strict=True):
            entries = known.get(key)
            if entries is None or any(entry is None or self._entries.get(entry.labels) is not entry for entry in entries):
                own = self._own_labels(meta, key[0])
                born = _born(key[1], now)
                entries = [None for _ in width] if own is None else [self._entry({**own, **line}, meta, born) for line in lines]
            layout.entries += entries
        return layout

    def _own_labels(self, meta: Meta, labels: Labels) -> dict[str, str] | None:
        """A series' labels, without the empty ones, which are as good as none; ``None`` if a name is reserved."""
        given = {self._name(name, label=True): value for name, value in labels if value}
        if not meta.name or any(not name or name.startswith("__") for name in given):
            return None
        return {**self._labels, **given}

    def _entry(self, labels: Mapping[str, str], meta: Meta, created: int) -> Entry:
        flat = tuple([part for pair in sorted(labels.items()) for part in pair])
        found = self._entries.get(flat)
        if found is None or found.meta != meta or found.created != created:
            before, found = found, Entry(flat, meta, created)
            if before is not None:
                found.seen, found.exemplar = before.seen, before.exemplar
            self._entries[flat] = found
        return found

    def _name(self, name: str, *, label: bool = False) -> str:
        return name if self._escaping == ALLOW_UTF8 else escape_name(name, self._escaping, label)

    def _settle(self, layouts: list[_Layout]) -> list[Entry]:
        """Find what stands twice, and return what is no more."""
        self._settled = layouts
        self._round += 1
        for layout in layouts:
            layout.left_out = set()
            for index, entry in enumerate(layout.entries):
                if entry is None or entry.seen == self._round or self._entries.get(entry.labels) is not entry:
                    layout.left_out.add(index)
                else:
                    entry.seen, entry.is_timed = self._round, layout.is_timed
        gone = [entry for entry in self._entries.values() if entry.seen != self._round]
        for entry in gone:
            del self._entries[entry.labels]
        return [entry for entry in gone if not entry.is_timed]

    # -- their numbers -------------------------------------------------------------------------------------------------------

    def _add(self, to: _Numbers, layout: _Layout, family: PointFamily) -> None:
        first = len(to.entries)
        if family.type == "histogram":
            values = list(chain.from_iterable([_cumulative(family, series, layout.width) for series in family.series]))
        else:
            values = list(chain.from_iterable([series.numbers for series in family.series]))
        if not layout.left_out:
            to.entries += layout.entries  # type: ignore[arg-type]  # what is None is left out
            to.values += values
        else:
            kept = [index for index in range(len(values)) if index not in layout.left_out]
            to.entries += [layout.entries[index] for index in kept]  # type: ignore[misc]
            to.values += [values[index] for index in kept]
        for at, series in enumerate(family.series):
            if series.exemplars:
                known = family.classic_exemplars(series) if family.type == "histogram" else series.exemplars
                for cell, exemplar in known.items():
                    index = at * layout.width + cell
                    entry = layout.entries[index]
                    fresh = [] if entry is None or index in layout.left_out else self._fresh(entry, [exemplar])
                    if fresh:
                        to.exemplars[first + index - sum(other < index for other in layout.left_out)] = fresh

    def _plain(self, numbers: _Numbers, version: Version, now: int) -> list[Request]:
        """Requests of series with one number each, all true now."""
        if version != self._version:
            self._version, self._plans = version, []
        found: list[Request] = []
        plans: list[Plan] = []
        for at in range(0, len(numbers.entries), self._most):
            entries, values = numbers.entries[at : at + self._most], numbers.values[at : at + self._most]
            plan = self._plans[len(plans)] if len(plans) < len(self._plans) else None
            if plan is None or plan.entries != entries:
                plan = Plan(_FORMS[version](), entries)
            plans.append(plan)
            exemplars = {index - at: known for index, known in numbers.exemplars.items() if at <= index < at + self._most}
            found.append(Request(version, plan.fill(values, now, exemplars), len(entries)))
        self._plans = plans
        return found

    def _lines(self, layout: _Layout, family: PointFamily, now: int) -> Iterator[tuple[Entry, bytes, Sequence[ExemplarPoint]]]:
        """Each series of a family by itself."""
        for at, series in enumerate(family.series):
            moment = now if series.timestamp is None else _milliseconds(series.timestamp, now)
            first = at * layout.width
            if layout.meta.is_native:
                numbers = [native(family.native_buckets(series), moment)]
                exemplars: Mapping[int, Sequence[Exemplar]] = {0: list(series.exemplars.values())}
            else:
                values = _cumulative(family, series, layout.width) if family.type == "histogram" else series.numbers
                numbers = [sample(value, moment) for value in values]
                known = family.classic_exemplars(series) if family.type == "histogram" else series.exemplars
                exemplars = {cell: [exemplar] for cell, exemplar in known.items()}
            for index, number in enumerate(numbers):
                entry = layout.entries[first + index]
                if entry is not None and first + index not in layout.left_out:
                    yield entry, number, self._fresh(entry, exemplars.get(index, ()))

    def _single(
        self, form: type[Form1] | type[Form2], version: Version, lines: Iterable[tuple[Entry, bytes, Sequence[ExemplarPoint]]]
    ) -> list[Request]:
        """Requests of series of any kind."""
        given = list(lines)
        found = []
        for at in range(0, len(given), self._most):
            one = form()
            these = given[at : at + self._most]
            parts = [
                write(one, entry, b"" if entry.meta.is_native else number, number if entry.meta.is_native else b"", exemplars)
                for entry, number, exemplars in these
            ]
            found.append(Request(version, one.finish(parts), len(these)))
        return found

    def _fresh(self, entry: Entry, exemplars: Iterable[Exemplar]) -> list[ExemplarPoint]:
        """Those that have not been sent, the oldest first; of a series that is new, which another process may have sent, the newest."""
        points = sorted(filter(None, [self._exemplar(one) for one in exemplars]), key=lambda point: point.moment)
        fresh: list[ExemplarPoint] = []
        for point in points if entry.exemplar else points[-1:]:
            if point.moment > entry.exemplar:
                entry.exemplar = point.moment
                fresh.append(point)
        return fresh

    def _exemplar(self, exemplar: Exemplar) -> ExemplarPoint | None:
        """An exemplar, if it can be sent; a custom collector's may be anything, and one without time would look new in every snapshot."""
        try:
            pairs = {self._name(name, label=True): text(value) for name, value in exemplar.labels.items() if name and value}
            if exemplar.timestamp is None or sum(len(name) + len(value) for name, value in pairs.items()) > EXEMPLAR_LIMIT:
                return None
            flat = tuple([part for pair in sorted(pairs.items()) for part in pair])
            moment = _milliseconds(float(exemplar.timestamp), 0)
            return ExemplarPoint(flat, float(exemplar.value), moment) if moment > 0 else None
        except (AttributeError, TypeError, ValueError):
            return None


class _Numbers:
    """Series with one number each."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.values: list[float] = []
        self.exemplars: dict[int, Sequence[ExemplarPoint]] = {}


def _names(family: PointFamily, meta: Meta) -> list[dict[str, str]]:
    """The receiver's series that one of ours becomes: name and own label, in the order of its numbers."""
    if family.type == "histogram" and not meta.is_native:
        bounds = (*family.bounds, inf)
        buckets = [{"__name__": f"{meta.name}_bucket", "le": bound_text(bound)} for bound in bounds]
        sums = [{"__name__": f"{meta.name}_sum"}] if bounds[0] >= 0 else []  # as in the text format: one that can fall is no counter
        return [*buckets, {"__name__": f"{meta.name}_count"}, *sums]
    if family.type == "summary":
        return [{"__name__": f"{meta.name}_count"}, {"__name__": f"{meta.name}_sum"}]
    return [{"__name__": meta.name}]


def _cumulative(family: PointFamily, series: Series, width: int) -> Sequence[float]:
    """The numbers of a classic histogram, in the order of :func:`_names`."""
    *counts, total = family.classic(series)
    found = list(accumulate(counts))
    return [*found, found[-1], total][:width]


def _born(created: float | None, now: int) -> int:
    """Since when a series counts, in milliseconds since the Unix epoch, before now; 0 if that is not known, or cannot be."""
    born = 0 if created is None else _milliseconds(created, 0)
    if now <= born <= now + 1000:
        return now - 1  # it was made a moment ago, and times are whole milliseconds
    return born if 0 < born < now else 0


def _milliseconds(seconds: float, otherwise: int) -> int:
    """A time in milliseconds; ``otherwise`` for what is no time."""
    return round(seconds * 1000) if -1e13 < seconds < 1e13 else otherwise
