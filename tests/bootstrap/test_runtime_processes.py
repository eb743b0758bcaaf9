"""A runtime whose process forks: helpers end at once and count nothing again; no lock of the parent's matters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

HELPERS = """
import multiprocessing, os, subprocess, sys, time, warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import measurand
from measurand import Counter
from measurand.exporters.textfile import Textfile

warnings.simplefilter("ignore", DeprecationWarning)
where = Path(sys.argv[1])
THINGS = Counter("things", "Things")

class Noting(Textfile):
    def export(self, snapshot):
        with open(where / "writers", "a") as file:
            file.write(f"{os.getpid()}\\n")
        super().export(snapshot)

def work(number):
    THINGS.inc()
    return os.getpid()

def main():
    exporters = [Noting(where / "all.prom", interval=3600)]
    runtime = measurand.start("shop", state_directory=where, drain_delay=100, shutdown_budget=200, exporters=exporters, common_labels={})
    runtime.server_started(None)
    before = time.monotonic()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[2])) as pool:
        pids = set(pool.map(work, range(10)))
    helper = multiprocessing.get_context(sys.argv[2]).Process(target=work, args=(0,))
    helper.start()
    helper.join()
    assert helper.exitcode == 0
    assert subprocess.run([sys.executable, "-c", "pass"]).returncode == 0
    assert time.monotonic() - before < 90, "nobody waits for a drain delay"
    assert os.getpid() not in pids
    assert not (where / "writers").exists()
    value = measurand.REGISTRY.get_sample_value
    assert value("things_total") == 11
    assert value("service_ready") == 1
    assert value("service_starts_total") == 1
    runtime.lifecycle.skip_waits()
    assert runtime.stop().is_clean
    assert (where / "writers").read_text().split() == [str(os.getpid())]
    assert "things_total 11.0" in (where / "all.prom").read_text()

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_helper_processes_of_a_started_service_end_at_once_and_leave_no_trace_but_their_counts(tmp_path: Path, method: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(HELPERS)
    # a process of its own: children of "spawn" import the main module by its path
    ran = run_python(f"import os, sys; os.execv(sys.executable, [sys.executable, {str(program)!r}, {str(tmp_path)!r}, {method!r}])")
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr


LOCKS = """
import os, signal, sys, threading, warnings
import measurand
from measurand import Counter

warnings.simplefilter("ignore", DeprecationWarning)
runtime = measurand.start("shop", state_directory=sys.argv[1], drain_delay=0, management=0)
stop = threading.Event()

def register():
    while not stop.is_set():
        measurand.register_for_polling("flapping", register, interval=1000)

def check():
    while not stop.is_set():
        runtime.health.add(lambda: None, name="flapping")
        runtime.health.remove("flapping")

def tasks():
    while not stop.is_set():
        runtime.tasks.submit(int).result()

def ready():
    while not stop.is_set():
        runtime.lifecycle.add_startup_task("flapping")()

threads = [threading.Thread(target=one) for one in (register, check, tasks, ready)]
for thread in threads:
    thread.start()
try:
    for _ in range(int(sys.argv[2])):
        pid = os.fork()
        if not pid:
            signal.alarm(30)  # a lock that nobody holds any more would be waited for until then
            code = 1
            try:
                measurand.register_for_polling("mine", len, interval=1000)
                runtime.health.add(lambda: None, name="mine")
                runtime.lifecycle.add_startup_task("mine")()
                assert runtime.tasks.submit(int, "7").result(20) == 7
                runtime.server_started(None)
                assert runtime.stop().is_complete
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
finally:
    stop.set()
    for thread in threads:
        thread.join()
runtime.stop()
"""


def test_a_fork_while_other_threads_hold_locks_leaves_the_child_working(tmp_path: Path) -> None:
    ran = run_python(f"import sys; sys.argv[1:] = [{str(tmp_path)!r}, '6']\n{LOCKS}")
    assert ran.returncode == 0, ran.stderr
