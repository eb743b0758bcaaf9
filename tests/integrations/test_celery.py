"""Celery's signals, in one process: what is recorded of a publication and of a run, and that it can be taken back."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Ignore, Reject, TimeLimitExceeded, WorkerLostError
from kombu import Exchange, Queue
from kombu.common import Broadcast

from measurand import CollectorRegistry
from measurand.catalog.celery import CeleryMetrics
from measurand.errors import MissingExtra
from measurand.integrations import celery, handle
from measurand.integrations.celery import PUBLISHED_AT, QUEUE
from measurand.testing.readings import Readings
from tests.support import StillClock, wait_until

pytestmark = pytest.mark.once


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def nothing() -> None:
    """What a task does where that is of no interest."""


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery("shop", broker="memory://", set_as_current=False)
    made.conf.update(task_queues=(Queue("mail", routing_key="mail"), Queue("images", routing_key="images")), task_default_queue="mail")
    made.task(name="bill", shared=False)(nothing)
    made.control.purge()  # what another test has left: all of them share one memory
    yield made
    made.close()


@pytest.fixture
def readings(registry: CollectorRegistry) -> Iterator[Readings]:
    with celery.instrument(registry=registry):
        yield Readings(registry)


def shown(readings: Readings, name: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in readings.samples(name) if sample.value}


def receivers() -> dict[str, list[Any]]:
    return {name: list(getattr(signals, name).receivers) for name in signals.__all__}


# -- installed and taken back --------------------------------------------------------------------------------------------------


def test_it_is_installed_once_and_taken_back_wholly(registry: CollectorRegistry, app: Celery) -> None:
    before = receivers()
    first = celery.instrument(registry=registry)
    assert celery.instrument() is first
    assert {len(connected) - len(before[name]) for name, connected in receivers().items()} == {0, 1}
    app.tasks["bill"].apply()
    first.uninstrument()
    first.uninstrument()
    assert receivers() == before
    app.tasks["bill"].apply()
    assert shown(Readings(registry), "celery_tasks_total") == {("bill", "__eager__", "SUCCESS"): 1}
    with celery.instrument(registry=registry) as second:
        app.tasks["bill"].apply()
    assert second is not first
    assert shown(Readings(registry), "celery_tasks_total") == {("bill", "__eager__", "SUCCESS"): 2}


def test_it_says_what_it_has_instrumented(registry: CollectorRegistry) -> None:
    metrics = CeleryMetrics(registry)
    with celery.instrument(metrics=metrics) as installed:
        assert installed.about.startswith("celery ")
        assert installed.about.endswith(", every application")
        assert installed.metrics is metrics


def test_a_target_is_refused(app: Celery) -> None:
    with pytest.raises(TypeError, match="takes no target"):
        celery.instrument(app)  # type: ignore[arg-type]


def test_too_old_a_version_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "version_of", lambda package: "5.3.6")
    with pytest.raises(MissingExtra, match=r"celery 5\.3\.6 is installed, and 5\.4 or newer is needed.*measurand\[celery\]"):
        celery.instrument()


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    monkeypatch.setitem(sys.modules, "celery.signals", None)
    with pytest.raises(MissingExtra, match=r"measurand\[celery\]"):
        celery.instrument()


# -- published -----------------------------------------------------------------------------------------------------------------


def test_what_is_published_is_counted_by_its_queue(readings: Readings, app: Celery) -> None:
    app.tasks["bill"].delay()
    app.tasks["bill"].apply_async(queue="images")
    app.send_task("somewhere.else", queue="images")
    assert shown(readings, "celery_tasks_published_total") == {("bill", "mail"): 1, ("bill", "images"): 1, ("somewhere.else", "images"): 1}


def test_what_the_broker_did_not_take_is_not_counted(readings: Readings, app: Celery) -> None:
    with pytest.raises(TypeError):
        app.tasks["bill"].apply_async(args=[object()])
    assert shown(readings, "celery_tasks_published_total") == {}


def test_routing_keys_and_members_of_a_broadcast_are_no_queues(readings: Readings, app: Celery) -> None:
    topic, everybody = Exchange("parts", type="topic"), Broadcast("everybody")
    for key in ("parts.screw.7", "parts.nut.8"):
        app.send_task("bill", exchange=topic, routing_key=key)
    app.amqp.queues.add(everybody)
    app.amqp.queues.add(Queue("screws", topic, routing_key="parts.screw.*"))
    app.send_task("bill", queue="everybody")
    app.send_task("bill", queue="screws")
    assert shown(readings, "celery_tasks_published_total") == {("bill", "parts"): 2, ("bill", "everybody"): 1, ("bill", "screws"): 1}


def test_delays_by_the_broker_are_no_queues(readings: Readings) -> None:
    for delay in ("0." * 27 + "1.", "0." * 26 + "1.0."):
        given: dict[str, Any] = {"headers": {}, "exchange": "celery_delayed_27", "routing_key": f"{delay}mail"}
        signals.before_task_publish.send("bill", **given)
        signals.after_task_publish.send("bill", **given)
    assert shown(readings, "celery_tasks_published_total") == {("bill", "mail"): 2}


def test_the_headers_are_written_at_every_publication(readings: Readings, app: Celery, still_clock: StillClock) -> None:
    seen: list[dict[str, Any]] = []

    def look(headers: dict[str, Any], **_: object) -> None:
        seen.append({name: headers[name] for name in (PUBLISHED_AT, QUEUE)})

    signals.after_task_publish.connect(look, weak=False)
    try:
        app.tasks["bill"].apply_async(headers={PUBLISHED_AT: 1.0, QUEUE: "of long ago"}, queue="images")
        still_clock.advance(5)
        app.tasks["bill"].apply_async(headers=seen[0])
    finally:
        signals.after_task_publish.disconnect(look)
    assert seen == [{PUBLISHED_AT: 1.7e9, QUEUE: "images"}, {PUBLISHED_AT: 1.7e9 + 5, QUEUE: "mail"}]


# -- run -----------------------------------------------------------------------------------------------------------------------


def test_a_worker_records_runs_of_its_queues(readings: Readings, app: Celery) -> None:
    during: list[dict[tuple[str, ...], float]] = []

    @app.task(name="look", shared=False)
    def look() -> None:
        during.append(shown(readings, "celery_tasks_in_progress"))

    @app.task(name="again", shared=False, bind=True)
    def again(self: Any) -> None:
        if not self.request.retries:
            raise self.retry(countdown=0)

    look.apply_async(queue="images")
    again.delay()
    app.send_task("nobody.has.it")
    with start_worker(app, pool="solo", loglevel="warning", perform_ping_check=False, shutdown_timeout=60):
        wait_until(
            lambda: sum(shown(readings, "celery_tasks_total").values()) == 4, 30, what=lambda: str(shown(readings, "celery_tasks_total"))
        )
    assert shown(readings, "celery_tasks_total") == {
        ("look", "images", "SUCCESS"): 1,
        ("again", "mail", "RETRY"): 1,
        ("again", "mail", "SUCCESS"): 1,
        ("__unknown__", "mail", "REJECTED"): 1,
    }
    assert during == [{("images",): 1}]
    assert shown(readings, "celery_tasks_in_progress") == {}
    assert shown(readings, "celery_task_queue_wait_seconds_count") == {("images",): 1, ("mail",): 2}
    assert shown(readings, "celery_tasks_failed_total") == {}


@pytest.mark.parametrize(
    ("raised", "state", "failed"),
    [
        (None, "SUCCESS", {}),
        (ValueError("secret"), "FAILURE", {("end", "ValueError"): 1}),
        (Ignore(), "IGNORED", {}),
        (Reject(requeue=False), "REJECTED", {}),
    ],
)
def test_a_run_has_a_state_and_a_failure_a_kind(
    readings: Readings, app: Celery, still_clock: StillClock, raised: Exception | None, state: str, failed: dict[Any, float]
) -> None:
    @app.task(name="end", shared=False)
    def end() -> None:
        still_clock.advance(2.5)
        if raised is not None:
            raise raised

    end.apply()
    assert shown(readings, "celery_tasks_total") == {("end", "__eager__", state): 1}
    assert shown(readings, "celery_task_duration_seconds_sum") == {("end", state): 2.5}
    assert shown(readings, "celery_tasks_failed_total") == failed
    assert readings.samples("celery_task_queue_wait_seconds_count") == []


def test_tasks_that_run_others_eagerly_are_told_apart(readings: Readings, app: Celery, still_clock: StillClock) -> None:
    @app.task(name="inner", shared=False)
    def inner() -> None:
        still_clock.advance(1)
        raise ValueError

    @app.task(name="outer", shared=False)
    def outer() -> None:
        inner.apply()
        still_clock.advance(2)

    outer.apply()
    assert shown(readings, "celery_task_duration_seconds_sum") == {("inner", "FAILURE"): 1, ("outer", "SUCCESS"): 3}
    assert shown(readings, "celery_tasks_in_progress") == {}


def test_what_its_process_ends_with_is_not_in_progress_and_has_no_state_yet(readings: Readings, app: Celery) -> None:
    @app.task(name="leave", shared=False)
    def leave() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        leave.apply()
    assert shown(readings, "celery_tasks_in_progress") == shown(readings, "celery_tasks_total") == {}


def test_what_was_running_before_is_counted_but_not_timed(registry: CollectorRegistry, app: Celery) -> None:
    @app.task(name="starter", shared=False)
    def starter() -> None:
        celery.instrument(registry=registry)

    starter.apply()
    celery.instrument().uninstrument()
    assert shown(Readings(registry), "celery_tasks_total") == {("starter", "__eager__", "SUCCESS"): 1}
    assert Readings(registry).samples("celery_task_duration_seconds_count") == []


# -- waited --------------------------------------------------------------------------------------------------------------------


def begin(app: Celery, **request: Any) -> None:
    """What the tracer does before a run."""
    task = app.tasks["bill"]
    task.push_request(id="1", **{"delivery_info": {"exchange": "", "routing_key": "images"}, **request})
    signals.task_prerun.send(task, task_id="1", task=task)
    signals.task_postrun.send(task, task_id="1", task=task, state="SUCCESS")
    task.pop_request()


def test_the_wait_begins_with_the_publication(readings: Readings, app: Celery, still_clock: StillClock) -> None:
    begin(app, **{PUBLISHED_AT: still_clock.wall() - 4})
    assert shown(readings, "celery_task_queue_wait_seconds_sum") == {("images",): 4}


@pytest.mark.parametrize("zone", [UTC, None])
def test_what_is_to_begin_later_waits_from_then_on(readings: Readings, app: Celery, still_clock: StillClock, zone: Any) -> None:
    eta = (datetime.fromtimestamp(still_clock.wall(), UTC) - timedelta(seconds=1.5)).replace(tzinfo=zone)
    begin(app, eta=eta.isoformat(), **{PUBLISHED_AT: still_clock.wall() - 600})
    assert shown(readings, "celery_task_queue_wait_seconds_sum") == {("images",): 1.5}


@pytest.mark.parametrize(
    "request_", [{}, {PUBLISHED_AT: "yesterday"}, {PUBLISHED_AT: 1.0, "delivery_info": {"routing_key": "images", "redelivered": True}}]
)
def test_where_the_wait_is_not_known_none_is_recorded(readings: Readings, app: Celery, request_: dict[str, Any]) -> None:
    begin(app, **request_)
    assert readings.samples("celery_task_queue_wait_seconds_count") == []
    assert shown(readings, "celery_tasks_total") == {("bill", "images", "SUCCESS"): 1}


# -- which queue ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "exchange", "routing_key", "queue"),
    [
        ("images", "", "mail", "images"),
        ("made-up", "", "mail", "mail"),
        (None, "", "images", "images"),
        (None, "celery_delayed_27", "0." * 28 + "images", "images"),
        (None, "shop", "some.key", "topics"),
        ("made-up", "", "made-up", "__unknown__"),
        (None, None, None, "__unknown__"),
        (["images"], None, None, "__unknown__"),
    ],
)
def test_a_queue_is_one_that_the_worker_has(
    readings: Readings, app: Celery, header: str | None, exchange: str | None, routing_key: str | None, queue: str
) -> None:
    app.amqp.queues.select_add("topics", exchange="shop", exchange_type="topic", routing_key="some.*")
    headers = {} if header is None else {QUEUE: header}
    begin(app, delivery_info={"exchange": exchange, "routing_key": routing_key}, **headers)
    assert shown(readings, "celery_tasks_total") == {("bill", queue, "SUCCESS"): 1}


def test_a_queue_that_is_consumed_later_is_known_then(readings: Readings, app: Celery) -> None:
    for _ in range(2):
        begin(app, delivery_info={"exchange": "", "routing_key": "late"})
        app.amqp.queues.select_add("late", exchange="shop", routing_key="late")
    assert shown(readings, "celery_tasks_total") == {("bill", "__unknown__", "SUCCESS"): 1, ("bill", "late", "SUCCESS"): 1}


def test_a_worker_of_one_queue_knows_it(readings: Readings, app: Celery) -> None:
    app.amqp.queues.select(["images"])
    begin(app, delivery_info={"exchange": "", "routing_key": "made-up"})
    assert shown(readings, "celery_tasks_total") == {("bill", "images", "SUCCESS"): 1}


# -- what the main process hears -----------------------------------------------------------------------------------------------


def kill(app: Celery, exception: Exception, task_id: str = "1") -> None:
    """What a worker's main process says of a task whose process it has lost."""
    task = app.tasks["bill"]
    task.push_request(id=task_id, delivery_info={"exchange": "", "routing_key": "images"})
    signals.task_failure.send(task, task_id=task_id, exception=exception, args=(), kwargs={}, traceback=None, einfo=None)
    task.pop_request()


