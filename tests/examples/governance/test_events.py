"""The chain: whatever is changed, removed, inserted or moved, some digest does not fit any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.governance.constitution import Kind
from examples.governance.events import GENESIS, Act, Event, Head

NOW = datetime(2030, 1, 1, tzinfo=UTC)
acts = st.builds(
    Act, st.sampled_from(list(Kind)), st.sampled_from(["ada", "bob"]), st.sampled_from(["", "x"]), st.text(max_size=5), st.uuids().map(str)
)


def chain(*acts: Act) -> list[Event]:
    events: list[Event] = []
    for act in acts:
        events.append(Event.after(events[-1].head if events else Head(), act, NOW))
    return events


def holds(events: list[Event]) -> bool:
    heads = [Head(), *(event.head for event in events)]
    return all(event.follows(head) for head, event in zip(heads, events, strict=False))


def test_the_first_event_follows_genesis_and_each_its_predecessor():
    first, second = chain(Act(Kind.PROPOSAL, "ada", text="Tea"), Act(Kind.VOTE, "bob", "x", "for"))
    assert (first.sequence, first.previous, second.sequence, second.previous) == (1, GENESIS, 2, first.digest)


@settings(max_examples=50)
@given(st.lists(acts, min_size=1, max_size=6), st.data())
def test_a_chain_holds_until_anything_in_it_is_changed(some: list[Act], data: st.DataObject):
    events = chain(*some)
    assert holds(events)
    place = data.draw(st.integers(0, len(events) - 1))
    event = events[place]
    part = data.draw(st.sampled_from(["kind", "actor", "subject", "text", "id", "at", "previous", "digest", "sequence"]))
    changed = {
        "at": lambda: replace(event, at="2030-01-01T00:00:01.000000+00:00"),
        "previous": lambda: replace(event, previous="f" * 64),
        "digest": lambda: replace(event, digest="f" * 64),
        "sequence": lambda: replace(event, sequence=event.sequence + 1),
    }.get(part, lambda: replace(event, act=replace(event.act, **{part: getattr(event.act, part) + "!"})))()
    assert not holds([*events[:place], changed, *events[place + 1 :]])


@settings(max_examples=25)
@given(st.lists(acts, min_size=2, max_size=6), st.data())
def test_removing_swapping_and_repeating_events_break_it(some: list[Act], data: st.DataObject):
    events = chain(*some)
    place = data.draw(st.integers(0, len(events) - 2))
    assert not holds([*events[:place], *events[place + 1 :]])
    assert not holds([*events[:place], events[place + 1], events[place], *events[place + 2 :]])
    assert not holds([*events[: place + 1], *events[place:]])


def test_two_contents_never_read_the_same():
    first = Event.after(Head(), Act(Kind.VOTE, "ab", "c", "", "1"), NOW)
    second = Event.after(Head(), Act(Kind.VOTE, "a", "bc", "", "1"), NOW)
    assert first.digest != second.digest


@pytest.mark.parametrize(("kind", "at"), [("bribe", "2030-01-01T00:00:00.000000+00:00"), ("vote", "yesterday")])
def test_what_cannot_be_an_event_is_not_genuine_whatever_its_digest(kind: str, at: str):
    event = Event.after(Head(), Act(kind, "ada", id="1"), NOW)
    assert not replace(event, at=at).is_genuine


def test_an_act_survives_its_way_as_json():
    act = Act(Kind.DISSENT, "ada", "x", "Tea is \N{SNOWMAN}")
    assert Act.from_json(act.as_json()) == act


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        "vote",
        {"kind": "bribe", "actor": "a", "subject": "", "text": "", "id": "1"},
        {"kind": "vote", "actor": "", "subject": "", "text": "", "id": "1"},
        {"kind": "vote", "actor": "a", "subject": "", "text": "", "id": ""},
        {"kind": "vote", "actor": 7, "subject": "", "text": "", "id": "1"},
        {"kind": "vote", "actor": "a" * 41, "subject": "", "text": "", "id": "1"},
        {"kind": "vote", "actor": "a", "subject": "", "text": "\0", "id": "1"},
        {"kind": "vote", "actor": "a", "subject": "", "text": "\ud800", "id": "1"},
        {"kind": "vote", "actor": "a", "subject": "", "text": "two\nlines", "id": "1"},
    ],
)
def test_what_is_not_an_act_is_refused(value):
    with pytest.raises(ValueError, match="not a"):
        Act.from_json(value)
