"""The place where the processes of one service meet: a directory of lanes, and locks that say who lives.

A family's directory holds ``locks`` and the lanes ``lane-0``, ``lane-1``, … Everybody who takes part holds a shared lock on one byte of
``locks``, the writer of a lane an exclusive one on the lane's byte, the leader on the leader's. The kernel drops a process's locks when it
ends, however it ends, so **a lock is the test of whether somebody lives**; process ids, which are used again, decide nothing. The locks are
those of POSIX (``fcntl``): a forked child does not have its parent's, and a process loses its own when it closes the file, which is why one
process opens ``locks`` once and keeps it.

Promises: no two living processes write one lane; a lane whose writer is gone is given to the next process that wants one, so that there are
never more lanes than processes that lived at once; the directory is private to the user, and symbolic links and directories of others are
refused; whoever leaves last removes it, and what was left by families that were killed is removed when another one meets.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from measurand.core.ancestry import SHARED_MEMORY

try:
    import fcntl
except ImportError:  # not a POSIX system: every process stays alone
    fcntl = None  # type: ignore[assignment]

__all__ = ["CAN_MEET", "Family", "Member", "Unavailable", "base_directories"]

CAN_MEET = fcntl is not None
"""Whether processes can meet on this system at all."""

LOCKS = "locks"
MEMBER, LEADER, FIRST_LANE = 0, 1, 16
"""Bytes of ``locks``: everybody's, the leader's, those of the lanes."""
FIRST_TASK = 1 << 32
"""From here on each task that is told by a name has two: its leader's, and that of those who take part in it."""

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs", "gpfs", "beegfs", "ocfs2", "gfs2"})
MOUNTS = "/proc/self/mountinfo"
ATTEMPTS = 100


class Unavailable(OSError):
    """There is no place where this family can meet; the message says why, and what to do."""


class Member(NamedTuple):
    """A lane and its writer.

    Attributes:
        number: The lane's.
        path: Where it is.
        alive: Whether its writer lives.
    """

    number: int
    path: Path
    alive: bool


def base_directories() -> list[Path]:
    """Where families may meet, the best place first: shared memory, then the directory for temporary files."""
    shared = [Path(SHARED_MEMORY)] if os.path.isdir(SHARED_MEMORY) and os.access(SHARED_MEMORY, os.W_OK | os.X_OK) else []
    return [base / f"measurand-{os.geteuid()}" for base in (*shared, Path(tempfile.gettempdir()))]


