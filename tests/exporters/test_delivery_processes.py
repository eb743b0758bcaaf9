"""Differences that several processes deliver in turns: everything arrives, and once."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest

from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

SERVICE = """
import json, os, signal, sys, threading, warnings
from pathlib import Path
import measurand
from measurand import Counter, Gauge, Histogram
from measurand.exporters.delivery import Delivery
from measurand.metrics import shared
from tests.support import wait_until

warnings.simplefilter("ignore", DeprecationWarning)
where = Path(sys.argv[1])
THINGS = Counter("things_total", "Things", ["worker"])
SECONDS = Histogram("seconds", "Seconds", buckets=(1,))
TASK = "export ledger"

class Ledger:
    '''Adds up what arrives, in a file: a line for each series of each delivery, written in one step.'''
    name, interval, temporality = "ledger", 60.0, "delta"
    dies = False
    def export(self, change):
        lines = "".join(
            json.dumps([os.getpid(), family.name, series.labels, series.numbers]) + "\\n"
            for family in change.points() if family.type != "gauge" for series in family.series
        )
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        file = os.open(where / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, lines.encode())
        os.close(file)

ledger = Ledger()
delivery = Delivery(ledger)

def turn():
    '''What the schedule does: whoever leads delivers.'''
    if shared.lead(TASK):
        delivery.deliver()
        return True
    return False

def fork(body):
    pid = os.fork()
    if not pid:
        code = 1
        try:
            signal.alarm(100)
            body()
            code = 0
        finally:
            shared.leave()
            os._exit(code)
    return pid

