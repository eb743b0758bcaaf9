"""Reads the log, holds it against the constitution, and publishes what it found.

Promises: everything is judged from the stored events alone, so a restart finds the same numbers; new events are verified at every pass, the
old ones again and again in pieces, and the end of the chain is remembered outside the database, so that nothing can be changed, removed
or cut off unseen; a pass that the database does not let through changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections import Counter as Tally
from collections.abc import Callable
from math import nan
from pathlib import Path

from measurand import Counter, Enum, Gauge, Histogram

from .constitution import CONSEQUENTIAL, Article, Constitution, Kind
from .domains import GOVERNANCE
from .events import Event, Head
from .record import Breach, Record
from .store import EventStore

LOG = logging.getLogger(__name__)

BREACHES = Counter(
    "governance_breaches_total",
    "Breaches of the constitution in the log, by article",
    ["article"],
    registry=GOVERNANCE,
    label_values={"article": list(Article)},
)
HALT_STATE = Enum("governance_halt_state", "Whether decisions are halted", states=["unknown", "running", "halted"], registry=GOVERNANCE)
HALTS = Counter("governance_halts_total", "Halts in the log", registry=GOVERNANCE)
DISSENTS = Counter("governance_dissents_total", "Dissents in the log", registry=GOVERNANCE)
DISSENTS_OPEN = Gauge("governance_dissents_open", "Dissents that wait for an answer and may still get it in time", registry=GOVERNANCE)
OLDEST_DISSENT = Gauge("governance_oldest_open_dissent_seconds", "How long the oldest open dissent has waited", registry=GOVERNANCE)
DISSENT_HEALTH = Gauge("governance_dissent_health_ratio", "Dissents answered in time, of those answered or overdue", registry=GOVERNANCE)
ANSWER_SECONDS = Histogram(
    "governance_dissent_answer_seconds",
    "Time from a dissent to its first answer",
    registry=GOVERNANCE,
    buckets=(1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600),
)
WITNESS_COVERAGE = Gauge(
    "governance_witness_coverage_ratio",
    "Acts of consequence with enough witnesses in time, of those that have them or are overdue",
    ["act"],
    registry=GOVERNANCE,
)
DECISIONS = Counter("governance_decisions_total", "Decisions in the log", registry=GOVERNANCE)
OVERRIDES = Counter("governance_overrides_total", "Overrides in the log", registry=GOVERNANCE)
OVERRIDES_OF_A_DAY = Gauge("governance_overrides_24h", "Overrides of the last 24 hours", registry=GOVERNANCE)
OVERRIDE_RATIO = Gauge("governance_override_ratio", "Overrides, of all decisions", registry=GOVERNANCE)
CHAIN_INTACT = Gauge("governance_chain_intact", "1 while every event follows from the one before it, else 0", registry=GOVERNANCE)
CHAIN_LENGTH = Gauge("governance_chain_length", "Events in the log", registry=GOVERNANCE)

PASS_SECONDS = Histogram("observer_pass_duration_seconds", "Time of a pass over the log")
PASSES = Counter("observer_passes_total", "Passes over the log", ["outcome"], label_values={"outcome": ["done", "failed"]})
VERIFIED = Counter("observer_events_verified_total", "Events whose digests were computed again")


class Observer:
    """Judges one store. Its methods are for one thread at a time; they block.

    Args:
        store: What to read.
        constitution: What to hold it against.
        note: A file that remembers the end of the chain between two lives of the observer; ``None`` for no memory.
        again: How many old events a pass verifies once more.
        now: The time, in seconds since the epoch.
    """

    def __init__(
        self,
        store: EventStore,
        constitution: Constitution,
        *,
        note: Path | None = None,
        again: int = 500,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.record = Record(constitution)
        self._store = store
        self._at_once = again
        self._now = now
        self._note = note
        self._remembered = _read(note)
        self._verified = Head()
        self._again = Head()
        self._faults: set[int] = set()
        self._published: Tally[tuple[Counter, str]] = Tally()
        self._last_pass: float | None = None
        for gauge in (CHAIN_INTACT, CHAIN_LENGTH, DISSENTS_OPEN, OLDEST_DISSENT, DISSENT_HEALTH, OVERRIDES_OF_A_DAY, OVERRIDE_RATIO):
            gauge.set(nan)  # not zero: before the first pass nobody knows

    @property
    def is_chain_intact(self) -> bool:
        """Whether no pass has found anything else."""
        return not self._faults

    @property
    def seconds_since_last_pass(self) -> float:
        """Since the last pass that came to its end; infinite before the first."""
        return float("inf") if self._last_pass is None else time.monotonic() - self._last_pass

    def observe(self) -> list[Breach]:
        """One pass: verify, judge, publish. Returns what it found.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database does not answer; the metrics keep their values.
        """
        try:
            with PASS_SECONDS.time():
                found = [*self._look_back(), *self._read_on(), *self._recall(), *self._look_again()]
                now = self._now()
                found += self.record.overdue(now)
        except Exception:
            PASSES.labels("failed").inc()
            raise
        self._publish(now)
        self._remember()
        self._last_pass = time.monotonic()
        PASSES.labels("done").inc()
        for breach in found:
            LOG.warning("breach", extra={"article": breach.article, "sequence": breach.sequence})
        return found

    # --- the chain ----------------------------------------------------------------------------------------------------------

    def _look_back(self) -> list[Breach]:
        """The end of what was verified before is still there, and still the same."""
        expected = self._verified
        if not expected.sequence:
            return []
        found = self._store.read(after=expected.sequence - 1, limit=1)
        if found and found[0].head == expected:
            return []
        is_there = found and found[0].sequence == expected.sequence
        self._verified = found[0].head if is_there else self._store.head()  # go on from what is left
        return self._fault(expected.sequence)

    def _read_on(self) -> list[Breach]:
        """What is new."""
        found: list[Breach] = []
        for event in self._store.read_all(after=self._verified.sequence):
            if not event.follows(self._verified):
                found += self._fault(event.sequence)
            if event.is_genuine:
                found += self._judge(event)
            VERIFIED.inc()
            self._verified = event.head
        return found

    def _recall(self) -> list[Breach]:
        """Once in a life: the log still holds what the last life saw."""
        remembered, self._remembered = self._remembered, None
        if remembered is None or not remembered.sequence:
            return []
        found = self._store.read(after=remembered.sequence - 1, limit=1)
        return [] if found and found[0].head == remembered else self._fault(remembered.sequence)

    def _look_again(self) -> list[Breach]:
        """A piece of what was verified before; the next pass takes the next piece."""
        piece = self._store.read(after=self._again.sequence, limit=self._at_once)
        found: list[Breach] = []
        for event in piece:
            if not event.follows(self._again):
                found += self._fault(event.sequence)
            self._again = event.head
        VERIFIED.inc(len(piece))
        if len(piece) < self._at_once:
            self._again = Head()
        return found

    def _fault(self, sequence: int) -> list[Breach]:
        """A place where the chain does not hold; said once."""
        if sequence in self._faults:
            return []
        self._faults.add(sequence)
        return [self.record.tampered(sequence)]

    def _remember(self) -> None:
        if self._note is not None:
            fresh = self._note.with_suffix(".new")
            fresh.write_text(json.dumps({"sequence": self._verified.sequence, "digest": self._verified.digest}))
            fresh.replace(self._note)

    # --- the numbers --------------------------------------------------------------------------------------------------------

    def _judge(self, event: Event) -> list[Breach]:
        dissent = self.record.dissents.get(event.act.subject) if event.act.kind == Kind.ANSWER else None
        if dissent is not None and dissent.answered is None:
            ANSWER_SECONDS.observe(max(event.moment - dissent.moment, 0))
        return self.record.apply(event)

    def _publish(self, now: float) -> None:
        record = self.record
        for article in Article:
            BREACHES.labels(article).inc(self._more(BREACHES, article, record.breaches[article]))
        for counter, kind in ((HALTS, Kind.HALT), (DISSENTS, Kind.DISSENT), (DECISIONS, Kind.DECISION), (OVERRIDES, Kind.OVERRIDE)):
            counter.inc(self._more(counter, kind, record.acts[kind]))
        HALT_STATE.state("halted" if record.is_halted else "running")
        DISSENTS_OPEN.set(len(record.unanswered))
        oldest = next(iter(record.unanswered.values()), None)
        OLDEST_DISSENT.set(0 if oldest is None else max(now - oldest.moment, 0))
        DISSENT_HEALTH.set(_ratio(record.kept[Kind.DISSENT], record.missed[Kind.DISSENT]))
        WITNESS_COVERAGE.replace({kind: _ratio(record.kept[kind], record.missed[kind]) for kind in CONSEQUENTIAL})
        OVERRIDES_OF_A_DAY.set(len(record.overrides))
        OVERRIDE_RATIO.set(record.acts[Kind.OVERRIDE] / max(record.acts[Kind.DECISION], 1))
        CHAIN_INTACT.set(self.is_chain_intact)
        CHAIN_LENGTH.set(self._verified.sequence)

    def _more(self, counter: Counter, what: str, total: int) -> int:
        """How much a total has grown since it was asked for last, for a counter."""
        growth = total - self._published[counter, what]
        self._published[counter, what] = total
        return growth


def _ratio(kept: int, missed: int) -> float:
    """1 where nothing was due: nothing is wrong then."""
    return kept / (kept + missed) if kept + missed else 1.0


def _read(note: Path | None) -> Head | None:
    """What the note says; nothing where there is none, or none that can be read."""
    if note is not None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(note.read_text())
            return Head(int(content["sequence"]), str(content["digest"]))
    return None
