"""Health as metrics."""

import pytest

from measurand import CollectorRegistry
from measurand.catalog.health import HealthMetrics, HealthResult


@pytest.fixture
def health(registry: CollectorRegistry) -> HealthMetrics:
    return HealthMetrics(registry)


def test_a_run_that_passed_sets_the_status_and_counts_no_failure(registry: CollectorRegistry, health: HealthMetrics) -> None:
    health.record(HealthResult("database", healthy=True, duration=0.0012))
    assert registry.get_sample_value("health_check_status", {"check": "database"}) == 1
    assert registry.get_sample_value("health_check_duration_seconds_count", {"check": "database"}) == 1
    assert registry.get_sample_value("health_check_duration_seconds_sum", {"check": "database"}) == 0.0012
    assert registry.get_sample_value("health_check_failures_total", {"check": "database", "reason": "timeout"}) is None


def test_a_run_that_failed_is_counted_by_its_reason(registry: CollectorRegistry, health: HealthMetrics) -> None:
    for reason in ("timeout", "dns", "timeout"):
        health.record(HealthResult("database", healthy=False, duration=0.5, reason=reason))
    assert registry.get_sample_value("health_check_status", {"check": "database"}) == 0
    assert registry.get_sample_value("health_check_failures_total", {"check": "database", "reason": "timeout"}) == 2
    assert registry.get_sample_value("health_check_failures_total", {"check": "database", "reason": "dns"}) == 1


def test_a_failure_may_leave_the_status_as_it_was(registry: CollectorRegistry, health: HealthMetrics) -> None:
    health.record(HealthResult("database", healthy=True, duration=0.5, reason="timeout"))
    assert registry.get_sample_value("health_check_status", {"check": "database"}) == 1
    assert registry.get_sample_value("health_check_failures_total", {"check": "database", "reason": "timeout"}) == 1


def test_a_failure_without_a_run_has_no_duration(registry: CollectorRegistry, health: HealthMetrics) -> None:
    health.record(HealthResult("database", healthy=False, reason="stale"))
    assert registry.get_sample_value("health_check_duration_seconds_count", {"check": "database"}) is None


def test_a_check_that_is_gone_has_no_status_and_keeps_its_counts(registry: CollectorRegistry, health: HealthMetrics) -> None:
    health.record(HealthResult("database", healthy=False, duration=0.5, reason="timeout"))
    health.forget("database")
    health.forget("never seen")
    assert registry.get_sample_value("health_check_status", {"check": "database"}) is None
    assert registry.get_sample_value("health_check_failures_total", {"check": "database", "reason": "timeout"}) == 1


def test_readiness_is_asked_for_at_every_scrape(registry: CollectorRegistry, health: HealthMetrics) -> None:
    assert registry.get_sample_value("service_ready") == 0
    answers = iter([True, False])
    health.follow(lambda: next(answers))
    assert registry.get_sample_value("service_ready") == 1
    assert registry.get_sample_value("service_ready") == 0


def test_a_second_set_in_the_same_registry_shares_the_metrics(registry: CollectorRegistry, health: HealthMetrics) -> None:
    health.record(HealthResult("database", healthy=True))
    HealthMetrics(registry).record(HealthResult("database", healthy=False, reason="timeout"))
    assert registry.get_sample_value("health_check_status", {"check": "database"}) == 0
