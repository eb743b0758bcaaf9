"""Exact differences since the last delivery that arrived.

For destinations that add up what they are sent. :class:`Deltas` remembers of each series what has arrived so far; :meth:`Deltas.change`
says what has to be sent so that it adds up to what was recorded, whatever failed in between. What arrived is remembered as the sum of what
was sent, rounded as a receiver rounds it that adds in double precision, so that rounding errors are made good by the next difference and
do not pile up.

A number that is lower than what has arrived, or a series that was made anew, has begun again: all of it is new.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite
from typing import NamedTuple

from measurand.metrics.points import Labels, PointFamily, Series

__all__ = ["Change", "Deltas", "FamilyKey", "Sent"]

FamilyKey = tuple[str, tuple[float, ...]]
"""A family's name and bounds."""

_ADDED_UP = {"counter", "summary", "histogram"}


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
    """

    def __init__(self, deltas: Deltas, families: list[PointFamily], now: float, start: float | None, seconds: float = inf) -> None:
        self.time = now
        self.start = start
        self.seconds = seconds
        self._deltas = deltas
        self._families = families
        self._open = {_key(family): {one.labels: one for one in family.series} for family in families if family.type in _ADDED_UP}

    def points(self) -> list[PointFamily]:
        """The families: differences of counters, summaries and histograms, without series that have not changed; values of gauges."""
        return self._families

    def acknowledge(self, family: PointFamily, series: Iterable[Series]) -> None:
        """These series have arrived, or are given up: the next change does not have them."""
        key = _key(family)
        differences = self._open.get(key, {})
        for one in series:
            difference = differences.pop(one.labels, None)
            if difference is not None:
                self._deltas.add(key, difference)

    def acknowledge_all(self) -> None:
        """All of it has arrived."""
        for key, differences in self._open.items():
            for difference in differences.values():
                self._deltas.add(key, difference)
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

    def change(self, families: Iterable[PointFamily], now: float, seconds: float = inf, *, tells_creation: bool = False) -> Change:
        """What has to be sent.

        Args:
            families: The totals at this moment.
            now: This moment, in seconds since the Unix epoch.
            seconds: How long the delivery may take.
            tells_creation: Whether a series that says it was made later than before has begun again. Where several processes share their
                numbers it may be another process' series that goes on.
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
            differences = self._differences(family, self.sent.setdefault(key, {}), tells_creation)
            if differences:
                changed.append(family.with_series(differences))
        for key in self.sent.keys() - seen:
            del self.sent[key]
            self.version += 1
        return Change(self, changed, now, self.last, seconds)

    def _differences(self, family: PointFamily, held: dict[Labels, Sent], tells_creation: bool) -> list[Series]:
        differences = []
        known = 0
        make = Series._make
        for series in family.series:
            sent = held.get(series.labels)
            if sent is not None:
                known += 1
                is_anew = tells_creation and sent.created is not None and series.created is not None and series.created > sent.created
                if sent.numbers == series.numbers and not is_anew:
                    continue
                if is_anew or _is_lower(series.numbers, sent.numbers):
                    del held[series.labels]
                    known -= 1
                    self.version += 1
                    sent = None
            numbers = series.numbers
            if sent is not None:
                numbers = tuple([now - before for now, before in zip(numbers, sent.numbers, strict=True)])
            if any(numbers) and all(map(isfinite, numbers if len(numbers) == 1 else numbers[:-1])):
                if not any(numbers[:-1]) and not isfinite(numbers[-1]):
                    continue  # nothing but a sum that is not known
                differences.append(make((series.labels, numbers, series.created if tells_creation else None, None, series.exemplars)))
        if known < len(held):
            for labels in held.keys() - {series.labels for series in family.series}:
                del held[labels]
            self.version += 1
        return differences

    def add(self, key: FamilyKey, difference: Series) -> None:
        """Remember that a difference has arrived."""
        held = self.sent.setdefault(key, {})
        sent = held.get(difference.labels)
        numbers = difference.numbers
        if sent is not None:
            numbers = tuple([low + more if isfinite(more) else low for low, more in zip(sent.numbers, numbers, strict=True)])
        elif not isfinite(numbers[-1]):
            numbers = (*numbers[:-1], 0.0)
        held[difference.labels] = Sent(numbers, difference.created)
        self.version += 1


def _key(family: PointFamily) -> FamilyKey:
    return family.name, family.bounds


def _counts(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """The numbers that never fall: all but the sum of a summary or histogram, where what is observed may be negative."""
    return numbers if len(numbers) == 1 else numbers[:-1]


def _is_lower(now: tuple[float, ...], before: tuple[float, ...]) -> bool:
    """Whether a number is lower than before that never falls, or there are others."""
    return len(now) != len(before) or any(number < earlier for number, earlier in zip(_counts(now), before, strict=False))
