"""Which processes belong to one service: those that were forked from one program, or spawned by ``multiprocessing``.

Walking up from this process, an edge to the parent belongs to the service while the child is a fork that has not executed another
program, or a child of ``multiprocessing``. The topmost process names the family. On Linux a fork is recognised by what exec would have
changed: the addresses of code and stack, fields 26 and 28 of ``/proc/PID/stat`` (proc_pid_stat(5)). A process id alone is no name, because
ids are used again; the time of its start, in clock ticks since the machine's, makes it one.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

__all__ = ["Process", "chosen_directory", "family", "has_met", "is_first", "process"]

PROC = "/proc"
SHARED_MEMORY = "/dev/shm"
OF_MULTIPROCESSING = (b"--multiprocessing-fork", b"multiprocessing.forkserver")
"""What the command lines of its children have, spawned ones and the server that forks the others."""


class Process(NamedTuple):
    """What the system tells of a process.

    Attributes:
        pid: Its id.
        parent: Its parent's id.
        start: When it was started, in clock ticks since the machine's start.
        image: Where its code and its stack begin; ``None`` if we may not know.
    """

    pid: int
    parent: int
    start: int
    image: tuple[int, int] | None


def process(pid: int, proc: str = PROC) -> Process | None:
    """The process with this id; ``None`` if there is none, or no ``/proc`` to ask."""
    try:
        # the name, in brackets, may hold anything; what follows its last bracket are numbers, the first of them field 3
        rest = _content(proc, str(pid), "stat").rpartition(b")")[2].split()
        code, stack = int(rest[23]), int(rest[25])
        return Process(pid, int(rest[1]), int(rest[19]), (code, stack) if code > 1 and stack > 1 else None)
    except (OSError, ValueError, IndexError):
        return None


def family(pid: int | None = None, proc: str = PROC) -> str:
    """The name of the family that a process belongs to: equal in all its processes, and never used again.

    Args:
        pid: The process; this one by default.
        proc: Where the process file system is mounted.
    """
    current = process(pid or os.getpid(), proc)
    if current is None:
        used = sys.modules.get("multiprocessing.process")  # a child of it has it loaded
        parent = used.parent_process() if used is not None and pid is None else None
        return f"pid-{parent.pid if parent else pid or os.getpid()}"
    while (above := process(current.parent, proc)) is not None and _is_kin(current, above, proc):
        current = above
    return f"{_boot(proc)}-{current.pid}-{current.start}"


def is_first(name: str) -> bool:
    """Whether this process is the one that a family is named after."""
    return name.split("-")[1] == str(os.getpid())


def chosen_directory() -> str | None:
    """The directory that ``MEASURAND_FAMILY_DIR`` names; read when they first meet, which may be long before anything is configured."""
    chosen = os.environ.get("MEASURAND_FAMILY_DIR")
    return os.path.abspath(chosen) if chosen else None


def has_met(name: str, directory: str | None = None) -> bool:
    """Whether the family of this name has met (see ``core.family``); costs a look at one or two files.

    Args:
        name: The family's.
        directory: Where it meets, if not in the usual place.
    """
    if directory is None:
        directory = f"{SHARED_MEMORY}/measurand-{os.geteuid()}"
        if not os.path.isdir(SHARED_MEMORY):
            import tempfile  # noqa: PLC0415 - dear, and not needed where there is shared memory

            directory = f"{tempfile.gettempdir()}/measurand-{os.geteuid()}"
    return os.path.exists(f"{directory}/{name}/locks")


def _content(*path: str) -> bytes:
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def _is_kin(child: Process, parent: Process, proc: str) -> bool:
    if child.image is not None and child.image == parent.image:
        return True
    try:
        command = _content(proc, str(child.pid), "cmdline")
    except OSError:
        return False
    return any(sign in command for sign in OF_MULTIPROCESSING)


def _boot(proc: str) -> str:
    """What tells this run of the machine from its others."""
    try:
        return _content(proc, "sys/kernel/random/boot_id").decode().strip()[:8]
    except OSError:
        return "boot"
