"""Functions in threads of their own, with a deadline for whoever waits."""

from __future__ import annotations

import threading
import time

from measurand.lifecycle.apart import Apart, is_apart
from tests.support import wait_until


def test_what_became_of_each_function_is_told_in_their_order() -> None:
    failure = SystemExit(3)

    def fail() -> None:
        raise failure

    first, second = Apart("test-apart", [lambda: 7, fail]).wait(30)
    assert (first.value, first.error, first.is_done) == (7, None, True)
    assert (second.value, second.error, second.is_done) == (None, failure, True)


def test_they_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=20)
    assert all(outcome.error is None for outcome in Apart("test-apart", [together.wait] * 3).wait(30))


def test_nothing_to_do_is_done_at_once() -> None:
    assert Apart("test-apart", []).wait(600) == []


def test_one_that_hangs_is_left_behind_at_the_limit(release) -> None:
    begun = time.monotonic()
    hanging, quick = Apart("test-apart", [release.wait, int]).wait(0.1)
    assert 0.09 < time.monotonic() - begun < 20
    assert (hanging.is_done, quick.is_done) == (False, True)
    assert hanging.seconds >= 0.09


def test_whoever_waits_can_be_told_to_give_up(release) -> None:
    apart, outcomes = Apart("test-apart", [release.wait]), []
    waiting = threading.Thread(target=lambda: outcomes.extend(apart.wait(600)))
    waiting.start()
    apart.give_up()
    waiting.join(30)
    assert [outcome.is_done for outcome in outcomes] == [False]


def test_what_was_told_does_not_change_when_a_late_one_ends(release) -> None:
    apart = Apart("test-apart", [release.wait])
    (before,) = apart.wait(0)
    release.set()
    (after,) = apart.wait(30)
    assert (before.is_done, after.is_done) == (False, True)


def test_where_no_thread_can_be_started_the_caller_runs_them(monkeypatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    here = threading.current_thread()
    assert [outcome.value for outcome in Apart("test-apart", [threading.current_thread] * 2).wait(0)] == [here, here]
    assert not is_apart()


def test_code_knows_that_it_is_run_apart() -> None:
    (outcome,) = Apart("test-apart", [is_apart]).wait(30)
    assert outcome.value is True
    assert not is_apart()
    wait_until(lambda: not any(thread.name == "test-apart" for thread in threading.enumerate()))
