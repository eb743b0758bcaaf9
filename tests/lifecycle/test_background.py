"""Background threads: one each, stopped when told, running again in children."""

from __future__ import annotations

import gc
import logging
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator

import pytest

from measurand.lifecycle import background
from measurand.lifecycle.background import BackgroundThread, renew_after_fork
from tests.support import run_python, run_threads, wait_until

pytestmark = pytest.mark.once

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def until_stopped(stop: threading.Event) -> None:
    stop.wait()


@pytest.fixture
def make() -> Iterator[Callable[..., BackgroundThread]]:
    made: list[BackgroundThread] = []

    def thread(run: Callable[[threading.Event], None] = until_stopped) -> BackgroundThread:
        made.append(BackgroundThread("test-background", run))
        return made[-1]

    yield thread
    assert [one for one in made if not one.stop(30)] == []


def running(name: str = "test-background") -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def in_child(check: Callable[[], bool]) -> bool:
    """Whether ``check`` says so in a forked child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads: it is what these tests are about
        pid = os.fork()
    if not pid:
        code = 1
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_starting_twice_and_from_many_threads_gives_one_thread(make) -> None:
    thread = make()
    run_threads(*[thread.start] * 8)
    thread.start()
    assert running() == 1
    assert thread.is_alive


def test_it_is_a_daemon(make) -> None:
    seen = []
    thread = make(lambda stop: seen.append(threading.current_thread().daemon))
    thread.start()
    assert wait_until(lambda: seen) == [True]


def test_stopping_waits_for_the_end_and_says_so(make) -> None:
    thread = make()
    thread.start()
    assert thread.stop(30)
    assert not thread.is_alive
    assert running() == 0
    assert thread.stop(0), "stopping what is not running is done at once"


def test_stopping_one_that_hangs_gives_up_in_time_and_a_start_runs_another(make) -> None:
    release = threading.Event()
    thread = make(lambda stop: release.wait() and None)
    thread.start()
    assert not thread.stop(0.01)
    assert thread.is_alive
    thread.start()
    assert running() == 2
    release.set()
    wait_until(lambda: running() == 0)


def test_it_can_be_started_again_after_a_stop(make) -> None:
    events = []

    def run(stop: threading.Event) -> None:
        events.append(stop)
        stop.wait()

    thread = make(run)
    for count in (1, 2):
        thread.start()
        wait_until(lambda count=count: len(events) == count)
        assert thread.stop(30)
    assert events[0] is not events[1]


def test_a_stop_from_within_does_not_wait_for_itself(make) -> None:
    answers = []
    thread = make(lambda stop: answers.append(thread.stop(30)))
    thread.start()
    assert wait_until(lambda: answers) == [False]
    wait_until(lambda: not thread.is_alive)


@pytest.mark.parametrize("failure", [ValueError("spoilt"), SystemExit(3), KeyboardInterrupt()])
def test_a_function_that_raises_is_logged_and_run_again(make, failure, monkeypatch, caplog) -> None:
    monkeypatch.setattr(background, "PAUSE", 0.001)
    calls = []

    def run(stop: threading.Event) -> None:
        calls.append(stop)
        if len(calls) < 3:
            raise failure
        stop.wait()

    thread = make(run)
    with caplog.at_level(logging.WARNING, "measurand"):
        thread.start()
        wait_until(lambda: len(calls) == 3)
    assert running() == 1
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == ["the thread test-background failed"] * 2


def test_a_function_that_returns_has_ended_and_can_be_started_again(make) -> None:
    calls = []
    thread = make(calls.append)
    for count in (1, 2):
        thread.start()
        wait_until(lambda count=count: len(calls) == count and not thread.is_alive)


def test_where_no_thread_can_be_started_the_program_goes_on(make, monkeypatch, caplog) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    thread = make()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        thread.start()
    assert not thread.is_alive
    assert "test-background could not be started: can't start new thread" in caplog.text
    thread.start()
    assert thread.is_alive


@forks
def test_it_runs_again_in_a_child_with_an_event_of_its_own(make) -> None:
    calls = []

    def run(stop: threading.Event) -> None:
        calls.append((os.getpid(), stop))
        stop.wait()

    thread = make(run)
    thread.start()
    wait_until(lambda: calls)

    def runs_here() -> bool:
        wait_until(lambda: calls[-1][0] == os.getpid())
        return thread.is_alive and running() == 1 and calls[-1][1] is not calls[0][1] and thread.stop(30)

    assert in_child(runs_here)
    assert thread.is_alive, "stopping it in the child does not concern the parent"


@forks
def test_one_that_was_stopped_or_has_ended_stays_so_in_a_child(make) -> None:
    stopped, ended, never = make(), make(lambda stop: None), make()
    stopped.start()
    stopped.stop(30)
    ended.start()
    wait_until(lambda: not ended.is_alive)
    assert in_child(lambda: running() == 0 and not (stopped.is_alive or ended.is_alive or never.is_alive))


@forks
def test_the_thread_that_forks_goes_on_alone_in_the_child(make) -> None:
    answers = []

    def run(stop: threading.Event) -> None:
        answers.append(in_child(lambda: running() == 1))

    make(run).start()
    assert wait_until(lambda: answers) == [True]


@forks
def test_threads_that_start_one_another_run_once_each_in_a_child(make) -> None:
    started: list[int] = []
    threads: list[BackgroundThread] = []

    def run(stop: threading.Event) -> None:
        for thread in threads:
            thread.start()
        started.append(os.getpid())
        stop.wait()

    threads += [make(run) for _ in range(6)]
    threads[0].start()
    wait_until(lambda: len(started) == 6)

    def run_once_here() -> bool:
        wait_until(lambda: started.count(os.getpid()) >= 6)
        stopped = [thread.stop(30) for thread in threads]
        return all(stopped) and running() == 0

    assert all(in_child(run_once_here) for _ in range(5))


@forks
def test_locks_are_replaced_in_a_child_before_threads_run_there(make) -> None:
    class Guarded:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def renew(self) -> None:
            self.lock = threading.Lock()

    guarded, entered = Guarded(), []

    def run(stop: threading.Event) -> None:
        with guarded.lock:
            entered.append(os.getpid())
        stop.wait()

    renew_after_fork(guarded)
    make(run).start()
    wait_until(lambda: entered)
    with guarded.lock:
        assert in_child(lambda: wait_until(lambda: os.getpid() in entered, timeout=20))


ORDER = """
import os
from measurand.lifecycle.background import renew_after_fork