def test_a_hard_time_limit_that_is_told_twice_is_counted_once(readings: Readings, app: Celery) -> None:
    for task_id in ("1", "1", "2"):
        kill(app, TimeLimitExceeded(60), task_id)
    assert shown(readings, "celery_tasks_total") == {("bill", "images", "FAILURE"): 2}
    assert shown(readings, "celery_tasks_failed_total") == {("bill", "TimeLimitExceeded"): 2}


def test_another_delivery_that_exceeds_its_limit_is_counted(readings: Readings, app: Celery) -> None:
    for _ in range(2):
        signals.task_received.send(None, request=SimpleNamespace(id="1"))
        kill(app, TimeLimitExceeded(60))
    assert shown(readings, "celery_tasks_total") == {("bill", "images", "FAILURE"): 2}


def test_a_task_that_was_revoked_has_not_failed_when_its_process_is_gone(readings: Readings, app: Celery) -> None:
    request = SimpleNamespace(id="1", is_eager=False, delivery_info={"routing_key": "images"}, get=lambda name: None)
    signals.task_revoked.send(app.tasks["bill"], request=request, terminated=True, signum=9, expired=False)
    kill(app, WorkerLostError())
    assert shown(readings, "celery_tasks_total") == {("bill", "images", "REVOKED"): 1}
    assert shown(readings, "celery_tasks_failed_total") == {}


