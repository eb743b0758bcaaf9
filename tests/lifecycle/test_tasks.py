"""Background tasks are counted, waited for, and never keep a process from its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import CancelledError, Future, wait
from functools import partial

import pytest

from measurand.errors import ConfigurationError
from measurand.lifecycle.coordinator import Coordinator, Event
from measurand.lifecycle.tasks import TaskRunner
from tests.lifecycle.kit import threads
from tests.support import StillClock, wait_until


@pytest.fixture
def runner(coordinator, registry, release) -> TaskRunner:
    made = TaskRunner(coordinator, registry=registry)
    yield made
    release.set()
    coordinator.shutdown()
    wait_until(lambda: not threads("measurand-task"))


def ended(readings, task: str, status: str) -> float:
    return readings.value("background_tasks_total", task=task, status=status)


def running(readings, task: str) -> float:
    return readings.value("background_tasks_in_progress", task=task)


# -- running -------------------------------------------------------------------------------------------------------------------


def test_a_task_runs_in_the_background_and_its_future_has_the_result(runner) -> None:
    future = runner.submit(lambda *args, **kwargs: (threading.current_thread().name, args, kwargs), 1, 2, three=3)
    assert isinstance(future, Future)
    assert future.result(30) == ("measurand-task", (1, 2), {"three": 3})


def test_a_task_is_counted_before_its_future_is_done(runner, readings, still_clock: StillClock) -> None:
    future = runner.submit(still_clock.advance, 3, name="advance")
    future.result(30)
    assert ended(readings, "advance", "success") == 1
    assert running(readings, "advance") == 0
    assert readings.value("background_task_duration_seconds_sum", task="advance") == 3


@pytest.mark.parametrize("failure", [ValueError("boom"), SystemExit(1), KeyboardInterrupt()])
def test_a_task_that_raises_is_counted_as_failed_and_the_next_one_runs(runner, readings, failure) -> None:
    def fail() -> None:
        raise failure

    future = runner.submit(fail, name="fail")
    assert future.exception(30) is failure
    assert ended(readings, "fail", "failed") == 1
    assert runner.submit(int, "7").result(30) == 7


def test_the_functions_own_name_is_the_default(runner, readings) -> None:
    def send_receipt(order: int) -> None: ...

    class Importer:
        def __call__(self) -> None: ...

    for function, args in ((send_receipt, (1,)), (partial(partial(send_receipt), 2), ()), (Importer(), ())):
        runner.submit(function, *args).result(30)
    where = "test_the_functions_own_name_is_the_default.<locals>."
    assert ended(readings, f"{where}send_receipt", "success") == 2
    assert ended(readings, f"{where}Importer", "success") == 1


def test_as_many_run_at_once_as_there_are_workers(coordinator, registry, release, readings) -> None:
    runner = TaskRunner(coordinator, workers=3, registry=registry)
    futures = [runner.submit(release.wait, name="wait") for _ in range(7)]
    wait_until(lambda: running(readings, "wait") == 3)
    assert runner.active == 7
    assert len(threads("measurand-task")) == 3
    release.set()
    assert wait(futures, 30).not_done == set()
    assert runner.wait(30)
    assert (running(readings, "wait"), runner.active) == (0, 0)
    coordinator.shutdown()
    wait_until(lambda: not threads("measurand-task"))


def test_threads_are_used_again(runner) -> None:
    for number in range(20):
        assert runner.submit(int, number).result(30) == number
        wait_until(lambda: runner.active == 0)
    assert len(threads("measurand-task")) <= 4


def test_a_task_that_is_cancelled_in_the_queue_does_not_run(coordinator, registry, release, readings) -> None:
    runner, seen = TaskRunner(coordinator, workers=1, registry=registry), []
    first = runner.submit(release.wait, name="first")
    second = runner.submit(seen.append, "ran", name="second")
    assert second.cancel()
    release.set()
    first.result(30)
    assert runner.wait(30)
    assert (seen, ended(readings, "second", "cancelled")) == ([], 1)
    coordinator.shutdown()


def test_a_coroutine_function_is_refused(runner) -> None:
    async def later() -> None: ...

    with pytest.raises(TypeError, match=r"later is a coroutine function; .* under track"):
        runner.submit(later)


def test_where_no_thread_can_be_started_the_caller_hears_of_it_and_nothing_is_left_over(runner, monkeypatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            runner.submit(int)
    assert runner.active == 0
    assert runner.submit(int).result(30) == 0


# -- tracking ------------------------------------------------------------------------------------------------------------------


def test_what_runs_elsewhere_is_counted_too(runner, readings, still_clock: StillClock) -> None:
    with runner.track("import"):
        assert (running(readings, "import"), runner.active) == (1, 1)
        still_clock.advance(2)
    with pytest.raises(ValueError, match="boom"), runner.track("import"):
        raise ValueError("boom")
    assert (ended(readings, "import", "success"), ended(readings, "import", "failed")) == (1, 1)
    assert (running(readings, "import"), runner.active) == (0, 0)
    assert readings.value("background_task_duration_seconds_sum", task="import") == 2


def test_coroutines_are_tracked_and_their_cancellation_told_apart(runner, readings) -> None:
    async def work() -> None:
        async with runner.track("work"):
            await asyncio.Event().wait()

    async def program() -> None:
        task = asyncio.create_task(work())
        while not runner.active:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with runner.track("work"):
            pass

    asyncio.run(program())
    assert (ended(readings, "work", "cancelled"), ended(readings, "work", "success")) == (1, 1)


# -- shutting down -------------------------------------------------------------------------------------------------------------


def test_the_number_of_active_tasks_is_taken_when_the_service_is_told_to_stop(coordinator, registry, release, readings) -> None:
    runner = TaskRunner(coordinator, workers=1, registry=registry)
    futures = [runner.submit(release.wait, name="wait") for _ in range(3)]
    with runner.track("import"):
        coordinator.begin_shutdown()
    release.set()
    assert wait(futures, 30).not_done == set()
    assert readings.value("active_tasks_at_shutdown") == 4
    coordinator.shutdown()


def test_a_shutdown_waits_for_queued_and_running_tasks(registry, release) -> None:
    coordinator, seen = Coordinator(budget=600, registry=registry), []
    runner = TaskRunner(coordinator, workers=1, registry=registry)
    coordinator.on(Event.SHUTDOWN, lambda: seen.append("hook"))
    runner.submit(release.wait)
    runner.submit(seen.append, "task")
    coordinator.on(Event.DRAINING, release.set)
    report = coordinator.shutdown()
    assert seen == ["task", "hook"]
    assert report.unfinished == ()


def test_tasks_may_be_submitted_until_the_work_is_done_and_not_after(runner, coordinator) -> None:
    coordinator.begin_shutdown()
    assert runner.submit(int).result(30) == 0
    coordinator.shutdown()
    with pytest.raises(RuntimeError, match="has shut down"):
        runner.submit(int)


def test_when_time_is_over_queued_tasks_are_cancelled_and_running_ones_left_behind(registry, release, readings) -> None:
    coordinator = Coordinator(budget=0.3, drain_delay=0, registry=registry)
    runner = TaskRunner(coordinator, workers=1, registry=registry)
    hanging = runner.submit(release.wait, name="hanging")
    queued = runner.submit(int, name="queued")
    report = coordinator.shutdown()
    assert report.unfinished == ("background tasks",)
    assert ended(readings, "queued", "cancelled") == 1
    with pytest.raises(CancelledError):
        queued.result(30)
    release.set()
    assert hanging.result(30)
    wait_until(lambda: not threads("measurand-task"))


def test_waiting_for_no_tasks_ends_at_once_and_waiting_for_some_in_time(runner, release) -> None:
    assert runner.wait(600)
    runner.submit(release.wait)
    begun = time.monotonic()
    assert not runner.wait(0.05)
    assert time.monotonic() - begun < 20


def test_a_service_that_starts_again_takes_tasks_again(coordinator, registry) -> None:
    runner = TaskRunner(coordinator, registry=registry)
    coordinator.started()
    coordinator.shutdown()
    coordinator.restart()
    coordinator.started()
    assert runner.submit(int).result(30) == 0
    coordinator.shutdown()


def test_a_coordinator_has_one_task_runner(runner, coordinator, registry) -> None:
    with pytest.raises(ConfigurationError, match="named 'background tasks' already"):
        TaskRunner(coordinator, registry=registry)


def test_a_runner_without_workers_is_refused(coordinator, registry) -> None:
    with pytest.raises(ConfigurationError, match="at least 1 worker"):
        TaskRunner(coordinator, workers=0, registry=registry)


HANGING = """
import threading
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.tasks import TaskRunner

coordinator = Coordinator(budget=0.2, drain_delay=0)
TaskRunner(coordinator).submit(threading.Event().wait)
print(coordinator.shutdown().unfinished)
"""


@pytest.mark.once
def test_a_task_that_hangs_does_not_keep_the_process_from_its_end() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "('background tasks',)\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_process_has_no_tasks_of_its_parent_and_can_have_its_own(coordinator, registry, release, readings) -> None:
    runner = TaskRunner(coordinator, workers=1, registry=registry)
    runner.submit(release.wait, name="wait")
    wait_until(lambda: running(readings, "wait") == 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads: it is what this test is about
        pid = os.fork()
    if not pid:
        code = 1
        try:
            clean = runner.active == 0 and running(readings, "wait") == 1  # the parent's
            code = 0 if clean and runner.submit(int, "7").result(30) == 7 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    release.set()
    coordinator.shutdown()
