"""Background tasks: they are remembered, told to listeners, finished at shutdown, and refused when it is too late."""

from __future__ import annotations

import json
import threading

import pytest
from flask.testing import FlaskClient

from examples.inventory.database import Database
from examples.inventory.errors import BusyError, ConflictError
from examples.inventory.events import Events
from examples.inventory.services import Services
from examples.inventory.tasks import Tasks
from measurand import CollectorRegistry
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.tasks import TaskRunner
from tests.support import wait_until


def ended(tasks: Tasks, task_id: str) -> dict:
    return wait_until(lambda: (task := tasks.detail(task_id))["state"] in {"done", "failed"} and task)


def test_a_task_is_remembered_with_what_it_came_to(services: Services, client: FlaskClient):
    go = threading.Event()
    asked = services.tasks.start("import", lambda: {"parts": int(go.wait(30))})
    assert (asked["kind"], asked["state"]) == ("import", "waiting")
    wait_until(lambda: client.get(f"/api/tasks/{asked['id']}").get_json()["state"] == "running")
    go.set()
    assert ended(services.tasks, asked["id"]) == asked | {"state": "done", "outcome": {"parts": 1}}
    assert [task["id"] for task in client.get("/api/tasks").get_json()] == [asked["id"]]
    assert client.get("/api/tasks/unknown").status_code == 404


def test_a_task_that_fails_says_why_when_that_is_meant_to_be_read(services: Services, caplog):
    def refuse() -> dict:
        raise ConflictError("the box is full")

    def break_down() -> dict:
        raise RuntimeError("password=hunter2")

    refused, broken = services.tasks.start("import", refuse), services.tasks.start("import", break_down)
    assert ended(services.tasks, refused["id"])["outcome"] == {"error": "the box is full"}
    assert ended(services.tasks, broken["id"])["outcome"] == {"error": "this went wrong on our side; the log has the details"}
    assert "hunter2" in caplog.text


def test_listeners_are_told_how_tasks_go(services: Services):
    stream = services.events.open()
    asked = services.tasks.start("import", dict)
    ended(services.tasks, asked["id"])
    seen: list[str] = []
    for chunk in stream:
        if chunk.startswith(b"event:"):
            name, data = chunk.decode().splitlines()[:2]
            assert json.loads(data.removeprefix("data: "))["id"] == asked["id"]
            seen.append(name)
        if len(seen) == 2:
            break
    stream.close()
    assert seen == ["event: task_running", "event: task_done"]


def test_the_runner_counts_tasks_by_kind_and_outcome(database: Database, coordinator: Coordinator):
    registry = CollectorRegistry()
    tasks = Tasks(database, TaskRunner(coordinator, registry=registry), Events())

    def refuse() -> dict:
        raise ConflictError("no")

    for work in (dict, dict, refuse):
        ended(tasks, tasks.start("import", work)["id"])
    wait_until(lambda: registry.get_sample_value("background_tasks_in_progress", {"task": "import"}) == 0)
    for status, count in (("success", 2), ("failed", 1)):
        assert registry.get_sample_value("background_tasks_total", {"task": "import", "status": status}) == count


def test_a_shutdown_counts_what_is_under_way_and_waits_for_it(database: Database):
    registry = CollectorRegistry()
    coordinator = Coordinator(drain_delay=0, budget=60, registry=registry)
    tasks = Tasks(database, TaskRunner(coordinator, registry=registry), Events())
    go = threading.Event()
    asked = [tasks.start("import", lambda: {"ok": go.wait(30)}) for _ in range(2)]
    for each in asked:
        wait_until(lambda each=each: tasks.detail(each["id"])["state"] == "running")
    end = threading.Thread(target=coordinator.shutdown)
    end.start()
    wait_until(lambda: registry.get_sample_value("active_tasks_at_shutdown") == 2)
    go.set()
    end.join(30)
    assert [tasks.detail(each["id"])["state"] for each in asked] == ["done", "done"]
    assert registry.get_sample_value("graceful_shutdown_duration_seconds_count") == 1


def test_after_the_shutdown_a_task_is_refused_and_said_to_have_failed(database: Database):
    registry = CollectorRegistry()
    coordinator = Coordinator(drain_delay=0, registry=registry)
    tasks = Tasks(database, TaskRunner(coordinator, registry=registry), Events())
    coordinator.shutdown(10)
    with pytest.raises(BusyError, match="about to stop"):
        tasks.start("import", dict)
    assert [(task["state"], task["outcome"]) for task in tasks.overview(limit=5, offset=0)] == [
        ("failed", {"error": "the service was about to stop"})
    ]
