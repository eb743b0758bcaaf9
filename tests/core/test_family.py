"""Families: who meets where, who lives, who gets which lane. With real processes, as locks are between processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from measurand.core.ancestry import CHOSEN, has_met
from measurand.core.family import Family
from tests.support import SCALE

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]


class Other:
    """A process that has met the family and does as it is told."""

    def __init__(self, body: Callable[[Callable[[], str], Callable[[Any], None]], None]) -> None:
        asked, self._ask = os.pipe()
        self._answered, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._ask)
                body(lambda: os.read(asked, 100).decode(), lambda value: os.write(answer, f"{value}\n".encode()))
            finally:
                os._exit(0)
        os.close(asked)
        os.close(answer)

    def tell(self, what: str) -> None:
        os.write(self._ask, what.encode())

    def answer(self) -> str:
        return os.read(self._answered, 100).decode().strip()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        os.waitpid(self.pid, 0)
        os.close(self._ask)
        os.close(self._answered)


def member(base: Path, name: str = "one") -> Other:
    """A process with a lane of the family, until it is told to leave."""

    def body(asked: Callable[[], str], answer: Callable[[Any], None]) -> None:
        family = Family.meet(name, base)
        number, path, exists = family.take_lane()
        path.touch()
        answer(f"{number} {exists}")
        while command := asked():
            answer(getattr(family, command)())
            if command == "leave":
                return

    return Other(body)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "families"


ALIVE, DEAD, HALF_MADE = "01234567-7-100-0", "01234567-8-100-0", "01234567-9-100-0"
"""Names as the ancestry gives them."""


def lane_of(other: Other) -> str:
    return other.answer()


def test_living_processes_have_lanes_of_their_own_and_dead_ones_pass_theirs_on(base: Path) -> None:
    family = Family.meet("one", base)
    number, path, exists = family.take_lane()
    path.touch()
    assert (number, exists) == (0, False)
    first, second = member(base), member(base)
    lanes = {lane_of(first), lane_of(second)}
    assert lanes == {"1 False", "2 False"}
    assert [(one.number, one.alive) for one in family.members()] == [(0, True), (1, True), (2, True)]
    first.kill()
    assert sorted(one.alive for one in family.members()) == [False, True, True]
    third = member(base)
    assert lane_of(third) in {"1 True", "2 True"}
    assert sorted(one.alive for one in family.members()) == [False, True, True]  # what is in it is still of the one that is gone
    third.tell("begin")
    assert third.answer() == "None"
    assert [one.alive for one in family.members()] == [True, True, True]
    for one in (second, third):
        one.tell("leave")
        assert one.answer() == "False"
        one.wait()
    assert family.leave()
    assert not base.exists()


def test_a_forked_child_has_none_of_its_parents_locks_and_its_end_takes_none_away(base: Path) -> None:
    family = Family.meet("one", base)
    family.take_lane()[1].touch()
    assert family.lead()

    def body(_: Callable[[], str], answer: Callable[[Any], None]) -> None:
        mine = family.meet_again()
        number, path, exists = mine.take_lane()
        path.touch()
        answer(f"{number} {exists} {mine.lead()}")

    child = Other(body)
    assert child.answer() == "1 False False"
    child.wait()
    other = member(base)
    assert lane_of(other) == "1 True"
    other.kill()
    family.leave()


def test_one_leads_and_when_it_is_killed_another_can_at_once(base: Path) -> None:
    first, second = member(base), member(base)
    for one in (first, second):
        lane_of(one)
    first.tell("lead")
    assert first.answer() == "True"
    second.tell("lead")
    assert second.answer() == "False"
    first.kill()
    second.tell("lead")
    assert second.answer() == "True"
    second.tell("leave")
    second.answer()
    second.wait()


def test_families_that_were_killed_are_removed_when_another_meets(base: Path) -> None:
    dead, alive = member(base, DEAD), member(base, ALIVE)
    for one in (dead, alive):
        lane_of(one)
    (base / HALF_MADE).mkdir()
    (base / f".gone-{DEAD}-1").mkdir()
    dead.kill()
    family = Family.meet("new", base)
    assert sorted(path.name for path in base.iterdir()) == [ALIVE, "new"]
    assert has_met(ALIVE, str(base))
    assert not has_met(DEAD, str(base))
    family.leave()
    alive.kill()


def test_nothing_is_removed_that_is_no_family(base: Path) -> None:
    for name in ("data", "1234-5", "lane-0"):
        (base / name).mkdir(parents=True)
        (base / name / "locks").touch()
    base.chmod(0o700)
    Family.meet(ALIVE, base).leave()
    assert sorted(path.name for path in base.iterdir()) == ["1234-5", "data", "lane-0"]


def test_a_family_of_which_all_but_one_were_killed_stays_as_it_is(base: Path) -> None:
    one, two = member(base, ALIVE), member(base, ALIVE)
    assert {lane_of(one), lane_of(two)} == {"0 False", "1 False"}
    one.kill()
    Family.meet(DEAD, base).leave()
    three = member(base, ALIVE)
    assert lane_of(three) in {"0 True", "1 True"}
    for each in (two, three):
        each.kill()
    Family.meet(DEAD, base).leave()
    assert not base.exists()


def test_processes_that_come_and_go_leave_one_lane(base: Path) -> None:
    family = Family.meet(ALIVE, base)
    family.take_lane()[1].touch()
    for turn in range(64 if SCALE <= 1 else 256):
        other = member(base, ALIVE)
        assert lane_of(other) == f"1 {turn > 0}"
        other.kill()
    assert sorted(path.name for path in family.directory.iterdir()) == ["lane-0", "lane-1", "locks"]
    assert family.leave()


# -- directories that were chosen ------------------------------------------------------------------------------------------------


def test_what_was_left_in_a_chosen_directory_is_cleared_by_the_next_but_never_while_anybody_lives(base: Path) -> None:
    first, second = member(base, CHOSEN), member(base, CHOSEN)
    assert {lane_of(first), lane_of(second)} == {"0 False", "1 False"}
    first.kill()
    third = member(base, CHOSEN)
    assert lane_of(third).endswith("True")
    for one in (second, third):
        one.kill()
    (base / CHOSEN / "folder").mkdir()
    fourth = member(base, CHOSEN)
    assert lane_of(fourth) == "0 False"
    assert sorted(path.name for path in (base / CHOSEN).iterdir()) == ["lane-0", "locks"]
    fourth.tell("leave")
    assert fourth.answer() == "True"
    fourth.wait()
    assert list(base.iterdir()) == []


def test_of_many_who_come_to_what_was_left_one_clears_it_and_all_meet(base: Path) -> None:
    for _ in range(5):
        others = [member(base, CHOSEN) for _ in range(6)]
        assert {lane_of(one) for one in others} == {f"{number} False" for number in range(6)}
        for one in others:
            one.kill()


def test_without_its_locks_nobody_takes_up_what_somebody_may_still_be_writing(base: Path) -> None:
    family = Family.meet(ALIVE, base)
    family.take_lane()[1].touch()
    (family.directory / "locks").unlink()
    other = member(base, ALIVE)
    assert lane_of(other) == "0 False"
    assert not family.is_there
    other.kill()


def test_whoever_comes_while_the_last_one_leaves_meets_a_family_that_is_there(base: Path) -> None:
    """Brute force: processes meet and leave at the same time, again and again; each finds itself in a directory that exists."""

    def body(_: Callable[[], str], answer: Callable[[Any], None]) -> None:
        wrong = 0
        for _turn in range(150):
            family = Family.meet("one", base)
            _, path, _ = family.take_lane()
            path.touch()
            wrong += not family.is_there or not path.exists()
            family.leave()
        answer(wrong)

    others = [Other(body) for _ in range(3)]
    assert [one.answer() for one in others] == ["0", "0", "0"]
    for one in others:
        one.wait()
    assert not base.exists()


def test_no_two_living_processes_ever_have_one_lane(base: Path) -> None:
    """Brute force with kills: each process writes its id into its lane, and finds it there until it is killed."""

    def body(_: Callable[[], str], answer: Callable[[Any], None]) -> None:
        family = Family.meet("one", base)
        _, path, _ = family.take_lane()
        path.write_text(str(os.getpid()))
        answer("ready")
        while path.read_text() == str(os.getpid()):
            pass
        answer("taken")
        os._exit(1)

    living = [Other(body) for _ in range(3)]
    for turn in range(25):
        assert living[-1].answer() == "ready"
        living[turn % 3].kill()
        living[turn % 3] = Other(body)
        living.append(living.pop(turn % 3))
    assert living[-1].answer() == "ready"
    for one in living:
        one.kill()
    assert len(list((base / "one").glob("lane-*"))) <= 4


def test_a_process_whose_directory_was_removed_notices(base: Path) -> None:
    family = Family.meet("one", base)
    assert family.is_there
    (family.directory / "locks").unlink()
    assert not family.is_there
    again = family.meet_again()
    assert again.is_there
    assert again.leave()


EXCHANGE = """
import os, sys
from pathlib import Path
from measurand.core import ancestry
from measurand.core.family import Family