class Family:
    """This process' part in its family. Made by :meth:`meet`; not safe from several threads at once.

    Attributes:
        directory: Where the family meets.
        lane: The number of this process' lane, once :meth:`take_lane` gave it one.
    """

    def __init__(self, directory: Path, descriptor: int) -> None:
        self.directory = directory
        self.lane: int | None = None
        self._locks = descriptor

    @classmethod
    def meet(cls, name: str, directory: Path | None = None) -> Family:
        """Take part in a family, as its first or as a further process.

        Args:
            name: The family's; see ``ancestry``.
            directory: Where to meet, instead of shared memory or the directory for temporary files.

        Raises:
            Unavailable: There is no place for it.
        """
        if fcntl is None:
            raise Unavailable("processes meet on POSIX systems only")
        reasons = []
        for base in [directory] if directory is not None else base_directories():
            try:
                _refuse_network(base)
                family = cls._meet_in(base / name)
            except OSError as reason:
                reasons.append(str(reason))
            else:
                with suppress(OSError):
                    _remove_dead(base, name)
                return family
        raise Unavailable("; ".join(reasons))

    @classmethod
    def _meet_in(cls, place: Path) -> Family:
        for attempt in range(ATTEMPTS):
            threading.Event().wait(0.001 if attempt > ATTEMPTS / 2 else 0)
            with suppress(FileNotFoundError):  # whoever left last has just removed it
                _make_private(place.parent)
                _make_private(place)
                descriptor = os.open(place / LOCKS, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o600)
                if _lock(descriptor, MEMBER, fcntl.F_RDLCK) and _same_file(descriptor, place / LOCKS):
                    return cls(place, descriptor)
                os.close(descriptor)
        raise Unavailable(f"{place} is being removed all the time")

    def meet_again(self) -> Family:
        """Take part as a forked child: with locks of its own."""
        if _lock(self._locks, MEMBER, fcntl.F_RDLCK) and _same_file(self._locks, self.directory / LOCKS):
            return Family(self.directory, self._locks)
        os.close(self._locks)
        return self._meet_in(self.directory)

    def take_lane(self) -> tuple[int, Path, bool]:
        """Lock a lane for this process: its number, its path, and whether it is there, left behind by a process that is gone."""
        for number in self._numbers():
            if number != self.lane and _lock(self._locks, FIRST_LANE + number, fcntl.F_WRLCK):
                if self.path(number).exists():
                    return self._take(number, True)
                _lock(self._locks, FIRST_LANE + number, fcntl.F_UNLCK)
        number = 0
        while True:
            if number != self.lane and not self.path(number).exists() and _lock(self._locks, FIRST_LANE + number, fcntl.F_WRLCK):
                return self._take(number, self.path(number).exists())
            number += 1

    def _take(self, number: int, exists: bool) -> tuple[int, Path, bool]:
        if self.lane is not None:
            _lock(self._locks, FIRST_LANE + self.lane, fcntl.F_UNLCK)
        self.lane = number
        return number, self.path(number), exists

    def drop_lane(self) -> None:
        """Let others have this process' lane."""
        if self.lane is not None:
            _lock(self._locks, FIRST_LANE + self.lane, fcntl.F_UNLCK)
            self.lane = None

    def path(self, number: int) -> Path:
        """Where a lane is."""
        return self.directory / f"lane-{number}"

    def members(self) -> list[Member]:
        """All lanes, and which of them have a living writer."""
        numbers = self._numbers()
        return [Member(number, self.path(number), number == self.lane or self._is_locked(FIRST_LANE + number)) for number in numbers]

    def lead(self, task: str = "") -> bool:
        """Become the leader, or remain it; false while another process leads. The leader leads until it ends, or follows.

        Args:
            task: What in; the leaders of different tasks may be different processes.
        """
        return _lock(self._locks, _leader_of(task), fcntl.F_WRLCK)

    def follow(self, task: str = "") -> None:
        """Lead no longer."""
        _lock(self._locks, _leader_of(task), fcntl.F_UNLCK)

    def take_part(self, task: str) -> None:
        """Be one of those of whom the last does what is to be done at the end of a task; see :meth:`step_back`."""
        _lock(self._locks, _leader_of(task) + 1, fcntl.F_RDLCK)

    def step_back(self, task: str) -> bool:
        """Take part no longer; whether this process is the last one, and has to do what is to be done before it lets go.

        Of several that ask at the same moment one is told so, or one after the other; never none, and never two at a time.
        """
        _lock(self._locks, _leader_of(task) + 1, fcntl.F_UNLCK)
        return _lock(self._locks, _leader_of(task) + 1, fcntl.F_WRLCK)

    def let_go(self, task: str) -> None:
        """Have done what was to be done, or leave it to others."""
        _lock(self._locks, _leader_of(task) + 1, fcntl.F_UNLCK)

    @property
    def is_there(self) -> bool:
        """Whether others still find this process here: its locks are held and the directory has not been removed."""
        try:
            return _same_file(self._locks, self.directory / LOCKS)
        except OSError:
            return False

    def leave(self) -> bool:
        """Give up all locks; the last one out removes everything. Returns whether this was the last one."""
        try:
            last = _lock(self._locks, MEMBER, fcntl.F_WRLCK) and _same_file(self._locks, self.directory / LOCKS)
            if last:
                _remove(self.directory)
                with suppress(OSError):  # other families meet here
                    self.directory.parent.rmdir()
        finally:
            with suppress(OSError):
                os.close(self._locks)
        return last

    def _numbers(self) -> list[int]:
        names = (name.removeprefix("lane-") for name in os.listdir(self.directory) if name.startswith("lane-"))
        return sorted(int(name) for name in names if name.isdecimal() and len(name) < 7)

    def _is_locked(self, byte: int) -> bool:
        with suppress(OSError):
            return _holder(self._locks, byte) is not None
        return False


