"""Exact differences since the last delivery that arrived.

For destinations that add up what they are sent. :class:`Deltas` remembers of each series what has arrived so far; :meth:`Deltas.change`
says what has to be sent so that it adds up to what was recorded, whatever failed in between. What arrived is remembered as the sum of what
was sent, rounded as a receiver rounds it that adds in double precision, so that rounding errors are made good by the next difference and
do not pile up.

A number that is lower than what has arrived, or a series that was made anew, has begun again: all of it is new. That is not so where it is
known that numbers are lacking: then nothing is said of them, and what has arrived stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite
from operator import add, sub
from typing import Literal, NamedTuple

from measurand.metrics.points import Labels, PointFamily, Series

__all__ = ["Change", "Deltas", "FamilyKey", "Lower", "Sent"]

Lower = Literal["anew", "lacks", "lost"]

FamilyKey = tuple[str, tuple[float, ...]]
"""A family's name and the bounds of its cells."""

_ADDED_UP = {"counter", "summary", "histogram"}

ROUNDING = 2.0**-50
"""By which part a sum of differences may be higher than the total, because it was rounded otherwise."""

REMEMBERED = 1000
"""How many families are remembered at most that are not there while something is lacking."""


class Sent(NamedTuple):
    """What has arrived of a series.

    Attributes:
        numbers: The sums of what was sent.
        created: When the series began, as far as that was known.
    """

    numbers: tuple[float, ...]
    created: float | None


class Change:
    """What has changed since the last delivery; a ``protocol.Snapshot``. Made by :meth:`Deltas.change`.

    Attributes:
        time: When the numbers were true, in seconds since the Unix epoch.
        start: When those of the change before were, or the series' service began: what is in the differences happened after it. ``None`` if
            nothing has been delivered yet.
        seconds: How long the delivery may take.
        dropped: How many points the exporter has given up.
    """

    def __init__(self, deltas: Deltas, families: list[PointFamily], now: float, start: float | None, seconds: float = inf) -> None:
        self.time = now
        self.start = start
        self.seconds = seconds
        self.dropped = 0
        self._deltas = deltas
        self._families = families
        self._open = {_key(family): {one.labels: one for one in family.series} for family in families if family.type in _ADDED_UP}

    def points(self) -> list[PointFamily]:
        """The families: differences of counters, summaries and histograms, without series that have not changed; values of gauges."""
        return self._families

    def acknowledge(self, family: PointFamily, series: Iterable[Series]) -> None:
        """These series have arrived, or are given up: the next change does not have them."""
        key = _key(family)
        differences = self._open.get(key)
        if differences:
            arrived = [differences.pop(one.labels, None) for one in series]
            self._deltas.add(key, [difference for difference in arrived if difference is not None])

    def acknowledge_all(self) -> None:
        """All of it has arrived."""
        for key, differences in self._open.items():
            self._deltas.add(key, differences.values())
        self._open = {}
        self._deltas.last = self.time


