"""Where one process' series have their numbers: their places in its lane.

Promises: every series of a metric that is shown has one place, or stays in private memory, which is said once; a series that was removed
has none; what an earlier writer of the lane counted goes on counting; the lane is exchanged for a larger one without its readers seeing
less. Not safe from several threads at once: ``sharing`` has the lock.

A series stands in its metric's table before it is given a place, and is given one by whoever is told of it. So a step here, which a signal
handler or another thread may interrupt anywhere by making a series, is about the series that have a place; it need not know of others.
A process that forks in the middle of a step, from a signal handler, goes on with the step in the child too: there it moves nothing more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from measurand import clock, core
from measurand.core.lane_format import METRIC, NOTE, SERIES, encoded
from measurand.core.lanes import Full, Lane, fresh_state
from measurand.metrics.inheritance import Inheritance, Key, Token, adopted

if TYPE_CHECKING:
    from measurand.core.family import Family
    from measurand.metrics.instrument import MetricBase
    from measurand.metrics.registry import CollectorRegistry

__all__ = ["Key", "Places", "Shown", "Token", "start_alone"]

log = logging.getLogger("measurand")

RETRY = 30.0
"""Seconds after which a lane is made larger that could not be for want of space."""


class Shown:
    """One of this process' metrics, as it stands in the lane."""

    def __init__(self, metric: MetricBase, token: Token, content: dict[str, Any]) -> None:
        self.metric = ref(metric)
        self.token = token
        self.content: dict[str, Any] = json.loads(json.dumps(content))  # as a lane has it
        self.number = -1
        self.places: dict[Key, int] = {}


