"""Forks while other threads hold each lock that there is: no child waits for a thread that it does not have. Over both cores."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from tests.metrics.test_shared import PRELUDE
from tests.support import SCALE, run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

LIMIT = 120 * max(SCALE, 1)
"""Seconds that a program may take."""

OPERATIONS = {
    "a registry's": {
        "register": 'REGISTRY.unregister(Counter(f"own_{next(numbers)}", "d"))',
        "define again": 'Counter("a", "d", ["k"], max_series=None).labels("again").inc()',
        "a registry": "generate_latest(CollectorRegistry())",
        "timed": 'with timed("t_seconds", labels={"k": "x"}): pass',
        "common labels": "REGISTRY.set_common_labels({})",
    },
    "the lane's": {
        "series": "C.labels(next(numbers) % 3000).inc()",
        "removal": 'C.labels("removed").inc(); C.remove("removed")',
        "replacement": 'G.replace({next(numbers) % 9: 1, "x": 2})',
        "exemplar": 'H.observe(1, {"trace": "1"})',
        "facts": 'I.info({"number": str(next(numbers) % 5)})',
    },
    "the readers'": {
        "scrape": "generate_latest()",
        "sample": 'REGISTRY.get_sample_value("b_count")',
        "lead": 'shared.lead("a task")',
        "publish": "shared.publish()",
        "part": 'shared.take_part("another")\n    with shared.stepping_back("another"): pass',
    },
}

PROGRAM = """
import faulthandler, itertools
numbers = itertools.count()
C, H, G, I = Counter("a", "d", ["k"], max_series=None), Histogram("b", "d"), Gauge("g", "d", ["k"]), Info("i", "d")
stop, failed, turns = threading.Event(), [], itertools.count()
def repeat(operation):
    try:
        while not stop.is_set():
            operation()
            H.observe(1); next(turns)
            stop.wait(0.0005)
    except BaseException as failure:
        failed.append(repr(failure))
        raise
sys.setswitchinterval(1e-5)
threads = [threading.Thread(target=repeat, args=(operation,), daemon=True) for operation in operations]
for thread in threads: thread.start()
children = 0
while children < FORKS or next(turns) < 20 * len(threads):
    children += 1
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            faulthandler.dump_traceback_later(60, exit=True)  # says where it hangs
            for operation in operations: operation()
            C.labels("child").inc()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "a child failed or hung"
stop.set()
for thread in threads: thread.join()
assert not failed, failed
assert value("a_total", k="child") == children
"""


@pytest.mark.parametrize("pure", ["0", "1"], ids=["c", "python"])
@pytest.mark.parametrize("lock", OPERATIONS)
def test_a_child_does_at_once_what_other_threads_were_doing_during_the_fork(lock: str, pure: str, tmp_path: Path) -> None:
    place = tmp_path / "families"
    functions = [f"def operation_{i}():\n    {code}" for i, code in enumerate(OPERATIONS[lock].values())]
    known = f"operations = [{', '.join(f'operation_{i}' for i in range(len(functions)))}]\nFORKS = {int(15 * SCALE)}"
    ran = run_python("\n".join([PRELUDE, f"use({str(place)!r})", *functions, known, textwrap.dedent(PROGRAM)]), pure=pure, timeout=LIMIT)
    assert ran.returncode == 0, ran.stderr
    assert "Error" not in ran.stderr, ran.stderr
    assert not place.exists()


def test_a_fork_in_the_middle_of_a_step_leaves_parent_and_child_with_their_own(tmp_path: Path) -> None:
    """The signal handler that forks may interrupt the lane's growth; the interrupted step goes on in both processes."""
    for pure in "01":
        code = f"""
            import itertools, signal
            use({str(tmp_path / pure)!r})
            C, numbers, children, is_inside = Counter("a", "d", ["k"], max_series=None), itertools.count(), [], False
            Child(lambda: C.labels("start").inc(), stay=False)
            main = os.getpid()
            def handle(*_):
                if not is_inside or os.getpid() != main or 0 in children or len(children) >= {int(15 * SCALE)}: return
                children.append(0)
                children[-1] = os.fork()
                if children[-1] == 0: C.labels("child").inc()
            signal.signal(signal.SIGALRM, handle)
            signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
            while len(children) < {int(15 * SCALE)} or not all(children):
                is_inside = True
                C.labels(f"a rather long value, to fill the index: {{next(numbers)}}").inc()
                is_inside = False  # what a child goes on with counts it among all, once
                C.labels("all").inc()
                if os.getpid() != main:
                    C.labels("after").inc()
                    os._exit(0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            for pid in children: assert os.waitpid(pid, 0)[1] == 0
            n, made = len(children), next(numbers)
            got = value("a_total", k="child"), value("a_total", k="after"), value("a_total", k="all")
            assert got == (n, n, made + n), (got, n, made)
        """
        ran = run_python(f"{PRELUDE}\n{textwrap.dedent(code)}", pure=pure, timeout=LIMIT)
        assert ran.returncode == 0, ran.stderr
        assert "Error" not in ran.stderr, ran.stderr
