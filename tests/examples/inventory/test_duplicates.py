"""Searching for duplicates: only parts that exist are named, and searches, matches and the size of the dump are counted."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from examples.inventory.ai import AiProvider
from examples.inventory.standins.ai_provider import KEY
from examples.inventory.standins.server import Answer
from tests.examples.inventory.test_ai import USED, Says, message
from tests.examples.inventory.workshop import Workshop

REQUESTS = "ai_duplicate_search_requests_total"
SECONDS = "ai_duplicate_search_duration_seconds_count"
FOUND = "ai_duplicate_search_matches_found"
DUMP = "ai_duplicate_search_parts_dump_size"


def search(client: FlaskClient, description: str, **more: str):
    return client.post("/api/ai/duplicates", json={"description": description} | more)


def test_matches_are_named_with_their_confidence_and_counted(ai: FlaskClient, metrics):
    workshop = Workshop(ai)
    same = workshop.part(description="Resistor, low noise")
    alike = workshop.part(description="Resistor, low noise, spare")
    workshop.part(description="Bolt")
    answer = search(ai, "resistor LOW noise").get_json()
    assert answer["compared_with"] == 3
    assert [(match["part_id"], match["confidence"]) for match in answer["matches"]] == [(same, "high"), (alike, "medium")]
    assert metrics.delta(REQUESTS, outcome="found") == 1
    assert metrics.delta(SECONDS) == 1
    assert metrics.value(DUMP) == 3
    for confidence in ("high", "medium"):
        assert metrics.delta(f"{FOUND}_count", confidence=confidence) == 1
        assert metrics.delta(f"{FOUND}_sum", confidence=confidence) == 1


def test_a_manufacturer_code_decides(ai: FlaskClient):
    part = Workshop(ai).part(description="Something", manufacturer_code="R-10K")
    (match,) = search(ai, "Anything else", manufacturer_code="R-10K").get_json()["matches"]
    assert (match["part_id"], match["confidence"]) == (part, "high")


def test_a_search_without_matches_counts_zeros(ai: FlaskClient, metrics):
    Workshop(ai).part(description="Bolt")
    assert search(ai, "Grandfather clock").get_json()["matches"] == []
    assert metrics.delta(REQUESTS, outcome="none") == 1
    assert metrics.delta(f"{FOUND}_bucket", confidence="high", le="0.0") == 1
    assert metrics.delta(f"{FOUND}_count", confidence="medium") == 1


def test_in_an_empty_inventory_there_is_nothing_to_compare_with(ai: FlaskClient, metrics):
    assert search(ai, "Bolt").get_json() == {"compared_with": 0, "matches": []}
    assert metrics.value(DUMP) == 0


def test_a_provider_that_fails_is_an_error_that_is_timed_and_counts_no_matches(ai: FlaskClient, metrics):
    assert search(ai, "smoke").status_code == 502
    assert search(ai, "gibberish").status_code == 502
    assert metrics.delta(REQUESTS, outcome="error") == 2
    assert metrics.delta(SECONDS) == 2
    assert metrics.delta(f"{FOUND}_count") == 0


@pytest.mark.parametrize(
    ("matches", "outcome"),
    [
        ([{"part_id": 1, "confidence": "high", "reason": "made up"}], "none"),  # there is no such part
        ([{"part_id": 1, "confidence": "utter", "reason": "made up"}], "none"),
        ([{"part_id": 1}], "none"),
        ([{"confidence": "high"}], "error"),
        (["part 1"], "error"),
        ({"part_id": 1}, "error"),
        (7, "error"),
    ],
)
def test_what_the_model_makes_up_does_not_get_through(connected: Callable[..., FlaskClient], metrics, matches, outcome):
    with Says() as odd:
        odd.said = Answer(200, {"output": message(json.dumps({"matches": matches})), "usage": USED})
        answer = search(connected(ai=AiProvider(odd.url, key=KEY)), "Bolt")
    assert (answer.status_code == 502) == (outcome == "error")
    assert metrics.delta(REQUESTS, outcome=outcome) == 1
