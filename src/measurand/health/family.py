"""What the processes of a service tell each other of their readiness, so that one of them can answer for all.

The management server is in whichever process has the port. That may be a master that only starts workers, or a worker which no request
has reached: what such a process finds of itself says nothing of the service. So each process that serves takes part in a task of the
family for whatever it is, and who answers looks whether anybody does. A process that ends, however it ends, takes part no longer.
"""

from __future__ import annotations

import os
import threading

from measurand.health.monitor import HealthMonitor
from measurand.health.report import Report, Status
from measurand.lifecycle.background import BackgroundThread, renew_after_fork
from measurand.lifecycle.company import is_draining
from measurand.lifecycle.coordinator import Coordinator, Event, State
from measurand.metrics import shared

__all__ = ["FamilyReadiness"]

STARTED, RUNNING, READY = "service started", "service running", "service ready"
"""The tasks in which those take part whose start is complete, who are not told to stop, and whose checks pass as well."""

LOOK = 0.2
"""Seconds between two looks at what this process is."""


class FamilyReadiness:
    """One process' part, from when its server is up to the end of its shutdown; safe from any thread.

    A child that was forked from a process that serves does not serve for that, so it takes no part.

    Args:
        health: The checks of this process.
        lifecycle: Where it is in its life.
    """

    def __init__(self, health: HealthMonitor, lifecycle: Coordinator) -> None:
        self._health = health
        self._lifecycle = lifecycle
        self._process = 0  # the one that serves
        self._told: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._watching = BackgroundThread("measurand-readiness", self._watch)
        renew_after_fork(self)
        lifecycle.on(Event.STARTUP, self._begin, name="readiness")
        lifecycle.on(Event.PREPARE_SHUTDOWN, self._tell, name="readiness")  # at once: nobody may be sent here any more
        lifecycle.on(Event.AFTER_SHUTDOWN, self._end, name="readiness")

    def readiness(self) -> Report:
        """Whether to send traffic to the service: this process' own answer while it runs, else what the others are; never waits."""
        state = self._lifecycle.state
        status = None if state is State.RUNNING else self._status_of_others(state)
        return self._health.readiness(state) if status is None else Report(status, {}, is_of_others=True)

    @property
    def is_starting(self) -> bool:
        """Whether neither this process nor another one has completed its start."""
        return self._lifecycle.state is State.STARTING and not shared.is_on(STARTED)

    def _status_of_others(self, state: State) -> Status | None:
        is_told = is_draining()
        if not is_told and READY not in self._told and shared.is_on(READY):
            return Status.READY
        if state is not State.STARTING or not shared.is_on(STARTED):
            return None
        return Status.NOT_READY if not is_told and shared.is_on(RUNNING) else Status.DRAINING

    def _begin(self) -> None:
        self._process = os.getpid()
        self._watching.start()

    def _end(self) -> None:
        self._process = 0
        self._watching.stop(0)
        self._tell()

    def _watch(self, stop: threading.Event) -> None:
        while self._process == os.getpid() and not stop.is_set():
            self._tell()
            stop.wait(LOOK)

    def _tell(self) -> None:
        """Let the others know what this process is now."""
        with self._lock:
            tasks = self._tasks() if self._process == os.getpid() else frozenset()
            for task in tasks:  # each time: it is not to be had while another process, at that moment the last one, steps back
                shared.take_part(task)
            for task in self._told - tasks:
                with shared.stepping_back(task):
                    pass
            self._told = tasks

    def _tasks(self) -> frozenset[str]:
        state = self._lifecycle.state
        holds = {STARTED: state is not State.STARTING, RUNNING: state is State.RUNNING, READY: self._health.readiness(state).is_ready}
        return frozenset(task for task, is_so in holds.items() if is_so)

    def renew(self) -> None:
        """In a new child process, which takes no part yet: have a lock that nobody holds."""
        self._lock = threading.Lock()
        self._told = frozenset()
