"""What the earlier writers of a lane left in it: what of that counts on, and what the lane's new writer goes on with.

Promises: what counters, histograms and summaries have counted counts on, whatever its metric is defined as by whoever takes the lane over;
a gauge begins anew, and what it was when its process ended counts besides, one value per series however many processes came and went.
Not safe from several threads at once: ``sharing`` has the lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from measurand.core.lanes import Damaged, Lane, Metric, Reader
from measurand.metrics.removals import Removals, Removed, remaining

__all__ = ["WAS_ADDED", "WAS_LEFT", "WAS_SET", "Inheritance", "Key", "Left", "Token", "adopted", "face_of", "token_of", "without_mark"]

Key = tuple[str, ...]
Token = tuple[str, str]
"""What a metric is known by among processes: its registry's identity and its name."""

WAS_SET, WAS_ADDED = 1, 2
"""The marks of a gauge that was set, and of one that was moved by ``inc`` or ``dec``."""

WAS_LEFT = 4
"""The mark of a gauge's value that an earlier writer left, in the lane of a process that lives."""

LIVE_RULES = frozenset({"auto", "sum", "all"})
"""Gauge rules, besides those that begin with "live", under which a process that is gone counts no more."""


class Left(Metric):
    """What is left of one metric of a lane, in the terms of its record: the series that nobody here has taken up.

    Attributes:
        number: The metric's number in the lane.
        token: What it is known by.
    """

    __slots__ = ("number", "token")

    def __init__(self, there: Metric, number: int) -> None:
        super().__init__(there.content)
        self.number = number
        self.token = token_of(there)


class Inheritance:
    """All that is left in a lane.

    One metric may be there several times: its definition may have been another one in each of the processes that wrote the lane.
    """

    def __init__(self) -> None:
        self._left: dict[int, Left] = {}  # by number
        self._of_token: dict[Token, list[Left]] = {}

    def items(self) -> Iterator[tuple[Token, Left]]:
        """What each metric is known by, and what is left of it."""
        return ((left.token, left) for left in self._left.values())

    def __iter__(self) -> Iterator[Left]:
        return iter(self._left.values())

    def __contains__(self, token: Token) -> bool:
        return token in self._of_token

    def at(self, number: int) -> Left | None:
        """What is left of the metric with this number in the lane."""
        return self._left.get(number)

    def take(self, lane: Lane) -> None:
        """Note what a lane's earlier writers left: their live gauges are gone, the rest counts on."""
        for number, there in enumerate(lane.contents.metrics):
            left = self._left[number] = Left(there, number)
            self._of_token.setdefault(left.token, []).append(left)
            for key, at in there.series.items():
                if lane.is_shown(at):
                    if _counts_on(there.content, lane.values, at):
                        left.series[key] = at
                    else:
                        lane.remove(at)
            left.notes = there.notes if left.series else {}
        gauges = [[left for left in of if left.series and left.content["type"] == "gauge"] for of in self._of_token.values()]
        if any(gauges):
            removed = _removed_in(lane.path.parent)
            for several in gauges:
                _bury(lane, several, removed)

    def number_for(self, token: Token, content: dict[str, Any], taken: set[int]) -> int | None:
        """The number of a metric in the lane that can go on as one defined like this: its documentation may be another.

        A gauge does not go on with values of processes that are gone, so it has to be one without.
        """
        face = face_of(content)
        for left in self._of_token.get(token, ()):
            if left.number not in taken and face_of(left.content) == face and not (content["type"] == "gauge" and left.series):
                return left.number
        return None

    def move(self, old: Lane, new: Lane, used: set[int]) -> dict[int, int]:
        """Copy it to another lane; returns the metrics' new numbers by their old ones.

        Args:
            old: The lane that has it.
            new: The other one.
            used: The numbers of those metrics that are needed even if nothing is left of them.
        """
        moved = {left.number: left for left in self._left.values() if left.series or left.number in used}
        self._left, self._of_token = {}, {}
        for left in moved.values():
            left.number = copy(left, old.values, new)
            self._left[left.number] = left
            self._of_token.setdefault(left.token, []).append(left)
        return {before: left.number for before, left in moved.items()}


def copy(metric: Metric, values: Any, lane: Lane) -> int:
    """Copy a metric of another lane and its series, which get their new places; returns its number."""
    number = lane.add_metric(metric.content)
    for key, at in metric.series.items():
        place = lane.add_series(number, key, values[at - 1] or None)  # its state may be lost with a part of the file
        lane.values[place : place + metric.width] = values[at : at + metric.width]
        metric.series[key] = place
        if key in metric.notes:
            lane.add_note(number, key, metric.notes[key])
    return number