class Deltas:
    """What has arrived at one destination. From one thread at a time.

    Attributes:
        last: The time of the last change that has arrived as a whole, in seconds since the Unix epoch; ``None`` before the first.
        sent: What has arrived, by family and series; series that are no more are forgotten.
        version: Rises when ``sent`` changes.
    """

    def __init__(self) -> None:
        self.last: float | None = None
        self.sent: dict[FamilyKey, dict[Labels, Sent]] = {}
        self.version = 0

    def change(
        self,
        families: Iterable[PointFamily],
        now: float,
        seconds: float = inf,
        *,
        tells_creation: bool = False,
        is_complete: bool = True,
        lower: Lower = "anew",
    ) -> Change:
        """What has to be sent.

        Args:
            families: The totals at this moment.
            now: This moment, in seconds since the Unix epoch.
            seconds: How long the delivery may take.
            tells_creation: Whether a series that says it was made later than before has begun again. Where several processes share their
                numbers it may be another process' series that goes on.
            is_complete: Whether a family that is not there is no more. Else it may be there again the next time, as one whose collector
                has failed.
            lower: What it means that a number is lower than before: it has begun ``"anew"``; a part of it ``"lacks"`` for now, so it waits;
                a part is ``"lost"``, so what was recorded in it since the last delivery cannot be known and counts as nothing.
        """
        changed: list[PointFamily] = []
        seen: set[FamilyKey] = set()
        for family in families:
            if family.type not in _ADDED_UP:
                changed.append(family)
                continue
            key = _key(family)
            if key in seen:
                continue
            seen.add(key)
            differences = self._differences(family, self.sent.setdefault(key, {}), tells_creation, lower)
            if differences:
                changed.append(family.with_series(differences))
        gone = [key for key in self.sent if key not in seen]
        for key in gone[: max(len(gone) - REMEMBERED, 0)] if not is_complete else gone:
            del self.sent[key]
            self.version += 1
        return Change(self, changed, now, self.last, seconds)

    def _differences(self, family: PointFamily, held: dict[Labels, Sent], tells_creation: bool, lower: Lower) -> list[Series]:
        differences = []
        known = 0
        make, difference_of = Series._make, _difference if family.type == "counter" else _differences
        for series in family.series:
            labels, numbers, created, _, exemplars = series
            sent = held.get(labels)
            if sent is not None:
                known += 1
                is_anew = tells_creation and sent.created is not None and created is not None and created > sent.created
                if sent.numbers == numbers and not is_anew:
                    continue
                difference = None if is_anew else difference_of(numbers, sent.numbers)
                if difference is None and (lower == "lacks" or not _is_known(numbers)):
                    continue
                if difference is None and lower == "lost":
                    held[labels] = Sent(_finite(numbers), created if tells_creation else None)
                    self.version += 1
                    continue
                if difference is None:
                    del held[labels]
                    known -= 1
                    self.version += 1
                else:
                    numbers = difference
            if _is_something(numbers):
                differences.append(make((labels, numbers, created if tells_creation else None, None, exemplars)))
        if known < len(held):
            for labels in held.keys() - {series.labels for series in family.series}:
                del held[labels]
            self.version += 1
        return differences

    def add(self, key: FamilyKey, differences: Iterable[Series]) -> None:
        """Remember that differences have arrived."""
        held = self.sent.setdefault(key, {})
        make = Sent._make
        for labels, numbers, created, _, _ in differences:
            sent = held.get(labels)
            if sent is not None:
                before = sent.numbers
                if isfinite(numbers[-1]):
                    numbers = (before[0] + numbers[0],) if len(numbers) == 1 else tuple(map(add, before, numbers))  # noqa: PLW2901
                else:
                    numbers = (*map(add, before[:-1], numbers), before[-1])  # noqa: PLW2901
            held[labels] = make((_finite(numbers), created))
            self.version += 1


def _key(family: PointFamily) -> FamilyKey:
    return family.name, family.cells


def _difference(now: tuple[float, ...], before: tuple[float, ...]) -> tuple[float, ...] | None:
    """What a counter has gone up by; ``None`` if it has begun again."""
    difference = now[0] - before[0]
    if difference >= 0:
        return (difference,)
    return (0.0,) if difference >= -before[0] * ROUNDING else None


def _differences(now: tuple[float, ...], before: tuple[float, ...]) -> tuple[float, ...] | None:
    """What counts and a sum have gone up by; ``None`` if a count is lower than before. A sum may fall, where values are negative."""
    difference = tuple(map(sub, now, before))
    if len(now) != len(before):
        return None
    if min(difference[:-1]) >= 0:
        return difference
    if any(not more >= -count * ROUNDING for more, count in zip(difference[:-1], before, strict=False)):
        return None
    return (*[max(more, 0.0) for more in difference[:-1]], difference[-1])


def _is_something(numbers: tuple[float, ...]) -> bool:
    """Whether there is something to add: finite counts, one of which, or else the sum, is not zero."""
    if len(numbers) == 1:
        return numbers[0] != 0 and isfinite(numbers[0])
    return _is_known(numbers) and (any(numbers[:-1]) or (isfinite(numbers[-1]) and numbers[-1] != 0))


def _is_known(numbers: tuple[float, ...]) -> bool:
    """Whether the counts are finite; a sum need not be."""
    return all(map(isfinite, numbers[:-1] or numbers))


def _finite(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """The counts and the sum, of which nothing counts as having arrived while it is not known."""
    return numbers if isfinite(numbers[-1]) else (*numbers[:-1], 0.0)
