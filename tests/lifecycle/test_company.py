"""What a process does for the others of its service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from measurand import CollectorRegistry, Counter
from measurand.lifecycle.company import Company, is_draining
from tests.metrics.test_leading import run
from tests.support import wait_until

pytestmark = pytest.mark.once

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture(autouse=True)
def metric() -> Counter:
    """With the first one sharing begins."""
    return Counter("things", "Things", registry=CollectorRegistry())


def test_a_drain_lasts_as_long_as_somebody_drains() -> None:
    drained: list[str] = []
    company = Company(lambda: drained.append("this"), lambda: True)
    company.start()
    company.look()
    assert (drained, is_draining()) == ([], False)
    company.drain_all()
    assert (drained, is_draining()) == (["this"], True)
    company.look()
    assert drained == ["this"], "once"
    assert company.stop()
    assert not is_draining()


def test_starting_again_it_heeds_again() -> None:
    first, second = [], []
    one = Company(lambda: first.append("drained"), lambda: True)
    other = Company(lambda: second.append("drained"), lambda: True)
    for _ in range(2):
        other.start()
        one.drain_all()
        wait_until(lambda: second)
        assert one.stop()
        assert other.stop()
        second.clear()


@needs_fork
def test_all_processes_drain_and_those_that_come_later_too_but_not_those_that_do_not_heed(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        """
from measurand.lifecycle.company import Company, is_draining
from tests.support import wait_until
Counter("a", "d")
serves, drained = [os.getpid()], []
told_all = os.pipe()
company = Company(lambda: (drained.append(os.getpid()), os.write(told_all[1], b"x")), lambda: os.getpid() in serves)
company.start()
def worker():
    serves.append(os.getpid())
def told():
    serves.append(os.getpid())
    company.drain_all()
workers = [Child(worker), Child(worker)]
idle = Child(lambda: None)
first = Child(told)
for _ in range(4): os.read(told_all[0], 1)  # the one that was told, this one, two workers
first.end()
assert is_draining()
def late():
    drained.clear()
    serves.append(os.getpid())
    assert is_draining()
    company.start()
    wait_until(lambda: drained == [os.getpid()])
assert company.stop()
Child(lambda: wait_until(is_draining), stay=False)  # the workers still do
Child(late, stay=False)
for one in (idle, *reversed(workers)): one.end()  # each has what ends those before it
wait_until(lambda: not is_draining())
""",
    )


@needs_fork
def test_callbacks_are_told_to_the_others_every_few_seconds_or_at_once(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        """
from measurand.lifecycle.company import Company
from tests.support import wait_until
G = Gauge("a", "d", multiprocess_mode="livesum")
said = [5]
def worker():
    G.set_function(lambda: said[0])
    company = Company(lambda: None, lambda: False)
    company.start()
    company.publish_soon()
child = Child(worker)
wait_until(lambda: value("a") == 5)
child.end()
""",
    )
