"""Running other people's code with a deadline: in turn, past what hangs, never twice at once, across forks."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable

import pytest

from measurand.metrics.relay import Relay
from tests.metrics.kit import LONG, Stopped, helpers, in_forked_child, raising
from tests.support import run_threads, wait_until


def hanging(release: threading.Event, started: list[int] | None = None) -> Callable[[], str]:
    def hang() -> str:
        if started is not None:
            started.append(1)
        release.wait(LONG)
        return "late"

    return hang


def test_results_and_errors_come_back_in_order() -> None:
    errors = [KeyError("k"), Stopped(), SystemExit(3), KeyboardInterrupt()]
    outcomes = Relay().run([("a", lambda: 1), *[(error, raising(error)) for error in errors], ("b", lambda: 2)], LONG)
    assert [outcome.value for outcome in outcomes] == [1, None, None, None, None, 2]
    assert [outcome.error for outcome in outcomes] == [None, *errors, None]
    assert not any(outcome.late for outcome in outcomes)


def test_nothing_to_do_needs_no_thread() -> None:
    before = len(helpers())
    assert Relay().run([], LONG) == []
    assert len(helpers()) == before


def test_what_is_quick_runs_in_one_thread_in_turn() -> None:
    seen: list[tuple[int, int]] = []
    Relay().run([(number, lambda number=number: seen.append((number, threading.get_ident()))) for number in range(20)], LONG)
    assert [number for number, _ in seen] == list(range(20))
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_what_hangs_is_passed_by_and_is_late_at_the_deadline(release: threading.Event) -> None:
    batch = [("a", lambda: 1), ("b", hanging(release)), ("c", lambda: 3), ("d", hanging(release)), ("e", lambda: 5)]
    outcomes = Relay().run(batch, 1.5)
    assert [outcome.value for outcome in outcomes] == [1, None, 3, None, 5]
    assert [outcome.late for outcome in outcomes] == [False, True, False, True, False]


def test_what_is_slow_and_ends_in_time_is_not_late(release: threading.Event) -> None:
    def later() -> str:
        release.set()
        return "done"

    outcomes = Relay().run([("slow", hanging(release)), ("after", later)], LONG)
    assert [outcome.value for outcome in outcomes] == ["late", "done"]
    assert not any(outcome.late for outcome in outcomes)


def test_what_still_runs_is_not_started_again_and_threads_stay_few(release: threading.Event) -> None:
    relay, started = Relay(), []
    for _ in range(20):
        outcomes = relay.run([("hangs", hanging(release, started)), ("fine", lambda: 1), ("hangs too", hanging(release, started))], 1.5)
        assert [outcome.late for outcome in outcomes] == [True, False, True]
        assert outcomes[1].value == 1
        wait_until(lambda: len(helpers()) <= 2)
    assert len(started) == 2
    release.set()
    wait_until(lambda: not helpers())
    assert [outcome.value for outcome in relay.run([("hangs", lambda: "again")], LONG)] == ["again"]


def test_what_another_batch_runs_is_waited_for_and_run_once_more_for_all_who_waited(release: threading.Event) -> None:
    relay = Relay()
    started: list[int] = []
    asked: list[int] = []
    found: dict[int, list[object]] = {}

    def slow() -> int:
        started.append(1)
        answer = len(started)
        if answer == 1:
            release.wait(LONG)
        return answer

    def ask(number: int) -> None:
        if number > 0:
            wait_until(lambda: started)
        outcomes = relay.run([("slow", slow), (("own", number), lambda: asked.append(number))], LONG)
        found[number] = [outcome.value for outcome in outcomes if not outcome.late]

    def let_go() -> None:
        wait_until(lambda: {1, 2, 3} <= set(asked))  # what is free runs meanwhile
        release.set()

    run_threads(*[lambda number=number: ask(number) for number in range(4)], let_go)
    assert found == {0: [1, None], 1: [2, None], 2: [2, None], 3: [2, None]}
    assert len(started) == 2


def test_who_has_more_time_than_another_batch_waits_longer_for_what_that_one_began(release: threading.Event) -> None:
    relay, started = Relay(), []
    found: dict[float, list[object]] = {}

    def ask(timeout: float) -> None:
        found[timeout] = [outcome.value for outcome in relay.run([("slow", hanging(release, started))], timeout)]

    def ask_briefly() -> None:
        ask(0.2)
        release.set()

    run_threads(ask_briefly, lambda: (wait_until(lambda: started), ask(LONG)))
    assert found == {0.2: [None], LONG: ["late"]}


def test_who_has_no_time_to_ask_once_more_takes_what_was_answered_last(release: threading.Event) -> None:
    relay, started = Relay(), []
    found: list[object] = []

    def ask(timeout: float) -> None:
        found.extend(outcome.value for outcome in relay.run([("slow", hanging(release, started))], timeout))

    def ask_meanwhile() -> None:
        wait_until(lambda: started)
        began = time.monotonic()
        asking = threading.Thread(target=ask, args=(3.0,))
        asking.start()
        wait_until(lambda: time.monotonic() - began > 2.0)  # to ask once more would take as long again
        release.set()
        asking.join(LONG)

    run_threads(lambda: ask(LONG), ask_meanwhile)
    assert found == ["late", "late"]
    assert len(started) == 1


def test_a_function_that_stands_in_a_batch_twice_runs_once_at_a_time(release: threading.Event) -> None:
    running: list[int] = []
    most: list[int] = []

    def slow() -> int:
        running.append(1)
        most.append(len(running))
        release.wait(LONG)  # until another helper has passed the others of its kind by
        running.pop()
        return len(most)

    outcomes = Relay().run([*[("slow", slow)] * 3, ("after", release.set)], LONG)
    assert [outcome.value for outcome in outcomes] == [1, 2, 3, None]
    assert max(most) == 1


def test_functions_that_ask_for_each_other_do_not_wait_for_each_other() -> None:
    relay = Relay()
    both = threading.Barrier(2)
    entered: list[object] = []

    def asking(other: str) -> list[object]:
        if len(entered) < 2:
            entered.append(other)
            both.wait(LONG)
        return [outcome.value for outcome in relay.run([(other, functions[other])], LONG)]

    functions = {"a": lambda: asking("b"), "b": lambda: asking("a")}
    began = time.monotonic()
    run_threads(*[lambda name=name: relay.run([(name, functions[name])], LONG) for name in "ab"])
    assert time.monotonic() - began < LONG / 2


def test_what_asks_for_itself_does_not_wait_for_itself() -> None:
    relay = Relay()

    def nested() -> list[object]:
        return [outcome.value if not outcome.late else "late" for outcome in relay.run([("a", nested), ("b", lambda: 1)], LONG)]

    (outcome,) = relay.run([("a", nested)], LONG)
    assert outcome.value == ["late", 1]


def test_a_batch_that_only_waits_for_earlier_ones_does_not_wait(release: threading.Event) -> None:
    relay = Relay()
    relay.run([("hangs", hanging(release))], 0.5)
    assert [outcome.late for outcome in relay.run([("hangs", hanging(release)), ("fine", lambda: 1)], 0.5)] == [True, False]


def test_a_late_result_stays_out_of_the_outcomes(release: threading.Event) -> None:
    (outcome,) = Relay().run([("hangs", hanging(release))], 0.05)
    release.set()
    wait_until(lambda: not helpers())
    assert outcome.late
    assert outcome.value is None


def test_what_has_not_begun_at_the_deadline_does_not_begin_later(release: threading.Event) -> None:
    ran: list[int] = []
    outcomes = Relay().run([("hangs", hanging(release)), ("next", lambda: ran.append(1))], 0.02)
    assert [outcome.late for outcome in outcomes] == [True, True]
    release.set()
    wait_until(lambda: not helpers())
    assert ran == []


def test_threads_use_a_relay_at_once(release: threading.Event) -> None:
    relay = Relay()
    relay.run([("hangs", hanging(release))], 2.0)

    def scrape() -> None:
        for _ in range(20):
            own = [((threading.get_ident(), number), lambda number=number: number) for number in range(5)]
            outcomes = relay.run([("hangs", hanging(release)), *own], 2.0)
            assert [outcome.value for outcome in outcomes[1:]] == list(range(5))
            assert outcomes[0].late

    run_threads(*[scrape] * 4)


def test_a_function_sees_the_context_of_the_caller() -> None:
    request = contextvars.ContextVar("request", default="none")
    request.set("mine")
    (outcome,) = Relay().run([("a", request.get)], LONG)
    assert outcome.value == "mine"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_starts_anew(release: threading.Event) -> None:
    relay = Relay()
    relay.run([("hangs", hanging(release))], 0.05)

    def in_child() -> None:
        outcomes = relay.run([("hangs", lambda: "not here"), ("fine", lambda: 1)], LONG)
        assert [outcome.value for outcome in outcomes] == ["not here", 1]

    in_forked_child(in_child)
    assert relay.run([("hangs", lambda: 1)], 0.05)[0].late  # in the parent it still runs


def test_at_the_exit_of_the_interpreter_it_still_works() -> None:
    program = """
        import atexit
        from measurand import CollectorRegistry, Counter, generate_latest
        from measurand.metrics.families import GaugeMetricFamily

        registry = CollectorRegistry()
        Counter("jobs", "Jobs", registry=registry).inc()

        class Queue:
            def collect(self):
                yield GaugeMetricFamily("queue_length", "Jobs waiting", 3)

        registry.register(Queue())
        atexit.register(lambda: print(generate_latest(registry).decode()))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "jobs_total 1.0\n" in done.stdout
    assert "queue_length 3.0\n" in done.stdout
    assert "failures" not in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the memory of a process as Linux does")
def test_where_no_thread_can_be_started_the_caller_does_the_work() -> None:
    program = """
        import resource, threading
        from measurand.metrics.relay import Relay

        Relay().run([("warm", lambda: None)], 30)
        threading.stack_size(1 << 30)  # more than there may be
        resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
        try:
            threading.Thread(target=print).start()
        except RuntimeError:
            print([(o.value, str(o.error)) for o in Relay().run([("a", lambda: 1), ("b", lambda: 1 / 0), ("c", lambda: 3)], 30)])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[(1, 'None'), (None, 'division by zero'), (3, 'None')]\n", done.stderr
