"""Bad requests: an answer in JSON with the right status that says what to do; never a failure on our side."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from examples.inventory.database import Database
from examples.inventory.errors import InvalidError


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("POST", "/api/kits", "", 'send a JSON object with "name", "description", "build_target"'),
        ("POST", "/api/kits", "[1]", "send a JSON object"),
        ("POST", "/api/kits", "{nonsense", "send a JSON object"),
        ("POST", "/api/kits", "[" * 50_000, "send a JSON object"),
        ("POST", "/api/kits", "{}", '"name" is missing; send "name"'),
        ("POST", "/api/kits", '{"name": "a", "colour": "red"}', '"colour" is not known here'),
        ("POST", "/api/kits", '{"name": 5}', '"name" must be one line of printable text'),
        ("POST", "/api/kits", '{"name": null}', '"name" must be one line of printable text'),
        ("POST", "/api/kits", '{"name": "two\\nlines"}', '"name" must be one line of printable text'),
        ("POST", "/api/kits", '{"name": "half \\ud800"}', '"name" must be one line of printable text'),
        ("POST", "/api/kits", '{"name": "nothing\\u0000"}', '"name" must be one line of printable text'),
        ("POST", "/api/kits", '{"name": "  "}', '"name" must have 1 to 100 characters; it has 0'),
        ("POST", "/api/kits", '{"name": "' + "x" * 101 + '"}', "it has 101"),
        ("POST", "/api/kits", '{"name": "a", "build_target": "3"}', '"build_target" must be a whole number from 1 to 100000'),
        ("POST", "/api/kits", '{"name": "a", "build_target": true}', '"build_target" must be a whole number'),
        ("POST", "/api/kits", '{"name": "a", "build_target": 2.5}', '"build_target" must be a whole number'),
        ("POST", "/api/kits", '{"name": "a", "build_target": 1e400}', '"build_target" must be a whole number'),
        ("POST", "/api/kits", f'{{"name": "a", "build_target": {10**30}}}', '"build_target" must be a whole number'),
        ("PATCH", "/api/kits/1", "{}", "nothing to change; send at least one of"),
        ("PATCH", "/api/kits/1/contents/1", '{"note": "x"}', '"version" is missing'),
        ("PATCH", "/api/kits/1/contents/1", '{"version": 1}', "nothing to change"),
        ("POST", "/api/parts/1/documents", '{"title": "a", "url": "javascript:1"}', '"url" must start with https:// or http://'),
        ("GET", "/api/kits?status=lost", None, '"status" must be active or archived'),
        ("GET", "/api/kits?limit=0", None, '"limit" must be a whole number from 1 to 200'),
        ("GET", "/api/kits?limit=ten", None, '"limit" must be a whole number'),
        ("GET", "/api/parts?offset=" + "9" * 5000, None, '"offset" must be a whole number'),
        ("GET", "/api/parts?page=2", None, '"page" is not known here; send "search", "limit", "offset"'),
    ],
)
def test_a_bad_request_is_told_what_to_do(client: FlaskClient, method, path, body, says):
    answer = client.open(path, method=method, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert says in answer.get_json()["error"]


@pytest.mark.parametrize("path", ["/nowhere", "/api/parts/0", "/api/parts/-1", "/api/parts/x", "/api/parts/7", f"/api/parts/{10**30}"])
def test_what_is_not_there_is_a_404_in_json(client: FlaskClient, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.get_json()["error"]


def test_a_wrong_method_names_the_right_ones(client: FlaskClient):
    answer = client.delete("/api/kits")
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert answer.get_json()["error"]


def test_a_body_that_is_too_large_is_refused(client: FlaskClient):
    assert client.post("/api/kits", json={"name": "x" * 100_000}).status_code == 413


def test_a_body_that_is_not_called_json_is_told_so(client: FlaskClient):
    answer = client.post("/api/kits", data={"name": "Clock"})
    assert answer.status_code == 400
    assert "Content-Type: application/json" in answer.get_json()["error"]


def test_a_database_that_fails_is_a_503_that_shows_no_details(client: FlaskClient, database: Database, caplog):
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE kits RENAME TO hidden"))
    answer = client.get("/api/kits")
    assert (answer.status_code, answer.get_json()) == (503, {"error": "the database does not answer; try again in a moment"})
    assert "no such table: kits" in caplog.text


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_an_in_memory_database_is_refused_with_what_to_write_instead(url):
    with pytest.raises(InvalidError, match=r"name a file: sqlite:///inventory\.db"):
        Database(url)
