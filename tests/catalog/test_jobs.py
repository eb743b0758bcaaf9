"""The metrics of batch jobs."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry, timed
from measurand.catalog.jobs import JobMetrics, JobRun
from measurand.errors import LabelError
from tests.support import StillClock

pytestmark = pytest.mark.once


def test_a_run_is_counted_by_its_outcome_and_leaves_when_it_ended() -> None:
    registry = CollectorRegistry()
    metrics = JobMetrics(registry)
    metrics.record(JobRun("import", "success", 2.5, 1000.0))
    metrics.record(JobRun("import", "failed", 0.5, 2000.0))
    job = {"job_name": "import"}
    assert registry.get_sample_value("job_runs_total", {**job, "outcome": "success"}) == 1
    assert registry.get_sample_value("job_runs_total", {**job, "outcome": "failed"}) == 1
    assert registry.get_sample_value("job_last_duration_seconds", job) == 0.5
    assert registry.get_sample_value("job_last_success_timestamp_seconds", job) == 1000
    assert registry.get_sample_value("job_last_failure_timestamp_seconds", job) == 2000


def test_timed_takes_the_set(still_clock: StillClock) -> None:
    registry = CollectorRegistry()
    metrics = JobMetrics(registry)

    @timed(metrics, labels={"job_name": "import"})
    def nightly(fails: bool) -> None:
        still_clock.advance(3)
        if fails:
            raise KeyError

    nightly(False)
    with pytest.raises(KeyError):
        nightly(True)
    job = {"job_name": "import"}
    assert registry.get_sample_value("job_runs_total", {**job, "outcome": "success"}) == 1
    assert registry.get_sample_value("job_runs_total", {**job, "outcome": "failed"}) == 1
    assert registry.get_sample_value("job_last_duration_seconds", job) == 3
    assert registry.get_sample_value("job_last_success_timestamp_seconds", job) == 1.7e9 + 3
    assert registry.get_sample_value("job_last_failure_timestamp_seconds", job) == 1.7e9 + 6
    with pytest.raises(LabelError, match="takes 'job_name' as labels for a job"), timed(metrics):
        pass
