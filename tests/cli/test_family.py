"""What the command shows of families that really run, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from measurand.core import ancestry, inspection
from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

SERVICE = """if True:
    import os, sys, signal
    from pathlib import Path
    from measurand import *
    from measurand.metrics import shared
    shared.begin(Path(PLACE))
    C = Counter("a", "d", ["k"])
    for key in "xyz": C.labels(key).inc()
    children = []
    for _ in range(2):
        ready = os.pipe()
        children.append(os.fork())
        if children[-1] == 0:
            C.labels("child").inc()
            os.write(ready[1], b"x")
            signal.pause()
        os.read(ready[0], 1)
    shared.lead()
    os.kill(children[1], signal.SIGKILL)
    os.waitpid(children[1], 0)
    print(os.getpid(), *children, flush=True)
    sys.stdin.read()
    os.kill(children[0], signal.SIGKILL)
"""


class Service:
    """A program with three lanes: its own, which leads, a living child's, and one of a child that was killed."""

    def __init__(self, place: Path, **variables: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
        code = SERVICE.replace("shared.begin(Path(PLACE))" if variables else "PLACE", "" if variables else repr(str(place)))
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        self.pids = [int(pid) for pid in self._process.stdout.readline().split()]
        (self.folder,) = [path for path in place.iterdir() if (path / "locks").exists()]
        self.lane = {self._writer(path): path for path in self.folder.glob("lane-*")}

    @staticmethod
    def _writer(path: Path) -> int:
        return inspection.Reader(path).check().writer

    def stop(self) -> None:
        self._process.communicate()
        with suppress(OSError):
            self._process.kill()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path)
    yield running
    running.stop()


def ask(*arguments: object, form: str = "measurand.family", **variables: str) -> tuple[int, str, str]:
    code = f"import runpy, sys; sys.argv[1:] = {[str(one) for one in arguments]!r}; runpy.run_module({form!r}, run_name='__main__')"
    ran = run_python(code, **variables)
    return ran.returncode, ran.stdout, ran.stderr


def told(service: Service) -> dict[str, Any]:
    _, out, _ = ask("--directory", service.folder.parent, "--pid", service.pids[0], "--json")
    (family,) = json.loads(out)["families"]
    return dict(family)


def test_a_table_shows_each_lane_and_whose_it_is(service: Service) -> None:
    status, out, err = ask("--directory", service.folder.parent, "--pid", service.pids[0])
    assert (status, err) == (0, "")
    title, head, *rows = out.strip().splitlines()
    assert title.startswith(f"{service.folder}: 2 of 3 lanes alive, leader {service.pids[0]}, ")
    assert head.split() == ["lane", "owner", "since", "bytes", "metrics", "series", "state"]
    assert re.fullmatch(rf" +0 +{service.pids[0]} +\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\dZ +\d+ +1 +3 +ok", rows[0])
    states = {row.split()[1]: row for row in rows}
    assert states[str(service.pids[1])].endswith("ok")
    assert re.search(r"\(gone\) +- +\d+ +1 +\d +waits for another process$", states[str(service.pids[2])])


def test_json_has_the_same(service: Service) -> None:
    family = told(service)
    assert (family["directory"], family["alive"], family["leader"], family["set_aside"]) == (str(service.folder), True, service.pids[0], [])
    lanes = {lane["pid"]: lane for lane in family["lanes"]}
    assert {pid: lane["alive"] for pid, lane in lanes.items()} == dict(zip(service.pids, [True, True, False], strict=True))
    own = lanes[service.pids[0]]
    process = ancestry.process(service.pids[0])
    assert process is not None
    assert own["since"] == inspection.started(process)
    assert (own["series"], own["metrics"], own["quarantined"], own["unshared_series"]) == (3, 1, None, 0)
    assert own["bytes"] >= own["series"] * 16


def test_looking_takes_no_lock_away_and_changes_nothing(service: Service) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in service.folder.iterdir()}
    assert told(service)["lanes"] == told(service)["lanes"]
    assert {path.name: path.stat().st_mtime_ns for path in service.folder.iterdir()} == before


def test_what_is_damaged_is_shown_with_the_reason_and_is_exit_status_1(service: Service) -> None:
    os.truncate(service.lane[service.pids[1]], 300)
    (service.folder / "damaged-7").write_bytes(b"no lane at all")
    status, out, _ = ask("--directory", service.folder.parent, "--pid", service.pids[0])
    assert status == 1
    assert "quarantined: it has not its full size" in out
    assert "damaged-7 was set aside: it ends in its header" in out
    family = told(service)
    assert [one["quarantined"] for one in family["set_aside"]] == ["it ends in its header"]
    assert [lane["quarantined"] for lane in family["lanes"] if lane["pid"] == service.pids[1]] != [None]


def test_the_family_of_a_process_is_found_by_the_directory_that_it_was_started_with(tmp_path: Path) -> None:
    place = tmp_path / "chosen"
    place.mkdir(mode=0o700)
    service = Service(place, MEASURAND_FAMILY_DIR=str(place))
    try:
        for pid in service.pids[:2]:
            status, out, _ = ask("--pid", pid)
            assert (status, out.startswith(f"{place}/")) == (0, True)
        status, out, _ = ask(MEASURAND_FAMILY_DIR=str(place))
        assert f"{place}/" in out
    finally:
        service.stop()


def test_a_process_without_a_family_is_said(tmp_path: Path) -> None:
    alone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        status, out, err = ask("--pid", alone.pid)
        assert (status, out) == (1, "")
        assert err.startswith(f"process {alone.pid} has no family that user {os.geteuid()} can see: it is alone")
        status, _, err = ask("--pid", alone.pid, "--json")
        assert json.loads(err)["error"].startswith("process")
    finally:
        alone.communicate(b"\n")
    status, _, err = ask("--pid", alone.pid)
    assert (status, err) == (1, f"there is no process {alone.pid}, or it cannot be seen from here\n")


@pytest.mark.parametrize("form", ["measurand.family", "measurand"])
def test_where_nobody_shares_that_is_said(tmp_path: Path, form: str) -> None:
    arguments = [] if form == "measurand.family" else ["family"]
    code = f"""if True:
        import sys
        from measurand.core import directories
        directories.SHARED_MEMORY = directories.tempfile.tempdir = {str(tmp_path)!r}
        sys.argv[1:] = {arguments!r}
        import runpy
        runpy.run_module({form!r}, run_name="__main__")
    """
    ran = run_python(code)
    assert (ran.returncode, ran.stdout) == (
        0,
        f"no processes of user {os.geteuid()} share their metrics now; one that is alone has nothing to share\n",
    )


def test_what_is_no_family_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "locks").symlink_to(tmp_path / "file")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "locks")
    assert [family.name for family in inspection.families([tmp_path, tmp_path / "none"])] in ([], ["pipe"])


def test_without_a_process_file_system_nothing_is_said_of_when_it_was_started(tmp_path: Path) -> None:
    own = ancestry.process(os.getpid())
    assert own is not None
    assert inspection.started(own, str(tmp_path)) is None
