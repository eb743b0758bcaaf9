"""Where processes may meet, and what is said of where they may not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from measurand.core import ancestry
from measurand.core import directories as module
from measurand.core.ancestry import has_met
from measurand.core.directories import Unavailable, base_directories
from measurand.core.family import Family
from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

only_root = pytest.mark.skipif(os.geteuid() != 0 if hasattr(os, "geteuid") else True, reason="only root can be another user")
NAME = "01234567-7-100-0"


def test_a_directory_that_others_could_write_to_or_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for name, complaint in {"open": "open to other users: chmod 700", "file": "no directory", "link": "a symbolic link"}.items():
        with pytest.raises(Unavailable, match=complaint):
            Family.meet("one", tmp_path / name)
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_directory_that_others_can_only_read_will_do_as_theirs_is_not(tmp_path: Path) -> None:
    (tmp_path / "readable").mkdir(mode=0o755)
    family = Family.meet(NAME, tmp_path / "readable")
    assert family.directory.stat().st_mode & 0o777 == 0o700
    family.directory.chmod(0o755)
    with pytest.raises(Unavailable, match="open to other users"):
        Family.meet(NAME, tmp_path / "readable")
    family.leave()


def test_a_directory_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, complaint in {
        "none/there": f"no directory {tmp_path}/none to make there in",
        "file/there": "cannot be made: Not a directory; name a directory that this process can write to",
        "x" * 300: "cannot be made: File name too long",
    }.items():
        with pytest.raises(Unavailable, match=complaint):
            Family.meet(NAME, tmp_path / place)


@only_root
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 4711, 4711)
    with pytest.raises(Unavailable, match=r"belongs to user 4711.* name a directory of its own"):
        Family.meet(NAME, tmp_path / "theirs")


@only_root
def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for above in tmp_path.parents[: len(tmp_path.parents) - 2]:
        above.chmod(above.stat().st_mode | 0o111)
    (tmp_path / "mine").mkdir(mode=0o500)
    os.chown(tmp_path / "mine", 4711, 4711)
    code = f"""if True:
        import os
        from pathlib import Path
        from measurand.core.family import Family, Unavailable
        os.setuid(4711)
        for name in ("mine", "new"):
            try: Family.meet("one", Path({str(tmp_path)!r}) / name)
            except Unavailable as reason: print(reason)
    """
    said = run_python(code)
    assert said.stdout.splitlines() == [
        f"{tmp_path}/mine/one cannot be made: Permission denied; name a directory that this process can write to",
        f"{tmp_path}/new cannot be made: Permission denied; name a directory that this process can write to",
    ], said.stderr


# -- network file systems -------------------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on which a file system is said to be mounted; its kind is written behind the last " - " of the answer's file."""
    shared = tmp_path / "with space"
    (shared / "local").mkdir(parents=True)
    shared.chmod(0o700)
    monkeypatch.setattr(module, "MOUNTS", str(tmp_path / "mounts"))
    return shared


def say_mounted(shared: Path, kind: str) -> None:
    point = str(shared).replace(" ", "\\040")
    (shared.parent / "mounts").write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"23 22 0:40 / {point} rw,relatime shared:3 master:2 - {kind} server:/export rw\n"
        f"24 23 0:41 / {point}/local rw - tmpfs tmpfs rw\n"
    )


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "fuse", "fuse.sshfs", "fuse.s3fs", "fuse.new"])
def test_a_network_file_system_is_refused_by_name(mounted: Path, kind: str) -> None:
    say_mounted(mounted, kind)
    with pytest.raises(Unavailable, match=rf"network file system \({kind}\).*: name a local directory"):
        Family.meet(NAME, mounted / "families")
    assert Family.meet(NAME, mounted / "local" / "families").leave()


def test_a_link_to_a_network_file_system_is_one(mounted: Path, tmp_path: Path) -> None:
    say_mounted(mounted, "nfs4")
    (tmp_path / "link").symlink_to(mounted)
    with pytest.raises(Unavailable, match="network file system"):
        Family.meet(NAME, tmp_path / "link" / "families")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "overlay", "tmpfs", "fuseblk", "fuse.fuse-overlayfs"])
def test_a_local_file_system_is_not_refused(mounted: Path, kind: str) -> None:
    say_mounted(mounted, kind)
    assert Family.meet(NAME, mounted / "families").leave()


# -- the usual place -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Other directories for shared memory and temporary files; where this user's families meet in them."""
    shared, temporary = tmp_path / "shm", tmp_path / "tmp"
    for directory in (shared, temporary):
        directory.mkdir(mode=0o755)
    for other in (module, ancestry):
        monkeypatch.setattr(other, "SHARED_MEMORY", str(shared))
    monkeypatch.setattr(module.tempfile, "tempdir", str(temporary))
    return shared / f"measurand-{os.geteuid()}", temporary / f"measurand-{os.geteuid()}"


def met() -> Path:
    """Where a family meets now, which others find too."""
    family = Family.meet(NAME)
    try:
        assert has_met(NAME)
        return family.directory.parent
    finally:
        family.leave()


def test_families_meet_in_shared_memory(usual: tuple[Path, Path]) -> None:
    assert met() == usual[0]
    assert not has_met(NAME)


def test_where_there_is_no_shared_memory_the_directory_for_temporary_files_serves(usual: tuple[Path, Path]) -> None:
    usual[0].parent.rmdir()
    assert met() == usual[1]


def test_where_shared_memory_is_refused_the_directory_for_temporary_files_serves(usual: tuple[Path, Path]) -> None:
    usual[0].mkdir()
    usual[0].chmod(0o777)
    assert met() == usual[1]


def test_where_both_are_refused_it_is_said_of_both(usual: tuple[Path, Path]) -> None:
    for place in usual:
        place.touch()
    with pytest.raises(Unavailable, match=f"{usual[0]} is no directory; {usual[1]} is no directory"):
        Family.meet(NAME)


def test_a_lack_that_passes_sends_nobody_elsewhere(usual: tuple[Path, Path]) -> None:
    """Else the processes of one family would meet in two places."""
    code = f"""if True:
        import os, resource
        from measurand.core import directories
        from measurand.core.family import Family
        directories.SHARED_MEMORY, directories.tempfile.tempdir = {str(usual[0].parent)!r}, {str(usual[1].parent)!r}
        held = [os.open("/", os.O_RDONLY) for _ in range(4)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + 1, held[-1] + 1))
        try: Family.meet({NAME!r})
        except OSError as reason: print(type(reason).__name__, reason.strerror)
        for descriptor in held: os.close(descriptor)
        print(Family.meet({NAME!r}).directory.parent)
    """
    ran = run_python(code)
    assert ran.stdout.splitlines() == ["OSError Too many open files", str(usual[0])], ran.stderr
    assert base_directories() == list(usual)
