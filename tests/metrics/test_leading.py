"""Leaders of tasks, and the last one to do something: locks between real processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.metrics.test_shared import PRELUDE
from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]


def run(place: Path, code: str) -> None:
    ran = run_python(f"{PRELUDE}\nuse({str(place)!r})\n{code}")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not place.exists()


def test_a_process_that_is_alone_leads_in_everything_and_is_the_last(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        """
Counter("a", "d")
assert shared.lead() and shared.lead("one") and shared.lead("two")
shared.take_part("one")
assert shared.is_on("one") and not shared.is_on("two")
with shared.stepping_back("one") as is_last:
    assert is_last
assert not shared.is_on("one")
assert shared.meeting_place() is None
shared.follow("one")
assert shared.lead("one")
""",
    )


def test_different_tasks_may_have_different_leaders_and_what_one_led_alone_it_leads_in_company(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        """
Counter("a", "d")
assert shared.lead("mine")
def body():
    assert not shared.lead("mine") and shared.lead("theirs")
child = Child(body)
assert shared.lead("mine") and not shared.lead("theirs")
child.end()
assert shared.lead("theirs")
shared.follow("theirs")
Child(body, stay=False)
""",
    )


def test_the_last_of_those_who_take_part_is_told_so_and_children_take_no_part_of_their_own_accord(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        """
Counter("a", "d")
shared.take_part("end")
idle = Child(lambda: None)
def body():
    assert shared.is_on("end")
    shared.take_part("end")
child = Child(body)
with shared.stepping_back("end") as is_last:
    assert not is_last
assert shared.is_on("end")
child.end()
assert not shared.is_on("end")
shared.take_part("end")
with shared.stepping_back("end") as is_last:
    assert is_last
    def late():
        with shared.stepping_back("end") as second:
            assert not second, "two at a time"
    Child(late, stay=False)
def later():
    with shared.stepping_back("end") as is_last:
        assert is_last
Child(later, stay=False)
idle.end()
""",
    )


def test_of_many_that_step_back_at_the_same_moment_never_none_is_the_last(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        """
Counter("a", "d")
for _ in range(20):
    go, lasts = os.pipe(), os.pipe()
    def body():
        shared.take_part("end")
        os.write(lasts[1], b"r")
        os.close(go[1])
        os.read(go[0], 1)
        with shared.stepping_back("end") as is_last:
            os.write(lasts[1], b"x" if is_last else b"-")
    children = []
    for _ in range(6):
        pid = os.fork()
        if not pid:
            body()
            os._exit(0)
        children.append(pid)
    ready = b""
    while len(ready) < 6: ready += os.read(lasts[0], 6 - len(ready))
    os.close(go[1])
    for pid in children: os.waitpid(pid, 0)
    os.close(lasts[1])
    said = os.read(lasts[0], 100)
    assert len(said) == 6 and said.count(b"x") >= 1, said
""",
    )


def test_who_has_left_leads_no_more(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        """
Counter("a", "d")
child = Child(lambda: None)
assert shared.lead("one") and str(shared.meeting_place()).startswith(str(shared.current().directory))
child.end()
shared.leave()
assert not shared.lead("one") and shared.meeting_place() is None
""",
    )
