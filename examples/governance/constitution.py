"""What has to hold: the acts there are, the articles that bind them, and the times that they grant.

Nothing here acts; ``rules.py`` refuses what may not be recorded, ``record.py`` finds what was recorded against the articles.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can be done. An act refers to a subject, but for a proposal and a halt."""

    PROPOSAL = "proposal"
    VOTE = "vote"  # on a proposal; its text is a Choice
    DECISION = "decision"  # of a proposal; its text is an Outcome
    OVERRIDE = "override"  # of a decision, by an authority
    DISSENT = "dissent"  # from a proposal, whatever its state
    ANSWER = "answer"  # to a dissent
    WITNESS = "witness"  # of an act of consequence
    HALT = "halt"  # its text is the reason
    LIFT = "lift"  # of a halt, by an authority


class Choice(StrEnum):
    """A vote."""

    FOR = "for"
    AGAINST = "against"
    ABSTAIN = "abstain"


class Outcome(StrEnum):
    """A decision: what got more votes; a draw is no majority."""

    ADOPTED = "adopted"
    REJECTED = "rejected"


class Article(StrEnum):
    """What can be breached."""

    CHAIN = "chain"  # every event follows from the one before it, and none disappears
    HALT = "halt"  # while the system is halted nothing is decided
    ONE_VOTE = "one_vote"  # nobody votes twice on one proposal
    QUORUM = "quorum"  # no decision without enough votes
    AUTHORITY = "authority"  # overriding and lifting are for authorities
    WITNESSES = "witnesses"  # an act of consequence is witnessed by enough others, in time
    ANSWER = "answer"  # a dissent is answered, in time


class HaltCause(StrEnum):
    """Who wanted a halt, and why."""

    ORDER = "order"  # a person
    UNOBSERVED = "unobserved"  # the watchdog: nobody checks what is recorded
    CHAIN = "chain"  # the observer: the log is not what it was


CONSEQUENTIAL = (Kind.DECISION, Kind.OVERRIDE, Kind.HALT, Kind.LIFT)
"""What has to be witnessed."""

ALLOWED_WHILE_HALTED = (Kind.DISSENT, Kind.ANSWER, Kind.WITNESS, Kind.LIFT)
"""A halt stops decisions, not objections."""


@dataclass(frozen=True, slots=True)
class Constitution:
    """The numbers in the articles.

    Attributes:
        quorum: Votes that a decision needs, abstentions included.
        witnesses: Witnesses that an act of consequence needs.
        witness_within: Seconds in which they have to be there.
        answer_within: Seconds in which a dissent has to be answered.
        authorities: Who may override and lift.
        services: Who may halt without being an authority.
    """

    quorum: int = 3
    witnesses: int = 2
    witness_within: float = 60.0
    answer_within: float = 120.0
    authorities: frozenset[str] = frozenset({"chair", "deputy"})
    services: frozenset[str] = frozenset({"observer", "watchdog"})