class Renewed:
    def renew(self):
        print(REGISTRY.get_sample_value("orders_total", {"channel": "web"}), core.read(KEPT)[0], flush=True)

renewed = Renewed()
renew_after_fork(renewed)  # before there is any metric

from measurand import REGISTRY, Counter, core

ORDERS = Counter("orders_total", "Orders accepted", ["channel"])
KEPT = ORDERS.labels("web")
KEPT.inc(5)
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""


@forks
def test_nothing_runs_in_a_child_before_its_numbers_are_its_own() -> None:
    done = run_python(ORDER)
    assert done.stdout == "5.0 0.0\n", done.stderr  # the family's, and its own


@forks
def test_what_fails_to_renew_does_not_concern_the_others_or_the_program(make) -> None:
    class Broken:
        def renew(self) -> None:
            raise ValueError("broken")

    broken, calls = Broken(), []
    renew_after_fork(broken)

    def run(stop: threading.Event) -> None:
        calls.append(os.getpid())
        stop.wait()

    make(run).start()
    wait_until(lambda: calls)
    assert in_child(lambda: wait_until(lambda: os.getpid() in calls, timeout=20))


def test_what_is_no_longer_used_is_not_kept() -> None:
    thread = BackgroundThread("test-background", lambda stop: None)
    thread.start()
    assert thread.stop(30)
    kept = weakref.ref(thread)
    del thread
    gc.collect()
    assert kept() is None
