"""Which processes are one service."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from measurand.core.ancestry import Process, family, process

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


def test_the_walk_ends_below_the_first_other_program(proc: Path) -> None:
    planted(proc, 1, 0, 1, (11, 12))
    planted(proc, 5, 1, 50, (4096, 8192))
    planted(proc, 6, 5, 60, (4096, 8192))
    planted(proc, 7, 6, 70, (5000, 9000), b"python\0-c\0spawn_main()\0--multiprocessing-fork\0")
    assert family(7, str(proc)) == "01234567-5-50"


def test_processes_whose_image_is_hidden_are_no_kin(proc: Path) -> None:
    planted(proc, 5, 1, 50, (1, 1))
    planted(proc, 6, 5, 60, (1, 1))
    assert family(6, str(proc)) == "01234567-6-60"


def test_an_id_used_again_is_another_family(proc: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    planted(proc, 5, 1, 50, (4096, 8192))
    later = tmp_path_factory.mktemp("later")
    planted(later, 5, 1, 51, (4096, 8192))
    assert family(5, str(proc)).split("-")[1:] != family(5, str(later)).split("-")[1:]


def test_without_a_process_file_system_the_id_has_to_do(tmp_path: Path) -> None:
    assert family(proc=str(tmp_path)) == f"pid-{os.getpid()}"
    assert process(1, str(tmp_path)) is None
