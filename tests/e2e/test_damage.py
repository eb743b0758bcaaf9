"""P-2: files of a live service are truncated at any byte and have bits flipped; every scrape is answered, with all that is healthy.

Each test is a program of its own, which answers real scrapes, with two workers that were forked from it.
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from tests.support import SCALE, run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

FULL = SCALE >= 20
"""Whether every byte is tried, and 10,000 bits."""

PRELUDE = """
import faulthandler, logging, os, random, re, resource, signal, sys, warnings
from pathlib import Path
from urllib.request import urlopen
from measurand import *
from measurand.catalog.library import LibraryCollector
from measurand.core.lane_format import START, USED, Header
from measurand.metrics import shared

warnings.simplefilter("ignore", DeprecationWarning)
faulthandler.dump_traceback_later(SECONDS, exit=True)  # nothing hangs
logging.getLogger("measurand").setLevel(logging.ERROR)
shared.begin(Path(PLACE))
C, G = Counter("a", "d", ["k"]), Gauge("b", "d", ["k"])
H, S, I = Histogram("c", "d", ["k"]), Summary("e", "d"), Info("f", "d")
LibraryCollector()

def record(name):
    C.labels(name).inc(5); C.labels("all").inc(); G.labels(name).set(2); H.labels(name).observe(0.5, {"trace_id": name}); S.observe(1)
    I.info({"who": name})

class Worker:
    '''A forked child that records, and then does what it is told, code to run, and says what that gives; it ends when its parent has.'''
    ours = []
    def __init__(self, name):
        self.asked, self.answered = os.pipe(), os.pipe()
        self.ours.append(self.asked[1])
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in self.ours: os.close(descriptor)
            record(name)
            os.write(self.answered[1], b"ready")
            while code := os.read(self.asked[0], 10000):
                os.write(self.answered[1], str(eval(code)).encode())
            os._exit(0)
        os.close(self.answered[1])
        assert os.read(self.answered[0], 10000) == b"ready"
    def tell(self, code):
        os.write(self.asked[1], code.encode())
        answer = os.read(self.answered[0], 10000).decode()
        assert answer, "the worker is gone"
        return answer
    def kill(self):
        os.kill(self.pid, signal.SIGKILL); os.waitpid(self.pid, 0)

def own(name, **labels):
    return REGISTRY.get_sample_value(name, labels)

record("mine")
healthy, victim = Worker("healthy"), Worker("victim")
folder = shared.current().directory
(folder,) = [path for path in folder.iterdir()]
lanes = {worker: next(folder / f"lane-{n}" for n in range(3) if int.from_bytes((folder / f"lane-{n}").read_bytes()[8 * 10:][:8], "little")
         == worker.pid) for worker in (healthy, victim)}
lane = lanes[victim]
server, _ = start_http_server(0)
url = f"http://127.0.0.1:{server.server_port}/metrics"

def scrape():
    with urlopen(url, timeout=60) as answer:
        assert answer.status == 200
        return dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))

def check(found, quarantined=None, own="5.0"):
    expected = {'a_total{k="healthy"}': "5.0", 'a_total{k="mine"}': own, 'b{k="healthy"}': "2.0", 'c_count{k="healthy"}': "1.0",
                'c_sum{k="healthy"}': "0.5", 'f_info{who="healthy"}': "1.0"}
    assert {name: found.get(name) for name in expected} == expected, found
    if quarantined is not None:
        assert float(found["measurand_quarantined_lanes"]) == quarantined, found
    assert found["measurand_sharing_failed"] == "0.0"

