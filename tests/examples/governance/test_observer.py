"""What the observer finds and publishes: breaches, tampering of every kind, the same numbers after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from examples.governance.constitution import Article, Constitution, Kind
from examples.governance.observer import Observer
from measurand.testing.readings import Readings
from tests.examples.governance.history import History

pytestmark = pytest.mark.once


@pytest.fixture
def observer(history: History, constitution: Constitution, tmp_path: Path) -> Observer:
    return observing(history, constitution, tmp_path / "note.json")


def observing(history: History, constitution: Constitution, note: Path | None = None) -> Observer:
    return Observer(history.store, constitution, note=note, now=lambda: history.now)


def test_every_number_says_what_is_in_the_log(observer: Observer, history: History, governance: Readings):
    proposal, decision = history.decided()
    for witness in ("bob", "cyd"):
        history.add(Kind.WITNESS, witness, decision)
    history.decided()
    first = history.add(Kind.DISSENT, "bob", proposal)
    history.add(Kind.DISSENT, "cyd", proposal)
    history.seconds += 10
    history.add(Kind.ANSWER, "ada", first)
    history.add(Kind.OVERRIDE, "chair", proposal)
    history.seconds += 60
    history.add(Kind.HALT, "chair")
    observer.observe()
    expected = {
        "governance_chain_intact": 1,
        "governance_chain_length": history.store.head().sequence,
        "governance_dissents_open": 1,
        "governance_oldest_open_dissent_seconds": 70,
        "governance_dissent_health_ratio": 1,
        "governance_overrides_24h": 1,
        "governance_override_ratio": 0.5,
    }
    assert {name: governance.value(name) for name in expected} == expected
    assert governance.value("governance_halt_state", governance_halt_state="halted") == 1
    for counter, count in {"dissents": 2, "decisions": 2, "overrides": 1, "halts": 1}.items():
        assert governance.delta(f"governance_{counter}_total") == count
    assert governance.value("governance_witness_coverage_ratio", act="decision") == 0.5
    assert governance.value("governance_witness_coverage_ratio", act="lift") == 1  # nothing was due
    assert governance.delta("governance_breaches_total", article=Article.WITNESSES) == 1  # the second decision
    assert governance.delta("governance_dissent_answer_seconds_sum") == 10
    history.seconds += 60
    observer.observe()
    assert governance.value("governance_dissent_health_ratio") == 0.5
    assert governance.delta("governance_breaches_total", article=Article.ANSWER) == 1
    assert governance.delta("governance_breaches_total", article=Article.WITNESSES) == 2  # the override, too


def test_an_observer_that_starts_later_finds_the_same_numbers(history: History, constitution: Constitution, governance: Readings):
    proposal, _ = history.decided()
    history.add(Kind.DISSENT, "bob", proposal)
    history.seconds += 500
    history.add(Kind.LIFT, "bob")
    observing(history, constitution).observe()
    first = governance.delta("governance_breaches_total")
    observing(history, constitution).observe()
    assert first == 3
    assert governance.delta("governance_breaches_total") == 2 * first
    assert governance.value("governance_halt_state", governance_halt_state="running") == 1


TAMPERED: dict[str, tuple[str, int]] = {
    "an event says something else": ("UPDATE events SET text = 'Coffee' WHERE sequence = 2", 2),
    "an event was done by somebody else": ("UPDATE events SET actor = 'eve' WHERE sequence = 1", 1),
    "an event is gone": ("DELETE FROM events WHERE sequence = 2", 3),
    "the last event is gone": ("DELETE FROM events WHERE sequence = 4", 4),
    "an event was inserted": (
        f"INSERT INTO events VALUES (5, '2030-01-01T00:00:00.000000+00:00', 'x', 'vote', 'eve', '', 'for', '{'0' * 64}', '{'f' * 64}')",
        5,
    ),
    "an event is of no known kind": ("UPDATE events SET kind = 'bribe' WHERE sequence = 3", 3),
    "an event has no time": ("UPDATE events SET at = 'once' WHERE sequence = 3", 3),
}


@pytest.mark.parametrize("what", TAMPERED)
@pytest.mark.parametrize("seen", [True, False], ids=["after it was seen", "before it was seen"])
def test_tampering_is_found_where_it_was_done(observer: Observer, history: History, governance: Readings, what: str, seen: bool):
    history.decided()
    statement, place = TAMPERED[what]
    if seen or what == "the last event is gone":  # what nobody has seen cannot be missed
        assert observer.observe() == []
        assert governance.value("governance_chain_intact") == 1
    history.tamper(statement)
    found = observer.observe()  # other articles too, where what was not genuine is missing from the record
    assert [breach.sequence for breach in found if breach.article == Article.CHAIN] == [place]
    assert governance.value("governance_chain_intact") == 0
    assert governance.delta("governance_breaches_total", article=Article.CHAIN) == 1
    assert observer.observe() == []  # it is said once, and stays known
    assert not observer.is_chain_intact


def test_a_past_that_was_rewritten_with_matching_digests_is_found_by_the_end_that_is_remembered(
    history: History, constitution: Constitution, tmp_path: Path
):
    history.decided()
    alive, note = observing(history, constitution), tmp_path / "note.json"
    assert alive.observe() == observing(history, constitution, note).observe() == []
    history.tamper("DELETE FROM events")
    history.decided()  # other ids, so other digests; and every one follows from the one before it
    assert [breach.article for breach in alive.observe()] == [Article.CHAIN]
    assert [breach.article for breach in observing(history, constitution, note).observe()] == [Article.CHAIN]
    assert observing(history, constitution, tmp_path / "no note").observe() == []


def test_the_old_past_is_verified_again_in_pieces(history: History, constitution: Constitution):
    observer = Observer(history.store, constitution, again=4)
    for _ in range(10):
        history.add(Kind.DISSENT, "bob", "x")
    observer.observe()  # the first four once more
    history.tamper("UPDATE events SET text = 'Coffee' WHERE sequence = 3")
    for found in (0, 0, 1):  # to eight, to ten, and again from the beginning
        assert len([breach for breach in observer.observe() if breach.article == Article.CHAIN]) == found


def test_a_note_that_cannot_be_read_is_no_note(history: History, constitution: Constitution, tmp_path: Path):
    note = tmp_path / "note.json"
    for content in ("", "[]", '{"sequence": "many"}', "{}"):
        note.write_text(content)
        assert observing(history, constitution, note).observe() == []
    assert note.read_text().startswith('{"sequence": 0')


def test_a_pass_that_the_database_does_not_let_through_changes_nothing(
    observer: Observer, history: History, governance: Readings, metrics: Readings
):
    history.decided()
    observer.observe()
    assert observer.seconds_since_last_pass < 60
    history.tamper("ALTER TABLE events RENAME TO elsewhere")
    before = governance.changes()
    with pytest.raises(SQLAlchemyError):
        observer.observe()
    assert governance.changes() == before
    assert metrics.delta("observer_passes_total", outcome="failed") == 1
    assert metrics.delta("observer_passes_total", outcome="done") == 1
    history.tamper("ALTER TABLE elsewhere RENAME TO events")
    assert observer.observe() == []


def test_what_was_broken_is_logged_with_its_place(observer: Observer, history: History, caplog: pytest.LogCaptureFixture):
    proposal = history.proposal()
    history.add(Kind.DECISION, "ada", proposal)
    observer.observe()
    (said,) = [record for record in caplog.records if record.getMessage() == "breach"]
    assert (said.article, said.sequence) == (Article.QUORUM, 2)  # type: ignore[attr-defined]