base, name = Path(sys.argv[1]), ancestry.family()
go, ended = os.pipe(), os.pipe()
second = os.fork()
if second == 0:  # starts, and meets the others only when the first one is gone
    os.read(go[0], 1)
    family = Family.meet(name, base)
    print(family.take_lane()[1].read_text(), family.leave(), flush=True)
    os._exit(0)
first = os.fork()
if first == 0:
    family = Family.meet(name, base)
    family.take_lane()[1].write_text("counted")
    print(family.leave(), flush=True)
    os._exit(0)
os.waitpid(first, 0)
os.write(go[1], b"x")
os.waitpid(second, 0)
print(base.exists())
"""


def test_the_last_one_out_leaves_everything_to_a_worker_that_is_starting(base: Path) -> None:
    """As when a master that takes no part exchanges its workers."""
    done = subprocess.run([sys.executable, "-c", EXCHANGE, str(base)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["False", "counted", "True", "False"], done.stderr


EXPECTED = """
import os, sys
from pathlib import Path
from measurand.core import ancestry
from measurand.core.family import Family

base, name = Path(sys.argv[1]), ancestry.family()
def run(text):
    pid = os.fork()
    if pid == 0:
        family = Family.meet(name, base)
        number, path, exists = family.take_lane()
        path.write_text(text)
        print(exists, family.leave(), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
ancestry.expect_children(name)
run("counted")
run("counted on")
print((base / name / "lane-0").read_text().replace(" ", "-"), flush=True)
ancestry.expect_no_children()
run("")
print(base.exists())
"""


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="children cannot see what their parent expects")
def test_the_last_one_out_leaves_everything_to_a_parent_that_may_still_ask(base: Path) -> None:
    done = subprocess.run([sys.executable, "-c", EXPECTED, str(base)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["False", "False", "True", "False", "counted-on", "True", "True", "False"], done.stderr


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_who_became_another_user_is_not_found_any_more_and_gives_up_its_lane_when_it_departs(base: Path) -> None:
    def body(asked: Callable[[], str], answer: Callable[[Any], None]) -> None:
        family = Family.meet("one", base)
        family.take_lane()[1].touch()
        for become in (lambda: os.seteuid(4711), lambda: os.seteuid(0), lambda: os.setuid(4711)):
            become()
            answer((family.can_return, family.is_there))
            asked()
        family.depart()
        answer("departed")
        signal.pause()

    other = Other(body)
    for expected in ("(True, False)", "(False, True)", "(False, False)", "departed"):
        assert other.answer() == expected
        other.tell("go on")
    successor = member(base)
    assert lane_of(successor) == "0 True"
    for one in (successor, other):
        one.kill()


def test_tasks_have_leaders_of_their_own_and_the_last_of_those_who_take_part_is_told_so(tmp_path: Path) -> None:
    mine = Family.meet("one", tmp_path)

    def body(asked: Callable[[], str], answer: Callable[[Any], None]) -> None:
        theirs = Family.meet("one", tmp_path)
        theirs.take_part("end")
        answer((theirs.lead("mine"), theirs.lead("theirs"), theirs.lead(), theirs.is_on("end")))
        asked()
        answer(theirs.step_back("end"))
        asked()

    assert mine.lead("mine")
    mine.take_part("end")
    other = Other(body)
    assert other.answer() == "(False, True, True, True)"
    assert (mine.lead("mine"), mine.lead("theirs"), mine.is_on("end")) == (True, False, True)
    assert not mine.step_back("end")
    other.tell("step back")
    assert other.answer() == "True"
    assert not mine.step_back("end"), "the last one is not done"
    other.kill()
    assert mine.step_back("end")
    mine.let_go("end")
    assert mine.lead("theirs")
    mine.follow("theirs")
    mine.leave()
