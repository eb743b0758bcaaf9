"""What the events say when they are read in order: the state of everything, and what was done against the articles.

A pure fold: no clock, no database. The writer uses it to know what may be recorded, the api to answer, the observer to judge; the same
events give the same record, so whoever restarts reads them again and knows what it knew.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple, TypeVar

from .constitution import ALLOWED_WHILE_HALTED, CONSEQUENTIAL, Article, Choice, Constitution, Kind, Outcome
from .events import Event, Head

DAY = 86400.0


class Breach(NamedTuple):
    """One article, broken once."""

    article: Article
    sequence: int
    """The event that broke it, or that was left alone too long."""


@dataclass(slots=True)
class Proposal:
    """A proposal and what became of it."""

    id: str
    title: str
    author: str
    votes: dict[str, str] = field(default_factory=dict)
    decision: str = ""
    outcome: str = ""
    override: str = ""

    @property
    def state(self) -> str:
        """open, adopted, rejected or overridden."""
        return "overridden" if self.override else self.outcome or "open"

    @property
    def tally(self) -> Counter[str]:
        """Votes by choice."""
        return Counter(self.votes.values())

    @property
    def majority(self) -> Outcome:
        """What the votes say."""
        tally = self.tally
        return Outcome.ADOPTED if tally[Choice.FOR] > tally[Choice.AGAINST] else Outcome.REJECTED


@dataclass(slots=True)
class Dissent:
    """A dissent; ``answered`` is the moment of the first answer."""

    sequence: int
    actor: str
    moment: float
    answered: float | None = None


@dataclass(slots=True)
class Consequence:
    """An act of consequence and who has witnessed it in time."""

    sequence: int
    kind: str
    actor: str
    moment: float
    witnesses: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Record:
    """Everything that was recorded, up to ``head``. Not safe to share between threads; every user keeps its own.

    Attributes:
        halt: The id of the halt in force; empty when there is none.
        acts: Recorded acts by kind.
        breaches: By article.
        kept: Acts by kind that were witnessed, or answered, in time.
        missed: Those that were not.
        overrides: The moments of the overrides of the last day.
    """

    constitution: Constitution = field(default_factory=Constitution)
    head: Head = field(default_factory=Head)
    halt: str = ""
    proposals: dict[str, Proposal] = field(default_factory=dict)
    dissents: dict[str, Dissent] = field(default_factory=dict)
    consequences: dict[str, Consequence] = field(default_factory=dict)
    acts: Counter[str] = field(default_factory=Counter)
    breaches: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    overrides: deque[float] = field(default_factory=deque)
    unanswered: dict[str, Dissent] = field(default_factory=dict)
    unwitnessed: dict[str, Consequence] = field(default_factory=dict)

    @property
    def is_halted(self) -> bool:
        """Whether a halt is in force."""
        return bool(self.halt)

    def apply(self, event: Event) -> list[Breach]:
        """Read the next event, and say which articles it broke; those whose time ran out before it are said first."""
        broken = self.overdue(event.moment)
        kind = event.act.kind
        articles = [Article.HALT] if self.is_halted and kind not in ALLOWED_WHILE_HALTED else []
        articles += self._take_in(event)
        if kind in CONSEQUENTIAL:
            new = Consequence(event.sequence, kind, event.act.actor, event.moment)
            self.consequences[event.act.id] = self.unwitnessed[event.act.id] = new
        self.acts[kind] += 1
        self.head = event.head
        return broken + self._count([Breach(article, event.sequence) for article in articles])

    def overdue(self, now: float) -> list[Breach]:
        """What has run out of its time by ``now`` (seconds since the epoch), each said once."""
        late: list[Breach] = []
        for identity, dissent in _before(self.unanswered, now - self.constitution.answer_within):
            del self.unanswered[identity]
            self.missed[Kind.DISSENT] += 1
            late.append(Breach(Article.ANSWER, dissent.sequence))
        for identity, consequence in _before(self.unwitnessed, now - self.constitution.witness_within):
            del self.unwitnessed[identity]
            self.missed[consequence.kind] += 1
            late.append(Breach(Article.WITNESSES, consequence.sequence))
        while self.overrides and self.overrides[0] < now - DAY:
            self.overrides.popleft()
        return self._count(late)

    def tampered(self, sequence: int) -> Breach:
        """Note that the chain does not hold at a place."""
        (breach,) = self._count([Breach(Article.CHAIN, sequence)])
        return breach

    def _count(self, breaches: list[Breach]) -> list[Breach]:
        self.breaches.update(breach.article for breach in breaches)
        return breaches

    # --- what each kind of act changes, and the articles that it breaks; acts whose subject is unknown change nothing --------

    def _take_in(self, event: Event) -> list[Article]:
        take_in: dict[str, Callable[[Event], list[Article]]] = {
            Kind.PROPOSAL: self._proposal,
            Kind.VOTE: self._vote,
            Kind.DECISION: self._decision,
            Kind.OVERRIDE: self._override,
            Kind.DISSENT: self._dissent,
            Kind.ANSWER: self._answer,
            Kind.WITNESS: self._witness,
            Kind.HALT: self._halt,
            Kind.LIFT: self._lift,
        }
        return take_in[event.act.kind](event)

    def _proposal(self, event: Event) -> list[Article]:
        act = event.act
        self.proposals[act.id] = Proposal(act.id, act.text, act.actor)
        return []

    def _vote(self, event: Event) -> list[Article]:
        act = event.act
        proposal = self.proposals.get(act.subject)
        if proposal is None or act.actor in proposal.votes:  # the first vote stays
            return [] if proposal is None else [Article.ONE_VOTE]
        proposal.votes[act.actor] = act.text
        return []

    def _decision(self, event: Event) -> list[Article]:
        act = event.act
        proposal = self.proposals.get(act.subject)
        if proposal is None:
            return [Article.QUORUM]
        proposal.decision, proposal.outcome = act.id, act.text
        return [Article.QUORUM] if len(proposal.votes) < self.constitution.quorum else []

    def _override(self, event: Event) -> list[Article]:
        act = event.act
        self.overrides.append(event.moment)
        if act.subject in self.proposals:
            self.proposals[act.subject].override = act.id
        return self._by_authority(event)

    def _dissent(self, event: Event) -> list[Article]:
        self.dissents[event.act.id] = self.unanswered[event.act.id] = Dissent(event.sequence, event.act.actor, event.moment)
        return []

    def _answer(self, event: Event) -> list[Article]:
        subject = event.act.subject
        if subject in self.dissents and self.dissents[subject].answered is None:
            self.dissents[subject].answered = event.moment
        if self.unanswered.pop(subject, None) is not None:
            self.kept[Kind.DISSENT] += 1
        return []

    def _witness(self, event: Event) -> list[Article]:
        act = event.act
        consequence = self.consequences.get(act.subject)
        if consequence is not None and act.actor != consequence.actor:
            consequence.witnesses.add(act.actor)
            if len(consequence.witnesses) >= self.constitution.witnesses and self.unwitnessed.pop(act.subject, None) is not None:
                self.kept[consequence.kind] += 1
        return []

    def _halt(self, event: Event) -> list[Article]:
        self.halt = event.act.id
        return []

    def _lift(self, event: Event) -> list[Article]:
        self.halt = ""
        return self._by_authority(event)

    def _by_authority(self, event: Event) -> list[Article]:
        return [] if event.act.actor in self.constitution.authorities else [Article.AUTHORITY]


T = TypeVar("T", Dissent, Consequence)


def _before(waiting: dict[str, T], moment: float) -> list[tuple[str, T]]:
    """Those from before a moment. They were added in order, so looking ends with the first that is younger."""
    return list(takewhile(lambda entry: entry[1].moment < moment, waiting.items()))
