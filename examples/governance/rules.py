"""What may be recorded. The event writer asks before it appends; the observer judges the log on its own, by ``record.py``.

A refusal changes nothing; its reason is one of a closed list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

from .constitution import ALLOWED_WHILE_HALTED, Choice, Kind
from .events import Act
from .record import Consequence, Dissent, Proposal, Record


class Refusal(StrEnum):
    """Why an act is not recorded."""

    HALTED = "halted"
    UNKNOWN_SUBJECT = "unknown_subject"
    NOT_AUTHORISED = "not_authorised"
    NOT_A_CHOICE = "not_a_choice"
    ALREADY_VOTED = "already_voted"
    ALREADY_DECIDED = "already_decided"
    NO_QUORUM = "no_quorum"
    NOT_DECIDED = "not_decided"
    ALREADY_OVERRIDDEN = "already_overridden"
    ALREADY_ANSWERED = "already_answered"
    ALREADY_WITNESSED = "already_witnessed"
    OWN_ACT = "own_act"
    ALREADY_HALTED = "already_halted"
    NOT_HALTED = "not_halted"


WORDS = {
    Refusal.HALTED: "the system is halted; dissents, answers and witnesses are taken, everything else when the halt is lifted",
    Refusal.UNKNOWN_SUBJECT: "there is nothing with this id that the act could be about; look it up with GET /v1/events",
    Refusal.NOT_AUTHORISED: "this takes an authority",
    Refusal.NOT_A_CHOICE: f"a vote is one of {', '.join(Choice)}",
    Refusal.ALREADY_VOTED: "this voter has voted on the proposal already",
    Refusal.ALREADY_DECIDED: "the proposal is decided; an authority may override that",
    Refusal.NO_QUORUM: "there are too few votes for a decision; ask for more",
    Refusal.NOT_DECIDED: "the proposal is not decided yet, so there is nothing to override",
    Refusal.ALREADY_OVERRIDDEN: "the decision is overridden already",
    Refusal.ALREADY_ANSWERED: "the dissent is answered already",
    Refusal.ALREADY_WITNESSED: "this witness has witnessed the act already",
    Refusal.OWN_ACT: "nobody witnesses or answers an act of their own",
    Refusal.ALREADY_HALTED: "the system is halted already",
    Refusal.NOT_HALTED: "the system is not halted by this halt",
}


class RefusedError(Exception):
    """An act that may not be recorded. ``reason`` says why, in one word of the closed list."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(WORDS[reason])
        self.reason = reason


def admit(record: Record, act: Act) -> Act:
    """The act as it is to be recorded: a decision gets its outcome here, from the votes.

    Raises:
        RefusedError: It may not be recorded.
    """
    if record.is_halted and act.kind not in {*ALLOWED_WHILE_HALTED, Kind.HALT}:
        raise RefusedError(Refusal.HALTED)
    return _RULES[act.kind](record, act)


def _proposal(_record: Record, act: Act) -> Act:
    return act


def _vote(record: Record, act: Act) -> Act:
    proposal = _subject(record.proposals, act)
    _refuse(Refusal.NOT_A_CHOICE, act.text not in list(Choice))
    _refuse(Refusal.ALREADY_DECIDED, bool(proposal.decision))
    _refuse(Refusal.ALREADY_VOTED, act.actor in proposal.votes)
    return act


def _decision(record: Record, act: Act) -> Act:
    proposal = _subject(record.proposals, act)
    _refuse(Refusal.ALREADY_DECIDED, bool(proposal.decision))
    _refuse(Refusal.NO_QUORUM, len(proposal.votes) < record.constitution.quorum)
    return replace(act, text=proposal.majority)


def _override(record: Record, act: Act) -> Act:
    proposal = _subject(record.proposals, act)
    _refuse(Refusal.NOT_AUTHORISED, act.actor not in record.constitution.authorities)
    _refuse(Refusal.NOT_DECIDED, not proposal.decision)
    _refuse(Refusal.ALREADY_OVERRIDDEN, bool(proposal.override))
    return act


def _dissent(record: Record, act: Act) -> Act:
    _subject(record.proposals, act)
    return act


def _answer(record: Record, act: Act) -> Act:
    dissent = _subject(record.dissents, act)
    _refuse(Refusal.OWN_ACT, act.actor == dissent.actor)
    _refuse(Refusal.ALREADY_ANSWERED, dissent.answered is not None)
    return act


def _witness(record: Record, act: Act) -> Act:
    consequence = _subject(record.consequences, act)
    _refuse(Refusal.OWN_ACT, act.actor == consequence.actor)
    _refuse(Refusal.ALREADY_WITNESSED, act.actor in consequence.witnesses)
    return act


def _halt(record: Record, act: Act) -> Act:
    constitution = record.constitution
    _refuse(Refusal.NOT_AUTHORISED, act.actor not in constitution.authorities | constitution.services)
    _refuse(Refusal.ALREADY_HALTED, record.is_halted)
    return act


def _lift(record: Record, act: Act) -> Act:
    _refuse(Refusal.NOT_AUTHORISED, act.actor not in record.constitution.authorities)
    _refuse(Refusal.NOT_HALTED, not record.is_halted or act.subject not in {"", record.halt})
    return replace(act, subject=record.halt)


_RULES: dict[str, Callable[[Record, Act], Act]] = {
    Kind.PROPOSAL: _proposal,
    Kind.VOTE: _vote,
    Kind.DECISION: _decision,
    Kind.OVERRIDE: _override,
    Kind.DISSENT: _dissent,
    Kind.ANSWER: _answer,
    Kind.WITNESS: _witness,
    Kind.HALT: _halt,
    Kind.LIFT: _lift,
}


Found = TypeVar("Found", Proposal, Dissent, Consequence)


def _subject(known: dict[str, Found], act: Act) -> Found:
    found = known.get(act.subject)
    if found is None:
        raise RefusedError(Refusal.UNKNOWN_SUBJECT)
    return found


def _refuse(reason: Refusal, condition: bool) -> None:
    if condition:
        raise RefusedError(reason)
