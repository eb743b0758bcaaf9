"""Acts, the events that they become, and the chain that holds the events together.

An act is what somebody does; recorded, it is an event: it has a place in the sequence, a time, and a digest over all of itself and over
the digest of its predecessor. Whoever changes, removes, inserts or moves an event has to change every digest after it.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from .constitution import Kind

GENESIS = "0" * 64
"""What the first event follows."""

LONGEST_TEXT = 500
LONGEST_NAME = 40


def new_id() -> str:
    """An id that nobody else has."""
    return uuid.uuid4().hex


def is_text(value: object, longest: int) -> bool:
    """Whether it is one line that every database can keep: no control characters, no halves of characters, not too long."""
    return isinstance(value, str) and len(value) <= longest and value.isprintable()


@dataclass(frozen=True, slots=True)
class Act:
    """Something that somebody does.

    Attributes:
        kind: What it is, a ``Kind``; an event that somebody wrote straight into the store may say anything.
        actor: Who does it.
        subject: The id of what it is about; empty for proposals and halts.
        text: A title, a choice, an outcome, a reason or an answer.
        id: Made by whoever hands it over, so that one act handed over twice is recorded once.
    """

    kind: str
    actor: str
    subject: str = ""
    text: str = ""
    id: str = field(default_factory=new_id)

    def as_json(self) -> dict[str, Any]:
        """What travels between services."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Act:
        """The act that ``as_json`` was asked of. Raises ``ValueError`` when it is none."""
        try:
            act = cls(Kind(value["kind"]), value["actor"], value["subject"], value["text"], value["id"])
        except (KeyError, TypeError) as reason:
            raise ValueError(f"not an act: {reason!r}") from reason
        names = (act.id, act.actor, act.subject)
        if not all(is_text(name, LONGEST_NAME) for name in names) or not is_text(act.text, LONGEST_TEXT) or not act.id or not act.actor:
            raise ValueError("not an act: a part of it is missing, too long, or not printable")
        return act


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends."""

    sequence: int = 0
    digest: str = GENESIS


@dataclass(frozen=True, slots=True)
class Event:
    """A recorded act.

    Attributes:
        sequence: Its place: 1, 2, 3, … without gaps.
        at: When it was recorded, in ISO 8601, UTC, microseconds.
        act: What was done.
        previous: The digest of the event before it.
        digest: Its own.
    """

    sequence: int
    at: str
    act: Act
    previous: str
    digest: str

    @classmethod
    def after(cls, head: Head, act: Act, at: datetime) -> Event:
        """The event that an act becomes when it is recorded next."""
        sequence, moment = head.sequence + 1, at.astimezone(UTC).isoformat(timespec="microseconds")
        return cls(sequence, moment, act, head.digest, _digest(sequence, moment, act, head.digest))

    @property
    def head(self) -> Head:
        """The end of the chain when this event is its last."""
        return Head(self.sequence, self.digest)

    @property
    def moment(self) -> float:
        """When it was recorded, in seconds since the epoch."""
        return datetime.fromisoformat(self.at).timestamp()

    @property
    def is_genuine(self) -> bool:
        """Whether its content can be an event's, and its digest is that of its content."""
        try:
            _ = Kind(self.act.kind), self.moment
        except ValueError:
            return False
        return self.digest == _digest(self.sequence, self.at, self.act, self.previous)

    def follows(self, head: Head) -> bool:
        """Whether it is genuine and comes next after ``head``."""
        return self.is_genuine and self.sequence == head.sequence + 1 and self.previous == head.digest

    def as_json(self) -> dict[str, Any]:
        """What the API shows."""
        act = self.act.as_json()
        return {"sequence": self.sequence, "at": self.at, **act, "previous": self.previous, "digest": self.digest}


def _digest(sequence: int, at: str, act: Act, previous: str) -> str:
    """SHA-256 over everything in a fixed order, as JSON: no two contents read the same."""
    content = [sequence, at, act.id, act.kind, act.actor, act.subject, act.text, previous]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
