"""Exporters in several processes: one exports at a time, and the last one out delivers the whole truth."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from tests.servers.pushgateway import Pushgateway, binary
from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

SERVICE = """
import atexit, os, sys, signal, warnings
from pathlib import Path
import measurand
from measurand import Counter, Gauge
from measurand.exporters.pushgateway import Pushgateway
from measurand.exporters.textfile import Textfile
from tests.support import wait_until

warnings.simplefilter("ignore", DeprecationWarning)
THINGS, BUSY = Counter("things", "Things", ["worker"]), Gauge("busy", "Busy", multiprocess_mode="livesum")
where = Path(sys.argv[1])

class Noting(Textfile):
    '''Says who wrote the file.'''
    def export(self, snapshot):
        with open(where / "writers", "a") as file:
            file.write(f"{os.getpid()}\\n")
        super().export(snapshot)

def start(interval=3600):
    exporters = [Noting(where / "all.prom", interval=interval)]
    if len(sys.argv) > 2:
        exporters.append(Pushgateway(sys.argv[2], "shop", interval=interval))
    return measurand.start("shop", state_directory=where / "state", exporters=exporters, drain_delay=0, common_labels={})

def fork(body):
    pid = os.fork()
    if not pid:
        code = 1
        try:
            signal.alarm(100)
            body()
            code = 0
        finally:
            measurand.metrics.shared.leave()
            os._exit(code)
    running.append(pid)
    return pid

running = []
atexit.register(lambda: [os.kill(pid, signal.SIGKILL) for pid in running])

def end(*pids):
    for pid in pids:
        running.remove(pid)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def said(name, text="x"):
    (where / name).write_text(text)

def exists(name):
    return (where / name).exists()
"""


def run(folder: Path, code: str, *arguments: str) -> None:
    program = f"import sys\nsys.argv[1:] = {[str(folder), *arguments]!r}\n{SERVICE}\n{textwrap.dedent(code)}"
    ran = run_python(program)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr


STOP_TOGETHER = """
    def worker():
        runtime = start()
        THINGS.labels(str(os.getpid())).inc(5)
        BUSY.inc()
        said(f"ready-{os.getpid()}")
        wait_until(lambda: exists("go"))
        THINGS.labels("late").inc()
        BUSY.dec()
        assert runtime.stop().is_clean
    workers = [fork(worker) for _ in range(4)]
    wait_until(lambda: len(list(where.glob("ready-*"))) == 4)
    said("go")
    end(*workers)
"""


def total(lines: list[str], name: str) -> float:
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_of_four_that_stop_at_the_same_moment_the_last_writes_the_whole_truth(tmp_path: Path) -> None:
    run(tmp_path, STOP_TOGETHER)
    lines = (tmp_path / "all.prom").read_text().splitlines()
    assert total(lines, "things_total") == 24
    assert total(lines, "things_total{late") == total(lines, 'things_total{worker="late"') - 4 == 0
    assert "busy 0.0" in lines
    assert len((tmp_path / "writers").read_text().split()) == 1


def test_a_pushgateway_ends_with_the_whole_truth_of_four_workers(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    with Pushgateway(binary(), tmp_path / "gateway") as gateway:
        run(tmp_path, STOP_TOGETHER, gateway.address)
        lines = gateway.metrics()
    assert total(lines, "things_total") == 24
    assert total(lines, "busy{") == 0


def test_who_stops_before_the_others_leaves_the_last_numbers_to_them_and_to_the_next_interval(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        def content():
            return (where / "all.prom").read_text() if exists("all.prom") else ""
        def stays():
            runtime = start(interval=0.1)
            said("stays")
            wait_until(lambda: exists("end"))
            runtime.stop()
        def goes():
            runtime = start(interval=3600)
            THINGS.labels("gone").inc(7)
            assert runtime.stop().is_clean
        staying = fork(stays)
        wait_until(lambda: exists("stays"))
        end(fork(goes))
        wait_until(lambda: 'things_total{worker="gone"} 7.0' in content())
        assert set((where / "writers").read_text().split()) == {str(staying)}
        said("end")
        end(staying)
        assert 'things_total{worker="gone"} 7.0' in content()
    """,
    )


def test_a_child_that_only_helps_neither_flushes_nor_keeps_the_others_from_it(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        runtime = start()
        THINGS.labels("parent").inc()
        helper = fork(lambda: (THINGS.labels("helper").inc(), said("helps"), wait_until(lambda: exists("end"))))
        wait_until(lambda: exists("helps"))
        assert runtime.stop().is_clean
        assert (where / "writers").read_text().split() == [str(os.getpid())]
        assert 'things_total{worker="helper"} 1.0' in (where / "all.prom").read_text()
        said("end")
        end(helper)
        assert (where / "writers").read_text().split() == [str(os.getpid())]
    """,
    )
