"""Forks in C, as uWSGI's: a stand-in for its module, and the system's own fork without Python's hooks."""

from __future__ import annotations

import os

import pytest

from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

PROGRAM = """
import ctypes, os, sys, types

uwsgi = types.ModuleType("uwsgi")
uwsgi.worker_id = lambda: WORKER
uwsgi.post_fork_hook = lambda: print("the program's own hook", flush=True)
sys.modules["uwsgi"] = uwsgi
if DECORATORS:
    decorators = types.ModuleType("uwsgidecorators")
    chain = [uwsgi.post_fork_hook]
    decorators.postfork = chain.append
    uwsgi.post_fork_hook = lambda: [one() for one in chain]
    sys.modules["uwsgidecorators"] = decorators

from measurand import REGISTRY, Counter

hits = Counter("hits_total", "d")
hits.inc()
done = os.pipe()
for number in (1, 2):
    if ctypes.PyDLL(None).fork() == 0:
        uwsgi.post_fork_hook()
        hits.inc(10 ** number)
        print(int(REGISTRY.get_sample_value("hits_total")), flush=True)
        os._exit(0)
    os.wait()
print(int(REGISTRY.get_sample_value("hits_total")))
"""


def said(worker: str, decorators: bool) -> list[str]:
    done = run_python(PROGRAM.replace("WORKER", worker).replace("DECORATORS", str(decorators)))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("decorators", [True, False])
def test_children_that_python_is_not_told_of_count_with_the_others(decorators: bool) -> None:
    assert said("0", decorators) == ["the program's own hook", "11", "the program's own hook", "111", "111"]


def test_a_worker_that_loads_the_application_itself_needs_no_hook_and_neither_does_what_only_has_that_name() -> None:
    assert said("1", False) == ["the program's own hook", "11", "the program's own hook", "101", "1"]
    assert said("1 / 0", False) == ["the program's own hook", "11", "the program's own hook", "101", "1"]
