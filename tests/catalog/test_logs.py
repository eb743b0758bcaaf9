"""Events by level and logger, bounded."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import CollectorRegistry
from measurand.catalog.logs import LogEvent, LogMetrics, level_name


def value(registry: CollectorRegistry, level: str, logger: str) -> float | None:
    return registry.get_sample_value("log_events_total", {"level": level, "logger": logger})


def test_events_are_counted_by_level_and_logger(registry: CollectorRegistry) -> None:
    metrics = LogMetrics(registry)
    for _ in range(3):
        metrics.record(LogEvent(logging.ERROR, "shop.orders"))
    metrics.count(logging.INFO, "shop")
    assert value(registry, "error", "shop.orders") == 3
    assert value(registry, "info", "shop") == 1


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (5, "debug"),
        (10, "debug"),
        (19, "debug"),
        (20, "info"),
        (25, "info"),
        (30, "warning"),
        (40, "error"),
        (50, "critical"),
        (99, "critical"),
    ],
)
def test_levels_of_a_programs_own_count_as_the_one_below(level: int, name: str) -> None:
    assert level_name(level) == name


def test_loggers_beyond_the_limit_share_a_label_which_is_said_once(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    metrics = LogMetrics(registry, max_loggers=2)
    with caplog.at_level(logging.WARNING, "measurand.logs"):
        for number in range(6):
            metrics.count(logging.INFO, f"request-{number}")
    assert [value(registry, "info", name) for name in ("request-0", "request-1", "request-2", "__other__")] == [1, 1, None, 4]
    assert len(caplog.messages) == 1
    assert "request-2" in caplog.messages[0]


@given(events=st.lists(st.tuples(st.integers(-10, 120), st.text(max_size=3)), max_size=60), limit=st.integers(1, 5))
def test_whatever_is_logged_all_is_counted_and_series_are_bounded(events: list[tuple[int, str]], limit: int) -> None:
    registry = CollectorRegistry()
    metrics = LogMetrics(registry, max_loggers=limit)
    for event in events:
        metrics.count(*event)
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == "log_events_total"]
    assert sum(sample.value for sample in samples) == len(events)
    assert len(samples) <= 5 * (limit + 1)
