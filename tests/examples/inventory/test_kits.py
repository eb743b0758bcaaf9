"""Kits: every publisher of the row moves with its event, once, and only when the event happened."""

from __future__ import annotations

import logging
import threading

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text

from examples.inventory import kits
from examples.inventory.database import Database
from tests.examples.inventory.workshop import Workshop
from tests.support import run_threads

UPDATES = "kit_content_update_duration_seconds_count"


def test_a_created_kit_is_counted_and_active(workshop: Workshop, metrics):
    workshop.kit("Clock")
    workshop.kit("Synth voice")
    assert metrics.delta("kits_created_total") == 2
    assert metrics.value("kits_active_count") == 2
    assert metrics.value("kits_archived_count") == 0


def test_archiving_and_back_moves_counters_and_both_gauges(client: FlaskClient, workshop: Workshop, metrics):
    first, second = workshop.kit("Clock"), workshop.kit("Door bell")
    assert client.post(f"/api/kits/{first}/archive").get_json()["status"] == "archived"
    assert client.post(f"/api/kits/{second}/archive").status_code == 200
    assert (metrics.value("kits_active_count"), metrics.value("kits_archived_count")) == (0, 2)
    assert client.post(f"/api/kits/{second}/unarchive").get_json()["status"] == "active"
    assert (metrics.value("kits_active_count"), metrics.value("kits_archived_count")) == (1, 1)
    assert metrics.delta("kits_archived_total") == 2
    assert metrics.delta("kits_unarchived_total") == 1


def test_what_was_refused_is_not_counted(client: FlaskClient, workshop: Workshop, metrics):
    kit, part = workshop.kit("Clock"), workshop.part()
    line = workshop.line(kit, part)
    client.post(f"/api/kits/{kit}/archive")
    refused = {
        ("POST", "/api/kits", '{"name": "Clock"}'): 409,
        ("POST", f"/api/kits/{kit}/archive", None): 409,
        ("POST", "/api/kits/99/archive", None): 404,
        ("POST", "/api/kits/99/unarchive", None): 404,
        ("GET", "/api/kits/99", None): 404,
        ("GET", "/api/kits?status=lost", None): 400,
        ("PATCH", f"/api/kits/{kit}", '{"name": "Other"}'): 409,
        ("POST", f"/api/kits/{kit}/contents", f'{{"part_id": {part}, "required_per_unit": 1}}'): 409,
        ("PATCH", f"/api/kits/{kit}/contents/{line}", '{"version": 1, "note": "two"}'): 409,
        ("DELETE", f"/api/kits/{kit}/contents/{line}", None): 409,
    }
    for (method, path, body), status in refused.items():
        answer = client.open(path, method=method, data=body, content_type="application/json")
        assert (path, answer.status_code) == (path, status)
    assert metrics.delta("kits_created_total") == 1
    assert metrics.delta("kits_archived_total") == 1
    assert metrics.delta("kits_unarchived_total") == 0
    assert metrics.delta("kit_detail_views_total") == 0
    assert metrics.delta("kits_overview_requests_total", status="active") == 0
    assert metrics.delta("kits_overview_requests_total", status="archived") == 0
    assert metrics.delta("kit_content_mutations_total", action="add") == 1
    assert metrics.delta("kit_content_mutations_total", action="update") == 0
    assert metrics.delta("kit_content_mutations_total", action="remove") == 0


def test_a_kit_whose_commit_fails_is_not_counted(client: FlaskClient, database: Database, metrics):
    with database.engine.begin() as connection:  # a promise that only the commit finds broken
        connection.execute(text("CREATE TABLE audit (id INTEGER REFERENCES kits (id) DEFERRABLE INITIALLY DEFERRED)"))
        connection.execute(text("CREATE TRIGGER broken AFTER INSERT ON kits BEGIN INSERT INTO audit VALUES (999); END"))
    assert client.post("/api/kits", json={"name": "Clock"}).status_code == 409
    assert metrics.delta("kits_created_total") == 0
    assert client.get("/api/kits").get_json() == []


def test_overviews_are_counted_by_the_status_asked_for(client: FlaskClient, workshop: Workshop, metrics):
    clock, _bell = workshop.kit("Clock"), workshop.kit("Door bell")
    client.post(f"/api/kits/{clock}/archive")
    assert [kit["name"] for kit in client.get("/api/kits").get_json()] == ["Door bell"]
    assert [kit["name"] for kit in client.get("/api/kits?status=active").get_json()] == ["Door bell"]
    assert [kit["name"] for kit in client.get("/api/kits?status=archived").get_json()] == ["Clock"]
    assert metrics.delta("kits_overview_requests_total", status="active") == 2
    assert metrics.delta("kits_overview_requests_total", status="archived") == 1


def test_a_detail_says_how_many_can_be_built_and_is_counted(client: FlaskClient, workshop: Workshop, metrics):
    kit, box = workshop.kit(), workshop.box()
    plenty, scarce = workshop.part(), workshop.part()
    workshop.stock(plenty, box, 1, 100)
    workshop.stock(scarce, box, 2, 5)
    workshop.stock(scarce, box, 3, 2)
    workshop.line(kit, plenty, required=10)
    workshop.line(kit, scarce, required=2)
    shown = client.get(f"/api/kits/{kit}").get_json()
    assert shown["buildable"] == 3
    assert [line["in_stock"] for line in shown["contents"]] == [100, 7]
    assert metrics.delta("kit_detail_views_total") == 1


