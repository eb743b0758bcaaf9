"""Real workers on real brokers: whatever becomes of a task, it is counted once, as a journal that the tasks write themselves says."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.celery_worker import Worker
from tests.servers.process import until
from tests.servers.redis import Redis, binary
from tests.support import SCALE

pytestmark = pytest.mark.once

KEPT, FORKED, CONCURRENCY = (2_000, 10_000, 8) if SCALE >= 120 else (60, 12, 2)
"""Tasks for children that are kept, tasks for children that are forked for one task each, and how many children each worker has."""

PATIENCE = 120 + KEPT / 4 + FORKED
"""Seconds for all of them on a slow and busy machine."""

BROKERS = ["redis", "rabbitmq"]


class Pair:
    """Two workers of one application: of the first queue with children that are kept, of the second with one for each task."""

    def __init__(self, kept: Worker, forked: Worker) -> None:
        self.both = (kept, forked)
        self.send = kept.send
        self.folder = kept.folder

    def shown(self, name: str, *by: str) -> Counter[tuple[str, ...]]:
        """What both show, added up."""
        kept, forked = (worker.shown(name, *by) for worker in self.both)
        return kept + forked

    def ended(self) -> Counter[tuple[str, ...]]:
        return self.shown("celery_tasks_total", "task", "queue", "state")

    def journal(self) -> Counter[tuple[str, ...]]:
        kept, forked = (worker.journal() for worker in self.both)
        return kept + forked

    def labels(self) -> set[str]:
        """Of all metrics that are ours."""
        pages = [worker.page() for worker in self.both]
        return {name for page in pages for (metric, series) in page if metric.startswith("celery_") for name, _ in series}


def await_ended(workers: Pair | Worker, number: int, timeout: float = 60) -> Counter[tuple[str, ...]]:
    """Wait until so many ends are counted; return them."""
    until(lambda: workers.ended().total() >= number, lambda: f"{workers.ended()}, {workers.journal()}", timeout)
    return workers.ended()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Pair]]:
    """Called with the name of a broker it returns two running workers there."""
    running: dict[str, Pair] = {}
    with ExitStack() as stack:

        def start(broker: str) -> Pair:
            if broker not in running:
                if broker == "redis":
                    url = stack.enter_context(Redis(binary(), tmp_path_factory.mktemp("redis"))).url
                else:
                    url = request.getfixturevalue("rabbitmq").url
                pool = ("--pool", "prefork", "--concurrency", str(CONCURRENCY))
                kept = Worker(url, tmp_path_factory.mktemp("kept"), *pool, queue="first")
                stack.callback(kept.stop)
                one = (*pool, "--max-tasks-per-child", "1")
                forked = stack.enter_context(Worker(url, tmp_path_factory.mktemp("forked"), *one, queue="second", prefix=kept.prefix))
                running[broker] = Pair(kept.__enter__(), forked)
            return running[broker]

        yield start


def plan() -> tuple[list[tuple[str, str, list[Any]]], Counter[tuple[str, ...]]]:
    """Tasks to publish, as name, queue and arguments; and how often each is to end in which state."""
    chosen = random.Random(37)
    kinds = {"work": 60, "flaky": 20, "fail": 8, "ignore": 4, "reject": 4}
    kinds |= {"die": 1.5, "die_once": 1, "leave": 1, "too_slow": 0.25, "hang": 0.25}
    states = {"work": "SUCCESS", "ignore": "IGNORED", "reject": "REJECTED", "flaky": "SUCCESS", "die_once": "SUCCESS"}
    tasks: list[tuple[str, str, list[Any]]] = []
    ends: Counter[tuple[str, ...]] = Counter()
    for queue, number in (("first", KEPT), ("second", FORKED)):
        for name in [*kinds, *chosen.choices(list(kinds), list(kinds.values()), k=number - len(kinds))]:
            retries = chosen.randint(1, 3)
            tasks.append((name, queue, {"flaky": [retries], "die_once": [f"once-{len(tasks)}"]}.get(name, [])))
            ends[name, queue, states.get(name, "FAILURE")] += 1
            if name == "flaky":
                ends[name, queue, "RETRY"] += retries
    chosen.shuffle(tasks)
    return tasks, ends


@pytest.mark.parametrize("broker", BROKERS)
def test_p37_counts_equal_a_journal_with_retries_kills_and_a_process_for_each_task(pair: Callable[[str], Pair], broker: str) -> None:
    workers = pair(broker)
    tasks, ends = plan()
    before, noted = workers.ended(), workers.journal()
    failed = workers.shown("celery_tasks_failed_total", "task", "error_type")
    published = workers.shown("celery_tasks_published_total", "task").total()
    (workers.folder / "plan").write_text(json.dumps(tasks))
    said = workers.send(
        "import json\n"
        "for name, queue, args in json.load(open('plan')):\n"
        "    globals()[name].apply_async(args, queue=f'{PREFIX}.{queue}')\n"
        "print(measurand.generate_latest().decode())",
        timeout=PATIENCE,
    )
    assert sum(float(line.split()[-1]) for line in said.splitlines() if line.startswith("celery_tasks_published_total{")) == len(tasks)

    await_ended(workers, before.total() + ends.total(), PATIENCE)
    assert workers.ended() - before == ends
    begun = workers.journal() - noted
    assert ends - begun == {}
    # Some are killed before their message is acknowledged: it is delivered again, and the task ends once.
    assert {task for task, _, _ in begun - ends} <= {"die", "leave"}
    retries = sum(number for (_, _, state), number in ends.items() if state == "RETRY")
    assert workers.shown("celery_tasks_published_total", "task").total() - published == retries
    causes: Counter[str] = Counter()
    for (_, error_type), number in (workers.shown("celery_tasks_failed_total", "task", "error_type") - failed).items():
        causes[error_type] += number
    assert causes == {
        "ValueError": total(ends, "fail"),
        "Reject": causes["Reject"],  # said by recent versions
        "SoftTimeLimitExceeded": total(ends, "too_slow"),
        "TimeLimitExceeded": total(ends, "hang"),
        "WorkerLostError": total(ends, "die") + total(ends, "leave"),
    }
    until(lambda: workers.shown("celery_tasks_in_progress", "queue") == {}, lambda: "tasks of children that are gone are in progress")
    assert workers.labels() == {"error_type", "le", "queue", "state", "task"}
    until(lambda: workers.shown("celery_workers", "queue") == {("first",): 2, ("second",): 2}, lambda: "both show both workers")


def total(ends: Counter[tuple[str, ...]], task: str) -> int:
    return sum(number for (name, *_), number in ends.items() if name == task)


@pytest.mark.parametrize("broker", BROKERS)
def test_revoked_tasks_are_counted_whether_they_ran_or_not(pair: Callable[[str], Pair], broker: str) -> None:
    workers = pair(broker)
    before = workers.ended()
    workers.send(
        "work.apply_async(expires=-1)\n"
        "later = work.apply_async(countdown=600, queue=SECOND)\n"
        "running = wait_for.delay('runs', 'nowhere')\n"
        "linger('runs')\n"
        "running.revoke(terminate=True)\n"
        "later.revoke()\n"
        "known = lambda: [ids for ids in (app.control.inspect(timeout=1).revoked() or {}).values() if later.id in ids]\n"
        "while len(known()) < 2: pass\n"  # each question waits for the answers
        "work.apply_async(task_id=later.id, queue=SECOND)"
    )
    ends = await_ended(workers, before.total() + 3) - before
    assert ends == {("work", "first", "REVOKED"): 1, ("work", "second", "REVOKED"): 1, ("wait_for", "first", "REVOKED"): 1}
    until(lambda: workers.shown("celery_tasks_in_progress", "queue") == {}, lambda: "what was revoked is in progress")
    assert workers.ended() - before == ends


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_workers_without_processes_count_the_same(redis: Redis, tmp_path: Path, pool: str) -> None:
    with Worker(redis.url, tmp_path, "--pool", pool, "--concurrency", "2") as worker:
        worker.send(
            "for _ in range(20):\n"
            "    work.delay(); flaky.apply_async([2], queue=SECOND); fail.delay(); ignore.delay(); reject.delay()\n"
            "work.apply_async(expires=-1); app.send_task('nobody.has.it')"
        )
        ends = await_ended(worker, 142)
        assert ends - worker.journal() == {("work", "first", "REVOKED"): 1, ("__unknown__", "first", "REJECTED"): 1}
        assert worker.journal() - ends == {}
        assert worker.journal().total() == 140
        assert worker.shown("celery_task_queue_wait_seconds_count", "queue") == {("first",): 80, ("second",): 60}
        assert worker.shown("celery_tasks_in_progress", "queue") == {}
        if pool == "threads":
            worker.send("wait_for.apply_async(['runs', 'go on'], queue=SECOND)\nlinger('runs')")
            assert worker.shown("celery_tasks_in_progress", "queue") == {("second",): 1}
            (tmp_path / "go on").touch()
            assert await_ended(worker, 143)["wait_for", "second", "SUCCESS"] == 1
            assert worker.shown("celery_tasks_in_progress", "queue") == {}
