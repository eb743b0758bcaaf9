"""One process' part in what its service's processes show together.

Nothing has to be set up. A process that is alone keeps its numbers to itself. It gets company when it forks, or when it is itself a child
of another process of its service; from then on its series have their cells in a lane (``core.lanes``), where the others can read them. What
a process shows is combined by ``metrics.combining``.

Promises: recording is the same addition to memory, alone and in company. Over a fork nothing is lost or counted twice: the child starts
from zero, the parent keeps its numbers. What goes wrong here (no place to meet, a full disk) is said once, and costs no more than what the
other processes know: recording goes on in private memory. Where it could not share at all it tries again at a fork, and when it is
asked for its numbers, :data:`~measurand.metrics.standing.RETRY` seconds later.

**Locking.** One lock guards the lane. Whoever makes a series while it is held does not wait: the series stays in private memory until the
holder, before it is done, or the next scrape moves it. So a signal handler, a finaliser or another thread may make series at any moment.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from measurand import core
from measurand.core.family import Family
from measurand.core.lanes import Lane
from measurand.metrics.leading import Leading
from measurand.metrics.noting import Chosen, How, Noting
from measurand.metrics.places import Key, Places, Shown, Token, start_alone
from measurand.metrics.standing import Other, Others, Standing

if TYPE_CHECKING:
    from measurand.metrics.instrument import MetricBase
    from measurand.metrics.registry import CollectorRegistry

__all__ = ["Other", "Sharing"]

log = logging.getLogger("measurand")

CALM = 3
"""How often the lanes are read again because something was removed while they were."""

PATIENCE = 5.0
"""Seconds to wait for another thread that has the lane; longer means that it is gone or hangs, and one does without."""


class Sharing(Leading, Noting, Standing):
    """See the module. ``measurand.metrics.shared`` has the one that is used; tests make their own.

    Args:
        name: The family's name.
        directory: Where the family meets, instead of the usual place.
        registries: Those whose metrics are shown.
    """

    def __init__(self, name: str, directory: Path | None, registries: WeakSet[CollectorRegistry]) -> None:
        self.name = name
        self.directory = directory
        self._registries = registries
        self._begin()

    def _begin(self) -> None:
        self._begin_tasks()
        self._begin_notes()
        self._begin_standing()
        self._lock = threading.RLock()
        self._inside: set[int] = set()  # the threads that have the lane or wait for it
        self._forking: dict[int, list[bool]] = {}  # by thread, for each fork under way whether it has the lane
        self._family: Family | None = None
        self._places: Places | None = None
        self._former: tuple[Family, Places] | None = None  # where this process' numbers are while it can be found nowhere
        self._pending: list[tuple[Shown, Any]] = []
        self._swept: list[tuple[MetricBase, Chosen | None, How]] = []  # metrics of which series were removed

    # -- the lock ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def _exclusive(self, patience: float = PATIENCE) -> Iterator[bool]:
        """Have the lane for oneself; yields whether one has it. A thread that has it already does not get it twice."""
        with self._held(patience) as has:
            yield has
            if has:
                self._settle_pending()
        while self._places is not None and (self._pending or self._swept):
            with self._held(0) as has:
                if not has:  # then whoever has it looks when it is done
                    return
                self._settle_pending()

    @contextmanager
    def _held(self, patience: float) -> Iterator[bool]:
        me, lock = threading.get_ident(), self._lock
        if me in self._inside:  # a signal handler or a finaliser: what it interrupted has the lane, or is about to
            yield False
            return
        try:
            self._inside.add(me)
            yield lock.acquire(timeout=patience) if patience else lock.acquire(blocking=False)
        finally:
            with suppress(RuntimeError):  # not had; a signal handler may have raised before it was known whether it was
                lock.release()
            self._inside.discard(me)

    def _settle_pending(self) -> None:
        while self._places is not None and (self._pending or self._swept):
            self._settle_series()
            while self._swept:
                metric, chosen, how = self._swept.pop(0)
                shown = self.shown_as(metric.definition)
                if shown is not None:
                    with self._removing_from_all(shown, chosen, how):
                        self._places.sweep(metric)

    def _settle_series(self) -> None:
        while self._places is not None and self._pending:
            self._settle(*self._pending.pop(0))

    def _settle(self, shown: Shown, series: Any) -> None:
        metric = shown.metric()
        now = self.shown_as(metric.definition) if metric is not None else None
        if now is not None and self._places is not None:  # which may be others than those that told of the series
            self._places.settle(now, series)

    # -- company -----------------------------------------------------------------------------------------------------------

    @property
    def in_company(self) -> bool:
        """Whether this process' numbers are where others see them."""
        return self._places is not None

    def enrol(self, registry: CollectorRegistry, metric: MetricBase) -> None:
        """Show a metric to the others, if there are any."""
        if self._places is not None:
            with self._exclusive() as has:
                if has and self._places is not None:
                    self._places.show(registry, metric)

    def join(self) -> bool:
        """Let the others see this process' numbers; true if they do. Does nothing if they do already, or if it failed a moment ago."""
        if self._places is None and self._may_try():
            with self._exclusive() as has:
                if has and self._places is None:
                    self._attempt(self._meet)
        return self._places is not None

    def _enter(self, family: Family, how: str, like: Lane | None = None) -> None:
        try:
            places = Places(family, self._settle_soon, self._say_damaged, like)
        except BaseException:
            with suppress(OSError):
                family.leave()
            raise
        self._family = family
        self._bring_tasks(family)
        self._places = places
        places.unseen = self._unseen if how == "leave" else set()
        for registry in self._all_registries():
            for collector in registry.collectors():
                if hasattr(collector, "shared_as"):
                    places.show(registry, collector, how)
        places.unseen = set()
        self._meet_notes(places, how)

    def _follow(self) -> None:
        """Meet anew where others cannot find this process any more. The lock is held.

        It has become another user, who cannot read what is in the first one's directory, or somebody has removed that. One that can become
        the first one again stays: it does something on another's behalf, and what it counted is not to vanish from the first one's pages.
        """
        family = self._family
        if self._places is not None and family is not None and not family.can_return and not family.is_there:
            self._forget_readers()
            self._end_notes()
            self._former = family, self._places
            self._attempt(self._meet)

    def _meet(self) -> None:
        """Meet the others, with all that this process has counted. The lock is held."""
        if self._former is None:
            self._enter(Family.meet(self.name, self.directory), "add")
            return
        family, places = self._former
        if family.is_there:  # again; its own locks would not keep it from taking its lane for a dead one's
            self._bring_tasks(family)
            self._places = places
            self._meet_notes(places, "add")
            self._former = None
        else:
            new = Family.meet(self.name, self.directory)
            _take_out(places)
            family.depart()
            self._former = self._family = None
            self._enter(new, "add")

    def _all_registries(self) -> list[CollectorRegistry]:
        while True:
            try:
                return sorted(self._registries, key=lambda registry: registry.identity)
            except RuntimeError:  # another thread has added one meanwhile
                continue

    # -- series ------------------------------------------------------------------------------------------------------------

    def _settle_soon(self, shown: Shown, series: Any) -> None:
        """A new series: give it its place now, or leave that to whoever has the lane."""
        if self._places is None:
            return
        with self._exclusive(0) as has:
            if has and self._places is not None:
                if self._family is not None and os.geteuid() != self._family.user:
                    self._follow()
                self._settle(shown, series)
        if not has:
            self._pending.append((shown, series))
            with self._exclusive(0):  # whoever had it may have looked just before
                pass

    def note(self, metric: MetricBase, series: Any) -> None:
        """Tell the others of a series' facts."""
        if self._places is not None:
            with self._exclusive() as has:
                shown = self.shown_as(metric.definition)
                if has and self._places is not None and shown is not None and (core.key(series) or ()) in shown.places:
                    self._places.note(shown, core.key(series) or (), core.payload(series))

    @contextmanager
    def removing(self, metric: MetricBase, chosen: Chosen | None = None, how: How = "remove") -> Iterator[None]:
        """While the block runs, series of a metric are removed or exchanged; to the others it is one step.

        Args:
            metric: The metric.
            chosen: Which series; those that other processes have go as well.
            how: What is done to them.
        """
        with self._exclusive() as has:
            places, shown = self._places, self.shown_as(metric.definition)
            if places is None or shown is None:
                yield
                return
            if not has:
                yield
                self._swept.append((metric, chosen, how))
                return
            with places.exchange() as begin, self._removing_from_all(shown, chosen, how):
                begin()
                try:
                    yield
                finally:
                    places.sweep(metric)
                    self._settle_series()

    def withdraw(self, metric: MetricBase) -> None:
        """Show a metric no longer, unless another registry still has it."""
        if self._places is None or any(registry.find(metric.definition.name) is metric for registry in self._all_registries()):
            return
        with self._exclusive() as has:
            if has and self._places is not None:
                self._places.forget(metric)

    def publish(self) -> None:
        """Let the others see what this process' gauge callbacks say now; until the next time they see what they said then.

        Calls the callbacks in this thread, one after the other; what one raises leaves its last value.
        """
        with self._exclusive() as has:
            if has:
                self._look_after_lane()
        for shown in list(self._places.shown.values()) if self._places is not None else ():
            metric: Any = shown.metric()
            if metric is None or shown.content["type"] != "gauge":
                continue
            every: list[Any] = core.children(metric) if metric.definition.labelnames else [metric]
            for series in every:
                callback = core.payload(series)
                if callable(callback):
                    with suppress(Exception):
                        core.GaugeBase.set(series, float(callback()))

    # -- forks -------------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Join the family, and let no other thread have the lane during the fork."""
        self._again = 0.0
        self.join()
        me, has = threading.get_ident(), False
        if me not in self._inside:
            has = self._lock.acquire(timeout=PATIENCE)
            if has:
                self._inside.add(me)
        self._forking.setdefault(me, []).append(has)

    def after_fork_in_parent(self) -> None:
        """Let the lane go."""
        me = threading.get_ident()
        forks = self._forking.get(me)
        if forks and forks.pop():
            self._inside.discard(me)
            self._lock.release()
            with self._exclusive(0):
                pass

    def after_fork_in_child(self) -> None:
        """Start from zero, in a lane of one's own; in private memory if there is none to be had."""
        family, places, forks = self._family, self._places, self._forking.get(threading.get_ident())
        like = places.lane if places is not None and forks and forks[-1] else None  # else it may be in the middle of a step
        unseen: set[tuple[Token, Key]] = set()
        if places is not None:
            unseen = self._hidden_wholly(places)
            places.give_up()
        self._end_notes()
        self._begin()
        self._unseen = unseen
        if places is None or family is None or not self._attempt(lambda: self._enter(family.meet_again(), "leave", like)):
            for registry in self._all_registries():  # what the parent has counted remains the parent's
                for collector in registry.collectors():
                    if hasattr(collector, "shared_as"):
                        start_alone(collector)

    # -- leaving -----------------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Let the family go on without this process: what it counted stays with it. The last one out removes everything."""
        with self._exclusive() as has:
            family, self._family = self._family, None
            self._has_left = family is not None
            if has and family is not None:
                self._forget_readers()
                self._end_notes()
                self._places = None
                self.reason = "this process has left its family"
                with suppress(OSError):
                    family.leave()

    def stay_out(self) -> None:
        """Never share: this process has numbers of its parent's besides its own."""
        self._has_left = True

    # -- reading -----------------------------------------------------------------------------------------------------------

    @property
    def claims(self) -> tuple[int, int]:
        """Changes when this process goes on with a series that an earlier one has left in its lane, which is no unclaimed one then."""
        return id(self._places), self._places.claims if self._places is not None else 0

    @contextmanager
    def others(self) -> Iterator[Others]:
        """What is known besides this process' own instruments."""
        with self._exclusive() as has:
            found = Others()
            if has and self._family is not None and self._places is not None:
                self._look_after_lane()
            if has and self._family is not None and self._places is not None:
                try:
                    self._refresh_removals()
                    for _ in range(CALM):
                        found.clear()
                        self._everything(found)
                        if not self._refresh_removals():
                            break
                    self._note_readable(None)
                    found.is_whole = True
                except OSError as reason:
                    found.clear()
                    self._note_readable(reason)
            yield found

    def _look_after_lane(self) -> None:
        """See that others find all that this process has; the lock is held."""
        self._follow()
        if self._places is not None:
            self._settle_pending()
        if self._places is not None:
            self._places.mend()
            self._places.settle_missed()

    def shown_as(self, definition: Any) -> Shown | None:
        """What the lane has of one of this process' metrics."""
        return self._places.shown.get(definition) if self._places is not None else None

    def _everything(self, found: dict[Token, list[Other]], only: Token | None = None) -> None:
        if self._family is not None and self._places is not None:
            for token, metric in self._places.unclaimed.items():
                if metric.series and only in {None, token}:
                    found.setdefault(token, []).append(Other(metric, self._places.lane.values, False, os.getpid()))
            self._read_lanes(self._family, found, only)


def _take_out(places: Places) -> None:
    """Move what this process has counted out of its lane into private memory: whoever has the lane next must not bring it along as well."""
    for shown in list(places.shown.values()):
        metric: Any = shown.metric()
        if metric is not None:
            for series in core.children(metric) if metric.definition.labelnames else [metric]:
                if (core.key(series) or ()) in shown.places:
                    core.move(series, memoryview(bytearray(8 * int(shown.content["width"]))).cast("d"), 0, "keep")
            places.forget(metric)
