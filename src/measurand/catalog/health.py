"""Health checks as metrics: which pass, how long they take, why they fail, and whether the service as a whole is ready.

Recording is safe from any thread and after a fork, and never blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from measurand import core
from measurand.metrics import shared
from measurand.metrics.domains import REGISTRY
from measurand.metrics.here import clear_here, remove_here
from measurand.metrics.instruments import Counter, Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = ["BUCKETS", "HealthMetrics", "HealthResult"]

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


@dataclass(frozen=True, slots=True)
class HealthResult:
    """What one run of a health check came to.

    Attributes:
        check: The check's name.
        healthy: What the check counts as from now on; a single failure of a check that passed before need not change it.
        duration: Seconds that the run took, or was waited for; ``None`` if nothing ran.
        reason: Why the run failed, one of few codes; ``None`` if it passed.
    """

    check: str
    healthy: bool
    duration: float | None = None
    reason: str | None = None


class HealthMetrics:
    """The metrics of a service's health.

    ================================== ========= =============
    ``health_check_status``            gauge     check
    ``health_check_duration_seconds``  histogram check
    ``health_check_failures_total``    counter   check, reason
    ``service_ready``                  gauge
    ================================== ========= =============

    With several processes a check counts as healthy when it is healthy in all of those that serve, and the service as ready when all of
    these are: what a process finds that has not begun to (:meth:`wait`), such as a master that only starts workers, is shown while it is
    alone, and never beside others.

    Args:
        registry: Where the metrics are registered; a second set in the same registry shares them.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._status = Gauge(
            "health_check_status",
            "Whether a health check counts as healthy (1) or not (0)",
            ["check"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._duration = Histogram(
            "health_check_duration_seconds", "Time that a health check took", ["check"], registry=registry, buckets=BUCKETS
        )
        self._failures = Counter(
            "health_check_failures_total", "Runs of a health check that failed, by reason", ["check", "reason"], registry=registry
        )
        self._ready = Gauge(
            "service_ready", "Whether the service wants traffic (1) or not (0)", registry=registry, multiprocess_mode="livemin"
        )
        self._waits = False

    def record(self, event: HealthResult) -> None:
        """Record what a run came to."""
        if self._counts:
            self._status.labels(event.check).set(event.healthy)
        if event.duration is not None:
            self._duration.labels(event.check).observe(event.duration)
        if event.reason is not None:
            self._failures.labels(event.check, event.reason).inc()

    def forget(self, check: str) -> None:
        """Show no status of a check that exists no more; what it counted stays."""
        remove_here(self._status, check)

    def wait(self) -> None:
        """This process does not serve yet: show nothing of it beside others that do, until :meth:`follow`."""
        self._waits = True

    def follow(self, is_ready: Callable[[], bool]) -> None:
        """This process serves: ask ``is_ready`` at every scrape whether the service is ready; it must not block."""
        self._waits = False
        self._ready.set_function(lambda: float(is_ready()))

    @property
    def _counts(self) -> bool:
        return not self._waits or shared.meeting_place() is None

    def hide(self) -> None:
        """Take back what was shown of this process while it was alone, if it does not serve and is alone no longer."""
        if not self._counts and core.children(self._status):
            clear_here(self._status)

    def renew(self) -> None:
        """In a new child process, which does not serve, or not yet."""
        core.set_payload(self._ready, None)
        self._waits = True
