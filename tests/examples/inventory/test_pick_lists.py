"""Pick lists: what is claimed, picked and put back, and that every number moves with its event, once, and only when it happened."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from examples.inventory.database import Database
from tests.examples.inventory.workshop import Workshop
from tests.support import run_threads

CHANGES = "inventory_quantity_changes_total"
UNDO = "pick_list_line_undo_total"
UNDO_SECONDS = "pick_list_line_undo_duration_seconds_count"


def act(client: FlaskClient, pick_list: dict, how: str, line: int = 0):
    return client.post(f"/api/pick-lists/{pick_list['id']}/lines/{pick_list['lines'][line]['id']}/{how}")


def set_quantity(client: FlaskClient, pick_list: dict, quantity: int, line: int = 0):
    return client.patch(f"/api/pick-lists/{pick_list['id']}/lines/{pick_list['lines'][line]['id']}", json={"quantity": quantity})


def in_stock(client: FlaskClient, part: int) -> int:
    return client.get(f"/api/parts/{part}").get_json()["quantity"]


def test_a_list_says_where_to_take_what_and_is_counted_with_its_lines(client, workshop: Workshop, metrics):
    many, few = workshop.stocked(100, 3)
    box = workshop.box()
    workshop.stock(few, box, 4, 7)
    made = workshop.pick_list(workshop.kit_of(many, few, required=2), units=3)
    assert [(line["part"]["id"], line["box_no"], line["location_no"], line["quantity"]) for line in made["lines"]] == [
        (many, 1, 1, 6),
        (few, 1, 2, 3),
        (few, box, 4, 3),
    ]
    assert (made["status"], made["kit"]["name"], made["requested_units"]) == ("open", "Clock", 3)
    assert metrics.delta("pick_list_created_total") == 1
    assert metrics.delta("pick_list_lines_per_creation_count") == 1
    assert metrics.delta("pick_list_lines_per_creation_sum") == 3


def test_a_list_takes_nothing_from_stock_before_it_is_picked(client, workshop: Workshop, metrics):
    (part,) = workshop.stocked(5)
    workshop.pick_list(workshop.kit_of(part), units=5)
    assert in_stock(client, part) == 5
    assert metrics.delta(CHANGES, operation="remove") == 0


def test_what_one_open_list_claims_is_not_promised_to_another(client, workshop: Workshop, metrics):
    (part,) = workshop.stocked(5)
    kit = workshop.kit_of(part)
    first = workshop.pick_list(kit, units=3)
    refused = client.post("/api/pick-lists", json={"kit_id": kit, "requested_units": 3})
    assert (refused.status_code, refused.get_json()["error"].split(";")[0]) == (409, f"1 pieces of part {part} are missing")
    act(client, first, "pick")
    assert workshop.pick_list(kit, units=2)["lines"][0]["quantity"] == 2
    assert metrics.delta("pick_list_created_total") == 2
    assert metrics.delta("pick_list_lines_per_creation_count") == 2


def test_picking_takes_the_pieces_and_counts_both_the_line_and_the_change_of_stock(client, workshop: Workshop, metrics):
    one, other = workshop.stocked(10, 4)
    made = workshop.pick_list(workshop.kit_of(one, other, required=4))
    before = metrics.delta(CHANGES, operation="remove")
    assert act(client, made, "pick", 0).get_json()["pick_list_status"] == "open"
    assert act(client, made, "pick", 1).get_json()["pick_list_status"] == "completed"
    assert (in_stock(client, one), in_stock(client, other)) == (6, 0)
    assert metrics.delta("pick_list_line_picked_total") == 2
    assert metrics.delta(CHANGES, operation="remove") == before + 2
    assert [row["delta"] for row in client.get("/api/stock/changes?limit=2").get_json()] == [-4, -4]


def test_a_line_is_picked_once(client, workshop: Workshop, metrics):
    (part,) = workshop.stocked(10)
    made = workshop.pick_list(workshop.kit_of(part))
    statuses = []
    application = client.application
    run_threads(*[lambda: statuses.append(act(application.test_client(), made, "pick").status_code)] * 6)
    assert sorted(statuses) == [200] + [409] * 5
    assert in_stock(client, part) == 9
    assert metrics.delta("pick_list_line_picked_total") == 1


def test_undoing_puts_the_pieces_back_and_opens_the_list(client, workshop: Workshop, metrics):
    (part,) = workshop.stocked(4)
    made = workshop.pick_list(workshop.kit_of(part, required=4))
    act(client, made, "pick")
    before = metrics.delta(CHANGES, operation="add")
    assert act(client, made, "undo").get_json()["pick_list_status"] == "open"
    assert in_stock(client, part) == 4
    assert metrics.delta(UNDO, outcome="success") == 1
    assert metrics.delta(UNDO_SECONDS) == 1
    assert metrics.delta(CHANGES, operation="add") == before + 1
    assert client.get(f"/api/pick-lists/{made['id']}").get_json()["lines"][0]["status"] == "open"


def test_an_undo_that_cannot_be_is_timed_and_counted_as_refused(client, workshop: Workshop, metrics):
    part, other = workshop.stocked(1, 1)
    made = workshop.pick_list(workshop.kit_of(part))
    assert act(client, made, "undo").get_json()["error"] == "line 1 is not picked; there is nothing to undo"
    act(client, made, "pick")
    workshop.stock(other, 1, 1, 5)  # somebody else's now
    assert act(client, made, "undo").status_code == 409
    assert client.post(f"/api/pick-lists/{made['id']}/lines/99/undo").status_code == 404
    assert metrics.delta(UNDO, outcome="refused") == 3
    assert metrics.delta(UNDO, outcome="success") == 0
    assert metrics.delta(UNDO_SECONDS) == 3


def test_an_undo_that_breaks_is_counted_as_failed(client, workshop: Workshop, database: Database, metrics):
    (part,) = workshop.stocked(1)
    made = workshop.pick_list(workshop.kit_of(part))
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE pick_list_lines RENAME TO hidden"))
    assert act(client, made, "undo").status_code == 503
    assert metrics.delta(UNDO, outcome="failed") == 1


def test_a_changed_quantity_is_counted_with_its_sign(client, workshop: Workshop, metrics):
    (part,) = workshop.stocked(10)
    made = workshop.pick_list(workshop.kit_of(part), units=4)
    assert set_quantity(client, made, 9).get_json()["quantity"] == 9
    assert set_quantity(client, made, 7).get_json()["quantity"] == 7
    assert metrics.delta("pick_list_line_quantity_updated_total") == 2
    assert metrics.delta("pick_list_line_quantity_delta_count") == 2
    assert [metrics.delta("pick_list_line_quantity_delta_bucket", le=le) for le in ("-5.0", "-2.0", "2.0", "5.0")] == [0, 1, 1, 2]


def test_a_quantity_that_is_not_there_is_refused_and_not_counted(client, workshop: Workshop, metrics):
    (part,) = workshop.stocked(10)
    kit = workshop.kit_of(part)
    workshop.pick_list(kit, units=4)
    mine = workshop.pick_list(kit, units=4)
    assert "has 6 pieces for this line" in set_quantity(client, mine, 7).get_json()["error"]
    act(client, mine, "pick")
    assert "is picked already" in set_quantity(client, mine, 1).get_json()["error"]
    assert metrics.delta("pick_list_line_quantity_updated_total") == 0


def test_lists_and_details_are_counted_when_they_are_answered(client, workshop: Workshop, metrics):
    (part,) = workshop.stocked(10)
    kit = workshop.kit_of(part)
    first, second = workshop.pick_list(kit), workshop.pick_list(kit)
    act(client, first, "pick")
    assert [row["id"] for row in client.get("/api/pick-lists").get_json()] == [second["id"]]
    assert [(row["id"], row["line_count"]) for row in client.get("/api/pick-lists?status=completed").get_json()] == [(first["id"], 1)]
    assert client.get("/api/pick-lists?status=lost").status_code == 400
    assert client.get(f"/api/pick-lists/{first['id']}").get_json()["status"] == "completed"
    assert client.get("/api/pick-lists/99").status_code == 404
    assert metrics.delta("pick_list_list_requests_total") == 2
    assert metrics.delta("pick_list_detail_requests_total") == 1


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda workshop: workshop.kit(), "has no contents"),
        (lambda workshop: workshop.kit_of(workshop.part()), "are missing; push the kit to a shopping list"),
        (lambda _workshop: 99, "there is no kit 99"),
    ],
)
def test_what_cannot_be_picked_is_refused_and_not_counted(client, workshop: Workshop, metrics, prepare, says):
    refused = client.post("/api/pick-lists", json={"kit_id": prepare(workshop), "requested_units": 1})
    assert refused.status_code in {404, 409}
    assert says in refused.get_json()["error"]
    assert metrics.delta("pick_list_created_total") == 0


def test_an_archived_kit_is_not_picked(client, workshop: Workshop):
    (part,) = workshop.stocked(1)
    kit = workshop.kit_of(part)
    client.post(f"/api/kits/{kit}/archive")
    assert client.post("/api/pick-lists", json={"kit_id": kit, "requested_units": 1}).status_code == 409


def test_a_pick_whose_commit_fails_is_counted_nowhere(client, workshop: Workshop, database: Database, metrics):
    (part,) = workshop.stocked(5)
    made = workshop.pick_list(workshop.kit_of(part))
    with database.engine.begin() as connection:  # a promise that only the commit finds broken
        connection.execute(text("CREATE TABLE audit (id INTEGER REFERENCES boxes (box_no) DEFERRABLE INITIALLY DEFERRED)"))
        connection.execute(text("CREATE TRIGGER broken AFTER INSERT ON stock_changes BEGIN INSERT INTO audit VALUES (999); END"))
    assert act(client, made, "pick").status_code == 409
    assert metrics.delta("pick_list_line_picked_total") == 0
    assert metrics.delta(CHANGES, operation="remove") == 0
    assert in_stock(client, part) == 5


def test_a_line_of_another_list_is_not_found(client, workshop: Workshop):
    (part,) = workshop.stocked(5)
    kit = workshop.kit_of(part)
    first, second = workshop.pick_list(kit), workshop.pick_list(kit)
    answer = client.post(f"/api/pick-lists/{second['id']}/lines/{first['lines'][0]['id']}/pick")
    assert (answer.status_code, answer.get_json()["error"]) == (404, f"pick list {second['id']} has no line {first['lines'][0]['id']}")


def test_a_part_that_stands_on_a_pick_list_stays(client, workshop: Workshop):
    (part,) = workshop.stocked(1)
    kit = workshop.kit()
    line = workshop.line(kit, part)
    act(client, workshop.pick_list(kit), "pick")
    client.delete(f"/api/kits/{kit}/contents/{line}")
    assert "stands on a pick list" in client.delete(f"/api/parts/{part}").get_json()["error"]
