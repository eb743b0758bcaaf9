"""Asking a language model: what it suggests, what is billed, and every way in which it can go wrong, counted apart."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from examples.inventory.ai import PRICES, AiProvider, Price, Usage
from examples.inventory.errors import InvalidError
from examples.inventory.standins.ai_provider import KEY, AiStandin
from examples.inventory.standins.server import Answer, Asked, Standin
from tests.examples.inventory.workshop import Workshop

REQUESTS = "ai_analysis_requests_total"
SECONDS = "ai_analysis_duration_seconds_count"
TOKENS = "ai_analysis_tokens_total"
COST = "ai_analysis_cost_dollars_total"
LOW = {"model": "standin-small", "verbosity": "low", "reasoning_effort": "low"}


def analyse(client: FlaskClient, part: int, **how: str) -> dict:
    return Workshop(client).task(client.post(f"/api/parts/{part}/analysis", json=how))


def test_a_suggestion_comes_back_and_changes_nothing(ai: FlaskClient):
    workshop = Workshop(ai)
    part = workshop.part(workshop.part_type("Resistor"), description="precision resistor 10 kΩ", manufacturer_code="R-10K")
    task = analyse(ai, part)
    assert (task["state"], task["kind"], task["outcome"]["part_id"]) == ("done", "ai_analysis", part)
    assert task["outcome"]["suggestion"] == {
        "description": "Resistor: precision resistor 10 kΩ",
        "manufacturer_code": "R-10K",
        "type": "Resistor",
        "tags": ["precision"],
    }
    assert ai.get(f"/api/parts/{part}").get_json()["description"] == "precision resistor 10 kΩ"


def test_an_analysis_is_counted_with_time_tokens_and_cost(ai: FlaskClient, metrics):
    part = Workshop(ai).part()
    analyse(ai, part)
    assert metrics.delta(REQUESTS, status="success", **LOW) == 1
    assert metrics.delta(SECONDS, **LOW) == 1
    tokens = {kind: metrics.delta(TOKENS, type=kind, **LOW) for kind in ("input", "cached_input", "output", "reasoning")}
    assert tokens["input"] > tokens["cached_input"] == 0
    assert tokens["output"] > tokens["reasoning"] == 64
    price = PRICES["standin-small"]
    assert metrics.delta(COST, **LOW) == pytest.approx((tokens["input"] * price.input + tokens["output"] * price.output) / 1e6)


def test_what_was_asked_before_is_cheaper(ai: FlaskClient, metrics):
    part = Workshop(ai).part()
    analyse(ai, part)
    first = metrics.delta(COST)
    analyse(ai, part)
    assert metrics.delta(TOKENS, type="cached_input") > 0
    assert 0 < metrics.delta(COST) - first < first


def test_how_much_it_thinks_and_says_is_told_apart(ai: FlaskClient, metrics):
    part = Workshop(ai).part()
    analyse(ai, part, verbosity="high", reasoning_effort="medium")
    assert metrics.delta(REQUESTS, verbosity="high", reasoning_effort="medium", status="success") == 1
    assert metrics.delta(TOKENS, verbosity="high", reasoning_effort="medium", type="reasoning") == 256
    assert metrics.delta(REQUESTS, **LOW) == 0
    assert ai.post(f"/api/parts/{part}/analysis", json={"verbosity": "endless"}).status_code == 400


def test_a_provider_that_fails_is_counted_and_costs_nothing(ai: FlaskClient, metrics):
    task = analyse(ai, Workshop(ai).part(description="lets out smoke"))
    assert (task["state"], "failed with status 500" in task["outcome"]["error"]) == ("failed", True)
    assert metrics.delta(REQUESTS, status="server_error", **LOW) == 1
    assert metrics.delta(SECONDS, **LOW) == 1
    assert metrics.delta(COST) == 0


def test_an_answer_that_makes_no_sense_is_an_error_that_was_paid_for(ai: FlaskClient, metrics):
    task = analyse(ai, Workshop(ai).part(description="gibberish"))
    assert (task["state"], "cannot be read" in task["outcome"]["error"]) == ("failed", True)
    assert metrics.delta(REQUESTS, status="invalid_answer", **LOW) == 1
    assert metrics.delta(COST, **LOW) > 0


def test_a_provider_that_takes_too_long_is_given_up(connected: Callable[..., FlaskClient], model: AiStandin, metrics):
    client = connected(ai=AiProvider(model.url, key=KEY, timeout=0.3))
    task = analyse(client, Workshop(client).part(description="slow as molasses"))
    assert (task["state"], "did not answer in time" in task["outcome"]["error"]) == ("failed", True)
    assert metrics.delta(REQUESTS, status="timeout", **LOW) == 1


def test_a_wrong_key_is_refused(connected: Callable[..., FlaskClient], model: AiStandin, metrics):
    client = connected(ai=AiProvider(model.url, key="guessed"))
    assert analyse(client, Workshop(client).part())["outcome"] == {"error": "the AI provider refused the request with status 401"}
    assert metrics.delta(REQUESTS, status="refused", **LOW) == 1


def test_a_provider_that_is_not_there_is_unreachable(connected: Callable[..., FlaskClient], metrics):
    with AiStandin() as gone:
        url = gone.url
    client = connected(ai=AiProvider(url, key=KEY))
    assert "cannot be reached" in analyse(client, Workshop(client).part())["outcome"]["error"]
    assert metrics.delta(REQUESTS, status="unreachable", **LOW) == 1


class Says(Standin):
    """Answers everything with one thing."""

    said: Answer

    def answer(self, _asked: Asked) -> Answer:
        return self.said


USED = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
}


def message(text: str) -> list[dict]:
    return [{"type": "message", "content": [{"type": "output_text", "text": text}]}]


@pytest.mark.parametrize(
    ("said", "status", "tokens"),
    [
        (Answer(429), "rate_limited", 0),
        (Answer(200, {}), "invalid_answer", 0),
        (Answer(200, []), "invalid_answer", 0),
        (Answer(200, {"output": [], "usage": None}), "invalid_answer", 0),
        (Answer(200, {"output": [], "usage": USED}), "invalid_answer", 10),
        (Answer(200, {"output": None, "usage": USED}), "invalid_answer", 10),
        (Answer(200, {"output": message("[1]"), "usage": USED}), "invalid_answer", 10),
        (Answer(200, {"output": message(json.dumps({"description": "x"})), "usage": USED}), "invalid_answer", 10),
        (Answer(200, None), "invalid_answer", 0),
        (Answer(302, headers={"Location": "http://127.0.0.1:1/"}), "refused", 0),
    ],
)
def test_whatever_it_answers_is_counted_and_breaks_nothing(connected: Callable[..., FlaskClient], metrics, said, status, tokens):
    with Says() as odd:
        odd.said = said
        client = connected(ai=AiProvider(odd.url, key=KEY))
        assert analyse(client, Workshop(client).part())["state"] == "failed"
    assert metrics.delta(REQUESTS, status=status, **LOW) == 1
    assert metrics.delta(REQUESTS) == 1
    assert metrics.delta(TOKENS, type="input", **LOW) == tokens if tokens else metrics.delta(COST) == 0


def test_a_part_that_is_not_there_is_not_asked_about(ai: FlaskClient, metrics):
    assert ai.post("/api/parts/99/analysis", json={}).status_code == 404
    assert metrics.delta(REQUESTS) == 0


def test_a_model_without_a_price_is_refused_at_the_start():
    with pytest.raises(InvalidError, match=r"no price for the model 'standin-huge'; choose one of standin-small, standin-large"):
        AiProvider("http://127.0.0.1:1", key=KEY, model="standin-huge")


@pytest.mark.parametrize("url", ["api.example.org", "ftp://api.example.org", "http://", ""])
def test_an_address_that_cannot_be_meant_is_refused(url):
    with pytest.raises(InvalidError, match="is not the address of the AI provider"):
        AiProvider(url, key=KEY)


def test_cached_tokens_cost_what_the_table_says():
    usage = Usage(input=1_000_000, cached_input=400_000, output=100_000, reasoning=50_000)
    assert usage.cost(Price(2, 0.5, 10)) == pytest.approx(1.2 + 0.2 + 1)


def test_where_no_provider_is_configured_that_is_said(client: FlaskClient, workshop: Workshop):
    answer = client.post(f"/api/parts/{workshop.part()}/analysis", json={})
    assert (answer.status_code, "set AI_URL" in answer.get_json()["error"]) == (501, True)
    assert client.get("/api/features").get_json() == {"ai": False, "distributor": False, "sign_in": False}
