"""Jobs in forked processes."""

from __future__ import annotations

import os

import pytest

from tests.support import run_python

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

PROGRAM = """
import os, signal, threading, warnings
import measurand
from measurand.exporters import Memory
from tests.support import wait_until

warnings.simplefilter("ignore", DeprecationWarning)
ROWS = measurand.Counter("rows", "Rows")

class Ledger(Memory):
    entered, go_on = threading.Event(), threading.Event()
    def export(self, snapshot):
        if os.getpid() == parent:
            self.entered.set()
            self.go_on.wait(60)
        super().export(snapshot)

parent, ledger = os.getpid(), Ledger("delta")

def run():
    with measurand.job("import", ledger, timeout=60):
        ROWS.inc()

thread = threading.Thread(target=run)
thread.start()
assert ledger.entered.wait(30)
child = os.fork()
if not child:  # while a thread of its parent is delivering to the same destination
    signal.alarm(60)
    code = 1
    try:
        with measurand.job("import", ledger, timeout=30):
            ROWS.inc(4)
        code = 0 if ledger.value("rows_total") == 5 else 2
    finally:
        os._exit(code)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
ledger.go_on.set()
thread.join()
assert code == 0, code
"""


def test_a_fork_while_a_run_is_delivered_holds_up_no_run_of_the_child() -> None:
    ran = run_python(PROGRAM)
    assert (ran.returncode, ran.stderr) == (0, "")
