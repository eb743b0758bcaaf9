"""Several processes of one service: recording where the others can read it, scraping all of them, workers that come and go, forks.

The processes are made by ``os.fork()`` from the one that measures, as workers of a pre-forking server are: each has inherited the metrics.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import NoReturn

from benchmarks.adapters import Adapter, Touch
from benchmarks.exposition import LINES, filled, touch_all
from benchmarks.hotpath import label_sets
from benchmarks.timing import measure

KIND = "counter"
WORKERS = 3
"""Besides the process that measures: four together."""


class Worker:
    """A forked process that does something, says so, and waits to be ended.

    Args:
        work: What it does first.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        done, says = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be_a_worker(work, says)
        os.close(says)
        with os.fdopen(done, "rb") as said:
            if said.read(1) != b"+":
                raise RuntimeError("a worker has failed")

    def end(self) -> None:
        """End it as an orderly server would be unable to: without a word."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _be_a_worker(work: Callable[[], object], says: int) -> NoReturn:
    try:
        work()
        os.write(says, b"+")
        os.close(says)
        while True:
            signal.pause()
    finally:
        os._exit(1)


@contextmanager
def workers(count: int, work: Callable[[], object]) -> Iterator[list[Worker]]:
    """So many workers while the block lasts; the list may be changed in it."""
    running: list[Worker] = []
    try:
        running += [Worker(work) for _ in range(count)]
        yield running
    finally:
        for worker in running:
            worker.end()


def check(text: bytes, series: int, total: float) -> None:
    """Refuse to time a text that does not hold every process' numbers.

    Raises:
        AssertionError: It does not.
    """
    values = [float(line.rsplit(b" ", 1)[1]) for line in text.splitlines() if line and not line.startswith(b"#")]
    if len(values) != series * LINES[KIND] or sum(values) != total:
        raise AssertionError(f"{len(values)} series that come to {sum(values)}, not {series} that come to {total}")


def company(adapter: Adapter, benchmark: str, seconds: float, repeats: int) -> dict[str, float] | None:
    """Nanoseconds of a statement of the hot path in a process that has company (``ns``); and of the same statement on a metric that no
    other process sees (``private``), by turns, where the library has both."""
    alone = adapter.unshared()
    codes = {"ns": getattr(adapter, benchmark)()}
    if alone is not None:
        codes["private"] = getattr(alone, benchmark)()
    with workers(1, lambda: None):
        return measure(codes, seconds, repeats)


def _warm(touch: Touch, render: Callable[[], bytes], series: int) -> None:
    """What is done once: code is loaded, text that stays the same is made."""
    for turn in range(2):
        touch_all(touch, series, turn)
        render()


def _scrapes(touch: Touch, render: Callable[[], bytes], series: int, repeats: int) -> list[float]:
    times = []
    for turn in range(repeats):
        touch_all(touch, series, turn)
        start = perf_counter()
        render()
        times.append(perf_counter() - start)
    return times


def scrape(adapter: Adapter, series: int, repeats: int) -> dict[str, float] | None:
    """Seconds of a scrape that shows four processes with so many series each, after changes (``steady``)."""
    made = filled(adapter, KIND, series)
    if made is None:
        return None
    touch, render = made
    with workers(WORKERS, lambda: touch_all(touch, series, 1)):
        check(render(), series, expected(series, [0] + [1] * WORKERS))
        _warm(touch, render, series)
        return {"steady": median(_scrapes(touch, render, series, repeats))}


def expected(series: int, turns: list[int]) -> float:
    """What all series come to when :func:`touch_all` was called with each of these turns."""
    return float(sum((index * 7919 + turn) % 99_991 + 1 for index in range(series) for turn in turns))


def come_and_go(adapter: Adapter, series: int, generations: int, repeats: int) -> dict[str, float] | None:
    """Many workers, four processes at a time: seconds of a scrape with the first of them (``before``) and with the last (``steady``), how
    many times as long that is (``growth``), and the bytes of storage that their files take then (``bytes``) and took at first
    (``bytes_before``)."""
    made = filled(adapter, KIND, series)
    if made is None:
        return None
    touch, render = made

    def work() -> None:
        touch_all(touch, series, 1)

    with workers(WORKERS, work) as running:
        _warm(touch, render, series)
        before, at_first = median(_scrapes(touch, render, series, repeats)), _bytes(adapter)
        for _ in range(generations):
            oldest = running.pop(0)
            oldest.end()
            adapter.worker_ended(oldest.pid)
            running.append(Worker(work))
        text = render()
        turns = [0, *range(2), *range(repeats), *[1] * (WORKERS + generations)]
        check(text, series, expected(series, turns))
        after = median(_scrapes(touch, render, series, repeats))
        return {"before": before, "steady": after, "growth": after / before, "bytes_before": at_first, "bytes": _bytes(adapter)}


def _bytes(adapter: Adapter) -> int:
    return sum(file.stat().st_blocks * 512 for file in adapter.shared_files())


def fork(adapter: Adapter, series: int, repeats: int) -> dict[str, float] | None:
    """Seconds from before a fork until the child has added one to a series that it has inherited (``seconds``), until the parent goes on
    (``parent``), and until a child of a process without metrics has come to its first statement (``bare``)."""
    bare = median(_forked(lambda: None)[0] for _ in range(repeats))
    touch = adapter.counter_series()
    if touch is None:
        return None
    touch_all(touch, series, 0)
    (labels,) = label_sets(1)
    with workers(1, lambda: None):  # it has company: nothing that is done once is measured
        times = [_forked(lambda: touch(*labels, 1.0)) for _ in range(repeats)]
    return {"seconds": median(child for child, _ in times), "parent": median(parent for _, parent in times), "bare": bare}


def _forked(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds until the child has done its work, and until the parent goes on. Processes have one clock on Linux."""
    reading, writing = os.pipe()
    start = perf_counter()
    child = os.fork()
    if child == 0:
        try:
            work()
            os.write(writing, repr(perf_counter() - start).encode())
        finally:
            os._exit(0)
    parent = perf_counter() - start
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        taken = float(told.read())
    os.waitpid(child, 0)
    return taken, parent
