"""Truncated files under a process that writes to them: each test is a program of its own, which a signal would end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from measurand.core import guarding
from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(os.name != "posix", reason="this system has no such signal")]

PRELUDE = """
import mmap, os, signal, sys
from measurand.core.guarding import guard

def mapped(name, pages=4):
    path = os.path.join({folder!r}, name)
    with open(path, "wb") as file:
        file.write(b"x" * pages * mmap.PAGESIZE)
    with open(path, "r+b") as file:
        return path, mmap.mmap(file.fileno(), 0)
"""


@pytest.fixture(autouse=True)
def _guard() -> None:
    pytest.importorskip("measurand.core._guard", reason="the extension that guards mapped files was not built; run: pip install -e .")


def run(tmp_path: Path, code: str, *options: str) -> tuple[int, str]:
    ran = run_python(PRELUDE.format(folder=str(tmp_path)) + code, *options)
    return ran.returncode, ran.stdout.strip() or ran.stderr


def test_a_process_goes_on_in_memory_of_its_own_where_its_file_was_cut_off(tmp_path: Path) -> None:
    code = """if True:
        path, memory = mapped("a")
        assert guard(memory)
        os.truncate(path, mmap.PAGESIZE)
        memory[3 * mmap.PAGESIZE] = 7
        print(memory[0], memory[mmap.PAGESIZE], memory[3 * mmap.PAGESIZE], os.path.getsize(path) == mmap.PAGESIZE)
    """
    assert run(tmp_path, code) == (0, "120 0 7 True")


def test_other_files_are_not_guarded_and_faulthandler_still_speaks(tmp_path: Path) -> None:
    code = """if True:
        import faulthandler
        faulthandler.enable()
        first, guarded = mapped("a")
        second, other = mapped("b")
        guard(guarded)
        os.truncate(first, 0)
        guarded[0] = 1
        os.truncate(second, 0)
        other[0] = 1
    """
    status, said = run(tmp_path, code)
    assert status == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in said


def test_a_region_is_guarded_no_longer_than_it_exists(tmp_path: Path) -> None:
    code = """if True:
        path, memory = mapped("a")
        assert all(guard(memory) for memory in (mapped("c")[1] for _ in range(1000)))
        guard(memory)
        del memory
        path, memory = mapped("b")  # where the first one was, as likely as not
        os.truncate(path, 0)
        memory[0] = 1
    """
    assert run(tmp_path, code)[0] == -signal.SIGBUS


def test_a_signal_that_somebody_sends_does_what_it_did_before(tmp_path: Path) -> None:
    code = """if True:
        signal.signal(signal.SIGBUS, lambda *_: print("handled"))
        path, memory = mapped("a")
        guard(memory)
        os.kill(os.getpid(), signal.SIGBUS)
        guard(memory)
        os.truncate(path, 0)
        memory[0] = 1
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        guard(mapped("b")[1])
        print(memory[0], flush=True)
        os.kill(os.getpid(), signal.SIGBUS)
    """
    assert run(tmp_path, code) == (-signal.SIGBUS, "handled\n1")


def test_a_forked_child_is_guarded_too(tmp_path: Path) -> None:
    code = """if True:
        path, memory = mapped("a")
        guard(memory)
        child = os.fork()
        if child == 0:
            os.truncate(path, 0)
            memory[0] = 1
            os._exit(memory[0])
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), memory[1])
    """
    assert run(tmp_path, code) == (0, "1 0")


def test_what_is_no_mapped_file_is_not_guarded() -> None:
    assert not guarding.guard(memoryview(bytearray(10000))[1:])
