"""What a core promises to child processes. Both twins."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import time
import warnings

import pytest

from tests.core.kit import Kit, exercise
from tests.support import SECONDS, eager_switching, in_background, no_forks_beside_threads, wait_until

THREADS = 4


def ended(pid: int) -> int | None:
    """The exit code of a child process that has ended, plus one thousand so that it is true."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return 1000 + os.waitstatus_to_exitcode(status) if done else None


@no_forks_beside_threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_records_and_reads_at_once_whatever_the_parents_threads_do(make: Kit) -> None:
    counter, histogram, gauge = make.counter("a", max_series=20), make.histogram("a"), make.gauge("a")
    numbers = itertools.count()

    def record() -> None:
        number = next(numbers)
        counter.labels(number % 30).inc()
        histogram.labels("x").observe(1)
        gauge.replace({number: 1, "x": 2})
        make.core.freeze(histogram)

    def in_child() -> None:
        value = make.rows(histogram).get(("x",), (0.0,) * 5)
        assert value[3] == value[4]
        histogram.labels("x").observe(1)
        assert make.rows(histogram)[("x",)][3] == value[3] + 1
        counter.labels("child").inc()
        gauge.replace({"child": 1})
        gauge.labels("child").inc()
        assert make.rows(gauge) == {("child",): (2.0,)}
        exercise(make.core.__name__)

    with eager_switching(), in_background(*[record] * THREADS), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads: it is what this test is about
        deadline = time.monotonic() + SECONDS
        for children in itertools.count():
            if children >= 5 and time.monotonic() > deadline:
                break
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    in_child()
                    code = 0
                finally:
                    os._exit(code)
            try:
                assert wait_until(lambda pid=pid: ended(pid), timeout=20) == 1000
            except AssertionError:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                raise


def test_a_spawned_child_starts_with_nothing_and_works(make: Kit) -> None:
    child = multiprocessing.get_context("spawn").Process(target=exercise, args=(make.core.__name__,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
