"""What one process removed, as all processes of its service see it.

A process writes to no lane but its own, so what the others recorded stays in theirs. The one that removes a series therefore notes what
each lane had of it at that moment, in a file that the family has in common; from then on readers show what has come since. The hot path
knows nothing of this: whoever records afterwards, in a series that was kept or one that is looked up anew, begins from zero.

A note is about a state (see ``core.lane_format``): the number of one series in one lane, never given twice, which a lane keeps when it is
exchanged for a larger one and when another process takes it over. So a note holds until its series is gone for good.

Promises: what was recorded before a removal is not shown after it; what was recorded after it is, exactly; what happens at the same moment
counts as before or after. A damaged file hides nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from measurand import clock
from measurand.core.lane_format import Damaged, decoded, encoded

if TYPE_CHECKING:
    from measurand.core.family import Family

__all__ = ["NOTHING", "Removals", "Removed", "is_hidden", "remaining"]

NAME = "removed"
TASK = "removals"
REMOVED = 4
"""The kind of a record here."""
AT_ONCE = 500
"""How many notes one record has at most."""
SLACK = 1000
"""How many notes may be there before those are looked for that are about nothing any more."""
PATIENCE = 5.0
"""Seconds to wait for another process that is noting a removal."""
WAS_SET = 1


class Removed(NamedTuple):
    """A series of one lane as it was removed.

    Attributes:
        when: The time, in seconds since the Unix epoch.
        numbers: What it had in its cells.
    """

    when: float
    numbers: tuple[float, ...]


NOTHING: Mapping[float, Removed] = {}


class Removals:
    """All that was removed in one family. Not safe from several threads at once: ``sharing`` has the lock.

    Args:
        directory: The family's.

    Attributes:
        known: By state, as of the last :meth:`refresh`.
    """

    def __init__(self, directory: Path) -> None:
        self.known: dict[float, Removed] = {}
        self._path = directory / NAME
        self._seen: tuple[int, ...] | None = None
        self._most = SLACK

    def refresh(self) -> bool:
        """Read what has been noted; whether that was something new.

        Raises:
            Damaged: The file does not hold what was written; nothing is known then.
        """
        try:
            seen = self._look()
        except OSError:
            changed, self._seen, self.known = self._seen is not None, None, {}
            return changed
        if seen == self._seen:
            return False
        self._seen, self.known = seen, {}
        try:
            for kind, content, _ in decoded(self._path.read_bytes()):
                if kind == REMOVED:
                    self.known.update(
                        (float(state), Removed(float(when), tuple(map(float, numbers)))) for state, when, *numbers in content
                    )
        except (Damaged, ValueError, TypeError) as reason:
            self.known = {}
            raise Damaged(f"what was removed cannot be read: {reason}") from None
        return True

    @contextmanager
    def exclusive(self, family: Family) -> Iterator[None]:
        """While the block runs no other process notes anything."""
        deadline = clock.system_monotonic() + PATIENCE
        while not (has := family.lead(TASK)) and clock.system_monotonic() < deadline:
            threading.Event().wait(0.001)
        try:
            yield
        finally:
            if has:
                family.follow(TASK)

    def add(self, gone: Mapping[float, Sequence[float]], every: Callable[[], Iterable[float]]) -> None:
        """Note what is removed now. Inside of :meth:`exclusive`.

        Args:
            gone: What series have in their cells, by state.
            every: Gives the states of all series that there are; asked only when there are many notes.

        Raises:
            OSError: There is no space; nothing has changed.
        """
        if not gone:
            return
        with suppress(Damaged):
            self.refresh()
        notes = dict(self.known)
        when = clock.wall()
        notes.update((state, Removed(when, tuple(numbers))) for state, numbers in gone.items())
        if len(notes) > self._most:
            there = set(every())
            notes = {state: note for state, note in notes.items() if state in there}
            self._most = 2 * len(notes) + SLACK
        self._write(notes)
        self._seen, self.known = self._look(), notes

    def _look(self) -> tuple[int, ...]:
        found = os.stat(self._path, follow_symlinks=False)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _write(self, notes: Mapping[float, Removed]) -> None:
        content = [[state, note.when, *note.numbers] for state, note in notes.items()]
        temporary = self._path.with_name(f".{NAME}.{os.getpid()}")
        try:
            with open(temporary, "wb", opener=_private) as file:
                for first in range(0, len(content), AT_ONCE):
                    file.write(encoded(REMOVED, content[first : first + AT_ONCE]))
            os.replace(temporary, self._path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def is_hidden(state: float, removed: Mapping[float, Removed]) -> bool:
    """Whether all or a part of what a series has in its cells may have to be left out; see :func:`remaining`."""
    return state <= 0.0 or state in removed


def remaining(kind: str, state: float, numbers: Sequence[float], removed: Mapping[float, Removed]) -> list[float] | None:
    """What counts of a series' cells; ``None`` if it is not shown.

    Args:
        kind: The metric's type.
        state: The series'; negative for one that is shown only once something was recorded in it.
        numbers: Its cells; those of a gauge with its marks.
        removed: All removals.
    """
    if not state:
        return None
    note = removed.get(state)
    before: Sequence[float] = note.numbers if note is not None else ()
    if len(before) != len(numbers):
        if state > 0 and note is None:
            return list(numbers)
        before = [0.0] * len(numbers)
    if kind == "gauge":
        return _of_gauge(numbers, before)
    if kind in {"info", "stateset"}:  # their last cell counts how often something was said
        return list(numbers) if numbers[-1] > before[-1] else None
    rest = list(map(_less, numbers, before))
    return rest if any(count > 0 for count in (rest if len(rest) == 1 else rest[:-1])) else None


def _of_gauge(numbers: Sequence[float], before: Sequence[float]) -> list[float] | None:
    value, stamp, ways = numbers
    if tuple(numbers) == tuple(before):
        return None
    was_set = bool(int(ways) & WAS_SET) and stamp != before[1]
    return [value if was_set else _less(value, before[0]), stamp, ways]


def _less(now: float, before: float) -> float:
    """What was added since; nothing is known of what was added to infinity."""
    return now - before if now != before else 0.0


def states_of(lanes: Iterable[Iterable[Any]]) -> Iterator[float]:
    """The states of all series: for each metric of each lane, in pairs of a metric and its lane's cells."""
    for metric, values in lanes:
        for at in metric.series.values():
            yield values[at - 1]
