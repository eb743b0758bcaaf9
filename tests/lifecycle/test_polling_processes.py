"""Polling after a fork."""

from __future__ import annotations

import os
import warnings

import pytest

from measurand.lifecycle import polling as module
from tests.support import wait_until


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_polling_goes_on_in_a_child_process_even_if_it_was_forked_in_the_middle_of_a_call(make_polling, release, monkeypatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.02)
    polling, seen = make_polling(interval=0.02), []

    def callback() -> None:
        seen.append(os.getpid())
        if os.getpid() == parent:
            release.wait()

    async def coroutine() -> None:
        seen.append(-os.getpid())

    parent = os.getpid()
    polling.register("dashboard", callback, per_process=True)
    polling.register("coroutine", coroutine, per_process=True)
    polling.start()
    wait_until(lambda: parent in seen and -parent in seen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads: it is what this test is about
        pid = os.fork()
    if not pid:
        code = 1
        try:
            wait_until(lambda: os.getpid() in seen and -os.getpid() in seen, timeout=20)
            code = 0 if polling.stop(20) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