def test_what_is_remembered_of_deliveries_is_bounded(readings: Readings, app: Celery) -> None:
    for number in range(1100):
        kill(app, WorkerLostError(), str(number))
    kill(app, WorkerLostError(), "1099")
    kill(app, WorkerLostError(), "0")
    assert shown(readings, "celery_tasks_total") == {("bill", "images", "FAILURE"): 1101}


def test_a_rejection_that_is_told_as_a_failure_has_ended_already(readings: Readings, app: Celery) -> None:
    kill(app, Reject(requeue=False))
    assert shown(readings, "celery_tasks_total") == {}
    assert shown(readings, "celery_tasks_failed_total") == {("bill", "Reject"): 1}


def test_a_failure_after_the_end_of_a_run_is_no_other_end(readings: Readings, app: Celery) -> None:
    """As when the result cannot be stored."""
    begin(app)
    kill(app, ConnectionError())
    assert shown(readings, "celery_tasks_total") == {("bill", "images", "SUCCESS"): 1}
    assert shown(readings, "celery_tasks_failed_total") == {("bill", "ConnectionError"): 1}


def test_a_retry_that_the_main_process_decides_is_counted(readings: Readings, app: Celery) -> None:
    request = SimpleNamespace(id="1", is_eager=False, delivery_info={"routing_key": "images"}, get=lambda name: None)
    signals.task_retry.send(app.tasks["bill"], request=request, einfo=None)
    assert shown(readings, "celery_tasks_total") == {("bill", "images", "RETRY"): 1}


# -- when it goes wrong --------------------------------------------------------------------------------------------------------


def test_a_failure_of_ours_is_logged_once_and_costs_no_task(readings: Readings, app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "measurand.integrations"):
        for _ in range(3):
            signals.task_prerun.send("no task", task_id="1", task="no task")
    assert caplog.messages == ["a task could not be recorded; further failures are not logged"]
    assert app.tasks["bill"].apply().state == "SUCCESS"
    assert shown(readings, "celery_tasks_total") == {("bill", "__eager__", "SUCCESS"): 1}
