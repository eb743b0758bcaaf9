"""Shopping lists: lines are ordered one by one or by seller, received into boxes, and counted when that is done."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from examples.inventory.database import Database
from tests.examples.inventory.workshop import Workshop

ORDERED = "shopping_list_lines_marked_ordered_total"


def order(client: FlaskClient, list_id: int, line: int, quantity: int = 10):
    return client.post(f"/api/shopping-lists/{list_id}/lines/{line}/order", json={"quantity": quantity})


def receive(client: FlaskClient, list_id: int, line: int, box: int, location: int = 1, quantity: int = 10):
    delivery = {"box_no": box, "location_no": location, "quantity": quantity}
    return client.post(f"/api/shopping-lists/{list_id}/lines/{line}/receive", json=delivery)


def test_one_line_is_marked_as_ordered(client, workshop: Workshop, metrics):
    listed = workshop.shopping_list()
    line = workshop.shopping_line(listed, workshop.part())
    assert order(client, listed, line, 12).get_json() | {"part_id": 0} == {
        "id": line,
        "part_id": 0,
        "seller": "",
        "needed": 10,
        "ordered": 12,
        "received": 0,
        "status": "ordered",
    }
    assert order(client, listed, line).get_json()["error"] == f"line {line} is ordered already"
    assert metrics.delta(ORDERED, mode="single") == 1
    assert metrics.delta(ORDERED, mode="group") == 0


def test_all_new_lines_of_a_seller_are_marked_in_one_go(client, workshop: Workshop, metrics):
    listed = workshop.shopping_list()
    lines = [workshop.shopping_line(listed, workshop.part(), 7, seller="Northern Parts") for _ in range(3)]
    other = workshop.shopping_line(listed, workshop.part(), seller="Tiny Works")
    order(client, listed, lines[0])
    marked = client.post(f"/api/shopping-lists/{listed}/order", json={"seller": "Northern Parts"}).get_json()
    assert [(line["id"], line["ordered"]) for line in marked] == [(lines[1], 7), (lines[2], 7)]
    again = client.post(f"/api/shopping-lists/{listed}/order", json={"seller": "Northern Parts"})
    assert (again.status_code, again.get_json()["error"]) == (409, f"shopping list {listed} has no new line of seller 'Northern Parts'")
    statuses = {line["id"]: line["status"] for line in client.get(f"/api/shopping-lists/{listed}").get_json()["lines"]}
    assert statuses[other] == "new"
    assert metrics.delta(ORDERED, mode="group") == 2
    assert metrics.delta(ORDERED, mode="single") == 1


def test_deliveries_go_into_a_box_and_are_counted_by_line_and_by_piece(client, workshop: Workshop, metrics):
    listed, part, box = workshop.shopping_list(), workshop.part(), workshop.box()
    line = workshop.shopping_line(listed, part)
    order(client, listed, line, 10)
    assert receive(client, listed, line, box, quantity=4).get_json()["status"] == "ordered"
    assert receive(client, listed, line, box, quantity=6).get_json()["status"] == "done"
    assert client.get(f"/api/parts/{part}").get_json()["quantity"] == 10
    assert metrics.delta("shopping_list_lines_received_total") == 2
    assert metrics.delta("shopping_list_receive_quantity_total") == 10
    assert metrics.delta("inventory_quantity_changes_total", operation="add") == 2


def test_what_cannot_be_received_is_refused_and_not_counted(client, workshop: Workshop, metrics):
    listed, part, box = workshop.shopping_list(), workshop.part(), workshop.box(capacity=2)
    workshop.stock(workshop.part(), box, 2, 1)
    line = workshop.shopping_line(listed, part)
    assert "only what is ordered can be received" in receive(client, listed, line, box).get_json()["error"]
    order(client, listed, line)
    assert "choose an empty location" in receive(client, listed, line, box, location=2).get_json()["error"]
    assert receive(client, listed, line, box, location=3).status_code == 400
    assert receive(client, listed, line, 99).status_code == 404
    assert receive(client, listed, 99, box).status_code == 404
    assert metrics.delta("shopping_list_lines_received_total") == 0
    assert metrics.delta("shopping_list_receive_quantity_total") == 0
    assert client.get(f"/api/shopping-lists/{listed}").get_json()["lines"][0]["received"] == 0


@pytest.mark.parametrize("table", ["shopping_list_lines", "stock_changes"])
def test_a_delivery_whose_commit_fails_is_not_counted(client, workshop: Workshop, database: Database, metrics, table):
    listed, part, box = workshop.shopping_list(), workshop.part(), workshop.box()
    line = workshop.shopping_line(listed, part)
    order(client, listed, line)
    event = "UPDATE" if table == "shopping_list_lines" else "INSERT"
    with database.engine.begin() as connection:  # a promise that only the commit finds broken
        connection.execute(text("CREATE TABLE audit (id INTEGER REFERENCES boxes (box_no) DEFERRABLE INITIALLY DEFERRED)"))
        connection.execute(text(f"CREATE TRIGGER broken AFTER {event} ON {table} BEGIN INSERT INTO audit VALUES (999); END"))
    assert receive(client, listed, line, box).status_code == 409
    assert metrics.delta("shopping_list_lines_received_total") == 0
    assert metrics.delta("inventory_quantity_changes_total", operation="add") == 0
    assert client.get(f"/api/parts/{part}").get_json()["quantity"] == 0


def test_lists_show_what_is_pending_and_keep_their_names_apart(client, workshop: Workshop):
    listed, part, box = workshop.shopping_list("Spring order"), workshop.part(), workshop.box()
    line = workshop.shopping_line(listed, part)
    workshop.shopping_line(listed, workshop.part())
    order(client, listed, line)
    receive(client, listed, line, box)
    workshop.shopping_list("Autumn order")
    shown = client.get("/api/shopping-lists").get_json()
    assert [(row["name"], row["pending_lines"]) for row in shown] == [("Autumn order", 0), ("Spring order", 1)]
    assert client.post("/api/shopping-lists", json={"name": "Spring order"}).status_code == 409
    assert client.get("/api/shopping-lists/99").status_code == 404


def test_a_part_stands_on_a_list_once_until_it_is_ordered(client, workshop: Workshop):
    listed, part = workshop.shopping_list(), workshop.part()
    line = workshop.shopping_line(listed, part)
    again = client.post(f"/api/shopping-lists/{listed}/lines", json={"part_id": part, "needed": 1})
    assert (again.status_code, "stands on shopping list" in again.get_json()["error"]) == (409, True)
    order(client, listed, line)
    assert workshop.shopping_line(listed, part) != line
    assert "stands on a shopping list" in client.delete(f"/api/parts/{part}").get_json()["error"]


def test_a_line_of_another_list_is_not_found(client, workshop: Workshop):
    first, second = workshop.shopping_list("One"), workshop.shopping_list("Two")
    line = workshop.shopping_line(first, workshop.part())
    answer = order(client, second, line)
    assert (answer.status_code, answer.get_json()["error"]) == (404, f"shopping list {second} has no line {line}")
