"""Polling in several processes: after a fork, and as one."""

from __future__ import annotations

import os
import textwrap
import warnings
from pathlib import Path

import pytest

from measurand.lifecycle import polling as module
from tests.support import SCALE, run_python, wait_until

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]


def test_polling_goes_on_in_a_child_process_even_if_it_was_forked_in_the_middle_of_a_call(make_polling, release, monkeypatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.02)
    polling, seen = make_polling(interval=0.02), []

    def callback() -> None:
        seen.append(os.getpid())
        if os.getpid() == parent:
            release.wait()

    async def coroutine() -> None:
        seen.append(-os.getpid())

    parent = os.getpid()
    polling.register("dashboard", callback, per_process=True)
    polling.register("coroutine", coroutine, per_process=True)
    polling.start()
    wait_until(lambda: parent in seen and -parent in seen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads: it is what this test is about
        pid = os.fork()
    if not pid:
        code = 1
        try:
            wait_until(lambda: os.getpid() in seen and -os.getpid() in seen, timeout=20)
            code = 0 if polling.stop(20) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


PROGRAM = """
import atexit, os, signal, sys, time, warnings
from pathlib import Path
from measurand import Counter, Gauge, REGISTRY, generate_latest
from measurand.lifecycle.company import Company
from measurand.lifecycle.polling import Polling
from measurand.metrics import shared
from tests.support import wait_until
warnings.simplefilter("ignore", DeprecationWarning)
where = Path(sys.argv[1])
shared.begin(where / "families")
G = Gauge("a", "d", ["k"])
Counter("b", "d")

def fork(body):
    pid = os.fork()
    if not pid:
        try:
            signal.alarm(200)
            body()
            signal.pause()
        finally:
            os._exit(1)
    running.append(pid)
    return pid

def kill(pid):
    running.remove(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

running = []
atexit.register(lambda: [kill(pid) for pid in list(running)])

def note():
    descriptor = os.open(where / "calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{time.monotonic()} {os.getpid()}\\n".encode())
    os.close(descriptor)

def calls():
    try:
        lines = (where / "calls").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [(float(line.split()[0]), int(line.split()[1])) for line in lines]

def value(metric, /, **labels):
    return REGISTRY.get_sample_value(metric, labels)
"""


def run(folder: Path, code: str, *arguments: object) -> None:
    program = f"import sys\nsys.argv[1:] = {[str(folder), *map(str, arguments)]!r}\n{PROGRAM}\n{textwrap.dedent(code)}"
    ran = run_python(program)
    assert ran.returncode == 0, ran.stderr


def test_p12_six_workers_poll_as_one_whose_leader_is_killed_three_times(tmp_path: Path) -> None:
    """In full: one second, one minute, 60 calls give or take two."""
    interval, turns = (1.0, 60) if SCALE >= 10 else (0.3, 20)
    run(
        tmp_path,
        """
        interval, turns = float(sys.argv[2]), int(sys.argv[3])

        def worker():
            polling = Polling()
            polling.register("once", note, interval=interval)
            polling.start()

        workers = {fork(worker) for _ in range(6)}
        wait_until(calls)
        begun = calls()[0][0]
        for kills in range(1, 4):
            wait_until(lambda: time.monotonic() > begun + kills * turns * interval / 4)
            leader = calls()[-1][1]
            kill(leader)
            workers = workers - {leader} | {fork(worker)}
        wait_until(lambda: time.monotonic() > begun + turns * interval, timeout=100)
        made = [(when, who) for when, who in calls() if when < begun + turns * interval]
        for pid in workers:
            kill(pid)
        gaps = [later - sooner for (sooner, _), (later, _) in zip(made, made[1:])]
        print(len(made), "calls,", max(gaps), "s between two at most", file=sys.stderr)
        assert len({who for _, who in made}) >= 4
        assert len(made) <= turns + 2, made
        if interval >= 1:
            assert len(made) >= turns - 2 and max(gaps) <= 2 * interval, (len(made), max(gaps))
        else:  # a busy machine may come too late for a tick
            assert len(made) >= turns / 2, made
        """,
        interval,
        turns,
    )


def test_what_every_process_sees_to_itself_is_called_in_every_process(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        def worker():
            polling = Polling()
            polling.register("each", note, interval=0.05, per_process=True)
            polling.start()
        workers = {fork(worker) for _ in range(3)}
        wait_until(lambda: {who for _, who in calls()} == workers)
        for pid in workers: kill(pid)
        """,
    )


def test_who_stops_polling_gives_the_turns_to_another(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        polling = Polling()
        polling.register("once", note, interval=0.1)
        polling.start()
        wait_until(calls)
        def worker():
            mine = Polling()
            mine.register("once", note, interval=0.1)
            mine.start()
        other = fork(worker)
        number = len(calls())
        wait_until(lambda: len(calls()) > number + 3)
        assert {who for _, who in calls()} == {os.getpid()}
        assert polling.stop(20)
        wait_until(lambda: calls()[-1][1] == other)
        kill(other)
        """,
    )


def test_a_new_worker_does_not_call_again_what_has_just_been_called(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        def worker():
            polling = Polling()
            polling.register("seldom", note, interval=1000)
            polling.register("often", lambda: (where / f"ticks-{os.getpid()}").touch(), interval=0.05, per_process=True)
            polling.start()
        first = fork(worker)
        wait_until(calls)
        kill(first)
        second = fork(worker)
        wait_until(lambda: (where / f"ticks-{second}").exists())
        assert [who for _, who in calls()] == [first]
        kill(second)
        """,
    )


def test_gauges_of_a_poller_survive_its_leader_and_are_replaced_by_the_next(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        def worker(names):
            def body():
                polling = Polling()
                polling.register("stock", lambda: (G.replace({name: 1.0 for name in names}), note()), interval=0.2)
                polling.start()
            return body
        def shown():
            return {line.split('"')[1] for line in generate_latest().decode().splitlines() if line.startswith("a{")}
        def idle():
            pass
        first = fork(worker("xy"))
        wait_until(lambda: shown() == {"x", "y"})
        kill(first)
        assert shown() == {"x", "y"}, "until the next one has polled"
        adopts = fork(lambda: (where / "adopted").touch())  # takes the dead one's lane over
        wait_until((where / "adopted").exists)
        assert shown() == {"x", "y"}
        second = fork(worker("yz"))
        wait_until(lambda: len(calls()) and calls()[-1][1] == second)
        wait_until(lambda: shown() == {"y", "z"})
        third = fork(idle)
        kill(adopts)
        assert shown() == {"y", "z"}
        for pid in (second, third): kill(pid)
        assert shown() == {"y", "z"}
        """,
    )


def test_the_age_is_that_of_the_last_success_in_any_process(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        def once():
            note()
            if len(calls()) > 1: raise RuntimeError("not again")
        def worker():
            polling = Polling()
            polling.register("fails", once, interval=0.1)
            polling.start()
        first = fork(worker)
        wait_until(lambda: len(calls()) > 3)
        succeeded = calls()[0][0]
        polling = Polling()
        polling.register("fails", once, interval=0.1)
        polling.start()
        def age():
            return value("measurand_poll_age_seconds", name="fails")
        for number in range(2):
            low = time.monotonic() - succeeded
            assert low - 0.5 < age() <= time.monotonic() - succeeded
            if number == 0:
                kill(first)
                wait_until(lambda: calls()[-1][1] == os.getpid())
        assert value("measurand_poll_errors_total", name="fails") >= 2
        assert polling.stop(20)
        """,
    )
