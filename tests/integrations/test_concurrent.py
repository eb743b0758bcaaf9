"""Real thread pools: full, cancelled, broken, shut down, given up; and the event loops' own."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor, wait
from weakref import ref

import pytest

from measurand import CollectorRegistry
from measurand.catalog.thread_pools import ThreadPoolMetrics
from measurand.integrations.concurrent import instrument
from measurand.integrations.handle import Handle
from tests.support import SCALE, run_python, run_threads, wait_until

pytestmark = pytest.mark.once

PATIENCE = 30.0


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def handle(registry: CollectorRegistry) -> Iterator[Handle]:
    with instrument(registry=registry) as handle:
        yield handle


def value(registry: CollectorRegistry, name: str, pool: str = "mail") -> float | None:
    return registry.get_sample_value(f"thread_pool_{name}", {"pool": pool})


def now(registry: CollectorRegistry, pool: str = "mail") -> tuple[float | None, float | None]:
    """How many calls wait, and how many are under way."""
    return value(registry, "queue_length", pool), value(registry, "threads_busy", pool)


@pytest.mark.usefixtures("handle")
def test_what_waits_and_what_runs_is_what_waits_and_runs(registry: CollectorRegistry) -> None:
    release = threading.Event()
    with ThreadPoolExecutor(2, thread_name_prefix="mail") as pool:
        calls = [pool.submit(release.wait, PATIENCE) for _ in range(5)]
        wait_until(lambda: now(registry) == (3, 2), PATIENCE)
        assert (value(registry, "threads"), value(registry, "threads_max")) == (2, 2)
        calls[3].cancel()
        assert now(registry) == (2, 2)
        release.set()
        assert [call.result(PATIENCE) for call in calls if not call.cancelled()] == [True] * 4
        wait_until(lambda: now(registry) == (0, 0), PATIENCE)
        assert value(registry, "wait_seconds_count") == 4
    assert (value(registry, "threads"), value(registry, "threads_max")) == (0, 0)


@pytest.mark.usefixtures("handle")
def test_a_call_has_its_arguments_its_result_and_its_exception() -> None:
    class OwnError(BaseException):
        pass

    def fail() -> None:
        raise OwnError("mine")

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda *args, **kwargs: (args, kwargs), 1, 2, fn=3, self=4).result() == ((1, 2), {"fn": 3, "self": 4})
        assert list(pool.map(pow, [2, 3], [3, 2])) == [8, 9]
        with pytest.raises(OwnError, match="mine"):
            pool.submit(fail).result()
        with pytest.raises(TypeError):
            pool.submit()  # type: ignore[call-arg]


@pytest.mark.usefixtures("handle")
def test_nothing_is_left_of_what_never_began(registry: CollectorRegistry) -> None:
    release = threading.Event()
    pool = ThreadPoolExecutor(1, thread_name_prefix="mail")
    begun = pool.submit(release.wait, PATIENCE)
    waiting = [pool.submit(int) for _ in range(3)]
    wait_until(lambda: now(registry) == (3, 1), PATIENCE)
    pool.shutdown(wait=False, cancel_futures=True)
    assert now(registry) == (0, 1)
    with pytest.raises(RuntimeError):
        pool.submit(int)
    assert now(registry) == (0, 1)
    release.set()
    assert begun.result(PATIENCE)
    for call in waiting:
        with pytest.raises(CancelledError):
            call.result(PATIENCE)
    pool.shutdown()
    assert now(registry) == (0, 0)


@pytest.mark.usefixtures("handle")
def test_a_pool_that_breaks_leaves_nothing(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("concurrent.futures"), "disabled", True)  # it says so, with a traceback
    begins = threading.Event()

    def begin() -> None:
        begins.wait(PATIENCE)
        raise ZeroDivisionError

    with ThreadPoolExecutor(1, thread_name_prefix="mail", initializer=begin) as pool:
        calls = [pool.submit(int) for _ in range(3)]
        assert now(registry) == (3, 0)
        begins.set()
        for call in calls:
            with pytest.raises(BrokenExecutor):
                call.result(PATIENCE)
        wait_until(lambda: now(registry) == (0, 0), PATIENCE)


@pytest.mark.usefixtures("handle")
def test_the_loops_own_pool_is_called_asyncio(registry: CollectorRegistry) -> None:
    async def main() -> None:
        release = threading.Event()
        call = asyncio.get_running_loop().run_in_executor(None, release.wait, PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while now(registry, "asyncio") != (0, 1):
                await asyncio.sleep(0)
        release.set()
        assert await call
        assert await asyncio.to_thread(int, "7") == 7

    asyncio.run(main())
    assert now(registry, "asyncio") == (0, 0)
    assert value(registry, "wait_seconds_count", "asyncio") == 2


@pytest.mark.usefixtures("handle")
def test_pools_without_a_name_and_numbered_ones_are_shown_together(registry: CollectorRegistry) -> None:
    pools = [ThreadPoolExecutor(3), ThreadPoolExecutor(4), ThreadPoolExecutor(1, "mail-1"), ThreadPoolExecutor(1, "mail_2")]
    for pool in pools:
        pool.submit(int).result(PATIENCE)
    assert value(registry, "threads_max", "ThreadPoolExecutor") == 7
    assert value(registry, "threads_max") == 2
    assert value(registry, "wait_seconds_count") == 2
    for pool in pools:
        pool.shutdown()


def test_one_pool_alone_has_the_name_that_it_is_given_and_is_never_counted_twice(registry: CollectorRegistry) -> None:
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as other:
        alone = instrument(pool, registry=registry, name="mail")
        whole = instrument(registry=registry)
        assert (instrument(pool), instrument()) == (alone, whole)
        for each in (pool, pool, other):
            each.submit(int).result(PATIENCE)
        assert (value(registry, "wait_seconds_count"), value(registry, "wait_seconds_count", "ThreadPoolExecutor")) == (2, 1)
        assert (value(registry, "threads_max"), value(registry, "threads_max", "ThreadPoolExecutor")) == (1, 1)
        alone.uninstrument()
        assert (value(registry, "threads_max"), value(registry, "threads_max", "ThreadPoolExecutor")) == (None, 1)
        pool.submit(int).result(PATIENCE)
        assert (value(registry, "wait_seconds_count"), value(registry, "wait_seconds_count", "ThreadPoolExecutor")) == (2, 2)
        whole.uninstrument()
        pool.submit(int).result(PATIENCE)
        assert value(registry, "wait_seconds_count", "ThreadPoolExecutor") == 2


def test_pools_are_as_they_were_afterwards_and_what_is_under_way_is_counted_out(registry: CollectorRegistry) -> None:
    before, release = ThreadPoolExecutor.submit, threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="mail") as pool:
        handle = instrument(registry=registry)
        assert ThreadPoolExecutor.submit is not before
        calls = [pool.submit(release.wait, PATIENCE) for _ in range(2)]
        wait_until(lambda: now(registry) == (1, 1), PATIENCE)
        handle.uninstrument()
        assert ThreadPoolExecutor.submit is before
        release.set()
        wait(calls, PATIENCE)
    assert now(registry) == (0, 0)


@pytest.mark.usefixtures("handle")
def test_nothing_is_kept_alive_by_being_recorded(registry: CollectorRegistry) -> None:
    class Big:
        def __call__(self) -> int:
            return 1

    pool, big = ThreadPoolExecutor(1, thread_name_prefix="mail"), Big()
    gone, pool_gone = ref(big), ref(pool)
    kept = pool.submit(big)
    assert kept.result(PATIENCE) == 1
    del big
    wait_until(lambda: gc.collect() is not None and gone() is None, PATIENCE)
    pool.shutdown()
    del pool
    gc.collect()
    assert pool_gone() is None
    assert value(registry, "threads_max") == 0
    assert kept.done()


def test_a_failure_of_ours_does_not_keep_the_work_from_being_done() -> None:
    class Broken(ThreadPoolMetrics):
        def label(self, pool: str) -> str:
            raise ZeroDivisionError

    with ThreadPoolExecutor(1) as pool, instrument(pool, metrics=Broken(CollectorRegistry())):
        assert pool.submit(int, "5").result(PATIENCE) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_process_shows_none_of_its_parents_pools() -> None:
    code = """
