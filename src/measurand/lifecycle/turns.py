"""Whose turn it is: for what the processes of a service do once between them, again and again.

Each task has a leader, which is one of the processes that ask before each turn. What the leader did last is noted where the processes meet,
so that whoever takes over keeps to its schedule: no turn is left out, and none is taken twice. A process that is alone leads in everything
and notes nothing. All of it is safe from any thread; nothing is raised.
"""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import suppress
from typing import NamedTuple

from measurand.metrics import shared

__all__ = ["Done", "Turns"]

FORM = struct.Struct("=dd")


class Done(NamedTuple):
    """What the processes of a service have done of a task, by the clock that they share.

    Attributes:
        turn: When the last turn was due; 0 if that is not known.
        success: When one has last come to a good end; before the first, when the task began; 0 if that is not known.
    """

    turn: float
    success: float


class Turns:
    """The turns of a task.

    Args:
        task: Its name, equal in all processes.
        per_process: Whether every process takes its own turns.

    Attributes:
        per_process: The same.
    """

    def __init__(self, task: str, *, per_process: bool = False) -> None:
        self._task = task
        self.per_process = per_process
        self._file = f"turns-{hashlib.sha256(task.encode()).hexdigest()[:16]}"
        self._asked_in = 0

    def are_ours(self) -> bool:
        """Whether the next turn is this process'; to be asked before each one."""
        if self._asked_in != os.getpid():
            self._asked_in = os.getpid()
            shared.take_part(self._task)
        return self.per_process or shared.lead(self._task)

    def done(self) -> Done | None:
        """What is known in the service; ``None`` if nothing is, as in a process that is alone."""
        place = shared.meeting_place()
        if place is None:
            return None
        try:
            return Done(*FORM.unpack((place / self._file).read_bytes().ljust(FORM.size, b"\0")))
        except (OSError, struct.error):
            return None

    def note(self, turn: float | None = None, success: float | None = None) -> None:
        """Let the others know of a turn or a success; what is not given stays."""
        place = shared.meeting_place()
        if place is None:
            return
        with suppress(OSError):
            descriptor = os.open(place / self._file, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                for position, moment in enumerate((turn, success)):
                    if moment is not None:
                        os.pwrite(descriptor, struct.pack("=d", moment), 8 * position)
            finally:
                os.close(descriptor)

    def give_up(self) -> None:
        """Take no more turns: another process leads from now on. The last one forgets what was done."""
        if self._asked_in != os.getpid():
            return
        self._asked_in = 0
        with shared.stepping_back(self._task) as is_last:
            place = shared.meeting_place()
            if is_last and place is not None:
                with suppress(OSError):
                    (place / self._file).unlink()
        shared.follow(self._task)