def end(*pids):
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def killed(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

def said(name):
    (where / name).write_text("x")

def heard(name):
    wait_until(lambda: (where / name).exists())

def waits():
    heard("end")
"""

def run(folder: Path, code: str) -> dict[str, list[float]]:
    """Run a service; what its ledger has come to, by name."""
    ran = run_python(f"import sys\nsys.argv[1:] = {[str(folder)]!r}\n{SERVICE}\n{textwrap.dedent(code)}")
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    sums: dict[str, list[float]] = {}
    for line in (folder / "ledger").read_text().splitlines():
        _, name, _, numbers = json.loads(line)
        before = sums.get(name, [0.0] * len(numbers))
        sums[name] = [low + more for low, more in zip(before, numbers, strict=True)]
    return sums


def test_processes_that_take_turns_deliver_everything_once(tmp_path: Path) -> None:
    """Also where the leader is killed, and the next one goes on."""
    sums = run(
        tmp_path,
        """
        def worker(number):
            def body():
                for _ in range(50):
                    THINGS.labels(str(number)).inc(0.5)
                    SECONDS.observe(0.25)
                said(f"ready-{number}")
                heard(f"lead-{number}")
                wait_until(turn)
                THINGS.labels(str(number)).inc(2)
                said(f"led-{number}")
                if number < 3:
                    heard("never")
                turn()
            return body
        workers = {number: fork(worker(number)) for number in range(4)}
        for number in workers:
            heard(f"ready-{number}")
        for number, pid in workers.items():
            said(f"lead-{number}")
            heard(f"led-{number}")
            if number < 3:
                os.kill(pid, signal.SIGKILL)
                killed(pid)
        end(workers[3])
        """,
    )
    assert sums == {"things": [108], "seconds": [200, 0, 50]}


def test_what_was_delivered_alone_is_known_to_children_and_what_they_deliver_to_the_parent(tmp_path: Path) -> None:
    sums = run(
        tmp_path,
        """
        THINGS.labels("parent").inc(7)
        assert turn()
        shared.follow(TASK)
        def child():
            THINGS.labels("child").inc(2)
            wait_until(turn)
            shared.follow(TASK)
        end(fork(child), fork(child))
        THINGS.labels("parent").inc()
        assert turn()
        """,
    )
    assert sums == {"things": [12]}


def test_who_delivered_alone_hands_over_to_one_that_was_not_forked_after_it(tmp_path: Path) -> None:
    """The newcomer's own notes are empty: it has not inherited what had arrived."""
    sums = run(
        tmp_path,
        """
        THINGS.labels("parent").inc(7)
        assert turn()
        def child():
            global delivery
            delivery = Delivery(ledger)
            THINGS.labels("child").inc(2)
            said("there")
            heard("handed-over")
            wait_until(turn)
        pid = fork(child)
        heard("there")
        shared.company()
        delivery.hand_over()
        shared.follow(TASK)
        said("handed-over")
        end(pid)
        """,
    )
    assert sums == {"things": [9]}


def test_processes_that_deliver_at_the_same_time_do_so_one_after_the_other(tmp_path: Path) -> None:
    """As jobs in the processes of a pool do, which nobody gives turns."""
    sums = run(
        tmp_path,
        """
        def worker(number):
            def body():
                said(f"ready-{number}")
                heard("go")
                for _ in range(25):
                    THINGS.labels(str(number)).inc()
                    SECONDS.observe(2)
                    delivery.deliver()
            return body
        workers = [fork(worker(number)) for number in range(4)]
        for number in range(4):
            heard(f"ready-{number}")
        said("go")
        end(*workers)
        """,
    )
    assert sums == {"things": [100], "seconds": [0, 100, 200]}


def test_a_registry_of_a_processs_own_has_nothing_to_do_with_what_another_had_sent(tmp_path: Path) -> None:
    """A job that makes a registry for each run, beside other processes."""
    sums = run(
        tmp_path,
        """
        waiting = fork(waits)
        THINGS.labels("parent").inc()
        assert turn()
        for number in (5, 8, 8):
            own = measurand.CollectorRegistry()
            Counter("things_total", "Things", ["worker"], registry=own).labels("run").inc(number)
            Delivery(ledger, own).deliver()
        THINGS.labels("parent").inc()
        assert turn()
        said("end")
        end(waiting)
        """,
    )
    assert sums == {"things": [23]}


def test_a_process_that_is_killed_before_anything_was_sent_loses_nothing(tmp_path: Path) -> None:
    sums = run(
        tmp_path,
        """
        def unlucky():
            THINGS.labels("unlucky").inc(5)
            ledger.dies = True
            turn()
        def next_one():
            THINGS.labels("next").inc(3)
            wait_until(turn)
        waiting = fork(waits)
        killed(fork(unlucky))
        end(fork(next_one))
        said("end")
        end(waiting)
        """,
    )
    assert sums == {"things": [8]}


def test_where_the_others_numbers_cannot_be_read_differences_wait(tmp_path: Path) -> None:
    """Its own numbers alone would look like counters that have begun again."""
    sums = run(
        tmp_path,
        """
        import resource
        from measurand.errors import ExportFailed
        def other():
            THINGS.labels("same").inc(70)
            said("counted")
            waits()
        others = [fork(other)]
        heard("counted")
        THINGS.labels("same").inc(3)
        assert turn()
        (where / "counted").unlink()
        others.append(fork(other))  # its lane is a file that has not been opened here yet
        heard("counted")
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (kept[-1] + 1, before[1]))
        os.close(kept[0])
        full = [kept[0]]
        while True:
            try:
                full.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        try:
            turn()
        except ExportFailed as failed:
            assert "cannot be read now" in str(failed)
        else:
            raise AssertionError("it has delivered a part")
        for one in full[1:]:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert turn()
        said("end")
        end(*others)
        """,
    )
    assert sums == {"things": [143]}


DAMAGE = """
    def other():
        THINGS.labels("same").inc(70)
        said("counted")
        heard("mend")
        measurand.generate_latest()  # whoever shows numbers looks after its own first
        said("mended")
        waits()
    pid = fork(other)
    heard("counted")
    THINGS.labels("same").inc(3)
    assert turn()
    lanes = shared.meeting_place().glob("lane-*")
    (lane,) = [path for path in lanes if int.from_bytes(path.read_bytes()[80:88], "little") == pid]
    with lane.open("r+b") as file:
        file.write(b"\\xff" * 8)
    THINGS.labels("same").inc(1)
    assert turn()
"""


def test_numbers_that_are_damaged_for_a_moment_wait_until_they_are_mended(tmp_path: Path) -> None:
    sums = run(
        tmp_path,
        DAMAGE
        + """
    said("mend")
    heard("mended")
    assert turn()
    assert turn()
    said("end")
    end(pid)
    """,
    )
    assert sums == {"things": [74]}


def test_numbers_that_damage_has_cost_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    """What was recorded while that was found out cannot be known; what comes after it is exact."""
    sums = run(
        tmp_path,
        DAMAGE
        + """
    assert turn()
    THINGS.labels("same").inc(4)
    assert turn()
    os.kill(pid, signal.SIGKILL)
    killed(pid)
    """,
    )
    assert sums == {"things": [77]}
