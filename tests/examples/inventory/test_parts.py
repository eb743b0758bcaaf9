"""Parts, their types and their boxes: looked up, changed, refused while in use; and the one metric of the parts API."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.examples.inventory.workshop import Workshop

USAGE = "part_kit_usage_requests_total"


def test_kit_usage_is_counted_by_whether_there_is_any(client: FlaskClient, workshop: Workshop, metrics):
    used, unused = workshop.part(), workshop.part()
    kit = workshop.kit("Clock")
    workshop.line(kit, used, required=3)
    found = [{"id": kit, "name": "Clock", "status": "active", "required_per_unit": 3}]
    assert client.get(f"/api/parts/{used}/kits").get_json() == found
    assert client.get(f"/api/parts/{used}/kits").get_json() == found
    assert client.get(f"/api/parts/{unused}/kits").get_json() == []
    assert metrics.delta(USAGE, has_results="true") == 2
    assert metrics.delta(USAGE, has_results="false") == 1


def test_the_kit_usage_of_a_part_that_is_not_there_is_not_counted(client: FlaskClient, metrics):
    assert client.get("/api/parts/99/kits").status_code == 404
    assert metrics.delta(USAGE, has_results="false") == 0


def test_a_part_shows_where_it_lies_and_what_documents_it(client: FlaskClient, workshop: Workshop):
    part, box = workshop.part(description="10 kΩ", manufacturer_code="R-10K", reorder_level=5), workshop.box()
    workshop.stock(part, box, 2, 7)
    workshop.stock(part, box, 4, 1)
    workshop.document(part)
    shown = client.get(f"/api/parts/{part}").get_json()
    assert shown["quantity"] == 8
    assert [place["location_no"] for place in shown["locations"]] == [2, 4]
    assert [document["title"] for document in shown["documents"]] == ["Datasheet"]
    assert (shown["type"]["name"], shown["manufacturer_code"], shown["reorder_level"]) == ("Resistor", "R-10K", 5)


def test_a_search_takes_its_text_literally(client: FlaskClient, workshop: Workshop):
    workshop.part(description="5 % tolerance")
    workshop.part(description="plain", manufacturer_code="X_5")
    assert [part["description"] for part in client.get("/api/parts?search=%25 TOL").get_json()] == ["5 % tolerance"]
    assert [part["manufacturer_code"] for part in client.get("/api/parts?search=x_").get_json()] == ["X_5"]
    assert len(client.get("/api/parts").get_json()) == 2


def test_a_part_changes_only_what_is_given(client: FlaskClient, workshop: Workshop):
    part = workshop.part(description="old", reorder_level=5)
    sensor = workshop.part_type("Sensor")
    assert client.patch(f"/api/parts/{part}", json={"type_id": sensor}).get_json()["type"] == {"id": sensor, "name": "Sensor"}
    changed = client.patch(f"/api/parts/{part}", json={"description": "new"}).get_json()
    assert (changed["description"], changed["reorder_level"]) == ("new", 5)
    assert client.patch(f"/api/parts/{part}", json={"type_id": 99}).status_code == 404


def test_a_part_in_use_stays_and_its_history_outlives_it(client: FlaskClient, workshop: Workshop):
    part, box, kit = workshop.part(), workshop.box(), workshop.kit()
    workshop.stock(part, box, 1, 5)
    line = workshop.line(kit, part)
    workshop.document(part)
    assert "is in stock" in client.delete(f"/api/parts/{part}").get_json()["error"]
    workshop.take(part, box, 1, 5)
    assert "is used in a kit" in client.delete(f"/api/parts/{part}").get_json()["error"]
    client.delete(f"/api/kits/{kit}/contents/{line}")
    assert client.delete(f"/api/parts/{part}").status_code == 204
    assert client.get(f"/api/parts/{part}").status_code == 404
    assert [(row["part_id"], row["delta"]) for row in client.get("/api/stock/changes").get_json()] == [(None, -5), (None, 5)]


def test_types_are_named_once_and_stay_while_in_use(client: FlaskClient, workshop: Workshop):
    resistor, sensor = workshop.part_type("Resistor"), workshop.part_type("Sensor")
    workshop.part(resistor)
    assert client.post("/api/part-types", json={"name": "Sensor"}).status_code == 409
    assert client.patch(f"/api/part-types/{sensor}", json={"name": "Resistor"}).status_code == 409
    assert client.patch(f"/api/part-types/{sensor}", json={"name": "Light sensor"}).get_json()["name"] == "Light sensor"
    assert client.get(f"/api/part-types/{sensor}").get_json() == {"id": sensor, "name": "Light sensor"}
    assert client.delete(f"/api/part-types/{resistor}").status_code == 409
    assert client.delete(f"/api/part-types/{sensor}").status_code == 204
    assert [row["name"] for row in client.get("/api/part-types").get_json()] == ["Resistor"]


def test_a_box_shrinks_and_goes_only_as_far_as_it_is_empty(client: FlaskClient, workshop: Workshop):
    part, box = workshop.part(), workshop.box(capacity=10)
    workshop.stock(part, box, 6, 1)
    assert "keep at least 6 locations" in client.patch(f"/api/boxes/{box}", json={"capacity": 5}).get_json()["error"]
    assert client.patch(f"/api/boxes/{box}", json={"capacity": 6, "description": "Small"}).get_json()["capacity"] == 6
    assert client.get("/api/boxes").get_json() == [{"box_no": box, "description": "Small", "capacity": 6, "occupied": 1}]
    assert "is not empty" in client.delete(f"/api/boxes/{box}").get_json()["error"]
    workshop.take(part, box, 6, 1)
    assert client.delete(f"/api/boxes/{box}").status_code == 204
    assert client.get(f"/api/boxes/{box}").status_code == 404
