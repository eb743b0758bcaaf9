"""Stock never goes below nothing, and a change is counted when it is committed."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from examples.inventory.database import Database
from tests.examples.inventory.workshop import Workshop
from tests.support import run_threads

CHANGES = "inventory_quantity_changes_total"


def changed(client: FlaskClient, operation: str, **change: int):
    return client.post(f"/api/stock/{operation}", json={"part_id": 1, "box_no": 1, "location_no": 1, "quantity": 1} | change)


def test_each_operation_is_counted_once_whatever_its_quantity(client, workshop: Workshop, metrics):
    part, box = workshop.part(), workshop.box()
    assert changed(client, "add", part_id=part, box_no=box, quantity=30).get_json()["quantity"] == 30
    assert changed(client, "add", part_id=part, box_no=box, quantity=5).get_json()["quantity"] == 35
    assert changed(client, "remove", part_id=part, box_no=box, quantity=12).get_json()["quantity"] == 23
    assert metrics.delta(CHANGES, operation="add") == 2
    assert metrics.delta(CHANGES, operation="remove") == 1


@pytest.mark.parametrize(
    ("operation", "change", "status", "says"),
    [
        ("add", {"part_id": 99}, 404, "there is no part 99"),
        ("add", {"box_no": 99}, 404, "there is no box 99"),
        ("add", {"location_no": 11}, 400, "locations 1 to 10"),
        ("add", {"quantity": 0}, 400, '"quantity" must be a whole number from 1'),
        ("add", {"part_id": 2}, 409, "choose an empty location"),
        ("add", {"quantity": 999_996}, 409, "at most 1,000,000"),
        ("remove", {"quantity": 6}, 409, "only 5 pieces are left"),
        ("remove", {"location_no": 2}, 404, "does not lie in location 2"),
        ("remove", {"part_id": 2}, 404, "part 2 does not lie"),
    ],
)
def test_a_refused_change_says_why_and_is_not_counted(client, workshop: Workshop, metrics, operation, change, status, says):
    first, _second = workshop.part(), workshop.part()
    workshop.stock(first, workshop.box(), 1, 5)
    before = metrics.delta(CHANGES, operation=operation)
    answer = changed(client, operation, **change)
    assert answer.status_code == status
    assert says in answer.get_json()["error"]
    assert metrics.delta(CHANGES, operation=operation) == before
    assert client.get("/api/parts/1").get_json()["quantity"] == 5


def test_a_change_whose_commit_fails_is_not_counted(client, workshop: Workshop, database: Database, metrics):
    part, box = workshop.part(), workshop.box()
    with database.engine.begin() as connection:  # a promise that only the commit finds broken
        connection.execute(text("CREATE TABLE audit (id INTEGER REFERENCES boxes (box_no) DEFERRABLE INITIALLY DEFERRED)"))
        connection.execute(text("CREATE TRIGGER broken AFTER INSERT ON stock_changes BEGIN INSERT INTO audit VALUES (999); END"))
    assert changed(client, "add", part_id=part, box_no=box).status_code == 409
    assert metrics.delta(CHANGES, operation="add") == 0
    assert client.get("/api/stock/changes").get_json() == []
    assert database.engine.pool.checkedout() == 0


def test_an_emptied_location_takes_another_part(client, workshop: Workshop):
    first, second, box = workshop.part(), workshop.part(), workshop.box()
    workshop.stock(first, box, 1, 5)
    workshop.take(first, box, 1, 5)
    workshop.stock(second, box, 1, 7)
    assert client.get(f"/api/boxes/{box}").get_json()["locations"] == [{"location_no": 1, "part_id": second, "quantity": 7}]


def test_the_history_is_newest_first_and_in_pages(client, workshop: Workshop):
    part, box = workshop.part(), workshop.box()
    workshop.stock(part, box, 1, 5)
    workshop.take(part, box, 1, 2)
    workshop.stock(part, box, 1, 1)
    assert [row["delta"] for row in client.get("/api/stock/changes").get_json()] == [1, -2, 5]
    assert [row["delta"] for row in client.get("/api/stock/changes?limit=1&offset=1").get_json()] == [-2]


def test_threads_that_take_from_one_location_never_take_more_than_there_is(client, workshop: Workshop, metrics):
    part, box = workshop.part(), workshop.box()
    workshop.stock(part, box, 1, 50)
    statuses = []

    def visitor():
        own = client.application.test_client()
        statuses.extend(changed(own, "remove", part_id=part, box_no=box, quantity=2).status_code for _ in range(5))

    run_threads(*[visitor] * 8)
    assert statuses.count(200) == 25
    assert set(statuses) == {200, 404}  # gone, once it was emptied; nothing worse
    assert metrics.delta(CHANGES, operation="remove") == 25
    assert client.get(f"/api/boxes/{box}").get_json()["locations"] == []
