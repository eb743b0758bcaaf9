"""The api over a real store and writer: what people can do and read, and how a refusal or a failure is said."""

from __future__ import annotations

from typing import Any

import pytest

from examples.governance.constitution import Constitution, Kind
from examples.governance.errors import PendingError, UnreachableError
from examples.governance.events import Act
from examples.governance.following import Follower
from examples.governance.services.api import create_app
from examples.governance.store import EventStore
from examples.governance.writer import Writer
from tests.examples.governance.direct import Client, Direct
from tests.examples.governance.history import History

pytestmark = pytest.mark.once


@pytest.fixture
def handover(writer: Writer) -> Direct:
    return Direct(writer)


@pytest.fixture
def client(store: EventStore, handover: Direct, constitution: Constitution) -> Client:
    return Client(create_app(store, Follower(store, constitution), handover))


def posted(client: Client, path: str, status: int = 201, **body: Any) -> Any:
    answer = client.post(path, json={"actor": "ada", **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_proposal_from_its_beginning_to_its_override(client: Client):
    proposal = posted(client, "/v1/proposals", title="Tea at four")["id"]
    at = f"/v1/proposals/{proposal}"
    shown = client.get(at).json()
    assert (shown["state"], shown["author"], shown["can_be_decided"]) == ("open", "ada", False)
    for voter, choice in (("bob", "for"), ("cyd", "abstain")):
        posted(client, f"{at}/votes", actor=voter, choice=choice)
    assert client.get(at).json()["votes"] == {"for": 1, "against": 0, "abstain": 1}
    assert client.get(at).json()["can_be_decided"]
    decision = posted(client, f"{at}/decision")
    assert decision["text"] == "adopted"
    posted(client, f"/v1/events/{decision['id']}/witnesses", actor="bob")
    dissent = posted(client, f"{at}/dissents", actor="cyd", reason="Coffee")
    posted(client, f"/v1/dissents/{dissent['id']}/answer", reason="There is some, too")
    posted(client, f"{at}/override", actor="chair", reason="No")
    assert client.get(at).json()["state"] == "overridden"
    events = client.get("/v1/events").json()["events"]
    assert [event["kind"] for event in events] == ["proposal", "vote", "vote", "decision", "witness", "dissent", "answer", "override"]
    assert client.get(f"/v1/events/{decision['id']}").json() == decision
    assert client.get("/v1/events?after=7").json()["events"] == events[7:]
    state = client.get("/v1/state").json()
    assert (state["halted"], state["events"], state["acts"]["vote"]) == (False, 8, 2)


def test_proposals_are_listed_by_state_the_newest_first(client: Client, history: History):
    decided, _ = history.decided()
    first, second = history.proposal(), history.proposal()
    listed = {state: [row["id"] for row in client.get(f"/v1/proposals?state={state}").json()["proposals"]] for state in ("open", "adopted")}
    assert listed == {"open": [second, first], "adopted": [decided]}
    assert len(client.get("/v1/proposals?limit=2").json()["proposals"]) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/proposals/nothing/votes", {"choice": "for"}, 404, "unknown_subject"),
        ("/v1/proposals/{open}/decision", {}, 409, "no_quorum"),
        ("/v1/proposals/{decided}/override", {"reason": "no"}, 403, "not_authorised"),
        ("/v1/proposals/{decided}/votes", {"choice": "for"}, 409, "already_decided"),
    ],
)
def test_a_refusal_says_its_code_and_what_to_do(client: Client, history: History, path: str, body: dict[str, str], status: int, code: str):
    decided, _ = history.decided()
    refusal = posted(client, path.format(open=history.proposal(), decided=decided), status, **body)
    assert refusal["code"] == code
    assert len(refusal["error"]) > 20


def test_while_halted_nothing_is_decided_and_dissent_is_heard(client: Client, history: History):
    proposal = history.proposal()
    history.add(Kind.HALT, "chair")
    assert posted(client, "/v1/proposals", 423, title="More tea")["code"] == "halted"
    posted(client, f"/v1/proposals/{proposal}/dissents", reason="Coffee")
    assert client.get("/v1/state").json()["halted"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": "x" * 501},
        {"title": "two\nlines"},
        {"title": "\0"},
        {"title": 7},
        {"title": "Tea", "more": 1},
        {"title": "Tea", "actor": " "},
    ],
)
def test_a_body_that_is_wrong_is_a_422_and_nothing_is_recorded(client: Client, store: EventStore, body: dict[str, Any]):
    posted(client, "/v1/proposals", 422, **body)
    assert store.head().sequence == 0


@pytest.mark.parametrize("path", ["/v1/proposals/nothing", "/v1/events/nothing"])
def test_what_is_not_there_is_a_404(client: Client, path: str):
    assert client.get(path).status_code == 404


def test_a_writer_that_is_away_is_a_503_that_says_when_to_come_again(client: Client, handover: Direct):
    handover.obstacle = UnreachableError("away")
    answer = client.post("/v1/proposals", json={"actor": "ada", "title": "Tea"})
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()["code"]) == (503, "1", "unavailable")


def test_a_writer_that_takes_its_time_is_a_202_with_the_place_to_look(client: Client, handover: Direct, writer: Writer):
    act = Act(Kind.PROPOSAL, "ada", text="Tea")
    handover.obstacle = PendingError(act)
    answer = client.post("/v1/proposals", json={"actor": "ada", "title": "Tea"})
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    assert client.get(answer.headers["Location"]).status_code == 404
    writer.record(act)
    assert client.get(answer.headers["Location"]).json()["text"] == "Tea"


def test_a_database_that_is_away_is_a_503_for_readers_and_comes_back(client: Client, history: History):
    history.proposal()
    history.tamper("ALTER TABLE events RENAME TO elsewhere")
    for path in ("/v1/state", "/v1/proposals", "/v1/events"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "elsewhere" not in answer.text
    history.tamper("ALTER TABLE elsewhere RENAME TO events")
    assert client.get("/v1/state").json()["events"] == 1
