"""Locks that end with the process that has them: those of POSIX, on single bytes of a file.

A forked child does not have its parent's, and a process loses its own when it closes the file, through whichever descriptor. They need no
space in the file.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

__all__ = ["NO_LINKS", "fcntl", "holder_of", "lock", "same_file"]

NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_LINUX = sys.platform.startswith("linux")
_FLOCK = "@hhqqi" if _LINUX else "@qqihh"
"""``struct flock`` in <fcntl.h>: type, whence, start, length, holder; the BSDs and macOS begin with the start."""


def _flock(kind: int, byte: int) -> bytes:
    values = (kind, os.SEEK_SET, byte, 1, 0) if _LINUX else (byte, 1, 0, kind, os.SEEK_SET)
    return struct.pack(_FLOCK, *values) + bytes(8)


def lock(descriptor: int, byte: int, kind: int) -> bool:
    """Take or give up a lock without waiting; false if another process has it."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLK, _flock(kind, byte))
    except OSError as reason:
        if reason.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        raise
    return True


def holder_of(descriptor: int, byte: int) -> int | None:
    """The process id of another process that has a lock; ``None`` if there is none."""
    answer = struct.unpack_from(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, _flock(fcntl.F_WRLCK, byte)))
    kind, holder = (answer[0], answer[4]) if _LINUX else (answer[3], answer[2])
    return None if kind == fcntl.F_UNLCK else holder


def same_file(descriptor: int, path: Path) -> bool:
    """Whether this is still the file of that name."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (ours.st_dev, ours.st_ino) == (found.st_dev, found.st_ino)