# -- locks -----------------------------------------------------------------------------------------------------------------

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_LINUX = sys.platform.startswith("linux")
_FLOCK = "@hhqqi" if _LINUX else "@qqihh"
"""``struct flock`` in <fcntl.h>: type, whence, start, length, holder; the BSDs and macOS begin with the start."""


def _flock(kind: int, byte: int) -> bytes:
    values = (kind, os.SEEK_SET, byte, 1, 0) if _LINUX else (byte, 1, 0, kind, os.SEEK_SET)
    return struct.pack(_FLOCK, *values) + bytes(8)


def _lock(descriptor: int, byte: int, kind: int) -> bool:
    """Take or give up a lock without waiting; false if another process has it."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLK, _flock(kind, byte))
    except OSError as reason:
        if reason.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        raise
    return True


def _holder(descriptor: int, byte: int) -> int | None:
    """The process id of another process that has a lock; ``None`` if there is none."""
    answer = struct.unpack_from(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, _flock(fcntl.F_WRLCK, byte)))
    kind, holder = (answer[0], answer[4]) if _LINUX else (answer[3], answer[2])
    return None if kind == fcntl.F_UNLCK else holder


def _leader_of(task: str) -> int:
    """The byte that the leader of a task has."""
    return FIRST_TASK + 2 * zlib.crc32(task.encode()) if task else LEADER


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (ours.st_dev, ours.st_ino) == (found.st_dev, found.st_ino)


# -- directories -----------------------------------------------------------------------------------------------------------


def _make_private(directory: Path) -> None:
    """Make a directory for this user only, or see that the one that is there is one.

    Raises:
        Unavailable: It is somebody else's, open to others, or no directory.
    """
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise Unavailable(f"{directory} is no directory")
    if found.st_uid != os.geteuid():
        raise Unavailable(f"{directory} belongs to user {found.st_uid}, this process is user {os.geteuid()}")
    if found.st_mode & 0o077:
        raise Unavailable(f"{directory} is open to other users: chmod 700 it, or name another directory")


def _refuse_network(directory: Path) -> None:
    """Raise where locks and mapped files do not mean the same to all processes."""
    best, kind = "", ""
    with suppress(OSError):
        target = os.path.realpath(directory)
        for line in Path(MOUNTS).read_text(errors="replace").splitlines():
            left, _, right = line.partition(" - ")
            point = left.split()[4].replace("\\040", " ")
            if len(point) >= len(best) and (target == point or target.startswith(point.rstrip("/") + "/")):
                best, kind = point, right.split()[0]
    if kind in NETWORK or kind.startswith(("fuse.sshfs", "fuse.glusterfs", "fuse.s3", "fuse.gcs")):
        raise Unavailable(f"{directory} is on a network file system ({kind}), where locks cannot be relied on: name a local directory")


def _remove_dead(base: Path, mine: str) -> None:
    """Remove the families of which nobody lives."""
    for place in _others(base, mine):
        with suppress(OSError):
            descriptor = os.open(place / LOCKS, os.O_RDWR | _NO_LINKS)
            try:
                if _lock(descriptor, MEMBER, fcntl.F_WRLCK) and _same_file(descriptor, place / LOCKS):
                    _remove(place)
            finally:
                os.close(descriptor)


def _others(base: Path, mine: str) -> Iterator[Path]:
    for name in os.listdir(base):
        place = base / name
        if name.startswith(_GONE):
            shutil.rmtree(place, ignore_errors=True)
        elif name != mine and not place.is_symlink() and place.is_dir():
            yield place


_GONE = ".gone-"


def _remove(place: Path, rename: Callable[[Path, Path], None] = os.rename) -> None:
    """Remove a family's directory; for others it vanishes in one step."""
    gone = place.with_name(f"{_GONE}{place.name}-{os.getpid()}")
    rename(place, gone)
    shutil.rmtree(gone, ignore_errors=True)
