"""Counting the starts of a service over all its lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from measurand.core.ancestry import family
from measurand.lifecycle.starts import count_start

pytestmark = pytest.mark.once

COUNT = """
import pathlib, sys
from measurand.lifecycle.starts import count_start
print(count_start(pathlib.Path(sys.argv[1]), "shop", "test"))
"""
SPAWN = """
import multiprocessing, pathlib, sys
from measurand.lifecycle.starts import count_start
if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[2]).Pool(4) as pool:
        print(pool.starmap(count_start, [(pathlib.Path(sys.argv[1]), "shop", "test")] * 8))
"""


def started(directory: Path) -> int:
    """Start the service once more, in a process that ends at once."""
    return int(subprocess.run([sys.executable, "-c", COUNT, str(directory)], capture_output=True, text=True, check=True).stdout)


def test_every_start_counts_and_the_number_survives(tmp_path: Path) -> None:
    directory = tmp_path / "made" / "when" / "needed"
    assert [started(directory) for _ in range(4)] == [1, 2, 3, 4]


def test_asking_again_is_no_start(tmp_path: Path) -> None:
    assert [count_start(tmp_path, "shop", "test") for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_workers_of_one_start_count_once(tmp_path: Path, method: str) -> None:
    started(tmp_path)
    script = tmp_path / "workers.py"
    script.write_text(SPAWN)
    answer = subprocess.run([sys.executable, str(script), str(tmp_path), method], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str([2] * 8)


def test_two_instances_that_run_at_once_each_count_once(tmp_path: Path) -> None:
    assert count_start(tmp_path, "shop", "test") == 1
    assert started(tmp_path) == 2
    assert count_start(tmp_path, "shop", "test") == 2  # the first still runs: a late worker of it is no start


def test_simultaneous_starts_all_count(tmp_path: Path) -> None:
    starts = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(8)]
    assert sorted(int(start.communicate(timeout=60)[0]) for start in starts) == list(range(1, 9))


def test_services_and_environments_have_numbers_of_their_own(tmp_path: Path) -> None:
    for service, environment in [("a.b", "c"), ("a", "b.c"), ("a/b", "c"), ("../a", "c"), ("a b", "ü")]:
        assert count_start(tmp_path, service, environment) == 1
    assert len(list(tmp_path.glob("*.starts"))) == 5


def test_families_that_have_gone_are_forgotten(tmp_path: Path) -> None:
    for number in range(100):
        assert count_start(tmp_path, "shop", "test", f"0000-{os.getpid()}-{number}") == number + 1
    assert count_start(tmp_path, "shop", "test") == 101
    (kept,) = tmp_path.glob("*.starts")
    assert family() in kept.read_text()
    assert len(kept.read_text()) < 100


@pytest.mark.parametrize("content", ["", "7", "[]", '{"starts": "many", "running": []}', '{"starts": 7}', "\x00" * 40])
def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "shop.test.starts"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"shop\.test\.starts does not hold a number of starts; move it away"):
        count_start(tmp_path, "shop", "test")
    assert path.read_text() == content


def test_a_directory_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        count_start(tmp_path / "file" / "state", "shop", "test")


def test_nothing_is_left_beside_the_number_and_its_lock(tmp_path: Path) -> None:
    started(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"shop.test.starts", "shop.test.lock"}
