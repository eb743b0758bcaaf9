"""What is recorded and what is refused: for each refusal the shortest way to it, through the writer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from examples.governance.constitution import Choice, Kind, Outcome
from examples.governance.events import Act
from examples.governance.rules import WORDS, Refusal, RefusedError
from examples.governance.store import EventStore
from examples.governance.writer import Writer
from measurand.testing.readings import Readings

pytestmark = pytest.mark.once


class People:
    """Acts through the writer; each method gives the id of what it did."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def do(self, kind: Kind, actor: str, subject: str = "", text: str = "") -> str:
        return self.writer.record(Act(kind, actor, subject, text)).act.id

    def proposal(self) -> str:
        return self.do(Kind.PROPOSAL, "ada", text="Tea")

    def decided(self) -> tuple[str, str]:
        proposal = self.proposal()
        for voter in ("ada", "bob"):
            self.do(Kind.VOTE, voter, proposal, Choice.FOR)
        return proposal, self.do(Kind.DECISION, "ada", proposal)

    def halted(self) -> str:
        return self.do(Kind.HALT, "chair", text="stop")


def witnessed(people: People) -> str:
    decision = people.decided()[1]
    people.do(Kind.WITNESS, "bob", decision)
    return decision


def answered(people: People) -> str:
    dissent = people.do(Kind.DISSENT, "bob", people.proposal(), "no")
    people.do(Kind.ANSWER, "ada", dissent, "yes")
    return dissent


def overridden(people: People) -> str:
    proposal = people.decided()[0]
    people.do(Kind.OVERRIDE, "chair", proposal, "no")
    return proposal


def halted_proposal(people: People) -> str:
    proposal = people.proposal()
    people.halted()
    return proposal


def voted(people: People) -> str:
    proposal = people.proposal()
    people.do(Kind.VOTE, "bob", proposal, Choice.FOR)
    return proposal


REFUSED: list[tuple[Refusal, Kind, str, Callable[[People], str], str]] = [
    (Refusal.HALTED, Kind.VOTE, "bob", halted_proposal, "for"),
    (Refusal.HALTED, Kind.PROPOSAL, "bob", lambda people: people.halted() and "", "More"),
    (Refusal.UNKNOWN_SUBJECT, Kind.VOTE, "bob", lambda _: "nothing", "for"),
    (Refusal.UNKNOWN_SUBJECT, Kind.DISSENT, "bob", lambda _: "nothing", "no"),
    (Refusal.UNKNOWN_SUBJECT, Kind.ANSWER, "bob", People.proposal, "no"),
    (Refusal.UNKNOWN_SUBJECT, Kind.WITNESS, "bob", People.proposal, ""),
    (Refusal.NOT_AUTHORISED, Kind.OVERRIDE, "bob", lambda people: people.decided()[0], "no"),
    (Refusal.NOT_AUTHORISED, Kind.HALT, "bob", lambda _: "", "stop"),
    (Refusal.NOT_AUTHORISED, Kind.LIFT, "observer", People.halted, "go"),
    (Refusal.NOT_A_CHOICE, Kind.VOTE, "bob", People.proposal, "perhaps"),
    (Refusal.ALREADY_VOTED, Kind.VOTE, "bob", voted, "against"),
    (Refusal.ALREADY_DECIDED, Kind.VOTE, "cyd", lambda people: people.decided()[0], "for"),
    (Refusal.ALREADY_DECIDED, Kind.DECISION, "ada", lambda people: people.decided()[0], ""),
    (Refusal.NO_QUORUM, Kind.DECISION, "ada", voted, ""),
    (Refusal.NOT_DECIDED, Kind.OVERRIDE, "chair", People.proposal, "no"),
    (Refusal.ALREADY_OVERRIDDEN, Kind.OVERRIDE, "chair", overridden, "no"),
    (Refusal.ALREADY_ANSWERED, Kind.ANSWER, "cyd", answered, "well"),
    (Refusal.OWN_ACT, Kind.ANSWER, "bob", lambda people: people.do(Kind.DISSENT, "bob", people.proposal(), "no"), "yes"),
    (Refusal.ALREADY_WITNESSED, Kind.WITNESS, "bob", witnessed, ""),
    (Refusal.OWN_ACT, Kind.WITNESS, "ada", lambda people: people.decided()[1], ""),
    (Refusal.ALREADY_HALTED, Kind.HALT, "chair", lambda people: people.halted() and "", "stop"),
    (Refusal.NOT_HALTED, Kind.LIFT, "chair", lambda _: "", "go"),
    (Refusal.NOT_HALTED, Kind.LIFT, "chair", lambda people: people.halted() and "another", "go"),
]