check(scrape(), 0)
"""


def program(tmp_path: Path, code: str) -> str:
    seconds = 3000 if FULL else 100
    prelude = PRELUDE.replace("PLACE", repr(str(tmp_path / "families"))).replace("SECONDS", str(seconds))
    ran = run_python(prelude + textwrap.dedent(code), timeout=seconds + 20)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_files_cut_off_at_any_byte_cost_nothing_but_what_was_in_them(tmp_path: Path) -> None:
    program(
        tmp_path,
        f"""
        C.remove("all")  # makes the file of what was removed
        files = [lane, lane.with_name(lane.name.replace("lane", "exemplars")), folder / "locks", folder / "removed"]
        assert {{path.name.partition("-")[0] for path in folder.iterdir()}} == {{"lane", "exemplars", "locks", "removed"}}
        for path in files:
            whole = path.read_bytes()
            lengths = range(len(whole)) if {FULL} else sorted({{*range(0, 130), *range(0, len(whole), 2003)}})
            for length in lengths if len(whole) else [0]:
                os.truncate(path, length)
                check(found := scrape(), path == lane)
                assert found["measurand_processes"] == ("2.0" if path == lane else "3.0")
                assert path == lane or found['a_total{{k="victim"}}'] == "5.0"
                with open(path, "r+b") as file:
                    file.write(whole)
        check(found := scrape(), 0)
        assert (found['a_total{{k="victim"}}'], found["measurand_processes"]) == ("5.0", "3.0")
        """,
    )


def test_flipped_bits_cost_nothing_but_what_was_in_them(tmp_path: Path) -> None:
    """Each flip is looked at by a process that is new, and has read nothing before."""
    found = program(
        tmp_path,
        f"""
        C.remove("all")
        files = [lane, lane, *folder.glob("exemplars-*"), folder / "removed"]
        used = START + int.from_bytes(lane.read_bytes()[8 * USED:][:8], "little")
        chance, quarantined = random.Random(7), 0
        for turn in range({10_000 if FULL else 72}):
            path = files[turn % len(files)]
            whole = path.read_bytes()
            data = bytearray(whole)
            data[chance.randrange(used if turn % len(files) == 0 else len(whole))] ^= 1 << chance.randrange(8)
            with open(path, "r+b") as file:
                file.write(data)
            child = os.fork()
            if child == 0:
                try:
                    server, _ = start_http_server(0)
                    url = f"http://127.0.0.1:{{server.server_port}}/metrics"
                    check(found := scrape())
                    os._exit(int(float(found["measurand_quarantined_lanes"])))
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                    os._exit(99)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, 1), (turn, path, status)
            quarantined += status
            with open(path, "r+b") as file:
                file.write(whole)
        check(scrape(), 0)
        print(quarantined)
        """,
    )
    assert int(found) >= (1200 if FULL else 8)  # of those in an index nearly all, of those among numbers none


def test_a_process_whose_own_lane_is_cut_off_goes_on_and_makes_it_anew(tmp_path: Path) -> None:
    pytest.importorskip("measurand.core._guard", reason="the extension that guards mapped files was not built; run: pip install -e .")
    program(
        tmp_path,
        """
        size = lane.stat().st_size
        for length in (0, 1, 127, 128, 4096, 5000, size // 2, size - 1):
            os.truncate(lane, length)
            victim.tell("[C.labels('victim').inc() for _ in range(10)]")
            check(scrape(), 1)
            victim.tell("[C.labels('all').inc() for _ in range(10)] + [C.labels('new').inc(0)]")
            before = float(victim.tell("own('a_total', k='all')"))
            assert lane.stat().st_size == size
            victim.tell("C.labels('all').inc()")
            check(found := scrape(), 0)
            assert float(found['a_total{k="all"}']) == before + 1, (length, found, before)
            assert found["measurand_processes"] == "3.0"
        mine = folder / "lane-0"
        for length in (0, 100, 5000, size // 2):
            os.truncate(mine, length)
            for _ in range(10): C.labels("mine").inc()
            found = scrape()
            assert found['a_total{k="healthy"}'] == "5.0"
            assert mine.stat().st_size == size
            assert healthy.tell("own('a_total', k='mine')") == str(own("a_total", k="mine"))
        """,
    )


def test_a_damaged_lane_of_a_process_that_is_gone_is_replaced_by_the_next(tmp_path: Path) -> None:
    program(
        tmp_path,
        """
        victim.kill()
        os.truncate(lane, 200)
        check(scrape(), 1)
        for turn in range(3):
            later = Worker("later")
            check(found := scrape(), 1)  # it was set aside, and still counts as lost
            assert found['a_total{k="later"}'] == f"{5 * (turn + 1)}.0"
            assert 'a_total{k="victim"}' not in found
            later.kill()
        assert sorted(path.name for path in folder.glob("*lane*")) == ["lane-0", "lane-1", "lane-2"]
        """,
    )


def test_no_length_that_a_file_states_is_believed(tmp_path: Path) -> None:
    program(
        tmp_path,
        """
        huge = Header(7, 1 << 31, 1 << 27)
        for number, used in enumerate((huge.room, 1 << 30, 64)):
            path = folder / f"lane-{10 + number}"
            path.write_bytes(huge.encoded().ljust(8 * USED, b"\\0") + used.to_bytes(8, "little"))
            os.truncate(path, huge.size if number < 2 else huge.size - 1)
        os.mkfifo(folder / "lane-20")
        (folder / "lane-21").mkdir()
        (folder / "lane-22").symlink_to(lane)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(5):
            check(scrape(), 6)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
        """,
    )


def test_a_directory_that_somebody_removes_is_made_again_with_all_that_lives(tmp_path: Path) -> None:
    program(
        tmp_path,
        """
        import shutil
        shutil.rmtree(folder)
        record("mine")
        assert scrape()['a_total{k="mine"}'] == "10.0"
        for worker in (healthy, victim):
            worker.tell("generate_latest()")
        check(found := scrape(), 0, "10.0")
        assert (found['a_total{k="victim"}'], found["measurand_processes"]) == ("5.0", "3.0")
        os.unlink(lane)
        victim.tell("generate_latest()")
        check(found := scrape(), 0, "10.0")
        assert (found['a_total{k="victim"}'], found["measurand_processes"]) == ("5.0", "3.0")
        """,
    )
