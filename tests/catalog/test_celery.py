"""The metrics of Celery's tasks: names, labels, and every limit."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import CollectorRegistry
from measurand.catalog.celery import EAGER, STATES, UNKNOWN, CeleryMetrics, CeleryTask, QueueSnapshot
from measurand.testing.queues import StubQueues
from measurand.testing.readings import Readings
from tests.metrics.kit import in_forked_child

TASK = CeleryTask("shop.bill", "mail", "SUCCESS", duration=0.02)


@pytest.fixture
def celery(registry: CollectorRegistry) -> CeleryMetrics:
    return CeleryMetrics(registry)


@pytest.fixture
def readings(registry: CollectorRegistry, celery: CeleryMetrics) -> Readings:
    return Readings(registry)


def shown(readings: Readings, name: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in readings.samples(name)}


# -- what is recorded ----------------------------------------------------------------------------------------------------------


def test_a_run_is_counted_and_timed(celery: CeleryMetrics, readings: Readings) -> None:
    celery.record(TASK)
    samples = readings.samples("celery_tasks_total")
    assert [sample.labels for sample in samples] == [{"task": "shop.bill", "queue": "mail", "state": "SUCCESS"}]
    assert readings.delta("celery_task_duration_seconds_sum", task="shop.bill", state="SUCCESS") == 0.02
    assert readings.samples("celery_tasks_failed_total") == []
    assert readings.samples("celery_task_queue_wait_seconds_count") == []


def test_a_failure_is_counted_by_its_kind_too(celery: CeleryMetrics, readings: Readings) -> None:
    celery.record(CeleryTask("shop.bill", "mail", "FAILURE", duration=0.5, queue_wait=2.0, error_type="ValueError"))
    assert shown(readings, "celery_tasks_total") == {("shop.bill", "mail", "FAILURE"): 1}
    assert shown(readings, "celery_tasks_failed_total") == {("shop.bill", "ValueError"): 1}
    assert shown(readings, "celery_task_queue_wait_seconds_sum") == {("mail",): 2.0}


def test_what_did_not_run_has_no_duration(celery: CeleryMetrics, readings: Readings) -> None:
    celery.ended("shop.bill", "mail", "REVOKED")
    celery.record(CeleryTask("shop.bill", "mail", "REVOKED"))
    assert shown(readings, "celery_tasks_total") == {("shop.bill", "mail", "REVOKED"): 2}
    assert readings.samples("celery_task_duration_seconds_count") == []


def test_steps_come_to_the_same_as_the_event(celery: CeleryMetrics, readings: Readings) -> None:
    celery.published("shop.bill", "mail")
    celery.started("mail", 2.0)
    assert shown(readings, "celery_tasks_in_progress") == {("mail",): 1}
    celery.finished("shop.bill", "mail", "SUCCESS", 0.5)
    other = CollectorRegistry()
    CeleryMetrics(other).record(CeleryTask("shop.bill", "mail", "SUCCESS", 0.5, 2.0))
    for name in ("celery_tasks_total", "celery_task_duration_seconds_sum", "celery_task_queue_wait_seconds_sum"):
        assert shown(readings, name) == shown(Readings(other), name) != {}
    assert shown(readings, "celery_tasks_in_progress") == {("mail",): 0}
    assert shown(readings, "celery_tasks_published_total") == {("shop.bill", "mail"): 1}


def test_a_run_whose_end_another_process_tells_is_no_more_in_progress(celery: CeleryMetrics, readings: Readings) -> None:
    celery.started("mail")
    celery.abandoned("mail")
    assert shown(readings, "celery_tasks_in_progress") == {("mail",): 0}
    assert readings.samples("celery_tasks_total") == readings.samples("celery_task_queue_wait_seconds_count") == []


def test_clocks_that_differ_make_no_negative_wait(celery: CeleryMetrics, readings: Readings) -> None:
    celery.started("mail", -3.0)
    celery.record(CeleryTask("shop.bill", "mail", "SUCCESS", queue_wait=-1.0))
    assert shown(readings, "celery_task_queue_wait_seconds_sum") == {("mail",): 0}
    assert shown(readings, "celery_task_queue_wait_seconds_count") == {("mail",): 2}


EVENTS = st.builds(
    CeleryTask,
    task=st.sampled_from(["a", "b", "c", "d"]),
    queue=st.sampled_from(["q", "r", "s"]),
    state=st.sampled_from([*STATES, "PROGRESS", "custom"]),
    duration=st.none() | st.just(0.25),
    error_type=st.none() | st.sampled_from(["A", "B", "C"]),
)


@given(events=st.lists(EVENTS, max_size=30))
def test_totals_are_exact_whatever_the_limits(events: list[CeleryTask]) -> None:
    registry = CollectorRegistry()
    celery = CeleryMetrics(registry, max_tasks=2, max_queues=1, max_exceptions=1)
    for event in events:
        celery.record(event)
    readings = Readings(registry)
    for name, number in {
        "celery_tasks_total": len(events),
        "celery_tasks_failed_total": sum(event.error_type is not None for event in events),
        "celery_task_duration_seconds_count": sum(event.duration is not None for event in events),
    }.items():
        assert sum(shown(readings, name).values()) == number
    by_state = Counter(event.state if event.state in STATES else "_OTHER" for event in events)
    counted: Counter[str] = Counter()
    for (_, _, state), value in shown(readings, "celery_tasks_total").items():
        counted[state] += int(value)
    assert counted == by_state


# -- limits --------------------------------------------------------------------------------------------------------------------


def test_names_of_tasks_and_queues_are_limited_and_that_is_said_once(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    celery = CeleryMetrics(registry, max_tasks=2, max_queues=2)
    with caplog.at_level(logging.WARNING, "measurand.celery"):
        for number in range(10):
            celery.published(f"task {number}", f"queue {number}")
            celery.started(f"queue {number}", 1.0)
            celery.finished(f"task {number}", f"queue {number}", "SUCCESS", 0.1)
    readings = Readings(registry)
    assert shown(readings, "celery_tasks_published_total") == {
        ("task 0", "queue 0"): 1,
        ("task 1", "queue 1"): 1,
        ("__other__", "__other__"): 8,
    }
    assert shown(readings, "celery_tasks_in_progress") == {("queue 0",): 0, ("queue 1",): 0, ("__other__",): 0}
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "Celery metrics have 2 names of tasks",
        "Celery metrics have 2 queues",
    ]


def test_values_of_ours_do_not_use_the_limits_up(registry: CollectorRegistry) -> None:
    celery = CeleryMetrics(registry, max_tasks=1, max_queues=1)
    for queue in (UNKNOWN, EAGER, "mail"):
        celery.ended(UNKNOWN, queue, "REJECTED")
    celery.ended("shop.bill", "mail", "REVOKED")
    assert ("shop.bill", "mail", "REVOKED") in shown(Readings(registry), "celery_tasks_total")
    assert (UNKNOWN, EAGER, "REJECTED") in shown(Readings(registry), "celery_tasks_total")


def test_buckets_can_be_chosen(registry: CollectorRegistry) -> None:
    CeleryMetrics(registry, buckets=(1, 2)).record(TASK)
    assert len(Readings(registry).samples("celery_task_duration_seconds_bucket")) == 3


def test_two_sets_in_one_registry_share_their_metrics(celery: CeleryMetrics, registry: CollectorRegistry, readings: Readings) -> None:
    celery.record(TASK)
    CeleryMetrics(registry).record(TASK)
    assert shown(readings, "celery_tasks_total") == {("shop.bill", "mail", "SUCCESS"): 2}


# -- queues --------------------------------------------------------------------------------------------------------------------


def test_queues_that_are_gone_are_not_shown_any_more(celery: CeleryMetrics, readings: Readings) -> None:
    celery.record_queues(QueueSnapshot({"mail": 3, "images": 0}, {"mail": 1}))
    assert shown(readings, "celery_queue_length") == {("mail",): 3, ("images",): 0}
    celery.record_queues(QueueSnapshot({"mail": 4}, {"mail": 2}))
    assert shown(readings, "celery_queue_length") == {("mail",): 4}
    assert shown(readings, "celery_workers") == {("mail",): 2}


def test_queues_beyond_the_limit_are_added_up(registry: CollectorRegistry) -> None:
    CeleryMetrics(registry, max_queues=1).record_queues(QueueSnapshot({"a": 1, "b": 2, "c": 3}))
    assert shown(Readings(registry), "celery_queue_length") == {("a",): 1, ("__other__",): 5}


def test_a_broker_that_cannot_be_asked_has_no_length_of_zero(celery: CeleryMetrics, readings: Readings) -> None:
    queues = StubQueues({"mail": 3}, {"mail": 1})
    celery.poll(queues)
    queues.failure = ConnectionError("down")
    with pytest.raises(ConnectionError, match="down"):
        celery.poll(queues)
    assert readings.samples("celery_queue_length") == readings.samples("celery_workers") == []


# -- processes -----------------------------------------------------------------------------------------------------------------


def test_children_add_up(celery: CeleryMetrics, readings: Readings) -> None:
    celery.started("mail")
    celery.finished("shop.bill", "mail", "SUCCESS", 0.1)

    def child() -> None:
        celery.started("mail")
        celery.finished("shop.bill", "mail", "SUCCESS", 0.1)
        celery.started("mail")

    in_forked_child(child)
    assert shown(readings, "celery_tasks_total") == {("shop.bill", "mail", "SUCCESS"): 2}
    assert shown(readings, "celery_tasks_in_progress") == {("mail",): 0}
