"""The place where the processes of one service meet: a directory of lanes, and locks that say who lives.

A family's directory holds ``locks`` and the lanes ``lane-0``, ``lane-1``, … Everybody who takes part holds a shared lock on one byte of
``locks``, the writer of a lane an exclusive one on the lane's byte, the leader on the leader's. The kernel drops a process's locks when it
ends, however it ends, so **a lock is the test of whether somebody lives**; process ids, which are used again, decide nothing. The locks are
those of POSIX (``fcntl``): a forked child does not have its parent's, and a process loses its own when it closes the file, which is why one
process opens ``locks`` once and keeps it.

Promises: no two living processes write one lane; a lane whose writer is gone is given to the next process that wants one, so that there are
never more lanes than processes that lived at once; the directory is private to the user, and symbolic links and directories of others are
refused; whoever leaves last removes it, and what was left by families that were killed is removed when another one meets. Nothing is
removed while anybody has a lock in it, and nothing that has not the name of a family.

Where to meet follows from what stays as it is (who owns a directory, what it may be used for), never from what passes (a full disk, too
many open files): two processes of one family never meet in two places.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from measurand import clock
from measurand.core import ancestry
from measurand.core.ancestry import CHOSEN
from measurand.core.directories import Unavailable, base_directories, make_private, refuse_network
from measurand.core.lane_format import START, WRITER
from measurand.core.locks import NO_LINKS, fcntl, holder_of, lock, same_file
from measurand.core.tasks import Tasks

__all__ = ["CAN_MEET", "Family", "Member", "Unavailable", "base_directories"]

CAN_MEET = fcntl is not None
"""Whether processes can meet on this system at all."""

LOCKS = "locks"
MEMBER, FIRST_LANE = 0, 16
"""Bytes of ``locks``: everybody's, and those of the lanes; ``tasks`` has others."""
FIRST_LIFE = 1 << 31
"""From here on the writer of a lane has another one, once what an earlier writer left has been taken over."""

PATIENCE = 5.0
"""Seconds to wait for others who are coming, or removing what the dead left."""
LOOKS, BETWEEN_LOOKS = 10, 0.05
"""How often, and how many seconds apart, the last one out looks for a worker that starts."""


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


