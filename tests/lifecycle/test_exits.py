"""What runs at the end of a process."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from measurand.lifecycle.exits import run_at_exit

pytestmark = pytest.mark.once

PROGRAM = """
from measurand.lifecycle.exits import run_at_exit

undo = run_at_exit(lambda: print("not this"))
run_at_exit(lambda: print("at exit"))
undo()
print("end of the program")
"""


def test_a_program_calls_it_at_its_exit_unless_it_was_taken_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["end of the program", "at exit"]


def work(folder: str) -> None:
    run_at_exit((Path(folder) / "at exit").touch)
    undo = run_at_exit((Path(folder) / "not this").touch)
    undo()


@pytest.mark.parametrize("method", [method for method in multiprocessing.get_all_start_methods() if method != "forkserver"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # 3.12 warns of forking with threads
def test_a_process_of_multiprocessing_calls_it_too(method: str, tmp_path: Path) -> None:
    child = multiprocessing.get_context(method).Process(target=work, args=(str(tmp_path),))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert [file.name for file in tmp_path.iterdir()] == ["at exit"]
