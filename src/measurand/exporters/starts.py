"""Since when totals count, for destinations that want to be told.

A total that is said to count since another moment than before is taken for one that has begun again. So the moment has to stay the same
as long as the numbers go on, whichever process of a service says it. Where a series' own time of creation is known, it is that; else it is
when the service's first process was started, which its processes tell each other; and of a series that has begun again, the last moment at
which it had not.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from measurand import clock
from measurand.core import ancestry
from measurand.metrics import shared

if TYPE_CHECKING:
    from pathlib import Path

    from measurand.metrics.points import Labels, PointFamily, Series

__all__ = ["Starts"]

FILE = "counts-since"
"""Where the processes of a service meet: since when their numbers count, in seconds since the Unix epoch."""

Key = tuple[str, tuple[float, ...], "Labels"]


class _Known(NamedTuple):
    start: float
    numbers: tuple[float, ...]


class Starts:
    """The starts of the series that one destination gets. From one thread at a time.

    Attributes:
        service: When the first process of this service was started, in seconds since the Unix epoch, once :meth:`begin` was called.
    """

    def __init__(self) -> None:
        self._before: dict[Key, _Known] = {}
        self._now: dict[Key, _Known] = {}
        self._alone = clock.wall() - ancestry.age(ancestry.family())
        self._last = self._time = 0.0
        self.service = 0.0

    def begin(self, time: float) -> None:
        """Look at another snapshot; series that were not in the one before are forgotten.

        Args:
            time: When it was taken, in seconds since the Unix epoch.
        """
        self._before, self._now = self._now, {}
        self._last, self._time = self._time, time
        self.service = self._service_start()

    def of(self, family: PointFamily, series: Series) -> float:
        """Since when a series' totals in the present snapshot count, in seconds since the Unix epoch."""
        key = (family.name, family.bounds, series.labels)
        known = self._before.get(key)
        if series.created is not None:
            start = series.created
        elif known is None:
            start = self.service
        else:
            start = self._last if _has_fallen(known.numbers, series.numbers) else known.start
        self._now[key] = _Known(start, series.numbers)
        return start

    def _service_start(self) -> float:
        place = shared.meeting_place()
        if place is None:
            return self._alone
        with suppress(OSError, ValueError):
            return float((place / FILE).read_text())
        return _agreed(place, self._alone)


def _agreed(place: Path, start: float) -> float:
    """The start that stands where the processes meet: this one, unless another process was first."""
    temporary = place / f"{FILE}-{os.getpid()}"
    with suppress(OSError):
        try:
            temporary.write_text(repr(start))
            with suppress(FileExistsError):
                os.link(temporary, place / FILE)  # in one step, and not over another's
        finally:
            temporary.unlink(missing_ok=True)
    with suppress(OSError, ValueError):
        return float((place / FILE).read_text())
    return start


def _has_fallen(before: tuple[float, ...], now: tuple[float, ...]) -> bool:
    """Whether a count is lower than it was; the sum that follows counts may be."""
    if len(before) != len(now):
        return True
    counts = slice(None) if len(now) == 1 else slice(-1)
    return any(new < old for old, new in zip(before[counts], now[counts], strict=True))
