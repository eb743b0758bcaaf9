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

__all__ = ["Change", "Deltas", "Sent", "SeriesKey"]

SeriesKey = tuple[str, tuple[float, ...], Labels]
"""A family's name and bounds, and a series' labels."""

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
        self._open = {
            (family.name, family.bounds, series.labels): series
            for family in families
            if family.type in _ADDED_UP
            for series in family.series
        }

    def points(self) -> list[PointFamily]:
        """The families: differences of counters, summaries and histograms, without series that have not changed; values of gauges."""
        return self._families

    def acknowledge(self, family: PointFamily, series: Iterable[Series]) -> None:
        """These series have arrived, or are given up: the next change does not have them."""
        for one in series:
            key = (family.name, family.bounds, one.labels)
            difference = self._open.pop(key, None)
            if difference is not None:
                self._deltas.add(key, difference)

    def acknowledge_all(self) -> None:
        """All of it has arrived."""
        for key, difference in self._open.items():
            self._deltas.add(key, difference)
        self._open = {}
        self._deltas.last = self.time


class Deltas:
    """What has arrived at one destination. From one thread at a time.

    Attributes:
        last: The time of the last change that has arrived as a whole, in seconds since the Unix epoch; ``None`` before the first.
        sent: What has arrived, by series; series that are no more are forgotten.
        version: Rises when ``sent`` changes.
    """

    def __init__(self) -> None:
        self.last: float | None = None
        self.sent: dict[SeriesKey, Sent] = {}
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
        seen: set[SeriesKey] = set()
        for family in families:
            if family.type not in _ADDED_UP:
                changed.append(family)
                continue
            differences = []
            for series in family.series:
                key = (family.name, family.bounds, series.labels)
                if key in seen or not all(map(isfinite, _counts(series.numbers))):
                    continue
                seen.add(key)
                now_series = series if tells_creation else series._replace(created=None)
                difference = self._difference(key, now_series)
                if any(number for number in difference if isfinite(number)):
                    differences.append(now_series._replace(numbers=difference))
            if differences:
                changed.append(family.with_series(differences))
        for key in self.sent.keys() - seen:
            self._forget(key)
        return Change(self, changed, now, self.last, seconds)

    def _difference(self, key: SeriesKey, series: Series) -> tuple[float, ...]:
        sent = self.sent.get(key)
        if sent is None:
            return series.numbers
        lower = any(now < before for now, before in zip(_counts(series.numbers), sent.numbers, strict=False))
        if lower or (sent.created is not None and series.created is not None and series.created > sent.created):
            self._forget(key)
            return series.numbers
        return tuple([now - before for now, before in zip(series.numbers, sent.numbers, strict=True)])

    def add(self, key: SeriesKey, difference: Series) -> None:
        """Remember that a difference has arrived."""
        sent = self.sent.get(key)
        before = (0.0,) * len(difference.numbers) if sent is None else sent.numbers
        numbers = [low + more if isfinite(more) else low for low, more in zip(before, difference.numbers, strict=True)]
        self.sent[key] = Sent(tuple(numbers), difference.created)
        self.version += 1

    def _forget(self, key: SeriesKey) -> None:
        del self.sent[key]
        self.version += 1


def _counts(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """The numbers that never fall: all but the sum of a summary or histogram, where what is observed may be negative."""
    return numbers if len(numbers) == 1 else numbers[:-1]
