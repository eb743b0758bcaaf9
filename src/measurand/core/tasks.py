"""Who of a family does what only one of them shall do, and who is the last to do something: told by locks, as all in ``family``.

A task is a name that is equal in all processes. It has two bytes of the family's ``locks``: its leader's, and that of those who take part.
"""

from __future__ import annotations

import zlib
from contextlib import suppress

from measurand.core.locks import fcntl, holder_of, lock

__all__ = ["FIRST_TASK", "LEADER", "Tasks"]

LEADER = 1
"""The byte of who leads in what has no name."""
FIRST_TASK = 1 << 32
"""From here on are the bytes of tasks."""


class Tasks:
    """This part of ``family.Family``."""

    _locks: int

    def lead(self, task: str = "") -> bool:
        """Become the leader, or remain it; false while another process leads. The leader leads until it ends, or follows.

        Args:
            task: What in; the leaders of different tasks may be different processes.
        """
        return lock(self._locks, _leader_of(task), fcntl.F_WRLCK)

    def follow(self, task: str = "") -> None:
        """Lead no longer."""
        lock(self._locks, _leader_of(task), fcntl.F_UNLCK)

    def take_part(self, task: str) -> None:
        """Be one of those of whom the last does what is to be done at the end of a task; see :meth:`step_back`."""
        lock(self._locks, _leader_of(task) + 1, fcntl.F_RDLCK)

    def step_back(self, task: str) -> bool:
        """Take part no longer; whether this process is the last one, and has to do what is to be done before it lets go.

        Of several that ask at the same moment one is told so, or one after the other; never none, and never two at a time.
        """
        lock(self._locks, _leader_of(task) + 1, fcntl.F_UNLCK)
        return lock(self._locks, _leader_of(task) + 1, fcntl.F_WRLCK)

    def is_on(self, task: str) -> bool:
        """Whether another process takes part in a task. From any thread."""
        return self._is_locked(_leader_of(task) + 1)

    def let_go(self, task: str) -> None:
        """Have done what was to be done, or leave it to others."""
        lock(self._locks, _leader_of(task) + 1, fcntl.F_UNLCK)

    def _is_locked(self, byte: int) -> bool:
        with suppress(OSError):
            return holder_of(self._locks, byte) is not None
        return False


def _leader_of(task: str) -> int:
    """The byte that the leader of a task has."""
    return FIRST_TASK + 2 * zlib.crc32(task.encode()) if task else LEADER