class Places:
    """What this process' lane has.

    Args:
        family: Gives the lane.
        newcomer: Told of each series that is new in a metric that is shown, and has no place yet.
        say_damaged: Told of a damaged lane: its number, and what is wrong.
        like: A lane that the family's others may begin like: the parent's.

    Attributes:
        lane: The lane.
        shown: This process' metrics in it, by definition.
        unclaimed: What the lane's earlier writers left and nobody here has taken up.
        reason: Why a series is not shown, or an empty string.
        is_given_up: Whether this is what a parent had, found in a forked child: nothing is moved there any more.

    Raises:
        OSError: There is no space for a lane.
    """

    def __init__(
        self, family: Family, newcomer: Callable[[Shown, Any], None], say_damaged: Callable[[int, str], None], like: Lane | None = None
    ) -> None:
        self.shown: WeakKeyDictionary[Any, Shown] = WeakKeyDictionary()
        self.unclaimed = Inheritance()
        self._unplaced: WeakKeyDictionary[Any, CollectorRegistry] = WeakKeyDictionary()  # metrics that there was no room for
        self.reason, self._full_until, self.claims = "", 0.0, 0
        self._taken: set[int] = set()  # numbers of metrics in the lane that this process has, or had
        self._untold: dict[tuple[Token, Key], tuple[Shown, Any]] = {}  # notes that could not be given
        self.unseen: set[tuple[Token, Key]] = set()
        self._newcomer = newcomer
        self.is_given_up = self._exchanging = False
        self._next: Lane | None = None  # while it grows
        self.lane = self._take_lane(family, say_damaged, like)
        family.begin()

    def _take_lane(self, family: Family, say_damaged: Callable[[int, str], None], like: Lane | None) -> Lane:
        number, path, exists = family.take_lane()
        if exists:
            left = adopted(path, like, lambda damage: say_damaged(number, damage))
            if left is not None:
                self.unclaimed.take(left)
                return left
        lane = Lane.create(path)
        lane.publish()
        return lane

    def show(self, registry: CollectorRegistry, metric: MetricBase, how: str = "add") -> None:
        """Give a metric and all its series their places, see :meth:`settle`."""
        definition = metric.definition
        if definition in self.shown:
            return
        token = (registry.identity, definition.name)
        shown = Shown(metric, token, {"token": token, **metric.shared_as()})
        try:
            self._number(shown)
        except Exception as reason:  # noqa: BLE001 - a metric that is not shown to others still counts here
            self._unplaced[metric] = registry
            self.lane.unshared += len(_all_series(metric))
            self._say(shown, reason)
            return
        self._unplaced.pop(metric, None)
        self.shown[definition] = shown
        if not definition.labelnames:
            self.settle(shown, metric, how)
            return
        core.watch(metric, lambda series: self._newcomer(shown, series))  # type: ignore[arg-type]
        left: dict[Key, int] = getattr(self.unclaimed.at(shown.number), "series", {}) if how == "leave" else {}
        for series in core.children(metric):  # type: ignore[arg-type]
            key = core.key(series) or ()
            if key in left and key not in shown.places and not self.is_given_up:  # the quick way: a forked child may have very many
                core.move(series, self.lane.values, left[key], "leave")
                shown.places[key] = left.pop(key)
            elif key not in shown.places:
                self.settle(shown, series, how)

    def _number(self, shown: Shown) -> None:
        if shown.token in self.unclaimed:
            number = self.unclaimed.number_for(shown.token, shown.content, self._taken)
            if number is not None:
                shown.number = number
                self._taken.add(number)
                return
        try:
            shown.number = self.lane.add_metric(shown.content)
        except Full:
            self._grow(len(encoded(METRIC, shown.content)))
            shown.number = self.lane.add_metric(shown.content)
        self._taken.add(shown.number)

    def settle(self, shown: Shown, series: Any, how: str = "add") -> None:
        """Move a series to its place, unless it is gone; "add" what it has counted to what is there, or "leave" the latter."""
        try:
            key = core.key(series) or ()
            at = shown.places.get(key)
            if not core.stands(series) or (at is not None and core.is_at(series, self.lane.values, at)):
                return
            if at is not None:  # the place of an earlier series with these labels, which is gone
                self._vacate(shown, key)
            inherited = self.unclaimed.at(shown.number)
            at = inherited.series.get(key) if inherited is not None else None
            is_new = at is None
            if at is None:
                at = self._new_place(shown, key)
                how = "keep" if how == "add" or (shown.content["type"] == "stateset" and self.lane.values[at - 1] > 0) else how
            self._move(series, self.lane, at, how)
            shown.places[key] = at
            if inherited is not None and inherited.series.pop(key, None) is not None:
                self.claims += 1
            said, before = _said_of(shown, series), self.lane.contents.metrics[shown.number].notes.get(key)
            if is_new or not before:
                self.note(shown, key, {} if said is None and before else said)  # what was said of the one before does not hold for it
        except Exception as reason:  # noqa: BLE001 - a series that is not shown to others still counts here
            self.lane.unshared += 1
            self._say(shown, reason)

    def _say(self, shown: Shown, reason: Exception) -> None:
        if isinstance(reason, Full) and self.reason:  # it was said why there can be no larger lane
            return
        if not self.reason:
            log.warning("a series of %s is not shown to other processes: %s. Said once.", shown.token[1], reason)
        self.reason = f"{type(reason).__name__}: {reason}"

    @property
    def unshared(self) -> int:
        """How many series have no place, for want of room."""
        return self.lane.unshared

    def _move(self, series: Any, lane: Lane, at: int, how: str) -> None:
        if not self.is_given_up:  # nothing runs between this and the move
            core.move(series, lane.values, at, how)  # type: ignore[arg-type]

    def settle_missed(self) -> None:
        """Give places to what has none, which costs no more than counting the series.

        There may have been no room, or whoever made a series was kept from telling, by an exception in a signal handler or a halt.
        """
        if self.lane.unshared and clock.monotonic() < self._full_until:
            return
        self.lane.unshared = 0
        for one, registry in list(self._unplaced.items()):
            self.show(registry, one)
        untold, self._untold = self._untold, {}
        for (_, key), (shown, said) in untold.items():
            if key in shown.places:
                self.note(shown, key, said)
        for shown in list(self.shown.values()):
            metric: Any = shown.metric()
            if metric is not None and metric.definition.labelnames:
                every = core.children(metric)
                if len(every) > len(shown.places):
                    for series in every:
                        if core.key(series) not in shown.places:
                            self.settle(shown, series)
            elif metric is not None and () not in shown.places:
                self.settle(shown, metric)

    def mend(self) -> None:
        """See that the lane is still what others read; make another one in its place if not."""
        damage = self.lane.damage if not self.is_given_up else None
        if damage is None or clock.monotonic() < self._full_until:
            return
        try:
            self.lane.restore()
            self._grow()
        except Exception as reason:  # noqa: BLE001 - this process goes on, and others see a damaged lane
            log.warning("the lane of this process was damaged (%s) and cannot be made anew: %s", damage, reason)
        else:
            log.warning("the lane of this process was damaged (%s): what it lost is lost, it was made anew", damage)

    def _new_place(self, shown: Shown, key: Key) -> int:
        state = -fresh_state() if (shown.token, key) in self.unseen else None
        try:
            return self.lane.add_series(shown.number, key, state)
        except Full:
            width = int(shown.content["width"])
            self._grow(len(encoded(SERIES, {"m": shown.number, "k": key, "at": len(self.lane.values)})), 1 + width)
            return self.lane.add_series(shown.number, key, state)

    def note(self, shown: Shown, key: Key, said: Any) -> None:
        """Tell the others what they have to know of a series besides its numbers, if there is anything."""
        if said is not None:
            try:
                try:
                    self.lane.add_note(shown.number, key, said)
                except Full:
                    self._grow(len(encoded(NOTE, {"m": shown.number, "k": key, "note": said})))
                    self.lane.add_note(shown.number, key, said)
            except Exception as reason:  # noqa: BLE001 - the process itself shows what was said
                if (shown.token, key) not in self._untold:
                    self.lane.unshared += 1
                self._untold[shown.token, key] = shown, said
                self._say(shown, reason)
            else:
                self._untold.pop((shown.token, key), None)

    def _grow(self, index: int = 0, cells: int = 0) -> None:
        """Move to a larger lane, without what was removed. Its readers go over to it when it has the old one's name.

        Args:
            index: Bytes of the record that has to fit besides.
            cells: How many cells have to fit besides.

        Raises:
            Full: It failed a moment ago.
            OSError: There is no space for it.
        """
        if clock.monotonic() < self._full_until:
            raise Full
        old = self.lane
        shown = [one for one in list(self.shown.values()) if one.number >= 0]
        try:
            new = self._larger(old, shown, index, cells)
        except OSError:
            self._full_until = clock.monotonic() + RETRY
            raise
        self._next = new
        new.unshared = old.unshared
        numbers = self.unclaimed.move(old, new, {one.number for one in shown})
        for one in shown:
            notes = old.contents.metrics[one.number].notes
            one.number = numbers[one.number] if one.number in numbers else new.add_metric(one.content)
            places, one.places = one.places, {}
            self._move_all(one, places, notes, old, new)
        self._taken = {one.number for one in shown}
        if self.is_given_up:
            return
        self.lane, self._next = new, None
        if self._exchanging:
            new.begin_exchange()
        new.publish()

    @contextmanager
    def exchange(self) -> Iterator[Callable[[], None]]:
        """What happens from the call of what this yields to the end of the block is one step to the readers."""

        def begin() -> None:
            self._exchanging = True
            self.lane.begin_exchange()

        try:
            yield begin
        finally:
            self._exchanging = False
            if not self.is_given_up:
                self.lane.end_exchange()

    def sweep(self, metric: MetricBase) -> None:
        """Show those of a metric's series no longer that do not stand in its table any more."""
        shown = self.shown.get(metric.definition)
        if shown is None or not metric.definition.labelnames:
            return
        standing = {core.key(series): series for series in core.children(metric)}  # type: ignore[arg-type]
        for key, at in list(shown.places.items()):
            if key not in standing or not core.is_at(standing[key], self.lane.values, at):
                self._vacate(shown, key)

    def _vacate(self, shown: Shown, key: Key) -> None:
        at = shown.places.pop(key, None)
        if at is not None and not self.is_given_up:
            self.lane.remove(at)

    def give_up(self) -> None:
        """Write nothing more: this is a forked child, and the lane its parent's."""
        self.is_given_up = True
        for lane in (self.lane, self._next):
            if lane is not None:
                lane.give_up()

    def forget(self, metric: MetricBase) -> None:
        """Show a metric no longer."""
        shown = self.shown.get(metric.definition)
        if shown is not None:
            core.watch(metric, None)  # type: ignore[arg-type]
            for key in list(shown.places):
                self._vacate(shown, key)
            self._taken.discard(shown.number)
            del self.shown[metric.definition]

    def _larger(self, old: Lane, shown: list[Shown], more_index: int, more_cells: int) -> Lane:
        """A lane with room for four times what counts in the old one, and for what has to fit besides."""
        widths = [(len(one.places), int(one.content["width"])) for one in shown]
        widths += [(len(left.series), left.width) for left in self.unclaimed]
        series, cells = sum(count for count, _ in widths), sum(count * (1 + width) for count, width in widths)
        known = sum(len(metric.series) for metric in old.contents.metrics)
        index = old.used if known <= series else old.used * (series + 1) // (known + 1) + old.used // 4
        return Lane.create(
            old.path, index=max(1 << 15, 4 * index) + 2 * more_index, cells=max(1 << 12, 4 * cells) + more_cells
        )  # the record twice: numbers in it may become longer

    def _move_all(self, shown: Shown, places: dict[Key, int], notes: Mapping[Key, Any], old: Lane, new: Lane) -> None:
        metric = shown.metric()
        if metric is None:
            return
        for series in _all_series(metric):
            key = core.key(series) or ()
            if key in places and core.is_at(series, old.values, places[key]):
                shown.places[key] = new.add_series(shown.number, key, old.values[places[key] - 1] or None)  # as above
                self._move(series, new, shown.places[key], "keep")
                if key in notes:
                    new.add_note(shown.number, key, notes[key])


def _said_of(shown: Shown, series: Any) -> Any:
    metric = shown.metric()
    return metric.said_of(series) if metric is not None else None


def _all_series(metric: Any) -> list[Any]:
    return core.children(metric) if metric.definition.labelnames else [metric]


def start_alone(metric: MetricBase) -> None:
    """Let all series of a metric start from zero, in memory of this process' own."""
    width = int(metric.shared_as()["width"])
    core.watch(metric, None)  # type: ignore[arg-type]
    for series in _all_series(metric):
        core.move(series, memoryview(bytearray(8 * width)).cast("d"), 0, "leave")
