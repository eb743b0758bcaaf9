"""Which processes are one service."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from measurand.core.ancestry import Process, age, chosen_directory, family, has_met, has_newcomers, is_expected, is_first, lives, process
from tests.core.namespaces import in_pid_namespace

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")]  # forking is what this is about

SAY = "from measurand.core.ancestry import family; print(family())"


def in_fork() -> str:
    """The family as a forked child sees it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, family().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        name = answer.read()
    os.waitpid(child, 0)
    return name


def test_a_process_is_of_its_own_family_and_knows_itself() -> None:
    own = process(os.getpid())
    assert own is not None
    assert own.parent == os.getppid()
    assert family() == family(os.getpid())


def test_a_fork_is_of_the_family() -> None:
    assert in_fork() == family()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_is_of_the_family(method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(family) == family()


def test_another_program_is_a_family_of_its_own() -> None:
    found = {subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)}
    assert len(found) == 2
    assert family() not in found


def test_two_services_of_one_shell_are_two_families() -> None:
    command = f"{sys.executable} -c '{SAY}' & {sys.executable} -c '{SAY}'; wait"
    both = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert len(set(both.stdout.split())) == 2, both.stderr


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("0123456789abcdef\n")
    return tmp_path


def planted(proc: Path, pid: int, parent: int, start: int, image: tuple[int, int], command: bytes = b"python\0app.py\0") -> None:
    fields = ["S", str(parent), *["0"] * 17, str(start), *["0"] * 3, str(image[0]), "0", str(image[1]), "0"]
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "stat").write_text(f"{pid} (a ) name) {' '.join(fields)}\n")
    (proc / str(pid) / "cmdline").write_bytes(command)


def test_a_name_with_brackets_does_not_confuse(proc: Path) -> None:
    planted(proc, 7, 3, 900, (4096, 8192))
    assert process(7, str(proc)) == Process(7, 3, 900, (4096, 8192))


def test_a_familys_age_is_that_of_the_process_that_it_is_named_after(proc: Path) -> None:
    (proc / "uptime").write_text("100.5 200.25\n")
    assert age(f"boot-7-{os.sysconf('SC_CLK_TCK') * 40}-1", str(proc)) == 60.5
    assert age(f"boot-7-{os.sysconf('SC_CLK_TCK') * 101}-1", str(proc)) == 0  # started after the system was asked


@pytest.mark.parametrize("name", ["shared-here", "pid-7", "boot-7-x-1"])
def test_a_family_of_any_other_name_has_no_age(proc: Path, name: str) -> None:
    (proc / "uptime").write_text("100.5 200.25\n")
    assert age(name, str(proc)) == age("boot-7-1-1", "/nowhere") == 0


def test_the_walk_ends_below_the_first_other_program(proc: Path) -> None:
    planted(proc, 1, 0, 1, (11, 12))
    planted(proc, 5, 1, 50, (4096, 8192))
    planted(proc, 6, 5, 60, (4096, 8192))
    planted(proc, 7, 6, 70, (5000, 9000), b"python\0-c\0spawn_main()\0--multiprocessing-fork\0")
    assert family(7, str(proc)) == "01234567-5-50-0"


@pytest.mark.parametrize("hidden", [(1, 0), (0, 0), (1, 1)])
def test_where_the_parents_image_is_hidden_an_equal_command_line_makes_kin(proc: Path, hidden: tuple[int, int]) -> None:
    planted(proc, 1, 0, 1, hidden, b"/sbin/init\0")
    planted(proc, 5, 1, 50, hidden, b"python\0-m\0gunicorn\0")
    planted(proc, 6, 5, 60, hidden, b"python\0-m\0gunicorn\0")
    planted(proc, 7, 5, 60, (4096, 8192), b"python\0-m\0gunicorn\0")
    planted(proc, 8, 5, 60, (4096, 8192), b"python\0-m\0other\0")
    planted(proc, 9, 5, 60, (4096, 8192), b"")
    assert [family(pid, str(proc)).split("-")[1] for pid in (6, 7, 8, 9)] == ["5", "5", "8", "9"]


def test_an_image_that_is_seen_decides_whatever_the_command_line(proc: Path) -> None:
    planted(proc, 5, 1, 50, (4096, 8192))
    planted(proc, 6, 5, 60, (5000, 8192))
    assert family(6, str(proc)).split("-")[1] == "6"


def test_a_parent_that_is_younger_than_its_child_is_another_process_with_its_id(proc: Path) -> None:
    planted(proc, 5, 1, 61, (4096, 8192))
    planted(proc, 6, 5, 60, (4096, 8192))
    assert family(6, str(proc)) == "01234567-6-60-0"


def test_processes_that_may_not_be_seen_end_the_walk(proc: Path) -> None:
    planted(proc, 6, 5, 60, (4096, 8192))  # mounted with hidepid: 5 is another user's
    planted(proc, 7, 6, 70, (4096, 8192))
    assert family(7, str(proc)) == "01234567-6-60-0"


def test_an_id_used_again_is_another_family(proc: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    planted(proc, 5, 1, 50, (4096, 8192))
    later = tmp_path_factory.mktemp("later")
    planted(later, 5, 1, 51, (4096, 8192))
    assert family(5, str(proc)).split("-")[1:] != family(5, str(later)).split("-")[1:]


def test_without_a_process_file_system_the_id_has_to_do(tmp_path: Path) -> None:
    name = family(proc=str(tmp_path))
    assert name.startswith(f"pid-{os.getpid()}")
    assert family(proc=str(tmp_path)) == name
    assert family(1, str(tmp_path)) == "pid-1"
    assert process(1, str(tmp_path)) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no process id namespaces")
def test_without_a_process_file_system_nobody_else_has_the_same_name(tmp_path: Path) -> None:
    say = f"from measurand.core.ancestry import family; print(family(proc={str(tmp_path)!r}).split('-')[2])"
    assert len({subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True).stdout for _ in range(2)}) == 2


