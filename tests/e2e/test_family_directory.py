"""``MEASURAND_FAMILY_DIR``, and P-3: programs that name one directory are one service, in whatever container; others never are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.core.namespaces import pid_namespace

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

SERVICE = """
import logging, os, subprocess, sys
said = []
logging.getLogger("measurand").addFilter(lambda record: said.append(record.getMessage()) or False)
from measurand import *
from measurand.catalog.library import LibraryCollector
from measurand.core.ancestry import family
from measurand.metrics import shared
C = Counter("a", "d", ["k"])
LibraryCollector()
C.labels("all").inc()

def own(name, **labels):
    return REGISTRY.get_sample_value(name, labels)

def total():
    return int(own("a_total", k="all"))

def standing():
    return tuple(int(own(f"measurand_{name}")) for name in ("processes", "sharing_failed"))

print(os.getpid(), flush=True)
for line in sys.stdin:
    print(eval(line), flush=True)
"""


class Process:
    """A program of the service, which does what it is told, code to run, and says what that gives."""

    def __init__(self, script: Path, *before: str, **variables: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
        self.process = subprocess.Popen(
            [*before, sys.executable, "-W", "ignore", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=script.parent,
        )
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())

    def tell(self, code: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts programs of one service."""
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    running: list[Process] = []

    def one(*before: str, **variables: str) -> Process:
        running.append(Process(script, *before, **variables))
        return running[-1]

    yield one
    for process in running:
        if process.process.returncode is None:
            process.kill()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "shared"


def test_programs_that_name_one_directory_are_one_service(start: Start, place: Path) -> None:
    one, two = (start(MEASURAND_FAMILY_DIR=str(place)) for _ in range(2))
    for process in (one, two):
        assert process.tell("total(), standing(), said") == "(2, (2, 0), [])"
    apart = start()
    assert apart.tell("total(), standing()") == "(1, (1, 0))"
    assert one.tell("total()") == "2"


def test_a_subprocess_inherits_it_and_so_do_forks(start: Start, place: Path) -> None:
    one = start(MEASURAND_FAMILY_DIR=str(place))
    more = "C = __import__('measurand').Counter('a', 'd', ['k']); C.labels('all').inc(10)"
    assert one.tell(f"subprocess.run([sys.executable, '-c', {more!r}], check=True).returncode") == "0"
    assert one.tell("total()") == "11"
    assert one.tell("os.fork() or (C.labels('all').inc(100), os._exit(0))") != "0"
    assert one.tell("os.wait()[1], total()") == "(0, 111)"
    assert one.tell("len([name for name in os.listdir(shared.meeting_place()) if name.startswith('lane-')])") == "2"


def test_what_was_left_by_all_is_cleared_but_what_was_left_by_some_goes_on(start: Start, place: Path) -> None:
    one, two = (start(MEASURAND_FAMILY_DIR=str(place)) for _ in range(2))
    one.kill()
    three = start(MEASURAND_FAMILY_DIR=str(place))
    assert three.tell("total(), standing()") == "(3, (2, 0))"
    for process in (two, three):
        process.kill()
    four = start(MEASURAND_FAMILY_DIR=str(place))
    assert four.tell("total(), standing()") == "(1, (1, 0))"
    four.end()
    assert list(place.iterdir()) == []


def test_a_relative_directory_is_meant_from_where_the_program_was_started(start: Start, place: Path) -> None:
    one, two = start(MEASURAND_FAMILY_DIR="shared"), start(MEASURAND_FAMILY_DIR=str(place))
    assert one.tell("total()") == two.tell("total()") == "2"


@pytest.mark.parametrize("wrong", ["file", "open", "none/there", "/proc/nowhere"])
def test_a_wrong_directory_never_stops_the_application_and_is_said_once(start: Start, tmp_path: Path, wrong: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    one = start(MEASURAND_FAMILY_DIR=wrong)
    two = start(MEASURAND_FAMILY_DIR=wrong)
    for process in (one, two):
        assert process.tell("total(), standing(), len(said)") == "(1, (1, 1), 1)"
        assert "each shows its own only" in process.tell("said[0]")
        process.tell("[own('a_total') for _ in range(3)], C.labels('new').inc()")
        assert process.tell("len(said)") == "1"


# -- P-3: two containers -------------------------------------------------------------------------------------------------------


def test_p3_two_pid_namespaces_that_share_a_directory_are_one_service(start: Start, place: Path) -> None:
    container = pid_namespace()
    one, two = (start(*container, MEASURAND_FAMILY_DIR=str(place)) for _ in range(2))
    outside = start(MEASURAND_FAMILY_DIR=str(place))
    assert one.pid == two.pid == 1
    for process in (one, two, outside):
        process.tell("C.labels('all').inc(10)")
    for process in (one, two, outside):
        assert process.tell("total(), standing(), said") == "(33, (3, 0), [])"
    assert one.tell("os.fork() or (C.labels('all').inc(100), os._exit(0))") != "0"
    assert one.tell("os.wait()[1]") == "0"
    assert two.tell("total(), standing()") == "(133, (3, 0))"
    two.kill()
    assert one.tell("total(), standing()") == "(133, (2, 0))"
    again = start(*container, MEASURAND_FAMILY_DIR=str(place))
    assert again.tell("total(), standing()") == "(134, (3, 0))"


def test_p3_two_pid_namespaces_with_the_same_ids_and_one_shared_memory_never_mix(start: Start) -> None:
    container = pid_namespace()
    one, two = start(*container), start(*container)
    assert one.pid == two.pid == 1
    for process in (one, two):
        assert process.tell("os.fork() or (C.labels('all').inc(10), os._exit(0))") != "0"
        assert process.tell("os.wait()[1]") == "0"
    for process in (one, two):
        assert process.tell("total(), standing()") == "(11, (1, 0))"
    places = {process.tell("shared.meeting_place()") for process in (one, two)}
    assert len(places) == 2
    assert len({Path(found).parent for found in places}) == 1


def test_without_a_process_file_system_forks_share_and_strangers_do_not(start: Start) -> None:
    """In a mount namespace whose /proc is empty."""
    hide = 'mount -t tmpfs -o ro none /proc && exec "$0" "$@"'
    container = [*pid_namespace("--fork", "--mount"), "sh", "-c", hide]
    one, two = start(*container), start(*container)
    assert one.tell("os.path.exists('/proc/self')") == "False"
    for process in (one, two):
        assert process.tell("os.fork() or (C.labels('all').inc(10), os._exit(0))") != "0"
        assert process.tell("os.wait()[1]") == "0"
        assert process.tell("total(), standing(), said") == "(11, (1, 0), [])"
    assert one.tell("shared.meeting_place()") != two.tell("shared.meeting_place()")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("options", "are_kin"), [("", True), ("-o hidepid=2", False)])
def test_a_worker_that_gave_up_root_knows_its_master_or_nobody(start: Start, options: str, are_kin: bool) -> None:
    """The kernel hides from it where the master's code is; with hidepid, the master itself."""
    hide = f'mount -t proc {options} proc /proc && exec "$0" "$@"'
    master = start(*pid_namespace("--fork", "--mount"), "sh", "-c", hide)
    act = "os.setgid(4711), os.setuid(4711), os.write(pipe[1], family().encode()), os._exit(0)"
    worker = f"(lambda pipe: (os.fork() or ({act}), os.wait(), os.read(pipe[0], 100).decode())[2])(os.pipe())"
    names = {master.tell(worker), master.tell(worker)}
    assert names == {master.tell("family()")} if are_kin else len(names) == 2
