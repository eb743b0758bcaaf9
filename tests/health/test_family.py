"""What one process answers for all: real processes, each with its own life and checks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from measurand import CollectorRegistry
from measurand.health.family import FamilyReadiness
from measurand.health.monitor import HealthMonitor
from measurand.health.report import Status
from measurand.lifecycle.coordinator import Coordinator
from tests.metrics.test_leading import run

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

SERVICE = """
import logging
from measurand.health.family import FamilyReadiness
from measurand.health.monitor import HealthMonitor
from measurand.lifecycle.company import Company, is_draining
from measurand.lifecycle.coordinator import Coordinator
from tests.support import wait_until
Counter("a", "d")
logging.disable()  # a check that fails says so
life = Coordinator(drain_delay=0, is_told=is_draining)
health = HealthMonitor(state=lambda: life.state)
family = FamilyReadiness(health, life)

def answer():
    return str(family.readiness().status), family.is_starting

def becomes(*expected):
    wait_until(lambda: answer() == expected, what=lambda: str(answer()))
"""


def test_a_process_that_is_alone_answers_for_itself() -> None:
    registry = CollectorRegistry()
    life = Coordinator(drain_delay=0, registry=registry)
    health = HealthMonitor(registry=registry, state=lambda: life.state)
    family = FamilyReadiness(health, life)
    assert (family.readiness(), family.is_starting) == (health.readiness(), True)
    life.started()
    assert (family.readiness().status, family.is_starting) == (Status.READY, False)
    life.begin_shutdown()
    assert (family.readiness().status, family.is_starting) == (Status.DRAINING, False)
    life.shutdown()
    assert (family.readiness(), family.is_starting) == (health.readiness(), False)


def test_a_master_is_what_its_workers_are_whatever_its_own_checks_find(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        SERVICE
        + """
health.add(lambda: os.getpid() != master, name="worker")
master = os.getpid()
health.tick()
def serve():
    health.start()
    life.started()
assert answer() == ("starting", True)
worker = Child(serve)
becomes("ready", False)
assert family.readiness().is_of_others
worker.end()
becomes("starting", True)
""",
    )


def test_it_is_not_ready_while_no_worker_s_checks_pass_and_ready_when_one_s_do(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        SERVICE
        + """
def fail():
    health.add(lambda: False, name="database")
    health.start()
    life.started()
failing = Child(fail)
becomes("not_ready", False)
passing = Child(life.started)
becomes("ready", False)
passing.end()
becomes("not_ready", False)
failing.end()
""",
    )


def test_a_worker_that_ends_does_not_end_the_service_and_the_last_one_does(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        SERVICE
        + """
def end():
    life.started()
    becomes("ready", False)
    life.begin_shutdown()
ending = Child(end)
becomes("draining", False)
staying = Child(life.started)
becomes("ready", False)
staying.end()
becomes("draining", False)
ending.end()
""",
    )


def test_a_worker_that_ends_itself_answers_for_the_others_while_it_lives(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        SERVICE
        + """
staying = Child(life.started)
becomes("ready", False)
life.started()
life.begin_shutdown()
assert answer() == ("ready", False)
staying.end()
becomes("draining", False)
life.shutdown()
""",
    )


def test_nobody_is_ready_once_the_service_was_told_to_drain(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        SERVICE
        + """
worker = Child(life.started)
becomes("ready", False)
company = Company(lambda: None, lambda: True)
company.drain_all()
assert answer() == ("draining", False)
assert company.stop()
becomes("ready", False)
worker.end()
""",
    )


def test_a_child_of_a_process_that_serves_does_not_serve(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        SERVICE
        + """
life.started()
becomes("ready", False)
def child():
    wait_until(lambda: "measurand-readiness" not in {thread.name for thread in threading.enumerate()})
helper = Child(child)
life.begin_shutdown()
assert answer() == ("draining", False)
helper.end()
life.shutdown()
""",
    )
