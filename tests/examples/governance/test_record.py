"""What a record says of events: the state, each article when it is broken, and the same from the same events."""

from __future__ import annotations

import pytest

from examples.governance.constitution import Article, Choice, Constitution, Kind
from examples.governance.record import Breach, Record
from examples.governance.store import EventStore
from tests.examples.governance.history import History

pytestmark = pytest.mark.once


def read(store: EventStore, constitution: Constitution) -> tuple[Record, list[Breach]]:
    record = Record(constitution)
    found = [breach for event in store.read_all() for breach in record.apply(event)]
    return record, found


def test_a_proposal_goes_from_open_to_decided_to_overridden(history: History, constitution: Constitution):
    proposal = history.proposal()
    assert read(history.store, constitution)[0].proposals[proposal].state == "open"
    proposal, _ = history.decided()
    record, found = read(history.store, constitution)
    assert (record.proposals[proposal].state, record.proposals[proposal].tally["for"]) == ("adopted", 2)
    history.add(Kind.OVERRIDE, "chair", proposal, "no")
    assert read(history.store, constitution)[0].proposals[proposal].state == "overridden"
    assert found == []


def test_each_article_is_found_broken_where_it_is(history: History, constitution: Constitution):
    proposal = history.proposal()
    broken: list[Breach] = []

    def breaking(article: Article, kind: Kind, actor: str, subject: str = "", text: str = "") -> str:
        event = history.event(kind, actor, subject, text)
        broken.append(Breach(article, event.sequence))
        return event.act.id

    history.add(Kind.VOTE, "bob", proposal, Choice.FOR)
    breaking(Article.ONE_VOTE, Kind.VOTE, "bob", proposal, Choice.AGAINST)
    breaking(Article.QUORUM, Kind.DECISION, "ada", proposal, "adopted")
    breaking(Article.AUTHORITY, Kind.OVERRIDE, "bob", proposal, "no")
    halt = history.add(Kind.HALT, "chair")
    breaking(Article.HALT, Kind.PROPOSAL, "ada")
    for kind in (Kind.DISSENT, Kind.ANSWER, Kind.WITNESS):
        history.add(kind, "bob", proposal)
    breaking(Article.AUTHORITY, Kind.LIFT, "bob", halt)
    record, found = read(history.store, constitution)
    assert found == broken
    assert record.proposals[proposal].tally == {"for": 1}  # the first vote stays
    assert not record.is_halted
    assert record.breaches == {Article.ONE_VOTE: 1, Article.QUORUM: 1, Article.AUTHORITY: 2, Article.HALT: 1}


def test_a_dissent_is_overdue_when_its_time_is_over_and_said_once(history: History, constitution: Constitution):
    proposal = history.proposal()
    event = history.event(Kind.DISSENT, "bob", proposal)
    record, _ = read(history.store, constitution)
    assert record.overdue(history.now + constitution.answer_within) == []
    assert record.overdue(history.now + constitution.answer_within + 1) == [Breach(Article.ANSWER, event.sequence)]
    assert record.overdue(history.now + 1e6) == []
    assert (record.kept[Kind.DISSENT], record.missed[Kind.DISSENT]) == (0, 1)


def test_an_answer_in_time_keeps_the_article_and_a_late_one_does_not(history: History, constitution: Constitution):
    proposal = history.proposal()
    early, late = history.add(Kind.DISSENT, "bob", proposal), history.event(Kind.DISSENT, "bob", proposal)
    history.seconds += 1
    history.add(Kind.ANSWER, "ada", early)
    history.seconds += constitution.answer_within
    history.add(Kind.ANSWER, "ada", late.act.id)
    record, found = read(history.store, constitution)
    assert found == [Breach(Article.ANSWER, late.sequence)]
    assert (record.kept[Kind.DISSENT], record.missed[Kind.DISSENT]) == (1, 1)


def test_an_act_of_consequence_needs_witnesses_who_are_others_and_two(history: History, constitution: Constitution):
    proposal, decision = history.decided()
    override = history.event(Kind.OVERRIDE, "chair", proposal)
    for witness in ("bob", "bob", "cyd"):
        history.add(Kind.WITNESS, witness, decision)
    for witness in ("chair", "bob"):  # one of them is not another
        history.add(Kind.WITNESS, witness, override.act.id)
    record, _ = read(history.store, constitution)
    assert record.overdue(history.now + constitution.witness_within + 1) == [Breach(Article.WITNESSES, override.sequence)]
    assert (record.kept, record.missed) == ({Kind.DECISION: 1}, {Kind.OVERRIDE: 1})


def test_overrides_of_the_last_day_are_counted(history: History, constitution: Constitution):
    for hours in (0, 20, 30):
        history.seconds = hours * 3600.0
        history.add(Kind.OVERRIDE, "chair", "x")
    assert len(read(history.store, constitution)[0].overrides) == 2


def test_the_same_events_give_the_same_record(history: History, constitution: Constitution):
    proposal, decision = history.decided()
    history.add(Kind.DISSENT, "bob", proposal)
    history.seconds += 500
    history.add(Kind.WITNESS, "bob", decision)
    assert read(history.store, constitution) == read(history.store, constitution)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in {Kind.PROPOSAL, Kind.HALT, Kind.LIFT, Kind.DISSENT}])
def test_what_is_about_nothing_changes_nothing(history: History, constitution: Constitution, kind: Kind):
    history.add(kind, "chair", "nothing", "text")
    record, _ = read(history.store, constitution)
    assert (record.proposals, record.dissents) == ({}, {})
