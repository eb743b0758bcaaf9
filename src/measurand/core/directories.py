"""Directories in which processes can meet: where they are, whom they may belong to, and on which file systems they may be."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from measurand.core.ancestry import SHARED_MEMORY

__all__ = ["Unavailable", "base_directories", "make_private", "refuse_network"]

NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "ceph", "glusterfs", "lustre", "afs", "gpfs", "beegfs", "orangefs"),
        *("ocfs2", "gfs2", "ncpfs", "coda", "fuse", "vboxsf", "prl_fs"),
    }
)
"""File systems, by their names in mountinfo, of which several machines or none know the same locks."""
LOCAL_FUSE = frozenset({"fuse-overlayfs", "unionfs", "mergerfs", "mhddfs", "encfs", "gocryptfs", "cryfs", "bindfs", "ntfs-3g", "portal"})
"""File systems in user space that are on this machine; most others fetch their files from another."""
MOUNTS = "/proc/self/mountinfo"
LASTING = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
"""Errors that a place gives today and tomorrow; all others pass."""


class Unavailable(OSError):
    """There is no place where this family can meet; the message says why, and what to do."""


def base_directories() -> list[Path]:
    """Where families may meet, the best place first: shared memory, then the directory for temporary files."""
    shared = [Path(SHARED_MEMORY)] if os.path.isdir(SHARED_MEMORY) and os.access(SHARED_MEMORY, os.W_OK | os.X_OK) else []
    return [base / f"measurand-{os.geteuid()}" for base in (*shared, Path(tempfile.gettempdir()))]


def make_private(directory: Path, open_to_others: int, may_vanish: bool = False) -> None:
    """Make a directory for this user only, or see that the one that is there will do.

    Args:
        directory: The directory.
        open_to_others: The permissions that nobody else may have.
        may_vanish: Whether the directory it is in may have been removed by another process just now.

    Raises:
        FileNotFoundError: Another process has just removed it, or the directory it is in.
        Unavailable: It is somebody else's, open to others, or no directory.
    """
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        if may_vanish:
            raise
        raise Unavailable(f"there is no directory {directory.parent} to make {directory.name} in") from None
    except OSError as reason:
        if reason.errno in LASTING:
            raise Unavailable(f"{directory} cannot be made: {reason.strerror}; name a directory that this process can write to") from reason
        raise
    found = os.lstat(directory)
    if stat.S_ISLNK(found.st_mode):
        raise Unavailable(f"{directory} is no directory but a symbolic link: name the directory itself")
    if not stat.S_ISDIR(found.st_mode):
        raise Unavailable(f"{directory} is no directory")
    if found.st_uid != os.geteuid():
        raise Unavailable(
            f"{directory} belongs to user {found.st_uid}, this process is user {os.geteuid()}: "
            "name a directory of its own, such as one below it"
        )
    if found.st_mode & open_to_others:
        raise Unavailable(f"{directory} is open to other users: chmod 700 it, or name another directory, such as one below it")


def refuse_network(directory: Path) -> None:
    """See that locks and mapped files mean the same to all processes in this directory.

    Raises:
        Unavailable: It is on a network file system, as far as the system tells.
    """
    best, kind = "", ""
    with suppress(OSError):
        target = os.path.realpath(directory)
        for line in Path(MOUNTS).read_text(errors="surrogateescape").splitlines():
            left, _, right = line.partition(" - ")
            point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), left.split()[4])
            if len(point) >= len(best) and (target == point or target.startswith(point.rstrip("/") + "/")):
                best, kind = point, right.split()[0]
    if kind in NETWORK or (kind.startswith("fuse.") and kind.removeprefix("fuse.") not in LOCAL_FUSE):
        raise Unavailable(f"{directory} is on a network file system ({kind}), where locks cannot be relied on: name a local directory")
