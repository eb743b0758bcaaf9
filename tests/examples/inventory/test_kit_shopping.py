"""From a kit to a shopping list: what is missing is put there once, and every attempt is counted by its outcome and terms."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from examples.inventory.database import Database
from tests.examples.inventory.workshop import Workshop

PUSH = "kit_shopping_list_push_total"
SECONDS = "kit_shopping_list_push_seconds_count"
UNLINK = "kit_shopping_list_unlink_total"


def push(client: FlaskClient, kit: int, listed: int, units: int = 1, **terms: bool):
    return client.post(f"/api/kits/{kit}/shopping-lists", json={"shopping_list_id": listed, "units": units} | terms)


def needed(answer) -> dict[int, int]:
    """The pieces on the list, by part."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return {line["part_id"]: line["needed"] for line in answer.get_json()["lines"]}


def test_only_what_is_missing_is_put_on_the_list(client, workshop: Workshop, metrics):
    plenty, scarce = workshop.stocked(100, 3)
    kit, listed = workshop.kit_of(plenty, scarce, required=2), workshop.shopping_list()
    assert needed(push(client, kit, listed, units=4)) == {scarce: 2 * 4 - 3}
    assert client.get(f"/api/shopping-lists/{listed}").get_json()["kits"] == [kit]
    assert client.get(f"/api/kits/{kit}/shopping-lists").get_json() == [{"shopping_list_id": listed, "units": 4, "honor_reserved": False}]
    assert metrics.delta(PUSH, outcome="success", honor_reserved="false") == 1
    assert metrics.delta(SECONDS, honor_reserved="false") == 1


def test_what_other_kits_need_is_left_to_them_when_that_is_honored(client, workshop: Workshop, metrics):
    (part,) = workshop.stocked(10)
    other = workshop.kit_of(part, required=7, name="Door bell")
    kit, listed = workshop.kit_of(part, required=4), workshop.shopping_list()
    assert needed(push(client, kit, listed, units=2, honor_reserved=False)) == {}
    assert needed(push(client, kit, listed, units=2, honor_reserved=True)) == {part: 8 - (10 - 7)}
    client.post(f"/api/kits/{other}/archive")  # archived kits need nothing
    assert needed(push(client, kit, workshop.shopping_list("Other"), units=2, honor_reserved=True)) == {}
    assert metrics.delta(PUSH, outcome="noop", honor_reserved="false") == 1
    assert metrics.delta(PUSH, outcome="success", honor_reserved="true") == 1
    assert metrics.delta(PUSH, outcome="noop", honor_reserved="true") == 1
    assert metrics.delta(SECONDS, honor_reserved="true") == 2


def test_pushing_again_raises_the_line_and_adds_nothing_twice(client, workshop: Workshop):
    part = workshop.part()
    kit, listed = workshop.kit_of(part), workshop.shopping_list()
    assert [needed(push(client, kit, listed, units=units)) for units in (5, 8, 2)] == [{part: 5}, {part: 8}, {part: 8}]
    (line,) = client.get(f"/api/shopping-lists/{listed}").get_json()["lines"]
    client.post(f"/api/shopping-lists/{listed}/lines/{line['id']}/order", json={"quantity": 8})
    assert needed(push(client, kit, listed, units=3)) == {part: 3}
    assert len(client.get(f"/api/shopping-lists/{listed}").get_json()["lines"]) == 2


@pytest.mark.parametrize("honored", [True, False])
def test_a_push_that_makes_no_sense_is_counted_as_refused(client, workshop: Workshop, metrics, honored):
    empty, archived = workshop.kit("Empty"), workshop.kit_of(workshop.part(), name="Old")
    client.post(f"/api/kits/{archived}/archive")
    listed = workshop.shopping_list()
    statuses = [push(client, kit, listed, honor_reserved=honored).status_code for kit in (empty, archived, 99)]
    statuses.append(push(client, workshop.kit_of(workshop.part()), 99, honor_reserved=honored).status_code)
    assert statuses == [409, 409, 404, 404]
    terms = "true" if honored else "false"
    assert metrics.delta(PUSH, outcome="refused", honor_reserved=terms) == 4
    assert metrics.delta(PUSH) == 4
    assert metrics.delta(SECONDS, honor_reserved=terms) == 4


def test_a_push_that_breaks_is_counted_as_failed_and_leaves_nothing(client, workshop: Workshop, database: Database, metrics):
    kit, listed = workshop.kit_of(workshop.part()), workshop.shopping_list()
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE kit_shopping_links"))
    assert push(client, kit, listed).status_code == 503
    assert metrics.delta(PUSH, outcome="failed", honor_reserved="false") == 1
    assert metrics.delta(PUSH, outcome="success") == 0
    with database.engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM shopping_list_lines")).scalar() == 0


def test_unlinking_leaves_the_lines_and_is_counted_by_outcome(client, workshop: Workshop, metrics):
    kit, listed = workshop.kit_of(workshop.part()), workshop.shopping_list()
    push(client, kit, listed)
    path = f"/api/kits/{kit}/shopping-lists/{listed}"
    assert client.delete(path).status_code == 204
    assert client.delete(path).get_json()["error"] == f"kit {kit} is not linked to shopping list {listed}"
    assert client.get(f"/api/kits/{kit}/shopping-lists").get_json() == []
    assert len(client.get(f"/api/shopping-lists/{listed}").get_json()["lines"]) == 1
    assert metrics.delta(UNLINK, outcome="success") == 1
    assert metrics.delta(UNLINK, outcome="not_found") == 1


def test_a_word_that_is_not_true_or_false_is_refused(client, workshop: Workshop):
    kit = workshop.kit()
    answer = client.post(f"/api/kits/{kit}/shopping-lists", json={"shopping_list_id": 1, "units": 1, "honor_reserved": "yes"})
    assert (answer.status_code, answer.get_json()["error"]) == (400, '"honor_reserved" must be true or false')
