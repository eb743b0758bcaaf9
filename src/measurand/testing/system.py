"""A system that is as a test says, in place of the machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from measurand.catalog.system import SystemSnapshot

__all__ = ["SystemStub"]


class SystemStub:
    """A :class:`~measurand.catalog.system.SystemMonitor` for tests.

    ::

        system = SystemStub(memory_percent=40.0)
        handle = instrument(monitor=system)
        system.set(memory_percent=95.0)

    Args:
        **values: What is known at first; see :class:`~measurand.catalog.system.SystemSnapshot`.

    Attributes:
        calls: How many snapshots have been asked for.
        error: What asking raises, if anything.
    """

    def __init__(self, **values: Any) -> None:
        self._snapshot = SystemSnapshot(**values)
        self.calls = 0
        self.error: BaseException | None = None

    def set(self, **values: Any) -> None:
        """Change some of the values; the others stay."""
        self._snapshot = replace(self._snapshot, **values)

    def snapshot(self) -> SystemSnapshot:
        """The values.

        Raises:
            BaseException: The error that was set.
        """
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self._snapshot
