"""One delivery to one destination: from a registry to what the destination is told.

What is sent is what the destination takes: totals, or the differences since the last delivery that arrived. Several processes of a service
take turns at delivering, and whoever delivers next has to know what has arrived before: it is noted where the processes meet. A process
that is killed after the destination took a delivery and before that was noted makes the next process send it again; there is no other way
to lose nothing. Where numbers are lacking for a moment (a collector has failed, other processes' numbers cannot be read) their differences
wait until they are there again: they are not taken for numbers that have begun anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Any

from measurand import clock
from measurand.errors import ExportFailed
from measurand.exporters.deltas import Change, Deltas, FamilyKey, Lower, Sent
from measurand.exporters.protocol import Exporter, temporality_of
from measurand.metrics import shared
from measurand.metrics.collecting import Gathering, gather
from measurand.metrics.domains import REGISTRY
from measurand.metrics.points import Labels
from measurand.metrics.registry import CollectorRegistry, RestrictedRegistry

__all__ = ["Delivery"]

FORM = 1
"""The version of the notes' form."""

PATIENCE = 10.0
"""Seconds to wait at most until another process has delivered."""

SHORT_PATIENCE = 0.5
"""As long as that when the service is about to end."""


class Delivery:
    """Delivers what a registry holds to one exporter. From one thread at a time.

    Args:
        exporter: The destination. If it has a ``registry`` that is not ``None``, that one is delivered; if it has ``select``, what that
            makes of the snapshot's families.
        registry: What is delivered otherwise.

    Attributes:
        dropped: How many points the exporter gave up in the last delivery because its destination cannot have them.
    """

    def __init__(self, exporter: Exporter, registry: Any = REGISTRY) -> None:
        self.dropped = 0
        self._exporter = exporter
        own = getattr(exporter, "registry", None)
        self._registry = registry if own is None else own
        self._deltas: Deltas | None = Deltas() if temporality_of(exporter) == "delta" else None
        self._notes = _Notes(f"{exporter.name}\n{_identity(self._registry)}")
        self._pid = os.getpid()
        self._failures = self._damaged = 0  # how many there were at the last delivery
        self._lower: Lower = "anew"

    def deliver(self, seconds: float = inf) -> None:
        """Take a snapshot and export it; what the exporter raises passes through.

        Args:
            seconds: How long it may take; an exporter gives up in time.

        Raises:
            ExportFailed: Other processes of the service are delivering the same for too long, or their numbers cannot be read now.
        """
        begun = clock.system_monotonic()
        self.dropped = 0
        with self._turn(seconds):
            snapshot = gather(self._registry)
            select = getattr(self._exporter, "select", None)
            if select is not None:
                snapshot.select(select)
            snapshot.seconds = max(seconds - (clock.system_monotonic() - begun), 0.0)
            if self._deltas is None:
                self._export(snapshot)
            else:
                self._deliver_differences(self._deltas, snapshot)

    def hand_over(self) -> None:
        """Let the other processes of the service know what has arrived, if they cannot know yet: this one delivered while it was alone."""
        if self._deltas is not None and self._deltas.sent and self._place() is not None:
            with suppress(ExportFailed), self._turn(SHORT_PATIENCE):
                place = self._place()
                if place is not None:
                    self._notes.read(place, self._deltas)
                    if not self._notes.is_there:
                        self._notes.write(place, self._deltas)

    def _place(self) -> Path | None:
        """Where others find what this process notes; ``None`` if there are none, or the registry is this process' own."""
        return shared.meeting_place() if _identity(self._registry) else None

    @contextmanager
    def _turn(self, seconds: float) -> Iterator[None]:
        """Be the only process that takes a snapshot for this destination, and delivers it: an older one must not follow a newer one."""
        if self._place() is None:
            yield
            return
        with shared.noting(f"deliver {self._notes.file}", min(seconds, PATIENCE)) as has_turn:
            if not has_turn:
                raise ExportFailed("another process of this service is still delivering to it")
            yield

    def _export(self, snapshot: Gathering | Change) -> None:
        try:
            self._exporter.export(snapshot)
        finally:
            self.dropped = snapshot.dropped

    def _deliver_differences(self, deltas: Deltas, snapshot: Gathering) -> None:
        if not snapshot.is_whole:
            raise ExportFailed("what the other processes of this service have recorded cannot be read now; it is sent when it can")
        place = self._place()
        if place is not None:
            self._notes.read(place, deltas)
        before = deltas.version
        change = self._change(deltas, snapshot, is_alone=place is None and self._pid == os.getpid())
        try:
            self._export(change)
            change.acknowledge_all()
        finally:
            was_alone, place = place is None, self._place()
            if was_alone and place is not None:  # company came meanwhile, and may have delivered
                self._notes.read(place, deltas)
            if place is not None and (not self._notes.is_there or (deltas.version != before and not was_alone)):
                self._notes.write(place, deltas)

    def _change(self, deltas: Deltas, snapshot: Gathering, *, is_alone: bool) -> Change:
        points = snapshot.points()
        sharing = shared.current()
        failures, damaged = sum(snapshot.failures.counts.values()), 0 if sharing is None else sharing.state().quarantined
        is_complete = failures == self._failures
        if damaged != self._damaged:
            self._lower = "lacks"  # the process whose numbers they are mends them if it lives
        elif self._lower != "anew":
            self._lower = "lost" if self._lower == "lacks" else "anew"
        self._failures, self._damaged = failures, damaged
        return deltas.change(
            points, snapshot.time, snapshot.seconds, tells_creation=is_alone, is_complete=is_complete, lower=self._lower
        )