import os, threading
from concurrent.futures import ThreadPoolExecutor
from measurand import REGISTRY
from measurand.integrations.concurrent import instrument
from measurand.metrics import shared

def show():
    names = ("threads", "threads_max", "threads_busy", "queue_length")
    print([REGISTRY.get_sample_value(f"thread_pool_{name}", {"pool": "mail"}) for name in names], flush=True)

instrument()
release, begun = threading.Event(), threading.Barrier(3)
pool = ThreadPoolExecutor(2, thread_name_prefix="mail")
for _ in range(2):
    pool.submit(lambda: (begun.wait(), release.wait()))
begun.wait()
pool.submit(int)
show()
wait, go_on = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(wait, 1)
    show()
    with ThreadPoolExecutor(5, thread_name_prefix="mail") as own:
        own.submit(int).result()
        show()
    os._exit(0)
shared.publish()  # as a runtime does every few seconds
os.write(go_on, b"x")
os.waitpid(pid, 0)
release.set()
pool.shutdown()
show()
"""
    ran = run_python(code, "-W", "ignore::DeprecationWarning")  # of a fork in a process with threads
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == ["[2.0, 2.0, 2.0, 1.0]", "[2.0, 2.0, 2.0, 1.0]", "[3.0, 7.0, 2.0, 1.0]", "[0.0, 0.0, 0.0, 0.0]"]


@pytest.mark.usefixtures("handle")
def test_whatever_is_submitted_cancelled_and_shut_down_at_random_it_comes_out_even(registry: CollectorRegistry) -> None:
    begun: list[int] = []

    def use(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(max(int(5 * SCALE), 1)):
            pool = ThreadPoolExecutor(choose.randint(1, 3), thread_name_prefix="mail")
            calls = []
            for number in range(choose.randint(1, 60)):
                calls.append(pool.submit(begun.append, number))
                if choose.random() < 0.4:
                    choose.choice(calls).cancel()
            pool.shutdown(wait=True, cancel_futures=choose.random() < 0.5)

    run_threads(*[lambda seed=seed: use(seed) for seed in range(4)])
    assert now(registry) == (0, 0)
    assert value(registry, "wait_seconds_count") == len(begun)
