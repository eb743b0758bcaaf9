"""When a check is due, and when it is to be looked at again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from measurand import CollectorRegistry
from measurand.catalog.health import HealthMetrics
from measurand.health.check import Check
from measurand.health.entry import Entry
from measurand.health.loops import Loops
from tests.health.kit import Switch
from tests.support import StillClock, for_a_while, in_background, wait_until

pytestmark = pytest.mark.once


@pytest.fixture
def make(registry: CollectorRegistry) -> Iterator[Callable[..., Entry]]:
    metrics, loops = HealthMetrics(registry), Loops()
    with ExitStack() as stack:

        def make(run: Callable[[], object], wake: Callable[[], None] = lambda: None, *, timeout: float = 0.5) -> Entry:
            entry = Entry(Check("database", run, timeout=timeout), 5.0, metrics, loops, wake)  # type: ignore[arg-type]
            stack.callback(entry.pause)
            return entry

        yield make


def test_it_asks_to_be_looked_at_when_its_run_has_to_be_over(still_clock: StillClock, make: Callable[..., Entry]) -> None:
    switch = Switch("database")
    switch.hang()
    entry = make(switch.run)
    assert entry.advance() == still_clock.elapsed + 0.5
    wait_until(lambda: switch.runs)
    still_clock.advance(0.5)
    due = entry.advance()
    assert entry.result().reason == "timeout"
    assert 4.0 - 1e-9 <= due - still_clock.elapsed <= 4.5
    switch.release()


def test_a_run_that_was_looked_at_late_has_failed_once(
    still_clock: StillClock, registry: CollectorRegistry, make: Callable[..., Entry]
) -> None:
    switch = Switch("database")
    switch.hang()
    entry = make(switch.run)
    entry.advance()
    wait_until(lambda: switch.runs)
    still_clock.advance(6.0)
    for _ in range(3):
        assert entry.advance() > still_clock.elapsed
    assert registry.get_sample_value("health_check_failures_total", {"check": "database", "reason": "timeout"}) == 1
    switch.release()


def test_a_run_that_ends_after_the_next_was_due_wakes_the_monitor(still_clock: StillClock, make: Callable[..., Entry]) -> None:
    switch, woken = Switch("database"), threading.Event()
    switch.hang()
    entry = make(switch.run, woken.set, timeout=20.0)
    entry.advance()
    wait_until(lambda: switch.runs)
    still_clock.advance(6.0)
    assert entry.advance() == still_clock.elapsed + 14.0
    assert not woken.is_set()
    switch.release()
    assert woken.wait(30)
    entry.advance()
    wait_until(lambda: switch.runs == 2)


def test_once_removed_it_records_nothing(still_clock: StillClock, registry: CollectorRegistry, make: Callable[..., Entry]) -> None:
    switch = Switch("database", outcome=False)
    switch.hang()
    entry = make(switch.run)
    entry.advance()
    wait_until(lambda: switch.runs)
    entry.remove()
    still_clock.advance(6.0)
    entry.advance()
    switch.release()
    assert entry.result().reason == "pending"
    assert registry.get_sample_value("health_check_status", {"check": "database"}) is None


def test_readers_never_see_half_of_a_result(still_clock: StillClock, make: Callable[..., Entry]) -> None:
    """A healthy check has no reason, an unhealthy one has; whatever happens at the same time."""
    switch = Switch("database")
    entry = make(switch.run, timeout=1000.0)

    def flap() -> None:
        switch.outcome = None if switch.outcome is False else False
        runs = switch.runs
        still_clock.advance(6.0)
        entry.advance()
        wait_until(lambda: switch.runs > runs)

    with in_background(flap):
        for _ in for_a_while():
            result = entry.result()
            assert result.healthy == (result.reason is None)
