"""What readers get: the result of each check, and what all of them say about the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from measurand.health.check import Criticality
from measurand.health.reasons import Reason
from measurand.lifecycle.coordinator import State

__all__ = ["CheckResult", "Report", "Status"]


class Status(StrEnum):
    """Whether a service wants traffic, and why not."""

    READY = "ready"
    DEGRADED = "degraded"
    """Ready; something that it can do without does not work."""
    NOT_READY = "not_ready"
    STARTING = "starting"
    DRAINING = "draining"
    """It is about to end, or has ended."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What is known of one check.

    Attributes:
        name: Its name.
        healthy: What it counts as.
        criticality: What a failure means.
        reason: Why it is not healthy; ``None`` if it is.
        latency: Seconds that the latest run took; ``None`` before the first.
        date: When the latest result came, in seconds since the Unix epoch; ``None`` before the first.
    """

    name: str
    healthy: bool
    criticality: Criticality
    reason: Reason | None
    latency: float | None
    date: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Readiness at one moment.

    Attributes:
        status: What it comes to.
        checks: What each check says, in the order of registration.
        is_of_others: Whether it is of other processes of the service, whose checks are not known here.
    """

    status: Status
    checks: Mapping[str, CheckResult]
    is_of_others: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether to send traffic: 200 or 503."""
        return self.status in (Status.READY, Status.DEGRADED)

    @classmethod
    def of(cls, state: State, checks: Mapping[str, CheckResult]) -> Report:
        """What the state of the process and its checks come to; the state decides first."""
        if state is not State.RUNNING:
            return cls(Status.STARTING if state is State.STARTING else Status.DRAINING, checks)
        failing = {result.criticality for result in checks.values() if not result.healthy}
        if Criticality.CRITICAL in failing:
            return cls(Status.NOT_READY, checks)
        return cls(Status.DEGRADED if Criticality.DEGRADED in failing else Status.READY, checks)