@pytest.mark.parametrize(("refusal", "kind", "actor", "make", "text"), REFUSED)
def test_a_refusal_is_given_counted_and_changes_nothing(
    writer: Writer, store: EventStore, governance: Readings, refusal, kind, actor, make, text
):
    subject = make(People(writer))
    head, events = store.head(), governance.delta("governance_events_total")
    with pytest.raises(RefusedError) as refused:
        writer.record(Act(kind, actor, subject, text))
    assert refused.value.reason == refusal
    assert governance.delta("governance_refusals_total", refusal=refusal) == 1
    assert governance.delta("governance_refusals_total") == 1
    assert (store.head(), governance.delta("governance_events_total")) == (head, events)


def test_every_refusal_is_tried_here_and_has_words():
    assert {case[0] for case in REFUSED} == set(Refusal) == WORDS.keys()


def test_the_votes_make_the_decision_and_a_draw_is_no_majority(writer: Writer):
    people = People(writer)
    for choices, outcome in {
        (Choice.FOR, Choice.FOR): Outcome.ADOPTED,
        (Choice.FOR, Choice.AGAINST): Outcome.REJECTED,
        (Choice.ABSTAIN, Choice.FOR): Outcome.ADOPTED,
        (Choice.ABSTAIN, Choice.ABSTAIN): Outcome.REJECTED,
    }.items():
        proposal = people.proposal()
        for voter, choice in zip(("ada", "bob"), choices, strict=True):
            people.do(Kind.VOTE, voter, proposal, choice)
        assert writer.record(Act(Kind.DECISION, "ada", proposal, "whatever I say")).act.text == outcome


def test_while_halted_people_may_dissent_answer_witness_and_lift(writer: Writer):
    people = People(writer)
    proposal, decision = people.decided()
    halt = people.halted()
    dissent = people.do(Kind.DISSENT, "bob", proposal, "no")
    people.do(Kind.ANSWER, "ada", dissent, "yes")
    people.do(Kind.WITNESS, "bob", decision)
    assert writer.record(Act(Kind.LIFT, "chair", text="go")).act.subject == halt
    people.proposal()


def test_services_may_halt(writer: Writer):
    assert writer.record(Act(Kind.HALT, "watchdog", text="nobody looks")).sequence == 1


def test_an_act_that_comes_twice_is_recorded_and_counted_once(writer: Writer, store: EventStore, governance: Readings, metrics: Readings):
    act = Act(Kind.PROPOSAL, "ada", text="Tea")
    assert writer.record(act) == writer.record(act)
    assert store.head().sequence == 1
    assert governance.delta("governance_events_total", act="proposal") == 1
    assert metrics.delta("event_store_append_duration_seconds_count") == 1


def test_a_writer_that_starts_later_knows_what_was_recorded(writer: Writer, store: EventStore, constitution):
    proposal = People(writer).proposal()
    later = Writer(store, constitution)
    later.record(Act(Kind.VOTE, "bob", proposal, "for"))
    with pytest.raises(RefusedError, match="voted"):
        writer.record(Act(Kind.VOTE, "bob", proposal, "for"))  # and so does the first one, of the second's
