"""What the suites share: waiting for a condition, threads that report their failures, a clock that stands still."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import add
from typing import Any

import pytest

SCALE = float(os.environ.get("MEASURAND_TEST_SCALE", "1"))
"""How much longer than usual the suites that search for races run: 1 for every day, 120 for the full form."""


CLOSINGS = 10_000 if SCALE >= 120 else max(int(3 * SCALE), 1)
"""How often each exporter is closed at a random moment."""


SECONDS = 0.5 * SCALE
"""How long each of these searches runs."""


IS_FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether this interpreter runs without its lock."""


no_forks_beside_threads = pytest.mark.skipif(
    IS_FREE_THREADED, reason="a child forked while threads run may wait for ever for a lock of the interpreter's own, for example a dict's"
)


def for_a_while(seconds: float = SECONDS) -> Iterator[int]:
    """Count up until the time is over, at least to 100."""
    deadline = time.monotonic() + seconds
    for number in itertools.count():
        yield number
        if number % 100 == 99 and time.monotonic() > deadline:
            return


def added(values: Iterable[float]) -> float:
    """Their sum as a counter makes it, one after the other; from Python 3.12 on ``sum()`` is more exact."""
    return reduce(add, values, 0.0)


def wait_until(condition: Callable[[], Any], timeout: float = 60.0, *, what: Callable[[], str] | None = None, every: float = 0.002) -> Any:
    """Ask until ``condition()`` is true, and return what it returned; fail after ``timeout`` seconds.

    ``what`` says then what was waited for and what there was instead; ``every`` is the pause between two questions, in seconds.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {timeout:g} s: {what() if what else condition}")
        pause.wait(every)


def run_threads(*bodies: Callable[[], object], timeout: float = 120.0) -> None:
    """Run each body in a thread of its own, all starting together; raise what the first failing one raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(bodies))

    def run(body: Callable[[], object]) -> None:
        try:
            start.wait(timeout)
            body()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), f"threads still run after {timeout} s"


@contextmanager
def in_background(*steps: Callable[[], object], timeout: float = 120.0) -> Iterator[None]:
    """Repeat each step in a thread of its own while the block runs; raise at its end what the first failing one raised."""
    failures: list[BaseException] = []
    stop = threading.Event()

    def run(step: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                step()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout)
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), f"threads still run after {timeout} s"


@contextmanager
def eager_switching() -> Iterator[None]:
    """Let the interpreter switch threads at nearly every opportunity."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def run_python(
    code: str, *options: str, pure: str | None = None, timeout: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter that finds what this one finds, with these variables; MEASURAND_PURE is ``pure``, or not set."""
    environment = {name: value for name, value in os.environ.items() if name != "MEASURAND_PURE" and not name.startswith("PYTHONWARN")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    if pure is not None:
        environment["MEASURAND_PURE"] = pure
    environment.update(variables)
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


class StillClock:
    """A clock that moves only when told; see ``measurand.clock.Clock``."""

    def __init__(self) -> None:
        self.elapsed = 1000.0
        self.date = 1.7e9

    def monotonic(self) -> float:
        return self.elapsed

    def wall(self) -> float:
        return self.date

    def advance(self, seconds: float) -> None:
        self.elapsed += seconds
        self.date += seconds
