"""What a service shows, and says, when something is lacking: space, file descriptors, permissions. Each test is a program of its own."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.core.namespaces import require_namespaces
from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

PRELUDE = """
import logging, os, resource, signal, subprocess, sys, warnings
from pathlib import Path
from measurand import *
from measurand import clock
from measurand.catalog.library import LibraryCollector
from measurand.metrics import shared
from measurand.metrics.standing import RETRY

warnings.simplefilter("ignore", DeprecationWarning)
said = []
logging.getLogger("measurand").addFilter(lambda record: said.append(record.getMessage()) or False)
shared.begin(Path(PLACE))
C = Counter("a", "d", ["k"], max_series=None)
C.labels("mine").inc()
LibraryCollector()

class Later:
    def monotonic(self):
        return clock.system_monotonic() + RETRY
    def wall(self):
        return 1.7e9

class Child:
    '''A forked child that does what it is told, code to run, and says what that gives; it ends when its parent has.'''
    ours = []
    def __init__(self):
        self.asked, self.answered = os.pipe(), os.pipe()
        self.ours.append(self.asked[1])
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in self.ours: os.close(descriptor)
            os.write(self.answered[1], b"ready")
            while code := os.read(self.asked[0], 10000):
                os.write(self.answered[1], str(eval(code)).encode())
            os._exit(0)
        os.close(self.answered[1])
        assert os.read(self.answered[0], 10000) == b"ready"
    def end(self):
        os.close(self.asked[1])
        os.waitpid(self.pid, 0)
    def tell(self, code):
        os.write(self.asked[1], code.encode())
        answer = os.read(self.answered[0], 10000).decode()
        assert answer, "the child is gone"
        return answer

def own(name, **labels):
    return REGISTRY.get_sample_value(name, labels)

def total():
    return sum(float(line.split()[-1]) for line in generate_latest().decode().splitlines() if line.startswith("a_total"))

def standing():
    '''Processes shown, whether sharing failed, and how many series are not shared.'''
    return tuple(int(own(f"measurand_{name}")) for name in ("processes", "sharing_failed", "unshared_series"))

def fill(count):
    for number in range(count):
        C.labels(f"a rather long value, to fill the index: {number}").inc()
"""


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., str]:
    """Runs a program whose processes meet in a directory of their own."""

    def run(code: str, *options: str) -> str:
        prelude = PRELUDE.replace("PLACE", repr(str(tmp_path / "families")))
        ran = run_python(prelude + textwrap.dedent(code), *options, pure=getattr(request, "param", "0"))
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A directory with room for two lanes."""
    place = tmp_path / "families"
    place.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=140k,mode=700", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


ENLARGE = 'subprocess.run(["mount", "-o", "remount,size=10m", PLACE], check=True)'


def test_a_full_disk_at_a_fork_leaves_the_child_alone_until_there_is_space_again(program: Callable[..., str], tiny: Path) -> None:
    program(
        """
        one, two = Child(), Child()
        for child in (one, two):
            child.tell("C.labels('theirs').inc(10)")
        seen = one.tell("standing(), total(), said")
        assert seen == "((2, 0, 0), 11.0, [])", seen
        assert (total(), standing()) == (11, (2, 0, 0)), (total(), standing(), said)
        alone = two.tell("standing(), total(), len(said)")
        assert alone == "((1, 1, 0), 10.0, 1)", alone
        assert "No space left on device" in two.tell("said") and "each shows its own only" in two.tell("said")
        for number in range(3):
            two.tell("standing(), C.labels('new').inc()")
        assert two.tell("len(said)") == "1"
        """
        + ENLARGE.replace("PLACE", repr(str(tiny))).join(("\n        ", "\n"))
        + """
        assert two.tell("standing()") == "(1, 1, 0)"
        two.tell("clock.use(Later())")
        again = two.tell("standing(), total()")
        assert again == "((3, 0, 0), 24.0)", again
        assert total() == 24 and standing() == (3, 0, 0)
        """
    )


@pytest.mark.parametrize("program", ["0", "1"], ids=["c", "python"], indirect=True)
def test_a_full_disk_when_a_lane_grows_keeps_new_series_from_the_others_and_says_so(program: Callable[..., str], tiny: Path) -> None:
    program(
        """
        child = Child()
        child.tell("fill(3000), C.labels('theirs').inc()")
        state = child.tell("standing()")
        assert state.startswith("(2, 1, "), state
        missing = eval(state)[2]
        assert missing > 1000
        assert child.tell("total()") == "3002.0"
        assert total() == 3002 - missing
        assert standing() == (2, 0, missing)
        assert child.tell("len(said)") == "1" and "No space left" in child.tell("said")
        """
        + ENLARGE.replace("PLACE", repr(str(tiny))).join(("\n        ", "\n"))
        + """
        child.tell("clock.use(Later())")
        assert child.tell("standing()") in {"(2, 0, 0)", f"(2, 1, {missing})"}  # the scrape itself may be what makes it right
        assert child.tell("standing()") == "(2, 0, 0)"
        assert total() == 3002 and standing() == (2, 0, 0)
        """
    )


