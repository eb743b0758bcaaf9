"""The distributor's API: what can be bought, and every way in which asking goes wrong, counted by endpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from examples.inventory.distributor import Distributor
from examples.inventory.standins.distributor import KEY, DistributorStandin
from examples.inventory.standins.server import Answer
from tests.examples.inventory.test_ai import Says
from tests.support import wait_until

REQUESTS = "mouser_api_requests_total"
SECONDS = "mouser_api_duration_seconds_count"
KEYWORD, NUMBER = "search_by_keyword", "search_by_part_number"


def test_a_keyword_finds_what_can_be_bought(shop: FlaskClient, metrics):
    found = shop.get("/api/distributor/search?keyword=low noise&limit=2").get_json()
    assert [part["description"] for part in found] == ["Resistor, low noise", "Capacitor, low noise"]
    assert found[0]["prices"][0] == {"from": 1, "each": "$0.900"}
    assert metrics.delta(REQUESTS, endpoint=KEYWORD, status="success") == 1
    assert metrics.delta(SECONDS, endpoint=KEYWORD) == 1
    assert metrics.delta(REQUESTS, endpoint=NUMBER) == 0


def test_a_part_number_finds_one_or_none(shop: FlaskClient, metrics):
    (part,) = shop.get("/api/distributor/part?number=CAP-1007").get_json()
    assert (part["manufacturer_code"], part["in_stock"]) == ("CAP-1007", 959)
    assert shop.get(f"/api/distributor/part?number={part['part_number']}").get_json() == [part]
    assert shop.get("/api/distributor/part?number=none").get_json() == []
    assert metrics.delta(REQUESTS, endpoint=NUMBER, status="success") == 3
    assert metrics.delta(SECONDS, endpoint=NUMBER) == 3


def test_its_limit_is_told_as_not_now(shop: FlaskClient, metrics):
    statuses = [shop.get("/api/distributor/search?keyword=bolt").status_code for _ in range(7)]
    assert statuses == [200] * 5 + [503] * 2
    refused = shop.get("/api/distributor/part?number=x")
    assert (refused.headers["Retry-After"], "has been asked too often" in refused.get_json()["error"]) == ("60", True)
    assert metrics.delta(REQUESTS, endpoint=KEYWORD, status="rate_limited") == 2
    assert metrics.delta(REQUESTS, endpoint=NUMBER, status="rate_limited") == 1
    assert metrics.delta(SECONDS) == 8


def test_the_limit_is_over_when_its_window_is(connected: Callable[..., FlaskClient]):
    with DistributorStandin(calls=1, window=0.2) as standin:
        client = connected(distributor=Distributor(standin.url, key=KEY))
        assert client.get("/api/distributor/part?number=x").status_code == 200
        wait_until(lambda: client.get("/api/distributor/part?number=x").status_code == 200)


def test_an_error_inside_an_answer_is_an_error(connected: Callable[..., FlaskClient], metrics):
    with DistributorStandin() as standin:
        answer = connected(distributor=Distributor(standin.url, key="guessed")).get("/api/distributor/search?keyword=bolt")
    assert (answer.status_code, "Invalid unique identifier" in answer.get_json()["error"]) == (502, True)
    assert metrics.delta(REQUESTS, endpoint=KEYWORD, status="refused") == 1


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (Answer(500), "server_error"),
        (Answer(403), "refused"),
        (Answer(200, None), "invalid_answer"),
        (Answer(200, {"Errors": []}), "invalid_answer"),
        (Answer(200, {"Errors": [], "SearchResults": {"Parts": [{}]}}), "invalid_answer"),
        (Answer(200, {"Errors": [{}]}), "invalid_answer"),
        (Answer(200, "nonsense"), "invalid_answer"),
    ],
)
def test_whatever_it_answers_is_counted_and_breaks_nothing(connected: Callable[..., FlaskClient], metrics, said, status):
    with Says() as odd:
        odd.said = said
        assert connected(distributor=Distributor(odd.url, key=KEY)).get("/api/distributor/part?number=x").status_code == 502
    assert metrics.delta(REQUESTS, endpoint=NUMBER, status=status) == 1
    assert metrics.delta(SECONDS, endpoint=NUMBER) == 1


def test_one_that_is_not_there_is_unreachable(connected: Callable[..., FlaskClient], metrics):
    with DistributorStandin() as gone:
        url = gone.url
    assert connected(distributor=Distributor(url, key=KEY)).get("/api/distributor/part?number=x").status_code == 502
    assert metrics.delta(REQUESTS, endpoint=NUMBER, status="unreachable") == 1


@pytest.mark.parametrize("query", ["", "keyword=", "keyword=x&limit=51", "keyword=x&page=2"])
def test_a_question_that_makes_no_sense_is_not_passed_on(shop: FlaskClient, metrics, query):
    assert shop.get(f"/api/distributor/search?{query}").status_code == 400
    assert metrics.delta(REQUESTS) == 0
