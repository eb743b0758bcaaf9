"""Queues on real brokers: how long they are, who works on them, and what is said when nobody knows."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from kombu import Queue

from measurand import CollectorRegistry
from measurand.catalog.celery import CeleryMetrics, QueueMonitor, QueueSnapshot
from measurand.errors import MissingExtra
from measurand.integrations import handle
from measurand.integrations.celery_queues import CeleryQueues, asking, poller
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.support import wait_until

pytestmark = pytest.mark.once


def application(broker: str, **settings: Any) -> Celery:
    """One with two queues of its own."""
    prefix = uuid4().hex
    app = Celery(prefix, broker=broker, set_as_current=False)
    names = [f"{prefix}.mail", f"{prefix}.images"]
    app.conf.update(task_queues=[Queue(name, routing_key=name) for name in names], task_default_queue=names[0], **settings)
    return app


@pytest.fixture(params=["redis", "rabbitmq"])
def app(request: pytest.FixtureRequest) -> Iterator[Celery]:
    broker: Redis | RabbitMQ = request.getfixturevalue(request.param)
    made = application(broker.url)
    yield made
    made.close()


def by_kind(numbers: Any) -> dict[str, int]:
    return {name.rpartition(".")[2]: number for name, number in numbers.items()}


def monitor(app: Celery, queues: list[str] | None = None) -> QueueMonitor:
    return CeleryQueues(app, queues, patience=0.2, timeout=30)


def test_lengths_are_those_of_the_broker(app: Celery) -> None:
    mail, images = app.amqp.queues
    for queue, number in ((mail, 3), (images, 1)):
        for _ in range(number):
            app.send_task("bill", queue=queue)
    queues = monitor(app)
    assert by_kind(queues.snapshot().lengths) == {"mail": 3, "images": 1}
    assert by_kind(queues.snapshot().workers) == {"mail": 0, "images": 0}
    app.control.purge()
    assert by_kind(queues.snapshot().lengths) == {"mail": 0, "images": 0}


def test_workers_are_counted_by_what_they_consume(app: Celery) -> None:
    mail, _ = app.amqp.queues
    with start_worker(app, pool="solo", queues=[mail], loglevel="warning", perform_ping_check=False, shutdown_timeout=60):
        app.amqp.queues.select(None)  # the worker has chosen in this process, too
        wait_until(lambda: by_kind(monitor(app).snapshot().workers) == {"mail": 1, "images": 0}, 30)


def test_a_redis_queue_is_as_long_as_those_of_its_priorities_together(redis: Redis) -> None:
    app = application(redis.url)
    for priority in (0, 3, 3, 6, 9):
        app.send_task("bill", priority=priority)
    assert by_kind(monitor(app).snapshot().lengths) == {"mail": 5, "images": 0}
    steps = application(redis.url, broker_transport_options={"priority_steps": list(range(10)), "sep": ":"})
    for priority in range(10):
        steps.send_task("bill", priority=priority)
    assert by_kind(monitor(steps).snapshot().lengths) == {"mail": 10, "images": 0}


def test_a_queue_that_rabbitmq_does_not_have_has_no_length(rabbitmq: RabbitMQ) -> None:
    app = application(rabbitmq.url)
    mail, images = app.amqp.queues
    app.send_task("bill", queue=images)
    assert monitor(app, [mail, images]).snapshot().lengths == {images: 1}


def test_asking_again_leaves_no_more_connections(redis: Redis) -> None:
    app = application(redis.url)
    monitor(app).snapshot()
    kept = redis.connections()  # those of Celery's own pool, to which its broadcast goes
    assert kept <= 2
    for _ in range(3):
        monitor(app).snapshot()
    wait_until(lambda: redis.connections() <= kept, 20, what=lambda: f"{redis.connections()}, and {kept} before")


def test_a_broker_that_is_gone_is_an_error_and_no_zero(redis: Redis) -> None:
    app, registry = application(redis.url), CollectorRegistry()
    poll = poller(app, registry=registry, patience=0.2, timeout=2)
    poll()
    mail, images = app.amqp.queues
    assert {queue: registry.get_sample_value("celery_queue_length", {"queue": queue}) for queue in (mail, images)} == {mail: 0, images: 0}
    redis.stop()
    with pytest.raises(Exception, match=r"(?i)refused|closed"):
        poll()
    assert registry.get_sample_value("celery_queue_length", {"queue": mail}) is None
    redis.start()
    poll()
    assert registry.get_sample_value("celery_queue_length", {"queue": mail}) == 0


def test_a_metric_set_can_be_given(redis: Redis) -> None:
    metrics = CeleryMetrics(registry := CollectorRegistry())
    poller(application(redis.url), ["other"], metrics=metrics, patience=0.2)()
    assert registry.get_sample_value("celery_queue_length", {"queue": "other"}) == 0


def test_no_more_than_so_many_queues_are_asked_for(redis: Redis) -> None:
    names = [f"queue {number}" for number in range(5)]
    found = CeleryQueues(application(redis.url), names, patience=0.2, max_queues=2).snapshot()
    assert found == QueueSnapshot({"queue 0": 0, "queue 1": 0}, {"queue 0": 0, "queue 1": 0})


def test_too_old_a_version_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "version_of", lambda package: "5.3.6")
    with pytest.raises(MissingExtra, match=r"measurand\[celery\]"):
        CeleryQueues(object())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_waits_until_nobody_asks_and_its_child_may_ask_at_once() -> None:
    inside, go, left = threading.Event(), threading.Event(), threading.Event()

    def ask() -> None:
        with asking():
            inside.set()
            go.wait(0.3)
            left.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert inside.wait(30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is what this is about
        child = os.fork()
    if not child:
        with asking():
            os._exit(0 if left.is_set() else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join(30)
    with asking():
        pass
