"""Families: who meets where, who lives, who gets which lane. With real processes, as locks are between processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from measurand.core import family as module
from measurand.core.ancestry import has_met
from measurand.core.family import Family, Unavailable

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
    dead, alive = member(base, "dead"), member(base, "alive")
    for one in (dead, alive):
        lane_of(one)
    dead.kill()
    family = Family.meet("new", base)
    assert sorted(path.name for path in base.iterdir()) == ["alive", "new"]
    assert has_met("alive", str(base))
    assert not has_met("dead", str(base))
    family.leave()
    alive.kill()


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


def test_a_directory_that_others_could_write_to_or_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for name, complaint in {"open": "open to other users: chmod 700", "file": "no directory", "link": "no directory"}.items():
        with pytest.raises(Unavailable, match=complaint):
            Family.meet("one", tmp_path / name)
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0 if hasattr(os, "geteuid") else True, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 4711, 4711)
    with pytest.raises(Unavailable, match="belongs to user 4711"):
        Family.meet("one", tmp_path / "theirs")


def test_a_network_file_system_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"23 22 0:40 / {tmp_path}/shared rw - nfs4 server:/export rw\n"
        f"24 23 0:41 / {tmp_path}/shared/local rw - tmpfs tmpfs rw\n"
    )
    monkeypatch.setattr(module, "MOUNTS", str(mounts))
    (tmp_path / "shared" / "local").mkdir(parents=True)
    with pytest.raises(Unavailable, match=r"network file system \(nfs4\)"):
        Family.meet("one", tmp_path / "shared" / "families")
    assert Family.meet("one", tmp_path / "shared" / "local" / "families").leave()


def test_where_there_is_no_shared_memory_the_directory_for_temporary_files_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARED_MEMORY", str(tmp_path / "none"))
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    family = Family.meet("one")
    assert family.directory == tmp_path / f"measurand-{os.geteuid()}" / "one"
    assert has_met("one", str(family.directory.parent))
    assert family.leave()


def test_a_process_whose_directory_was_removed_notices(base: Path) -> None:
    family = Family.meet("one", base)
    assert family.is_there
    (family.directory / "locks").unlink()
    assert not family.is_there
    again = family.meet_again()
    assert again.is_there
    assert again.leave()
