"""SIGTERM in this process: the drain comes first, then what was there before."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable

import pytest

from measurand import CollectorRegistry
from measurand.lifecycle import signals
from measurand.lifecycle.coordinator import Coordinator, Event, State
from measurand.lifecycle.signals import Hook, hook_sigterm
from tests.lifecycle.kit import send
from tests.support import wait_until

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no signals between threads"),
]


@pytest.fixture
def coordinator(patient: Coordinator) -> Coordinator:
    """One whose drain delay does not end by itself."""
    return patient


def in_other_thread(call: Callable[[], object]) -> object:
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    thread.join(30)
    return answers[0]


def test_the_service_is_not_ready_and_still_accepts_until_the_server_gets_the_signal(coordinator, server) -> None:
    coordinator.started()
    hook = hook_sigterm(coordinator)
    assert (hook.installed, hook.reason) == (True, "")
    send()
    wait_until(lambda: coordinator.state is State.PREPARING)
    assert server.heard == []
    coordinator.drain()  # the delay is over
    wait_until(lambda: server.heard)
    assert server.heard == [(signal.SIGTERM, True, State.DRAINING)]


def test_the_drain_delay_ends_by_itself(server) -> None:
    coordinator = server.coordinator = Coordinator(budget=600, drain_delay=0.01, registry=CollectorRegistry())
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: server.heard)
    coordinator.shutdown()


def test_a_second_signal_skips_the_waits_and_later_ones_go_straight_to_the_server(coordinator, server, metrics_clock) -> None:
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: coordinator.state is State.PREPARING)
    metrics_clock.advance(1)
    send()
    wait_until(lambda: len(server.heard) == 1)
    send()
    wait_until(lambda: len(server.heard) == 2)


def test_a_signal_told_twice_is_one(coordinator, server, metrics_clock, caplog) -> None:
    """As systemd does to a server's workers, whose master passes it on as well."""
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: coordinator.state is State.PREPARING)
    with caplog.at_level(logging.DEBUG, "measurand"):
        for seconds in (0, 0.9):
            metrics_clock.advance(seconds)
            caplog.clear()
            send()
            wait_until(lambda: "the signal was told twice" in caplog.text)
    assert (coordinator.state, server.heard) == (State.PREPARING, [])
    metrics_clock.advance(0.2)
    send()
    wait_until(lambda: server.heard)


def test_readiness_goes_at_once_and_listeners_of_draining_are_called_before_the_server_hears(coordinator, server, metrics_clock) -> None:
    seen = []
    coordinator.on(Event.PREPARE_SHUTDOWN, lambda: seen.append(("preparing", list(server.heard))))
    coordinator.on(Event.DRAINING, lambda: seen.append(("draining", list(server.heard))))
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: coordinator.state is State.PREPARING)
    metrics_clock.advance(1)
    send()
    wait_until(lambda: server.heard)
    assert seen == [("preparing", []), ("draining", [])]


def test_interrupt_is_treated_alike_where_the_server_does_so(coordinator, server, monkeypatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: False)
    hook_sigterm(coordinator)
    send(signal.SIGINT)
    wait_until(lambda: coordinator.state is State.PREPARING)
    assert server.heard == []
    coordinator.skip_waits()
    wait_until(lambda: server.heard)
    assert server.heard[0][0] == signal.SIGINT


def test_interrupt_from_a_terminal_does_not_wait_for_load_balancers(coordinator, server, monkeypatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    hook_sigterm(coordinator)
    send(signal.SIGINT)
    wait_until(lambda: server.heard)
    assert server.heard == [(signal.SIGINT, True, State.DRAINING)]


def test_interrupt_is_left_alone_where_the_server_has_another_handler_for_it(coordinator, server) -> None:
    def quit_at_once(number: int, frame: object) -> None: ...

    signal.signal(signal.SIGINT, quit_at_once)
    hook_sigterm(coordinator)
    assert signal.getsignal(signal.SIGINT) is quit_at_once


def test_a_server_that_does_not_end_does_not_keep_the_last_numbers(server) -> None:
    coordinator = server.coordinator = Coordinator(budget=0.5, drain_delay=0, registry=CollectorRegistry())
    flushed = []
    coordinator.add_flush("textfile", flushed.append)
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: flushed)
    assert coordinator.shutdown().flushed == ("textfile",)
    assert len(flushed) == 1


