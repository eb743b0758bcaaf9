"""Which process of a service does what only one of them shall do, and which is the last one to do something.

A task is a name that is equal in all processes of the service. Both questions are answered by locks that the kernel drops when a process
ends, however it ends. A process that is alone leads in everything, and is the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from measurand.core.family import Family

__all__ = ["Leading"]


class Leading:
    """This part of a process' part in its family; see ``sharing``."""

    if TYPE_CHECKING:
        _family: Family | None

        @property
        def in_company(self) -> bool:  # noqa: D102 - it has one there
            ...

        def _exclusive(self) -> AbstractContextManager[bool]: ...

    def _begin_tasks(self) -> None:
        """Lead in nothing and take part in nothing, as a new process does."""
        self._leads: set[str] = set()
        self._parts: set[str] = set()
        self._has_left = False

    def _bring_tasks(self, family: Family) -> None:
        """Be in a family what one was alone, as far as others are not yet. The lock is held."""
        self._leads = {task for task in self._leads if family.lead(task)}
        for task in self._parts:
            family.take_part(task)

    def lead(self, task: str = "") -> bool:
        """Whether this process leads its family in a task: it does if it is alone, or if nobody else does when it asks.

        To be asked again before each turn of what only one process does: when the leader ends, the next one that asks leads.
        """
        with self._exclusive() as has:
            if self._has_left:
                return False
            leads = has
            if has and self._family is not None and self.in_company:
                leads = task in self._leads
                with suppress(OSError):
                    leads = self._family.lead(task)
            (self._leads.add if leads else self._leads.discard)(task)
        return leads

    def follow(self, task: str = "") -> None:
        """Lead no longer, until :meth:`lead` is called again."""
        with self._exclusive():
            self._leads.discard(task)
            if self._family is not None:
                with suppress(OSError):
                    self._family.follow(task)

    def take_part(self, task: str) -> None:
        """Be one of those of whom the last one does something; see :meth:`stepping_back`. A forked child does not take part."""
        with self._exclusive():
            self._parts.add(task)
            if self._family is not None:
                with suppress(OSError):
                    self._family.take_part(task)

    def is_on(self, task: str) -> bool:
        """Whether any process takes part. Waits for nothing."""
        family = self._family
        return task in self._parts or (family is not None and family.is_on(task))

    @contextmanager
    def stepping_back(self, task: str) -> Iterator[bool]:
        """Take part no longer; yields whether this process is the last one. It is if it is alone, or cannot know."""
        is_last, family = True, None
        with self._exclusive():
            self._parts.discard(task)
            if self._family is not None and self.in_company:
                family = self._family
                with suppress(OSError):
                    is_last = family.step_back(task)
        try:
            yield is_last
        finally:
            if family is not None and is_last:
                with self._exclusive(), suppress(OSError):
                    if self._family is family:
                        family.let_go(task)

    @property
    def meeting_place(self) -> Path | None:
        """The family's directory; ``None`` while this process is alone."""
        family = self._family
        return family.directory if family is not None and self.in_company else None