def adopted(path: Path, like: Lane | None, say_damaged: Callable[[str], None]) -> Lane | None:
    """Go on with a lane whose writer is gone; ``None`` if there is nothing in it to go on with.

    Of a damaged one what is sound is copied to another in its place, in one step for its readers; the damaged one is set aside.

    Raises:
        OSError: It cannot be opened, or there is no space for it.
    """
    aside = path.with_name(path.name.replace("lane-", "damaged-"))
    try:
        return Lane.adopt(path, like)
    except Damaged as damage:
        say_damaged(str(damage))
    try:
        reading = Reader(path).read()
    except Damaged:
        with suppress(OSError):
            os.replace(path, aside)
        return None
    lane = Lane.create(path, index=max(1 << 15, path.stat().st_size), cells=max(1 << 12, 4 * len(reading.values)))
    for metric in reading.metrics:
        for key in [key for key, at in metric.series.items() if not reading.values[at - 1]]:
            del metric.series[key]
        copy(metric, reading.values, lane)
    with suppress(OSError):
        aside.unlink(missing_ok=True)
        os.link(path, aside)
    lane.publish()
    return lane


def _removed_in(directory: Path) -> Mapping[float, Removed]:
    """What the processes of a family have removed."""
    removals = Removals(directory)
    with suppress(Damaged, OSError):  # a damaged file hides nothing
        removals.refresh()
    return removals.known


def token_of(metric: Metric) -> Token:
    """What a lane's metric is known by."""
    registry, name = metric.content["token"]
    return registry, name


def face_of(content: dict[str, Any]) -> dict[str, Any]:
    """What has to agree for two processes' metrics of one name to be one; the documentation has not."""
    return {name: value for name, value in content.items() if name not in {"documentation", "token"}}


def without_mark(numbers: Sequence[float]) -> list[float]:
    """A gauge's cells as their writer had them, whether :data:`WAS_LEFT` was put there since or not: removals are told apart by them."""
    value, stamp, ways = numbers
    return [value, stamp, float(int(ways) & ~WAS_LEFT)]


def _counts_on(content: dict[str, Any], values: Any, at: int) -> bool:
    """Whether a series' numbers count after the process is gone that recorded them."""
    if content["type"] != "gauge":
        return content["type"] not in {"info", "stateset"}
    rule = str(content["rule"])
    if rule == "auto":  # only set: it combines by the most recent value, whoever wrote that
        return int(values[at + 2]) & (WAS_SET | WAS_ADDED) == WAS_SET
    return not rule.startswith("live") and rule not in LIVE_RULES


def _bury(lane: Lane, several: list[Left], removed: Mapping[float, Removed]) -> None:
    """Of what processes left of one gauge keep what they come to, or each worker that comes and goes would leave one more value."""
    faces: list[tuple[dict[str, Any], dict[Key, list[tuple[Left, int]]]]] = []
    for left in several:
        face = face_of(left.content)
        places = next((places for known, places in faces if known == face), None)
        if places is None:
            places = {}
            faces.append((face, places))
        for key, at in left.series.items():
            places.setdefault(key, []).append((left, at))
    for face, places in faces:
        for key, of in places.items():
            counting = [place for place in of if remaining("gauge", *_cells(lane, place[1]), removed) is not None]
            best = max(counting, key=lambda place: _worth(face, lane, place[1], removed), default=None)
            for left, at in of:
                if (left, at) != best:
                    del left.series[key]
                    lane.remove(at)
            if best is not None and face["rule"] == "auto":
                lane.values[best[1] + 2] = WAS_SET | WAS_LEFT


def _cells(lane: Lane, at: int) -> tuple[float, list[float]]:
    return lane.values[at - 1], without_mark(lane.values[at : at + 3])


def _worth(face: dict[str, Any], lane: Lane, at: int, removed: Mapping[float, Removed]) -> tuple[bool, float]:
    """What decides which of several values of one gauge is shown."""
    value, stamp, ways = remaining("gauge", *_cells(lane, at), removed) or (0.0, 0.0, 0.0)
    by_value = {"max": value, "min": -value}.get(face["rule"]) if face["expire_after"] is None else None  # else the later stays longer
    return ways != 0, stamp if by_value is None else by_value
