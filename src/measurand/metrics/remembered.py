"""What is remembered of a registry between its snapshots: what failed, and where code that is not ours works."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

from measurand import core
from measurand.metrics.relay import Relay
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import SampleFamily

__all__ = ["Failures", "State", "state_of"]

log = logging.getLogger("measurand")

REMEMBERED = 1000
"""How many failing functions are remembered per registry, and how many collectors' failures are counted apart."""

TRY_ANEW = 50
"""After how many snapshots code that runs in the caller's thread is tried in a helper again."""


class Failures:
    """What went wrong in one registry's snapshots, by collector and reason ("error", "timeout", "invalid", "duplicate", "refused")."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def add(self, collector: str, reason: str, error: BaseException | None = None, hint: str = "") -> None:
        """Count a failure; log it if it is the first of its kind."""
        if len(self.counts) >= REMEMBERED and (collector, reason) not in self.counts:  # names that a collector makes up each time
            collector = core.OVERFLOW_VALUE
        seen = self.counts.get((collector, reason), 0)
        self.counts[collector, reason] = seen + 1
        if not seen:
            log.warning(
                "collecting %s failed (%s)%s; the other metrics are not affected. Further failures are only counted.",
                collector,
                reason,
                hint,
                exc_info=error,
            )

    def family(self) -> SampleFamily:
        """The failures as a metric."""
        name = "measurand_collect_failures"
        content = [
            Sample(f"{name}_total", {"collector": collector, "reason": reason}, float(count))
            for (collector, reason), count in sorted(self.counts.items())
        ]
        return SampleFamily(name, "Metrics left out of a snapshot, by collector and reason", "counter", "", content)


@dataclass(slots=True)
class _Experience:
    """What became of code that failed in a helper thread when it was tried in the caller's."""

    of: ref[Any]
    works: bool
    times: int = 1  # in a row
    asked: int = 0


class State:
    """What is remembered of a registry between snapshots."""

    def __init__(self) -> None:
        self.failures = Failures()
        self.relay = Relay()
        self._experiences: dict[tuple[int, bool], _Experience] = {}

    def bound_to_thread(self, owner: Any, elsewhere: bool) -> bool | None:
        """Whether the owner's code works in the caller's thread only; ``None`` if it is to be tried (again) in a helper first.

        Once is no proof: what it asks may have failed for a moment. So it takes two times in a row, and is tried anew now and then.

        Args:
            owner: Whose code.
            elsewhere: Whether "the caller's thread" is where ``call_here`` runs it: what needs an event loop fails without one.
        """
        known = self._experiences.get((id(owner), elsewhere))
        if known is None or known.of() is not owner:  # an id is used again after its object is gone
            return None
        known.asked += 1
        return None if known.times < 2 or known.asked % TRY_ANEW == 0 else known.works

    def remember(self, owner: Any, elsewhere: bool, works: bool) -> None:
        """Note whether code that failed in a helper worked in the caller's thread."""
        key = id(owner), elsewhere
        known = self._experiences.get(key)
        if known is not None and known.of() is owner and known.works == works:
            known.times += 1
            return
        if len(self._experiences) >= REMEMBERED:
            self._experiences.clear()
        with suppress(TypeError):  # not weakly referable: tried anew each time
            self._experiences[key] = _Experience(ref(owner), works)

    def forget(self, owner: Any, elsewhere: bool) -> None:
        """Note that code worked in a helper."""
        self._experiences.pop((id(owner), elsewhere), None)


_states: WeakKeyDictionary[Any, State] = WeakKeyDictionary()


def state_of(registry: Any) -> State:
    """What is remembered of a registry."""
    try:
        return _states.setdefault(registry, State())
    except TypeError:  # not weakly referable
        return State()
