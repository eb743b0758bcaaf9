"""What tests ask: which threads there are, and the metrics of polling; and a server that can be sent signals."""

from __future__ import annotations

import os
import signal
import threading

from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.events import State
from measurand.testing.readings import Readings

THREADS = ("measurand-poll", "measurand-poll-run", "measurand-poll-loop")


def threads(*names: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in names]


def errors(readings: Readings, name: str) -> float:
    return readings.value("measurand_poll_errors_total", name=name)


def calls(readings: Readings, name: str) -> float:
    return readings.value("measurand_poll_duration_seconds_count", name=name)


def age(readings: Readings, name: str) -> float:
    return readings.value("measurand_poll_age_seconds", name=name)


class SignalServer:
    """A server's handler: notes what came, where, and in which state the service was."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bool, State]] = []
        self.coordinator: Coordinator | None = None

    def handle_exit(self, number: int, frame: object) -> None:
        assert self.coordinator is not None
        self.heard.append((number, threading.current_thread() is threading.main_thread(), self.coordinator.state))


def send(number: int = signal.SIGTERM) -> None:
    """Send a signal to this process."""
    os.kill(os.getpid(), number)
