"""What a service says of itself."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry, generate_latest
from measurand.catalog.service import ServiceCollector
from measurand.testing.clock import FakeClock

COMMON = {"service": "shop", "environment": "test"}


def test_it_says_what_it_is_since_when_and_how_often(metrics_clock: FakeClock) -> None:
    registry = CollectorRegistry(common_labels=COMMON)
    collector = ServiceCollector("1.2", "test", 7, registry)
    metrics_clock.advance(61.5)
    assert registry.get_sample_value("app_info", {"version": "1.2"}) == 1
    assert registry.get_sample_value("uptime_seconds") == collector.uptime == 61.5
    assert registry.get_sample_value("service_starts_total") == 7
    assert b'app_info{environment="test",service="shop",version="1.2"} 1.0\n' in generate_latest(registry)


def test_uptime_is_read_at_the_scrape(metrics_clock: FakeClock) -> None:
    registry = CollectorRegistry()
    ServiceCollector("1.2", "test", None, registry)
    for seconds in (0, 1, 2):
        assert registry.get_sample_value("uptime_seconds") == seconds
        metrics_clock.advance(1)


def test_starts_that_nobody_counted_are_not_claimed() -> None:
    registry = CollectorRegistry()
    ServiceCollector("1.2", "test", None, registry)
    assert registry.get_sample_value("service_starts_total") is None
    assert b"service_starts" not in generate_latest(registry)


@pytest.mark.parametrize("common", [{}, COMMON])
def test_the_environment_is_said_once_whatever_the_common_labels(common: dict[str, str]) -> None:
    registry = CollectorRegistry(common_labels=common)
    ServiceCollector("1.2", "test", 1, registry)
    (line,) = [line for line in generate_latest(registry).decode().splitlines() if line.startswith("app_info{")]
    assert line.count('environment="test"') == 1
