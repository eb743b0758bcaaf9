"""How a process stands with the others of its service: whose numbers it shows, what of them is damaged, and what went wrong.

A part of ``sharing``, which has the lock. Promises: a damaged lane costs what is damaged of it and nothing else; if lanes cannot be read
for want of something (file descriptors, memory), the process shows its own numbers only and says so, rather than a part of the sum.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from measurand import clock
from measurand.core.lanes import Damaged, Metric, Reader
from measurand.metrics.inheritance import token_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from measurand.core.family import Family
    from measurand.metrics.places import Places, Token

__all__ = ["ALONE", "Other", "Others", "Standing", "State"]

log = logging.getLogger("measurand")

RETRY = 30.0
"""Seconds after which a process that could not share its numbers tries again, when it is asked for them or forks."""


class Other(NamedTuple):
    """What a lane shows of one metric besides what this process' own instruments show.

    Attributes:
        metric: Its series and where their numbers are.
        values: The cells.
        alive: Whether the writer lives.
        writer: The writer's process id.
    """

    metric: Metric
    values: Any
    alive: bool
    writer: int


class Others(dict["Token", list[Other]]):
    """What is known besides this process' own instruments: by metric, one entry per lane that has it.

    Attributes:
        is_whole: Whether all lanes could be read; if not there is nothing of any of them, for now.
    """

    is_whole = False


class State(NamedTuple):
    """How a process stands with the others.

    Attributes:
        processes: How many living processes' numbers it shows, its own included.
        quarantined: How many lanes are damaged and shown in part or not at all.
        unshared: How many series the processes keep to themselves for want of room, so that others do not show them.
        reason: Why this process' numbers, or some of them, are shown alone; an empty string if they are not.
    """

    processes: int
    quarantined: int
    unshared: int
    reason: str


ALONE = State(1, 0, 0, "")


class Standing:
    """See the module."""

    if TYPE_CHECKING:
        _family: Family | None
        _places: Places | None
        _has_left: bool

        def _exclusive(self, patience: float = ...) -> AbstractContextManager[bool]: ...

    def _begin_standing(self) -> None:
        """As a new process does; what was said before is not said again."""
        self._readers: dict[int, Reader] = {}
        self._damaged: dict[int, str] = {}
        self._unreadable = ""
        self._said_of = getattr(self, "_said_of", set[object]())
        self.reason: str = getattr(self, "reason", "")
        """Why others do not see what this process records, or an empty string."""
        self._again = 0.0  # when to try again
        self._last = ALONE

    def _say(self, about: object, text: str, *values: object) -> None:
        if about not in self._said_of:
            self._said_of.add(about)
            log.warning(text, *values)

    # -- sharing at all ------------------------------------------------------------------------------------------------------

    def _may_try(self) -> bool:
        """Whether to try to share now: at first, and a while after it failed."""
        return not self._has_left and (not self.reason or clock.monotonic() >= self._again)

    def _attempt(self, step: Callable[[], object]) -> bool:
        try:
            step()
        except Exception as reason:  # noqa: BLE001 - the host goes on, whatever it is
            self._places = None
            self.reason = f"{type(reason).__name__}: {reason}"
            self._again = clock.monotonic() + RETRY
            self._say(
                "alone",
                "this process cannot share its metrics with the other processes of its service (%s): each shows its own only. Said once.",
                reason,
            )
            return False
        self.reason = ""
        return True

    # -- lanes -------------------------------------------------------------------------------------------------------------

    def _forget_readers(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers = {}

    def _readable(self, family: Family, read: Callable[[Reader], Any]) -> Iterator[tuple[Any, bool]]:
        """What there is to be read of the lanes of others, and whether their writers live; notes which of them are damaged.

        Raises:
            OSError: Not all of them can be opened now.
        """
        members = [member for member in family.members() if member.number != family.lane]
        for number in set(self._readers).difference(member.number for member in members):
            self._readers.pop(number).close()
        damaged: dict[int, str] = {}
        for number, path, alive in members:
            try:
                reading = read(self._readers.setdefault(number, Reader(path)))
            except FileNotFoundError:
                continue  # its process has only just locked it
            except Damaged as found:
                damaged[number] = str(found)
                continue
            if reading.damage is not None:
                damaged[number] = reading.damage
            yield reading, alive
        self._damaged = damaged
        for number, damage in damaged.items():
            self._say_damaged(number, damage)

    def _say_damaged(self, number: int, damage: str) -> None:
        text = "what another process of this service has recorded is damaged (lane %d: %s) and left out in part"
        self._say(("lane", number), text, number, damage)

    def _read_lanes(self, family: Family, found: dict[Token, list[Other]], only: Token | None = None) -> None:
        def read(reader: Reader) -> Any:
            looked = reader.check() if only is not None else None
            return reader.read() if looked is None or any(_is_used(metric, only) for metric in looked.metrics) else looked

        for reading, alive in self._readable(family, read):
            for metric in reading.metrics:
                if only is None or _is_used(metric, only):
                    found.setdefault(token_of(metric), []).append(Other(metric, reading.values, alive, reading.writer))

    def _is_elsewhere(self, token: Token) -> bool:
        """Whether another lane has series of a metric."""
        if self._family is None:
            return False
        return any(_is_used(metric, token) for reading, _ in self._readable(self._family, Reader.check) for metric in reading.metrics)

    def _note_readable(self, reason: OSError | None) -> None:
        """Whether the lanes of the others could be read just now."""
        self._unreadable = f"{type(reason).__name__}: {reason}" if reason is not None else ""
        if reason is not None:
            text = "what the other processes of this service have recorded cannot be read (%s): only this one's is shown. Said once."
            self._say("unreadable", text, reason)

    # -- telling -----------------------------------------------------------------------------------------------------------

    @property
    def quarantined(self) -> int:
        """How many lanes were damaged when they were read last."""
        return len(self._damaged)

    def state(self) -> State:
        """How this process stands now. Looks at the head of each lane, not at its numbers."""
        with self._exclusive() as has:
            family, places = self._family, self._places
            if not has:  # this thread or another one is at it
                return self._last
            if family is None or places is None:
                return ALONE._replace(reason="" if self._has_left else self.reason)
            try:
                readings = list(self._readable(family, Reader.check))
                set_aside = sum(name.startswith("damaged-") for name in os.listdir(family.directory))
            except OSError as lack:
                self._note_readable(lack)
                return ALONE._replace(unshared=places.unshared, reason=self._unreadable)
            others = sum(alive and reading.damage is None for reading, alive in readings)
            unshared = places.unshared + sum(reading.unshared for reading, alive in readings if alive)
            reason = places.reason if places.unshared else ""
            self._last = State(1 + others, len(self._damaged) + set_aside, unshared, reason)
            return self._last


def _is_used(metric: Metric, token: Token | None) -> bool:
    return bool(metric.series) and token_of(metric) == token
