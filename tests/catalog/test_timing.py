"""Metric sets as targets of ``timed``: each records what it has of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from measurand import CollectorRegistry, timed
from measurand.catalog.celery import CeleryMetrics
from measurand.catalog.database import DatabaseMetrics
from measurand.catalog.jobs import JobMetrics
from measurand.catalog.redis import RedisMetrics
from measurand.catalog.tasks import TaskMetrics
from measurand.catalog.telegram import TelegramMetrics
from measurand.errors import LabelError
from measurand.testing.readings import Readings
from tests.support import StillClock

NAMED = "tests.catalog.test_timing.work"
CLOCK: list[StillClock] = []


def work(error: BaseException | None = None) -> None:
    CLOCK[0].advance(2)
    if error is not None:
        raise error


Counted = list[tuple[str, dict[str, str]]]
SETS: dict[str, tuple[Callable[[CollectorRegistry], Any], dict[str, str], Counted, Counted, tuple[str, dict[str, str]]]] = {
    "celery": (
        CeleryMetrics,
        {},
        [("celery_tasks_total", {"task": NAMED, "queue": "__eager__", "state": "SUCCESS"})],
        [
            ("celery_tasks_total", {"task": NAMED, "queue": "__eager__", "state": "FAILURE"}),
            ("celery_tasks_failed_total", {"task": NAMED, "error_type": "KeyError"}),
        ],
        ("celery_task_duration_seconds_sum", {"task": NAMED, "state": "SUCCESS"}),
    ),
    "database": (
        DatabaseMetrics,
        {"operation": "select"},
        [("db_queries_total", {"operation": "select", "status": "success"})],
        [("db_queries_total", {"operation": "select", "status": "failed"})],
        ("db_query_duration_seconds_sum", {"operation": "select"}),
    ),
    "redis": (
        RedisMetrics,
        {"command": "GET"},
        [("redis_command_duration_seconds_count", {"command": "GET"})],
        [("redis_errors_total", {"error_type": "KeyError"})],
        ("redis_command_duration_seconds_sum", {"command": "GET"}),
    ),
    "telegram": (
        TelegramMetrics,
        {},
        [("telegram_handler_duration_seconds_count", {"handler": NAMED})],
        [("telegram_handler_duration_seconds_count", {"handler": NAMED})],
        ("telegram_handler_duration_seconds_sum", {"handler": NAMED}),
    ),
    "tasks": (
        TaskMetrics,
        {},
        [("background_tasks_total", {"task": NAMED, "status": "success"})],
        [("background_tasks_total", {"task": NAMED, "status": "failed"})],
        ("background_task_duration_seconds_sum", {"task": NAMED}),
    ),
    "jobs": (
        JobMetrics,
        {},
        [("job_runs_total", {"job_name": NAMED, "outcome": "success"})],
        [("job_runs_total", {"job_name": NAMED, "outcome": "failed"})],
        ("job_last_duration_seconds", {"job_name": NAMED}),
    ),
}


@pytest.fixture(autouse=True)
def _clock(still_clock: StillClock) -> None:
    CLOCK[:] = [still_clock]


@pytest.mark.parametrize("name", SETS)
def test_a_call_that_ends_well_and_one_that_does_not(name: str) -> None:
    make, labels, succeeded, failed, duration = SETS[name]
    registry = CollectorRegistry()
    decorated = timed(make(registry), labels=labels)(work)
    readings = Readings(registry)
    decorated()
    assert [readings.delta(metric, **values) for metric, values in succeeded] == [1] * len(succeeded)
    assert readings.value(duration[0], **duration[1]) == 2
    readings = Readings(registry)
    with pytest.raises(KeyError):
        decorated(KeyError())
    assert [readings.delta(metric, **values) for metric, values in failed] == [1] * len(failed)


def test_what_is_under_way_is_seen() -> None:
    registry = CollectorRegistry()
    with timed(CeleryMetrics(registry), labels={"task": "import", "queue": "slow"}):
        assert registry.get_sample_value("celery_tasks_in_progress", {"queue": "slow"}) == 1
    assert registry.get_sample_value("celery_tasks_in_progress", {"queue": "slow"}) == 0


def test_a_statement_that_was_cancelled_has_its_own_status() -> None:
    registry = CollectorRegistry()
    with pytest.raises(asyncio.CancelledError), timed(DatabaseMetrics(registry), labels={"operation": "insert"}):
        raise asyncio.CancelledError
    assert registry.get_sample_value("db_queries_total", {"operation": "insert", "status": "cancelled"}) == 1


@pytest.mark.parametrize("name", SETS)
def test_labels_that_a_set_does_not_have_are_refused_with_those_that_it_has(name: str) -> None:
    made = SETS[name][0](CollectorRegistry())
    with pytest.raises(LabelError, match=r"timed\(\) takes '\w+'.* as labels for .*; got \['colour'\]"):
        timed(made, labels={"colour": "red"})(work)
    with pytest.raises(LabelError, match=r"and needs them where no function gives the name; got \[\]"), timed(made):
        pass
