"""What states and checks come to."""

from __future__ import annotations

import pytest

from measurand.health.check import Criticality
from measurand.health.reasons import Reason
from measurand.health.report import CheckResult, Report
from measurand.lifecycle.coordinator import State

pytestmark = pytest.mark.once


def report(state: State, **healthy: bool) -> Report:
    """A check for each criticality named."""
    results = {
        level: CheckResult(level, is_healthy, Criticality(level), None if is_healthy else Reason.TIMEOUT, 0.1, 1.0)
        for level, is_healthy in healthy.items()
    }
    return Report.of(state, results)


@pytest.mark.parametrize(
    ("healthy", "status", "is_ready"),
    [
        ({}, "ready", True),
        ({"critical": True, "degraded": True, "info": True}, "ready", True),
        ({"critical": True, "degraded": True, "info": False}, "ready", True),
        ({"critical": True, "degraded": False, "info": True}, "degraded", True),
        ({"critical": False, "degraded": True, "info": True}, "not_ready", False),
        ({"critical": False, "degraded": False, "info": False}, "not_ready", False),
    ],
)
def test_checks_count_by_their_criticality(healthy: dict[str, bool], status: str, is_ready: bool) -> None:
    found = report(State.RUNNING, **healthy)
    assert (found.status, found.is_ready) == (status, is_ready)


@pytest.mark.parametrize(
    ("state", "status"),
    [(State.STARTING, "starting"), (State.PREPARING, "draining"), (State.DRAINING, "draining"), (State.STOPPED, "draining")],
)
@pytest.mark.parametrize("healthy", [True, False])
def test_the_state_of_the_process_decides_first(state: State, status: str, healthy: bool) -> None:
    found = report(state, critical=healthy)
    assert (found.status, found.is_ready) == (status, False)
