"""A process whose memory is as a test says."""

from __future__ import annotations

from measurand.catalog.resources import Memory

__all__ = ["MemoryStub"]


class MemoryStub:
    """A :class:`~measurand.catalog.resources.MemoryMonitor` for tests.

    ::

        memory = MemoryStub(resident=100e6)
        with resources("import", memory=memory) as task:
            memory.resident += 5e6
        assert task.use.memory_growth == 5e6

    Args:
        resident: Bytes of resident memory at first; ``None`` if that is not known.
        peak: The most that it has been so far; as much by default.

    Attributes:
        resident: Bytes of resident memory.
        peak: The most that it has been.
    """

    def __init__(self, resident: float | None = 0.0, peak: float | None = None) -> None:
        self.resident = resident
        self.peak = resident if peak is None else peak

    def read(self) -> Memory:
        """The memory."""
        return Memory(self.resident, self.peak)
