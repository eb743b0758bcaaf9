"""Batch jobs: programs, or parts of them, that run to an end. How long the last run took, and when one last ended well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from measurand import clock
from measurand.catalog.timing import named, stopwatch
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge
from measurand.metrics.registry import CollectorRegistry
from measurand.metrics.timed import Stopwatch

__all__ = ["JobMetrics", "JobRun", "Outcome"]

Outcome = Literal["success", "failed"]


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run that has ended.

    Attributes:
        job_name: What the job is called.
        outcome: Whether it came to a good end.
        duration: Seconds that it took.
        ended_at: When it ended, in seconds since the Unix epoch.
    """

    job_name: str
    outcome: Outcome
    duration: float
    ended_at: float


class JobMetrics:
    """The metrics of batch jobs.

    The label is ``job_name``, as ``job`` is what Prometheus and the Pushgateway call the group of a series.

    ======================================  =======  ===================
    ``job_runs_total``                      counter  job_name, outcome
    ``job_last_duration_seconds``           gauge    job_name
    ``job_last_success_timestamp_seconds``  gauge    job_name
    ``job_last_failure_timestamp_seconds``  gauge    job_name
    ======================================  =======  ===================

    Args:
        registry: Where they are exposed.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.runs = Counter("job_runs_total", "Runs of batch jobs that ended", ["job_name", "outcome"], registry=registry)
        self.duration = Gauge("job_last_duration_seconds", "Duration of the last run", ["job_name"], registry=registry)
        self.success = Gauge("job_last_success_timestamp_seconds", "When a run last ended well", ["job_name"], registry=registry)
        self.failure = Gauge("job_last_failure_timestamp_seconds", "When a run last failed", ["job_name"], registry=registry)

    def record(self, run: JobRun) -> None:
        """Record a run."""
        self.runs.labels(run.job_name, run.outcome).inc()
        self.duration.labels(run.job_name).set(run.duration)
        (self.success if run.outcome == "success" else self.failure).labels(run.job_name).set(run.ended_at)

    def stopwatch(self, name: str | None, labels: Mapping[str, str]) -> Stopwatch:
        """For :func:`measurand.timed`: each call is a run of a job, called as the function is, or by the label ``job_name``.

        Raises:
            LabelError: There is another label, or a ``with`` block without this one.
        """
        job = named("a job", labels, job_name=name)["job_name"]

        def end(duration: float, error: BaseException | None) -> None:
            self.record(JobRun(job, "success" if error is None else "failed", duration, clock.wall()))

        return stopwatch(end)