def test_content_changes_are_counted_by_action_and_updates_are_timed(client: FlaskClient, workshop: Workshop, metrics):
    kit = workshop.kit()
    first, second = workshop.line(kit, workshop.part()), workshop.line(kit, workshop.part())
    answer = client.patch(f"/api/kits/{kit}/contents/{first}", json={"version": 1, "required_per_unit": 4})
    assert answer.get_json() == {"id": first, "part_id": 1, "required_per_unit": 4, "note": "", "version": 2}
    assert client.delete(f"/api/kits/{kit}/contents/{second}").status_code == 204
    assert metrics.delta("kit_content_mutations_total", action="add") == 2
    assert metrics.delta("kit_content_mutations_total", action="update") == 1
    assert metrics.delta("kit_content_mutations_total", action="remove") == 1
    assert metrics.delta(UPDATES) == 1
    assert 0 < metrics.delta("kit_content_update_duration_seconds_sum") < 10


def test_an_edit_of_an_old_copy_is_refused_and_timed_but_not_counted(client: FlaskClient, workshop: Workshop, metrics):
    kit = workshop.kit()
    line = workshop.line(kit, workshop.part())
    assert client.patch(f"/api/kits/{kit}/contents/{line}", json={"version": 1, "note": "mine"}).status_code == 200
    answer = client.patch(f"/api/kits/{kit}/contents/{line}", json={"version": 1, "note": "yours"})
    assert answer.status_code == 409
    assert "is at version 2, not 1; read it again" in answer.get_json()["error"]
    assert metrics.delta("kit_content_mutations_total", action="update") == 1
    assert metrics.delta(UPDATES) == 2


def test_threads_that_edit_the_same_copy_have_one_winner(client: FlaskClient, workshop: Workshop, metrics):
    kit = workshop.kit()
    line = workshop.line(kit, workshop.part())
    statuses = []

    def visitor():
        own = client.application.test_client()
        statuses.append(own.patch(f"/api/kits/{kit}/contents/{line}", json={"version": 1, "note": "mine"}).status_code)

    run_threads(*[visitor] * 8)
    assert sorted(statuses) == [200] + [409] * 7
    assert metrics.delta("kit_content_mutations_total", action="update") == 1


def test_threads_that_create_and_archive_leave_the_gauges_right(client: FlaskClient, metrics):
    def visitor(number: int):
        own = client.application.test_client()
        for turn in range(3):
            kit = own.post("/api/kits", json={"name": f"Kit {number}-{turn}"}).get_json()["id"]
            if turn:
                own.post(f"/api/kits/{kit}/archive")

    run_threads(*[lambda number=number: visitor(number) for number in range(6)])
    assert (metrics.value("kits_active_count"), metrics.value("kits_archived_count")) == (6, 12)


def test_a_count_that_was_read_earlier_never_overwrites_a_later_one(client: FlaskClient, workshop: Workshop, database: Database, metrics):
    workshop.kit("Clock")
    own = client.application.test_client()
    other = threading.Thread(target=lambda: own.post("/api/kits", json={"name": "Door bell"}))

    def while_the_count_is_on_its_way(_connection, _cursor, statement: str, *_: object) -> None:
        if "GROUP BY kits.status" in statement and not other.ident:
            other.start()
            other.join(timeout=0.5)  # it is through only where nothing keeps it from publishing in between

    event.listen(database.engine, "after_cursor_execute", while_the_count_is_on_its_way)
    with database.reading() as session:
        kits.publish_counts(session)
    other.join()
    assert metrics.value("kits_active_count") == 2


def test_a_line_of_another_kit_is_not_found(client: FlaskClient, workshop: Workshop):
    first, second = workshop.kit("Clock"), workshop.kit("Door bell")
    line = workshop.line(first, workshop.part())
    answer = client.delete(f"/api/kits/{second}/contents/{line}")
    assert (answer.status_code, answer.get_json()["error"]) == (404, f"kit {second} has no content {line}")


def test_a_change_is_done_even_when_the_kits_cannot_be_counted_afterwards(workshop: Workshop, database: Database, metrics, caplog):
    workshop.kit("Clock")

    def refuse(_connection, _cursor, statement: str, *_: object) -> None:
        if "GROUP BY kits.status" in statement:
            raise OSError("the disk is gone")

    event.listen(database.engine, "before_cursor_execute", refuse)
    with caplog.at_level(logging.ERROR):
        workshop.kit("Door bell")
    assert "keep their previous values" in caplog.text
    assert metrics.delta("kits_created_total") == 2
    assert metrics.value("kits_active_count") == 1
    assert database.engine.pool.checkedout() == 0


@pytest.mark.parametrize("change", [{"name": "Alarm clock"}, {"description": "for the kitchen"}, {"build_target": 3}])
def test_an_active_kit_changes_only_what_is_given(client: FlaskClient, workshop: Workshop, change):
    kit = workshop.kit("Clock")
    before = client.get(f"/api/kits/{kit}").get_json()
    assert client.patch(f"/api/kits/{kit}", json=change).status_code == 200
    assert client.get(f"/api/kits/{kit}").get_json() == before | change
