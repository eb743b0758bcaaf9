"""The Python twin where there is no interpreter lock: what it takes instead, also on interpreters that have theirs."""

from __future__ import annotations

import os

import pytest

from measurand.core.pure import exclusive
from tests.support import IS_FREE_THREADED, run_python

WITHOUT = """
import sys
sys._is_gil_enabled = lambda: False
import os, threading
from measurand.core import pure
from measurand.core.pure import exclusive
from measurand.core.contract import Spec
counter, histogram = pure.CounterBase(), pure.HistogramBase()
pure.define(counter, Spec(name="c", type="counter", kind="counter"))
pure.define(histogram, Spec(name="h", type="histogram", kind="histogram", bounds=(1.0,), width=3))
"""


def test_with_an_interpreter_lock_there_is_nothing_to_take() -> None:
    assert (exclusive.lock is None) is not IS_FREE_THREADED
    with exclusive.step, exclusive.step:  # a signal handler may record within a step
        pass


def test_without_one_records_and_moves_of_threads_wait_for_each_other() -> None:
    program = """
def record():
    for number in range(2000):
        counter.inc()
        histogram.observe(number % 2 * 2)
threads = [threading.Thread(target=record) for _ in range(4)]
[thread.start() for thread in threads]
while any(thread.is_alive() for thread in threads):
    pure.move(counter, memoryview(bytearray(24)).cast("d"), 1, "keep")
    pure.move(histogram, memoryview(bytearray(24)).cast("d"), 0, "keep")
    ((_, (low, all_of_them, total)),) = pure.freeze(histogram).rows()
    assert total == 2 * (all_of_them - low), (low, all_of_them, total)
print(pure.read(counter), pure.read(histogram))
"""
    ran = run_python(WITHOUT + program)
    assert ran.stdout.splitlines() == ["(8000.0,) (4000.0, 4000.0, 8000.0)"], ran.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_forked_while_another_thread_is_in_a_step_can_record() -> None:
    program = """
inside, forking = threading.Event(), threading.Event()
def step():
    with exclusive.lock:
        inside.set()
        assert not forking.wait(0.2)  # whoever forks waits for the end of this
thread = threading.Thread(target=step)
thread.start()
inside.wait()
pid = os.fork()
forking.set()
if pid == 0:
    counter.inc()
    os._exit(int(pure.read(counter) != (1.0,)))
thread.join()
counter.inc(2)
print(os.waitpid(pid, 0)[1], pure.read(counter))
"""
    ran = run_python(WITHOUT + program, "-W", "ignore")
    assert ran.stdout.splitlines() == ["0 (2.0,)"], ran.stderr
