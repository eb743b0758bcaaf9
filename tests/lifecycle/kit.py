"""What tests ask: which threads there are, and the metrics of polling."""

from __future__ import annotations

import threading

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