def test_a_limit_to_the_size_of_files_is_like_a_full_disk(program: Callable[..., str]) -> None:
    program("""
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        child = Child()
        child.tell("C.labels('theirs').inc(10)")
        assert child.tell("standing(), total(), len(said)") == "((1, 1, 0), 10.0, 1)"  # the parent has said it
        assert (standing(), total(), len(said)) == ((1, 1, 0), 1.0, 1)
        assert "File too large" in said[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        third = Child()
        third.tell("C.labels('theirs').inc(10)")
        assert (standing(), total()) == ((2, 0, 0), 11.0)  # the fork made it try again
        child.tell("resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)), clock.use(Later())")
        assert child.tell("standing(), total()") == "((3, 0, 0), 21.0)"
    """)


def test_without_file_descriptors_a_process_is_alone_and_recovers(program: Callable[..., str]) -> None:
    program("""
        LIMIT = 64
        resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        def take_all():
            taken = []
            while True:
                try: taken.append(os.open("/", os.O_RDONLY))
                except OSError: return taken
        one, two = Child(), Child()
        for child in (one, two):
            child.tell("C.labels('theirs').inc(10)")
        assert (standing(), total()) == ((3, 0, 0), 21.0)

        taken = take_all()                        # when scraping
        assert (standing(), total()) == ((1, 1, 0), 1.0)
        assert len(said) == 1 and "Too many open files" in said[0] and "only this one's is shown" in said[0], said
        fill(2000)                                # when growing
        assert total() == 2001
        for descriptor in taken: os.close(descriptor)
        clock.use(Later())
        assert total() == 2021
        assert standing() == (3, 0, 0)
        assert one.tell("total()") == "2021.0"
    """)


def test_without_file_descriptors_a_fork_leaves_both_alone(program: Callable[..., str]) -> None:
    program("""
        child_pipes = os.pipe(), os.pipe()
        resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 1,) * 2)
        child = os.fork()
        if child == 0:
            C.labels("theirs").inc(10)
            os.write(child_pipes[0][1], str((standing(), total())).encode())
            os._exit(0)
        os.waitpid(child, 0)
        said_by_child = os.read(child_pipes[0][0], 100)
        assert said_by_child in {b"((1, 1, 0), 10.0)", b"((1, 1, 0), 11.0)"}, said_by_child  # what it was forked with may be seen there too
        assert (standing(), total(), len(said)) == ((1, 1, 0), 1.0, 1), said
        assert "Too many open files" in said[0]
    """)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("lack", ["mount -t tmpfs -o ro none /dev/shm", "mount --bind /proc/1/fdinfo /dev/shm"])
def test_where_shared_memory_cannot_be_written_to_the_directory_for_temporary_files_serves(tmp_path: Path, lack: str) -> None:
    require_namespaces()
    (tmp_path / "program.py").write_text(
        PRELUDE.replace("shared.begin(Path(PLACE))", "")
        + textwrap.dedent("""
        child = Child()
        child.tell("C.labels('theirs').inc(10)")
        assert (standing(), total(), said) == ((2, 0, 0), 11.0, []), said
        assert shared.meeting_place().is_relative_to(os.environ["TMPDIR"])
        child.end()
        """)
    )
    code = f"""if True:
        import subprocess, sys
        command = "{lack} && exec {{}} {tmp_path}/program.py".format(sys.executable)
        sys.exit(subprocess.run(["unshare", "--mount", "sh", "-c", command]).returncode)
    """
    ran = run_python(code, TMPDIR=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert list(tmp_path.glob("measurand-*")) == []


def test_a_service_that_cannot_share_is_answered_by_one_process_at_a_time(program: Callable[..., str]) -> None:
    program("""
        shared.begin(Path("/proc/nowhere"))
        child = Child()
        child.tell("C.labels('theirs').inc(10)")
        assert child.tell("standing(), total()") == "((1, 1, 0), 10.0)"
        assert (standing(), total()) == ((1, 1, 0), 1.0)
        assert len(said) == 1, said
    """)
