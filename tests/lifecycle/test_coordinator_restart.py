"""A process that serves several times."""

from __future__ import annotations

import pytest

from measurand import CollectorRegistry
from measurand.lifecycle.coordinator import Coordinator, Event, State

pytestmark = pytest.mark.once


def test_a_stopped_service_starts_again_with_all_that_listens() -> None:
    registry = CollectorRegistry()
    coordinator = Coordinator(budget=5, drain_delay=0, registry=registry)
    heard: list[str] = []
    for event in Event:
        coordinator.on(event, lambda event=event: heard.append(event))
    coordinator.add_waiter("work", lambda seconds: True)
    coordinator.add_flush("numbers", lambda seconds: None)
    first: list[str] = []
    for life in range(3):
        coordinator.started()
        assert coordinator.state is State.RUNNING
        report = coordinator.shutdown()
        assert (report.is_complete, report.is_clean, report.flushed) == (True, True, ("numbers",))
        assert registry.get_sample_value("application_shutting_down") == 1
        assert registry.get_sample_value("graceful_shutdown_duration_seconds_count") == life + 1
        first = first or list(heard)
        assert heard == first * (life + 1)
        coordinator.restart()
        assert (coordinator.state, coordinator.remaining()) == (State.STARTING, 5)
        assert registry.get_sample_value("application_shutting_down") == 0


@pytest.mark.parametrize("begun", [False, True])
def test_one_that_has_not_stopped_goes_on(begun: bool) -> None:
    coordinator = Coordinator(budget=5, drain_delay=0, registry=CollectorRegistry())
    coordinator.started()
    if begun:
        coordinator.begin_shutdown()
    state = coordinator.state
    coordinator.restart()
    assert coordinator.state is state