class _Notes:
    """What has arrived, for the other processes of the service: a file, replaced in one step.

    Lines of JSON: the form and a number that rises with each writing, when the last whole change arrived, and a series in each line.

    Attributes:
        file: The file's name.
        is_there: Whether there was one when it was read or written last.
    """

    def __init__(self, name: str) -> None:
        self.file = f"sent-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        self._number = 0
        self.is_there = False

    def read(self, place: Path, deltas: Deltas) -> None:
        """Know what another process has delivered since this one has."""
        try:
            with (place / self.file).open(encoding="utf-8") as file:
                form, number, last = json.loads(next(file))
                if form != FORM or number <= self._number:
                    return
                rows = [json.loads(line) for line in file]
            sent: dict[FamilyKey, dict[Labels, Sent]] = {}
            for name, bounds, labels, numbers in rows:
                sent.setdefault((name, tuple(bounds)), {})[_labels(labels)] = Sent(tuple(numbers), None)
        except (OSError, ValueError, TypeError, StopIteration):  # it is not there; a part of it never is, as it is replaced in one step
            return
        self._number, self.is_there = number, True
        deltas.last, deltas.sent = last, sent

    def write(self, place: Path, deltas: Deltas) -> None:
        """Let the others know. Where that fails, for want of space, the next process may send something again."""
        path = place / self.file
        temporary = path.with_name(f"{self.file}-{os.getpid()}")
        with suppress(OSError):
            with open(temporary, "w", encoding="utf-8", opener=_private) as file:
                file.write(json.dumps([FORM, self._number + 1, deltas.last]) + "\n")
                for (name, bounds), held in deltas.sent.items():
                    file.writelines([json.dumps([name, bounds, labels, sent.numbers]) + "\n" for labels, sent in held.items()])
            temporary.replace(path)
            self._number, self.is_there = self._number + 1, True


def _identity(registry: Any) -> str:
    """What a registry is called in all processes; empty if its numbers are one process' alone."""
    if isinstance(registry, RestrictedRegistry):
        registry = registry.registry
    return registry.identity if isinstance(registry, CollectorRegistry) else ""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple([(name, value) for name, value in pairs])
