"""After a fork: the child evaluates its checks itself, whatever the parent was in the middle of."""

from __future__ import annotations

import os

import pytest

from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")]

PROGRAM = """
import asyncio, os, sys, threading, warnings
from measurand import CollectorRegistry
from measurand.health.monitor import HealthMonitor
from tests.support import wait_until

warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads forks: this is the point
monitor = HealthMonitor(interval=3600.0, registry=CollectorRegistry())
ran_in, hanging, release = set(), threading.Event(), threading.Event()

@monitor.add(timeout=60)
def sync():
    ran_in.add(("sync", os.getpid()))

@monitor.add(timeout=60)
async def coroutine():
    ran_in.add(("async", os.getpid()))

@monitor.add(criticality="info", timeout=60)
def hangs():
    hanging.set()
    if os.getpid() == parent:
        release.wait(60)

parent = os.getpid()
monitor.start()
both = lambda pid: ran_in >= {("sync", pid), ("async", pid)}
wait_until(lambda: both(parent) and hanging.is_set() and monitor.readiness().is_ready)
%s
child = os.fork()
if child == 0:
    try:
        assert monitor.readiness().is_ready  # what the parent knew still counts
        wait_until(lambda: both(os.getpid()) and monitor.results()["hangs"].healthy)
        monitor.add(lambda: None, name="late", timeout=60)
        wait_until(lambda: monitor.results()["late"].healthy)
        assert monitor.stop(30.0)
    except BaseException as error:
        print("child:", repr(error), file=sys.stderr)
        os._exit(1)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
release.set()

# the parent's private loop still hears: what a child closes must not be taken out of it
again = threading.Event()
@monitor.add(timeout=60)
async def another():
    again.set()
assert again.wait(30)
assert monitor.stop(30.0)
"""

HOLDING_THE_LOCK = """
def add_and_remove():
    while not release.is_set():
        monitor.add(lambda: None, name="flapping", criticality="info")
        monitor.remove("flapping")
threading.Thread(target=add_and_remove, daemon=True).start()
"""


def test_a_child_evaluates_its_own_checks_and_the_parent_goes_on() -> None:
    done = run_python(PROGRAM % "", "-W", "error")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_lock_that_another_thread_held_does_not_matter() -> None:
    done = run_python(PROGRAM % HOLDING_THE_LOCK, "-W", "error")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_monitor_that_was_not_started_does_not_run_in_the_child() -> None:
    program = """
import os, threading
from measurand import CollectorRegistry
from measurand.health.monitor import HealthMonitor
monitor = HealthMonitor(registry=CollectorRegistry())
monitor.add(lambda: None, name="database")
child = os.fork()
if child == 0:
    os._exit(threading.active_count() - 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = run_python(program)
    assert (done.returncode, done.stderr) == (0, "")