def test_two_containers_processes_1_are_two_families() -> None:
    """Also if both were started in the same tick of the clock: the namespace is part of the name."""
    own = family().split("-")
    names = [in_pid_namespace(f"{sys.executable} -c '{SAY}'").strip().split("-") for _ in range(2)]
    assert all((len(name), name[0]) == (4, own[0]) for name in names)
    assert {name[3] for name in names}.isdisjoint({own[3]})


def test_where_proc_is_another_namespaces_its_numbers_are_used_throughout() -> None:
    """`unshare --pid` without a /proc of its own: what the process calls itself is not what /proc calls it."""
    say = "import os; from measurand.core.ancestry import *; name = family(); print(name, os.getpid(), is_first(name), process('self').pid)"
    name, own, first, seen = in_pid_namespace(f'{sys.executable} -c "{say}"', "--fork").split()
    assert (own, first) == ("1", "True")
    assert name.split("-")[1] == seen != "1"


# -- MEASURAND_FAMILY_DIR ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "directory"), [("", None), ("  ", None), ("/a/b/../c", "/a/c"), (" /a ", "/a")])
def test_the_directory_that_is_chosen_is_absolute(monkeypatch: pytest.MonkeyPatch, value: str, directory: str | None) -> None:
    monkeypatch.setenv("MEASURAND_FAMILY_DIR", value)
    assert chosen_directory() == directory


def test_a_relative_directory_is_meant_from_where_the_process_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEASURAND_FAMILY_DIR", "here")
    assert chosen_directory() == str(tmp_path / "here")


def test_a_process_whose_own_directory_is_gone_still_has_a_name_for_the_chosen_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("MEASURAND_FAMILY_DIR", "here")
    assert chosen_directory() == "here"


def test_a_family_that_never_met_is_not_found(tmp_path: Path) -> None:
    assert not has_met(family(), str(tmp_path))
    assert is_first(f"01234567-{os.getpid()}-1-0")


def test_a_family_lives_while_the_process_that_it_is_named_after_does() -> None:
    with subprocess.Popen([sys.executable, "-c", f"{SAY}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        assert lives(name)
        other.communicate("\n")
    assert not lives(name)
    assert not lives("one")


@pytest.mark.parametrize(
    ("planted_as", "known", "expected"),
    [
        ({"image": (4, 5)}, [], True),
        ({"image": (4, 5)}, [20], False),
        ({"image": (6, 7)}, [], False),
        ({"image": (6, 7), "command": b"python\0--multiprocessing-fork\0"}, [], True),
        ({"image": (6, 7), "command": b"python\0-c\0from multiprocessing.forkserver import main\0"}, [], False),
    ],
)
def test_a_worker_that_has_not_met_the_others_yet_is_a_newcomer(
    proc: Path, planted_as: dict[str, Any], known: list[int], expected: bool
) -> None:
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").symlink_to("pid:[1]")
    planted(proc, 10, 1, 500, (4, 5))  # the master
    planted(proc, 11, 10, 600, (4, 5))  # the worker that asks
    (proc / "self/stat").write_text((proc / "11/stat").read_text())
    name = family(11, proc=str(proc))
    assert not has_newcomers(name, known, proc=str(proc))
    planted(proc, 20, 10, 700, **planted_as)
    assert has_newcomers(name, known, proc=str(proc)) is expected
    (proc / "self/stat").write_text((proc / "10/stat").read_text())
    assert not has_newcomers(name, known, proc=str(proc)), "the one that the family is named after waits for nobody"


EXPECTING = """
import os, sys
from measurand.core.ancestry import expect_children, expect_no_children, family

def ask():
    print(family(), flush=True)
    sys.stdin.readline()

ask()
expect_children("shared-here")  # is none that is named after a process
ask()
expect_children(family())
ask()
if "closed by a daemon" in sys.argv:
    os.closerange(3, 100)
    number = os.open("/dev/null", os.O_RDONLY)
expect_no_children()
if "closed by a daemon" in sys.argv:
    os.fstat(number)
ask()
"""


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="children cannot see what their parent expects")
@pytest.mark.parametrize("how", ["", "closed by a daemon"])
def test_a_process_may_ask_for_what_its_children_count_from_when_it_says_so_until_it_ends(how: str) -> None:
    command = [sys.executable, "-c", EXPECTING, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        seen = []
        for _ in range(4):
            name = other.stdout.readline().strip()
            seen.append(is_expected(name))
            other.stdin.write("\n")
            other.stdin.flush()
        assert other.wait(60) == 0
    assert seen == [False, False, True, False]
    assert not is_expected(name)


def test_a_process_does_not_wait_for_itself_and_not_for_one_that_it_may_not_look_at(proc: Path) -> None:
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").symlink_to("pid:[1]")
    planted(proc, 10, 1, 500, (4, 5))
    planted(proc, 11, 10, 600, (4, 5))
    (proc / "self/stat").write_text((proc / "11/stat").read_text())
    name = family(11, proc=str(proc))
    assert not is_expected(name, str(proc)), "its open files are not shown"
    (proc / "10/fd").mkdir()
    (proc / "10/fd/3").symlink_to("/memfd:something (deleted)")
    assert not is_expected(name, str(proc))
    (proc / "10/fd/4").symlink_to("/memfd:measurand-expects-its-children (deleted)")
    assert is_expected(name, str(proc))
    (proc / "self/stat").unlink()
    (proc / "self/stat").write_text((proc / "10/stat").read_text())
    assert not is_expected(name, str(proc))
