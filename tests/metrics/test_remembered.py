"""What is remembered of a registry: which code needs the caller's thread, and how often what failed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from measurand import CollectorRegistry, Gauge
from measurand.metrics.remembered import REMEMBERED, TRY_ANEW, Failures, State, state_of
from tests.metrics.kit import Custom, gauge, snapshot

FAILED = 'measurand_collect_failures_total{collector="tasks",reason="error"}'


class Owner:
    """Whatever code belongs to."""


def test_once_is_no_proof_that_code_needs_the_callers_thread() -> None:
    state, owner = State(), Owner()
    assert state.bound_to_thread(owner, False) is None
    state.remember(owner, False, works=True)
    assert state.bound_to_thread(owner, False) is None
    state.remember(owner, False, works=True)
    assert state.bound_to_thread(owner, False) is True
    assert [state.bound_to_thread(owner, False) for _ in range(TRY_ANEW)].count(None) == 1
    state.forget(owner, False)
    assert state.bound_to_thread(owner, False) is None


def test_what_failed_where_there_is_no_event_loop_may_work_in_one() -> None:
    state, owner = State(), Owner()
    for _ in range(2):
        state.remember(owner, False, works=False)
        state.remember(owner, True, works=True)
    assert (state.bound_to_thread(owner, False), state.bound_to_thread(owner, True)) == (False, True)


def test_a_registry_is_known_again_and_what_is_no_registry_is_not() -> None:
    registry = CollectorRegistry()
    assert state_of(registry) is state_of(registry)
    assert state_of(()) is not state_of(())


def test_a_collector_that_failed_for_a_moment_stays_in_the_helper_thread(registry: CollectorRegistry) -> None:
    threads: list[threading.Thread] = []

    def collect() -> list[Any]:
        threads.append(threading.current_thread())
        if len(threads) == 1:
            raise ConnectionError
        return [gauge("queue")]

    registry.register(Custom(collect))
    for _ in range(4):
        assert snapshot(registry) == {"queue": 1}
    assert [thread is threading.current_thread() for thread in threads] == [False, True, False, False, False]


def test_a_callback_that_needs_a_loop_is_shown_there_whoever_asked_first(registry: CollectorRegistry) -> None:
    in_loop = threading.local()

    def in_the_loop(function: Callable[[], Any]) -> Any:
        in_loop.tasks = 3
        try:
            return function()
        finally:
            del in_loop.tasks

    Gauge("tasks", "d", registry=registry).set_function(lambda: in_loop.tasks)
    for _ in range(3):
        assert set(snapshot(registry)) == {FAILED}
    assert snapshot(registry, call_here=in_the_loop)["tasks"] == 3


def test_names_that_are_made_up_anew_are_counted_together_beyond_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    with caplog.at_level(logging.CRITICAL, "measurand"):
        for number in range(REMEMBERED + 500):
            failures.add(f"x{number}", "invalid")
    assert len(failures.counts) == REMEMBERED + 1
    assert failures.counts["__other__", "invalid"] == 500
    assert sum(sample.value for sample in failures.family().samples()) == REMEMBERED + 500
