"""What a check counts as, given what its runs came to: pure functions, no clock, no threads.

A check that passed before fails when two runs in a row have failed; one passing run makes it healthy again. One that has never passed
is unhealthy from its first failure, and before its first result.
"""

from __future__ import annotations

from typing import NamedTuple

from measurand.health.reasons import Reason

__all__ = ["FAIL_AFTER", "STALE_AFTER", "Verdict"]

FAIL_AFTER = 2
"""Failures in a row that make a healthy check unhealthy."""

STALE_AFTER = 3
"""Intervals without a result after which the last one no longer counts."""


class Verdict(NamedTuple):
    """The state of a check after its latest result; replaced as a whole, so that readers need no lock.

    Attributes:
        healthy: What the check counts as.
        reason: Why it is not healthy; ``None`` if it is.
        latency: Seconds that the latest run took; ``None`` before the first.
        failures: How many results in a row were failures.
        at: When this began to count, on the monotonic clock; ``None`` before the first result.
        date: When the latest result came, in seconds since the Unix epoch; ``None`` before the first.
    """

    healthy: bool = False
    reason: Reason | None = Reason.PENDING
    latency: float | None = None
    failures: int = 0
    at: float | None = None
    date: float | None = None

    def after(self, failure: Reason | None, latency: float | None, at: float, date: float) -> Verdict:
        """The state after another result.

        Args:
            failure: Why the run failed; ``None`` if it passed.
            latency: Seconds that it took; ``None`` if nothing ran, which leaves the latest one.
            at: When it ended, on the monotonic clock.
            date: The same in seconds since the Unix epoch.
        """
        latency = self.latency if latency is None else latency
        if failure is Reason.STALE:  # that there is none is no result
            return self._replace(healthy=False, reason=failure, failures=self.failures + 1, at=at)
        if failure is None:
            return Verdict(True, None, latency, 0, at, date)
        failures = self.failures + 1
        forgiven = self.healthy and failures < FAIL_AFTER
        return Verdict(forgiven, None if forgiven else failure, latency, failures, at, date)

    def is_stale(self, now: float, interval: float) -> bool:
        """Whether the latest result is too old to count."""
        return self.at is not None and now - self.at > STALE_AFTER * interval