def test_a_failing_drain_does_not_keep_the_signal_from_the_server(coordinator, server, monkeypatch, caplog) -> None:
    monkeypatch.setattr(Coordinator, "wait_for_drain_delay", lambda self: 1 / 0)
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: server.heard)
    assert "the drain failed; the server gets the signal now" in caplog.text


def test_where_no_thread_is_left_the_server_gets_the_signal_at_once(coordinator, server, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: server.heard)


def test_a_server_that_has_taken_its_handlers_away_meanwhile_gets_nothing_more(coordinator, server) -> None:
    later = []
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: coordinator.state is State.PREPARING)
    signal.signal(signal.SIGTERM, lambda number, frame: later.append(number))
    coordinator.shutdown()
    assert (server.heard, later) == ([], [])


# -- one hook ------------------------------------------------------------------------------------------------------------------


def test_hooking_twice_gives_one_hook(coordinator, server) -> None:
    hook = hook_sigterm(coordinator)
    assert hook_sigterm(coordinator) is hook


def test_removing_the_hook_puts_the_handlers_back(coordinator, server) -> None:
    hook = hook_sigterm(coordinator)
    hook.remove()
    assert not hook.installed
    assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT) == server.handle_exit
    send()
    wait_until(lambda: server.heard)
    assert coordinator.state is State.STARTING


def test_removing_it_leaves_a_handler_alone_that_came_later(coordinator, server) -> None:
    def later(number: int, frame: object) -> None: ...

    hook = hook_sigterm(coordinator)
    signal.signal(signal.SIGTERM, later)
    assert not hook.installed
    hook.remove()
    assert signal.getsignal(signal.SIGTERM) is later


def test_a_handler_that_was_installed_over_the_hook_can_be_hooked_again(coordinator, server) -> None:
    first = hook_sigterm(coordinator)
    signal.signal(signal.SIGTERM, server.handle_exit)
    second = hook_sigterm(coordinator)
    assert second is not first
    assert (first.installed, second.installed) == (False, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_in_a_child_process_the_signal_is_what_it_was(coordinator, server) -> None:
    """As gunicorn's workers after the application was loaded in the parent, or a helper process of the application."""
    hook = hook_sigterm(coordinator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads
        pid = os.fork()
    if not pid:
        code = 1
        try:
            send()
            wait_until(lambda: server.heard)
            ours = hook_sigterm(coordinator)
            code = 0 if not hook.installed and ours is not hook and ours.installed and coordinator.state is State.STARTING else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert hook.installed


# -- from another thread -------------------------------------------------------------------------------------------------------


def test_from_another_thread_it_is_installed_when_the_main_thread_comes_by(coordinator, server) -> None:
    hook = in_other_thread(lambda: hook_sigterm(coordinator))
    assert isinstance(hook, Hook)
    wait_until(lambda: hook.installed)
    assert hook.reason == ""
    in_other_thread(hook.remove)
    wait_until(lambda: not hook.installed)
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


def test_a_main_thread_that_does_not_come_by_is_a_refusal(monkeypatch, coordinator, server, caplog) -> None:
    monkeypatch.setattr(signals, "in_main_thread", lambda call: True)
    monkeypatch.setattr(signals, "COMES_BY_WITHIN", 0.01)
    hook = in_other_thread(lambda: hook_sigterm(coordinator))
    assert isinstance(hook, Hook)
    wait_until(lambda: caplog.records)
    assert "the main thread is busy elsewhere" in hook.reason
    hook.install()
    assert not hook.installed, "it has been refused, and stays so"


def test_where_the_main_thread_cannot_be_reached_it_is_refused(monkeypatch, coordinator, server) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    hook = in_other_thread(lambda: hook_sigterm(coordinator))
    assert isinstance(hook, Hook)
    assert not hook.installed
    assert "only be installed by the main thread" in hook.reason
