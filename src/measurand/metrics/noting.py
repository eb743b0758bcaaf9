"""What a process tells the others of its service besides the numbers in its lane: what it removed, and its exemplars.

A part of ``sharing``, which has the lock; see ``removals`` and ``exemplars`` for what is promised.
"""

from __future__ import annotations

import logging
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from measurand import clock, core
from measurand.core import Exemplar, support
from measurand.core.lane_format import Damaged
from measurand.metrics import exemplars
from measurand.metrics.inheritance import without_mark
from measurand.metrics.places import Key, Places, Shown, Token
from measurand.metrics.removals import NOTHING, Removals, Removed, is_hidden, remaining, states_of

if TYPE_CHECKING:
    from measurand.core.family import Family
    from measurand.metrics.sharing import Other

__all__ = ["Chosen", "How", "Noting"]

log = logging.getLogger("measurand")

Chosen = Callable[[], Key | Callable[[Key], bool]]
"""Says which series of a metric are removed: the label values of one, or the test of them."""

How = Literal["remove", "replace", "reset"]
"""What is done to them: "replace" means that this process has stated all there are, "reset" that they go on from zero."""

WAS_ADDED = 2


class Noting:
    """See the module."""

    _family: Family | None
    _places: Places | None

    if TYPE_CHECKING:  # what the other parts have

        def _everything(self, found: dict[Token, list[Other]], only: Token | None = None) -> None: ...

        def _is_elsewhere(self, token: Token) -> bool: ...

    def _begin_notes(self) -> None:
        self._removals: Removals | None = None
        self._exemplars: exemplars.Writer | None = None
        self._exemplar_readers: dict[Path, exemplars.Reader] = {}
        self._unseen: set[tuple[Token, Key]] = set()
        self._said: set[str] = set()

    def _meet_notes(self, places: Places, how: str) -> None:
        """There is company, as of now."""
        if self.give_exemplar not in support.exemplar_watchers:
            support.exemplar_watchers.append(self.give_exemplar)
        if how != "leave":
            self._give_all_exemplars(places)

    def _end_notes(self) -> None:
        with suppress(ValueError):
            support.exemplar_watchers.remove(self.give_exemplar)
        if self._exemplars is not None:
            self._exemplars.close()
        self._begin_notes()

    def _say_once(self, what: str, reason: object) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning("%s (%s). Said once.", what, reason)

    # -- removals ----------------------------------------------------------------------------------------------------------

    @property
    def removed(self) -> Mapping[float, Removed]:
        """What was removed, by the states of series. Inside :meth:`Sharing.others`."""
        return self._removals.known if self._removals is not None else NOTHING

    def _refresh_removals(self) -> bool:
        """Whether something was removed that was not known yet."""
        if self._removals is None:
            if self._family is None:
                return False
            self._removals = Removals(self._family.directory)
        try:
            return self._removals.refresh()
        except Damaged as damage:
            self._say_once("what processes of this service have removed may be shown again", damage)
            return True

    @contextmanager
    def _removing_from_all(self, shown: Shown, chosen: Chosen | None, how: How) -> Iterator[None]:
        """Remove the chosen series wherever other processes have recorded in them, once the block is done; the lock is held."""
        family, places = self._family, self._places
        if chosen is None or family is None or places is None:
            yield
            return
        has_any = how == "reset" or shown.token in places.unclaimed
        with suppress(OSError):
            has_any = has_any or self._is_elsewhere(shown.token)
        if not has_any:
            yield
            return
        found: dict[Token, list[Other]] = {}
        self._refresh_removals()
        removals = self._removals or Removals(family.directory)
        with removals.exclusive(family):
            with suppress(OSError):
                self._everything(found, shown.token)
            lanes = [(metric, values) for metric, values, *_ in found.get(shown.token, ())]
            yield  # what it raises leaves all as it is
            which = chosen()
            gone: dict[float, Any] = {}
            if how != "replace" or _is_one_value(shown, places, lanes):
                for metric, values in lanes:
                    for at in _of(metric.series, which):
                        if values[at - 1]:
                            numbers = values[at : at + metric.width]
                            gone[values[at - 1]] = without_mark(numbers) if metric.content["type"] == "gauge" else numbers
            if how == "reset":
                for at in _of(shown.places, which):
                    places.lane.renew(at)
            try:
                removals.add(gone, self._states)
            except (OSError, ValueError) as reason:
                self._say_once("what other processes recorded in a removed series is still shown", reason)

    def _states(self) -> Iterator[float]:
        """Those of all series that there are."""
        found: dict[Token, list[Other]] = {}
        self._everything(found)
        yield from states_of((metric, values) for of in found.values() for metric, values, *_ in of)
        if self._places is not None:
            yield from states_of((metric, self._places.lane.values) for metric in self._places.lane.contents.metrics)

    def own_values(self) -> Any:
        """The cells of this process' lane; ``None`` if it has none."""
        return self._places.lane.values if self._places is not None else None

    def own_cells(self, definition: Any, key: Key) -> tuple[float, list[float]]:
        """A series of this process as others see it: its state and its cells, a gauge's with their marks."""
        places = self._places
        shown = places.shown.get(definition) if places is not None else None
        at = shown.places.get(key) if shown is not None else None
        if places is None or shown is None or at is None:
            return 0.0, []
        return places.lane.values[at - 1], list(places.lane.values[at : at + int(shown.content["width"])])

    def hidden_keys(self, definition: Any) -> list[Key]:
        """This process' own series of which other processes have removed something."""
        places = self._places
        shown = places.shown.get(definition) if places is not None else None
        if places is None or shown is None:
            return []
        values, removed = places.lane.values, self.removed
        if not removed and not self._unseen:
            return []
        return [key for key, at in shown.places.items() if is_hidden(values[at - 1], removed)]

    def _hidden_wholly(self, places: Places) -> set[tuple[Token, Key]]:
        """The series that are not shown because they were removed, and nobody has recorded in them since: not in a forked child either."""
        self._refresh_removals()
        found = set()
        for definition, shown in list(places.shown.items()):
            for key in self.hidden_keys(definition):
                if remaining(shown.content["type"], *self.own_cells(definition, key), self.removed) is None:
                    found.add((shown.token, key))
        return found

    # -- processes ---------------------------------------------------------------------------------------------------------

    def pids(self) -> list[int]:
        """The processes that live, this one first, as far as this one can know their ids."""
        found: list[int] = []
        if self._family is not None:
            with suppress(OSError):
                found = self._family.writers()
        return [os.getpid(), *found]

    @contextmanager
    def noting(self, task: str, patience: float) -> Iterator[bool]:
        """Be the only process in a task while the block runs; yields false if others did not let this one within so many seconds."""
        family = self._family
        if family is None:
            yield False
            return
        deadline = clock.system_monotonic() + patience
        while not (has := family.lead(task)) and clock.system_monotonic() < deadline:
            threading.Event().wait(0.001)
        try:
            yield has
        finally:
            if has:
                with suppress(OSError):
                    family.follow(task)

    # -- exemplars ---------------------------------------------------------------------------------------------------------

    def give_exemplar(self, series: Any, exemplar: Exemplar) -> None:
        """Show the others an exemplar of one of this process' series."""
        places = self._places
        if places is None:
            return
        definition = series.definition
        shown = places.shown.get(definition)
        at = shown.places.get(core.key(series) or ()) if shown is not None else None
        if at is None:
            return
        state, cell = places.lane.values[at - 1], bisect_left(definition.cells, exemplar.value)
        try:
            if self._exemplars is None:
                self._exemplars = exemplars.Writer(places.lane.path)
            self._exemplars.write(abs(state), cell, exemplar)
        except OSError as reason:
            self._say_once("exemplars are not shown by other processes", reason)

    def exemplars(self) -> dict[float, dict[int, Exemplar]]:
        """Those that other processes gave, by state and cell. Inside :meth:`Sharing.others`."""
        found: dict[float, dict[int, Exemplar]] = {}
        if self._family is not None:
            files = exemplars.files_in(self._family.directory)
            for gone in set(self._exemplar_readers).difference(files):
                del self._exemplar_readers[gone]
            for file in files:
                reader = self._exemplar_readers.setdefault(file, exemplars.Reader(file))
                for (state, cell), exemplar in reader.read().items():
                    exemplars.merged(found.setdefault(state, {}), {cell: exemplar})
        return found

    def left_exemplars(self, definition: Any, every: Mapping[float, Mapping[int, Exemplar]]) -> dict[Key, Mapping[int, Exemplar]]:
        """Those of this process' own series, by label values."""
        places = self._places
        shown = places.shown.get(definition) if every and places is not None else None
        if places is None or shown is None:
            return {}
        values = places.lane.values
        return {key: every[abs(values[at - 1])] for key, at in shown.places.items() if abs(values[at - 1]) in every}

    def _give_all_exemplars(self, places: Places) -> None:
        """Show the others those that were given before they were there."""
        for shown in list(places.shown.values()):
            metric: Any = shown.metric()
            if metric is not None and shown.content["type"] in {"counter", "histogram"}:
                for series in core.children(metric) if metric.definition.labelnames else [metric]:
                    for exemplar in core.exemplars(series).values():
                        self.give_exemplar(series, exemplar)


def _of(series: Mapping[Key, int], which: Key | Callable[[Key], bool]) -> list[int]:
    if isinstance(which, tuple):
        return [series[which]] if which in series else []
    return [at for key, at in series.items() if which(key)]


def _is_one_value(shown: Shown, places: Places, lanes: list[tuple[Any, Any]]) -> bool:
    """Whether a gauge shows one process' value, and not what those of several come to."""
    rule = str(shown.content["rule"])
    if rule != "auto":
        return rule.endswith("mostrecent")
    ways = [int(places.lane.values[at + 2]) for at in shown.places.values()]
    ways += [int(values[at + 2]) for metric, values in lanes for at in metric.series.values() if values[at - 1]]
    return not any(way & WAS_ADDED for way in ways)