class Family(Tasks):
    """This process' part in its family. Made by :meth:`meet`; not safe from several threads at once.

    Attributes:
        directory: Where the family meets.
        user: The one that this process met the others as: nobody else can read what is there.
        lane: The number of this process' lane, once :meth:`take_lane` gave it one.
    """

    def __init__(self, directory: Path, descriptor: int) -> None:
        self.directory = directory
        self.user = os.geteuid()
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
                refuse_network(base)
                family = cls._meet_in(base / name)
            except Unavailable as reason:
                reasons.append(str(reason))
            else:
                with suppress(OSError):
                    _remove_dead(base, name)
                return family
        raise Unavailable("; ".join(reasons))

    @classmethod
    def _meet_in(cls, place: Path) -> Family:
        deadline = clock.system_monotonic() + PATIENCE
        pause = threading.Event()
        while True:
            with suppress(FileNotFoundError):  # whoever left last has just removed it
                make_private(place.parent, 0o022)
                make_private(place, 0o077, may_vanish=True)
                family = cls._enter(place)
                if family is not None:
                    return family
            if clock.system_monotonic() > deadline:
                raise Unavailable(f"another process has had {place} to itself for {PATIENCE:g} s")
            pause.wait(0.001)

    @classmethod
    def _enter(cls, place: Path) -> Family | None:
        """Take part if nobody has the place to himself. Clear what nobody can claim: all of a chosen place's, or without its locks."""
        flags = os.O_RDWR | NO_LINKS
        try:
            descriptor, alone = os.open(place / LOCKS, flags | os.O_CREAT | os.O_EXCL, 0o600), True
        except FileExistsError:
            descriptor, alone = os.open(place / LOCKS, flags), place.name == CHOSEN
        try:
            if alone and lock(descriptor, MEMBER, fcntl.F_WRLCK) and same_file(descriptor, place / LOCKS):
                _clear(place)
            if lock(descriptor, MEMBER, fcntl.F_RDLCK) and same_file(descriptor, place / LOCKS):
                return cls(place, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def meet_again(self) -> Family:
        """Take part as a forked child: with locks of its own."""
        if lock(self._locks, MEMBER, fcntl.F_RDLCK) and same_file(self._locks, self.directory / LOCKS):
            return Family(self.directory, self._locks)
        os.close(self._locks)
        return self._meet_in(self.directory)

    def take_lane(self) -> tuple[int, Path, bool]:
        """Lock a lane for this process: its number, its path, and whether it is there, left behind by a process that is gone.

        Others take such a lane for that of the process that is gone until :meth:`begin` is called.
        """
        for number in self._numbers():
            if number != self.lane and lock(self._locks, FIRST_LANE + number, fcntl.F_WRLCK):
                if self.path(number).exists():
                    return self._take(number, True)
                lock(self._locks, FIRST_LANE + number, fcntl.F_UNLCK)
        number = 0
        while True:
            if number != self.lane and not self.path(number).exists() and lock(self._locks, FIRST_LANE + number, fcntl.F_WRLCK):
                return self._take(number, self.path(number).exists())
            number += 1

    def _take(self, number: int, exists: bool) -> tuple[int, Path, bool]:
        self.drop_lane()
        self.lane = number
        if not exists:
            self.begin()
        return number, self.path(number), exists

    def begin(self) -> None:
        """What stands in this process' lane is as of a process that lives, from now on."""
        if self.lane is not None:
            lock(self._locks, FIRST_LIFE + self.lane, fcntl.F_WRLCK)

    def drop_lane(self) -> None:
        """Let others have this process' lane."""
        if self.lane is not None:
            lock(self._locks, FIRST_LIFE + self.lane, fcntl.F_UNLCK)
            lock(self._locks, FIRST_LANE + self.lane, fcntl.F_UNLCK)
            self.lane = None

    def path(self, number: int) -> Path:
        """Where a lane is."""
        return self.directory / f"lane-{number}"

    def members(self) -> list[Member]:
        """All lanes, and which of them have a living writer."""
        numbers = self._numbers()
        return [Member(number, self.path(number), number == self.lane or self._is_locked(FIRST_LIFE + number)) for number in numbers]

    def writers(self) -> list[int]:
        """The process ids of the other lanes' living writers, those that this process can know: not those of another pid namespace."""
        found = []
        for number in self._numbers():
            with suppress(OSError):
                holder = holder_of(self._locks, FIRST_LIFE + number) if number != self.lane else None
                if holder is not None and holder > 0:
                    found.append(holder)
        return found

    @property
    def can_return(self) -> bool:
        """Whether this process is another user than the one it met as, and can become that one again at any time."""
        users = os.getresuid() if hasattr(os, "getresuid") else (os.getuid(),)
        return os.geteuid() != self.user and self.user in users

    @property
    def is_there(self) -> bool:
        """Whether others still find this process here: it is the same user, and the directory with its locks has not been removed."""
        try:
            return os.geteuid() == self.user and same_file(self._locks, self.directory / LOCKS)
        except OSError:
            return False

    def leave(self) -> bool:
        """Give up all locks; the last one out removes everything. Returns whether this was the last one.

        While a worker starts that has not met the others yet, nobody is the last one: it goes on with what they counted. Nor is anybody
        while a parent lives that has not met its children yet: it does when it is scraped, and when it ends.
        """
        with _undisturbed(), suppress(OSError):
            try:
                lock(self._locks, MEMBER, fcntl.F_UNLCK)  # of several that leave at the same moment one has to find itself the last
                last = not self._is_succeeded() and lock(self._locks, MEMBER, fcntl.F_WRLCK) and self.is_there
                if last:
                    _remove(self.directory)
                    if self.directory.name != CHOSEN:  # whoever chose a directory may have made it, and may not be able to again
                        with suppress(OSError):  # other families meet here
                            self.directory.parent.rmdir()
                return last
            finally:
                os.close(self._locks)
        return False

    def depart(self) -> None:
        """Give up all locks and remove nothing: for one who has become another user, and may not."""
        os.close(self._locks)

    def _is_succeeded(self) -> bool:
        """Whether others are here or about to come; where several end at once, the last one gives their master a moment to start more."""
        name = ancestry.family() if self.directory.name == CHOSEN else self.directory.name
        try:
            known = {*self._known()}
        except OSError:  # another one was the last, and has removed it
            return True
        if self.directory.name != CHOSEN and ancestry.is_expected(name):  # who has not met where he chose to is not coming there
            return True
        for _ in range(LOOKS if len(known) > 1 else 1):
            if self._is_locked(MEMBER) or ancestry.has_newcomers(name, known):
                return True
            if not ancestry.lives(name) or ancestry.is_first(name):
                return False
            threading.Event().wait(BETWEEN_LOOKS)
        return False

    def _known(self) -> Iterator[int]:
        """The ids of those that have written the lanes."""
        for number in self._numbers():
            with suppress(OSError, struct.error):
                lane = os.open(self.path(number), os.O_RDONLY | NO_LINKS | os.O_NONBLOCK)
                try:
                    yield struct.unpack_from("=Q", os.pread(lane, START, 0), WRITER * 8)[0]
                finally:
                    os.close(lane)

    def _numbers(self) -> list[int]:
        names = (name.removeprefix("lane-") for name in os.listdir(self.directory) if name.startswith("lane-"))
        return sorted(int(name) for name in names if name.isdecimal() and len(name) < 7)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a master that becomes impatient wait a moment."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -- directories -----------------------------------------------------------------------------------------------------------


NAMED = re.compile(r"(?:[0-9a-f]{8}|boot|pid)-[0-9]+(?:-[0-9a-f]+)*")
"""What the families are called that are found by ancestry; nothing else is ever removed from a directory."""

_GONE = ".gone-"


def _remove_dead(base: Path, mine: str) -> None:
    """Remove the families of which nobody lives."""
    for name in os.listdir(base):
        place = base / name
        if name.startswith(_GONE):
            shutil.rmtree(place, ignore_errors=True)
        elif name != mine and NAMED.fullmatch(name) and not place.is_symlink() and not ancestry.lives(name):  # a worker may be starting
            with suppress(OSError):
                _remove_if_dead(place)


def _remove_if_dead(place: Path) -> None:
    try:
        descriptor = os.open(place / LOCKS, os.O_RDWR | NO_LINKS)
    except FileNotFoundError:
        os.rmdir(place)  # its first process was killed before it had locks; if it lives it makes the directory again
        return
    try:
        if lock(descriptor, MEMBER, fcntl.F_WRLCK) and same_file(descriptor, place / LOCKS):
            _remove(place)
    finally:
        os.close(descriptor)


def _clear(place: Path) -> None:
    """Remove what is in a family's directory besides its locks."""
    for name in os.listdir(place):
        if name != LOCKS:
            try:
                os.unlink(place / name)
            except OSError:
                shutil.rmtree(place / name, ignore_errors=True)


def _remove(place: Path, rename: Callable[[Path, Path], None] = os.rename) -> None:
    """Remove a family's directory; for others it vanishes in one step."""
    gone = place.with_name(f"{_GONE}{place.name}-{os.getpid()}")
    rename(place, gone)
    shutil.rmtree(gone, ignore_errors=True)
