"""Which processes belong to one service: those that were forked from one program, or spawned by ``multiprocessing``.

Walking up from this process, an edge to the parent belongs to the service while the child is a fork that has not executed another
program, or a child of ``multiprocessing``. The topmost process names the family. On Linux a fork is recognised by what exec would have
changed: the addresses of code and stack, fields 26 and 28 of ``/proc/PID/stat`` (proc_pid_stat(5)). Where the kernel hides those, because
the parent is another user's, an equal command line has to do. A process id alone is no name, because ids are used again and every
container has a process 1: the machine's run, the process id namespace and the time of the start, in clock ticks, make it one.

``MEASURAND_FAMILY_DIR`` replaces all that: the processes that name one directory are one family.

A process that is alone is not in its family's place, so its children cannot see there whether it will ever ask for what they count. It
has a sign instead: an empty piece of memory with a name, which ``/proc/PID/fd`` shows, forks keep and exec drops.

Promises: what cannot be told apart is never put together. Where there is no ``/proc`` on Linux, only a process and its own forks are kin.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NamedTuple

__all__ = [
    "CHOSEN",
    "Process",
    "age",
    "at_end_of_child",
    "chosen_directory",
    "expect_children",
    "expect_no_children",
    "family",
    "has_met",
    "has_newcomers",
    "is_expected",
    "is_first",
    "lives",
    "process",
]

PROC = "/proc"
SHARED_MEMORY = "/dev/shm"
FORKSERVER = b"multiprocessing.forkserver"
OF_MULTIPROCESSING = (b"--multiprocessing-fork", FORKSERVER)
"""What the command lines of its children have, spawned ones and the server that forks the others."""

CHOSEN = "shared-here"
"""The name of the family of all processes that name one directory."""

SIGN = "measurand-expects-its-children"
"""The name of the memory that a process has which may yet ask for what its children count."""

SELF = "self"
_made_up: dict[str, str] = {}  # the name that was given to this process for want of any other
_sign: list[int] = []  # its descriptor


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


def process(pid: int | str, proc: str = PROC) -> Process | None:
    """The process with this id; ``None`` if there is none, or no ``/proc`` to ask."""
    try:
        # the name, in brackets, may hold anything; what follows its last bracket are numbers, the first of them field 3
        left, _, right = _content(proc, str(pid), "stat").rpartition(b")")
        rest = right.split()
        code, stack = int(rest[23]), int(rest[25])
        return Process(int(left.split()[0]), int(rest[1]), int(rest[19]), (code, stack) if code > 1 and stack > 1 else None)
    except (OSError, ValueError, IndexError):
        return None


def family(pid: int | None = None, proc: str = PROC) -> str:
    """The name of the family that a process belongs to by its ancestry: equal in all its processes, and never used again.

    Args:
        pid: The process; this one by default.
        proc: Where the process file system is mounted.
    """
    # "self" is right even where /proc is that of another process id namespace: its numbers are not those of getpid() then
    current = process(SELF if pid is None else pid, proc)
    if current is None:
        return _unknown(pid)
    while (above := _kin_above(current, proc)) is not None:
        current = above
    return f"{_boot(proc)}-{current.pid}-{current.start}-{_namespace(proc)}"


def _unknown(pid: int | None) -> str:
    """A name for a process of which the system tells nothing."""
    if pid is not None:
        return f"pid-{pid}"
    if sys.platform.startswith("linux"):  # the id alone may be another container's: nobody but our own forks shall have this name
        return _made_up.setdefault("it", f"pid-{os.getpid()}-{os.urandom(8).hex()}")
    used = sys.modules.get("multiprocessing.process")  # a child of it has it loaded
    parent = used.parent_process() if used is not None else None
    return f"pid-{parent.pid if parent else os.getpid()}"


def is_first(name: str) -> bool:
    """Whether this process is the one that a family is named after."""
    current = process(SELF)
    return name.split("-")[1] == str(current.pid if current is not None else os.getpid())


def lives(name: str, proc: str = PROC) -> bool:
    """Whether the process that a family is named after is still there; false where that cannot be told."""
    first = _first(name, proc)
    return first is not None and first.image is not None


def expect_children(name: str) -> None:
    """Let the others of a family see that the process which it is named after, if it is this one, may yet ask for what they count.

    Where that is not possible they take it that it will not.
    """
    if hasattr(os, "memfd_create") and not _sign and is_first(name):
        with suppress(OSError):  # forbidden, or too many open files
            _sign.append(os.memfd_create(SIGN))


def expect_no_children() -> None:
    """Let them see that it will not: this process ends."""
    while _sign:
        descriptor = _sign.pop()
        if _is_sign(f"{PROC}/{SELF}/fd/{descriptor}"):  # a daemon closes all that it has, and the number may be another file's since
            os.close(descriptor)


def _is_sign(link: str) -> bool:
    try:
        return os.readlink(link).startswith(f"/memfd:{SIGN}")
    except OSError:
        return False


def is_expected(name: str, proc: str = PROC) -> bool:
    """Whether the process that a family is named after is alive, another one, and may yet ask for what its children have counted."""
    first, here = _first(name, proc), process(SELF, proc)
    if first is None or here is None or here.pid == first.pid:
        return False
    open_files = os.path.join(proc, str(first.pid), "fd")
    with suppress(OSError):  # another user's, who has a place of his own
        return any(_is_sign(os.path.join(open_files, number)) for number in os.listdir(open_files))
    return False


def at_end_of_child(owner: object, function: Callable[[], None]) -> None:
    """Have a function called at the end of a child of ``multiprocessing``, which ends without what ``atexit`` knows.

    Args:
        owner: What the function belongs to; while it is there, forked children of this process call it as well.
        function: The function.
    """
    util = sys.modules.get("multiprocessing.util")
    used = sys.modules.get("multiprocessing.process")

    def finalize(_: object) -> None:
        sys.modules["multiprocessing.util"].Finalize(None, function, exitpriority=-100)

    if util is not None:
        util.register_after_fork(owner, finalize)  # it forgets finalizers in its forked children
        if used is not None and used.parent_process() is not None:
            finalize(None)


def age(name: str, proc: str = PROC) -> float:
    """Seconds since the process was started that a family is named after; 0 where the system does not tell."""
    try:
        since_boot = float(_content(proc, "uptime").split()[0])
        return max(since_boot - int(name.split("-")[2]) / os.sysconf("SC_CLK_TCK"), 0.0)
    except (OSError, ValueError, IndexError):
        return 0.0


def has_newcomers(name: str, known: Collection[int], proc: str = PROC) -> bool:
    """Whether a process of a family is alive that does not take part yet, such as a worker that is still starting.

    Costs a look at every process of the system. False where that cannot be told, and in the process that the family is named after.

    Args:
        name: The family's.
        known: The ids of those that take part, or did.
        proc: Where the process file system is mounted.
    """
    first, here = _first(name, proc), process(SELF, proc)
    if first is None or here is None or here.pid == first.pid:
        return False
    children: dict[int, list[Process]] = {}
    for entry in os.listdir(proc):
        found = process(entry, proc) if entry.isdecimal() else None
        if found is not None:
            children.setdefault(found.parent, []).append(found)
    generation = [first]
    while generation:
        generation = [child for parent in generation for child in children.get(parent.pid, ()) if _is_kin(child, parent, proc)]
        unknown = [kin for kin in generation if kin.pid != here.pid and kin.pid not in known]
        if any(FORKSERVER not in _command(kin, proc) for kin in unknown):  # which never takes part itself
            return True
    return False


def _first(name: str, proc: str) -> Process | None:
    """The process that a family is named after, if it is there."""
    boot, _, rest = name.partition("-")
    numbers = rest.split("-")
    if len(numbers) != 3 or boot != _boot(proc) or numbers[2] != _namespace(proc):
        return None
    found = process(numbers[0], proc)
    return found if found is not None and str(found.start) == numbers[1] else None


def chosen_directory() -> str | None:
    """The directory that ``MEASURAND_FAMILY_DIR`` names; read when they first meet, which may be long before anything is configured."""
    chosen = os.environ.get("MEASURAND_FAMILY_DIR", "").strip()
    try:
        return os.path.abspath(chosen) if chosen else None
    except OSError:  # this process' own directory is gone
        return chosen


def has_met(name: str, directory: str | None = None) -> bool:
    """Whether the family of this name has met (see ``core.family``); costs a look at one or two files.

    Args:
        name: The family's.
        directory: Where it meets, if not in the usual place.
    """
    if directory is not None:
        return os.path.exists(f"{directory}/{name}/locks")
    mine = f"measurand-{os.geteuid()}/{name}/locks"
    if os.path.exists(f"{SHARED_MEMORY}/{mine}"):
        return True
    if _meets_in_shared_memory():
        return False
    import tempfile  # noqa: PLC0415 - dear, and not needed where there is shared memory

    return os.path.exists(f"{tempfile.gettempdir()}/{mine}")


def _meets_in_shared_memory() -> bool:
    """Whether families of this user meet there; see ``core.directories``."""
    try:
        found = os.lstat(f"{SHARED_MEMORY}/measurand-{os.geteuid()}")
    except OSError:
        return os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    return found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022


def _content(*path: str) -> bytes:
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def _kin_above(child: Process, proc: str) -> Process | None:
    """The parent, if it is kin."""
    parent = process(child.parent, proc)
    if parent is None or parent.start > child.start or not _is_kin(child, parent, proc):
        return None
    again = process(child.pid, proc)  # else the parent may have ended and its id be another's meanwhile
    return parent if again is not None and (again.parent, again.start) == (child.parent, child.start) else None


def _is_kin(child: Process, parent: Process, proc: str) -> bool:
    if child.image is not None and child.image == parent.image:
        return True
    command = _command(child, proc)
    if any(sign in command for sign in OF_MULTIPROCESSING):
        return True
    return (child.image is None or parent.image is None) and command != b"" and command == _command(parent, proc)


def _command(of: Process, proc: str) -> bytes:
    try:
        return _content(proc, str(of.pid), "cmdline")
    except OSError:
        return b""


def _boot(proc: str) -> str:
    """What tells this run of the machine from its others."""
    try:
        return _content(proc, "sys/kernel/random/boot_id").decode().strip()[:8]
    except OSError:
        return "boot"


def _namespace(proc: str) -> str:
    """What tells the processes of one container from those of another that has the same ids."""
    try:
        return os.readlink(os.path.join(proc, SELF, "ns", "pid")).rpartition("[")[2].rstrip("]")
    except OSError:
        return "0"
