"""SIGTERM under servers and in programs: what cannot be hooked, what needs more, what has no server."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from measurand import CollectorRegistry
from measurand.lifecycle.coordinator import Coordinator, State
from measurand.lifecycle.signals import hook_sigterm
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


# -- refusals ------------------------------------------------------------------------------------------------------------------


def refusal(coordinator: Coordinator, caplog: pytest.LogCaptureFixture) -> str:
    before = signal.getsignal(signal.SIGTERM)
    with caplog.at_level(logging.WARNING, "measurand"):
        hook = hook_sigterm(coordinator)
    assert not hook.installed
    assert signal.getsignal(signal.SIGTERM) == before, "a refusal changes nothing"
    (record,) = caplog.records
    assert hook.reason in record.getMessage()
    assert "measurand drain URL" in hook.reason
    return hook.reason


def test_a_process_without_a_handler_is_refused(coordinator, caplog) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert "no handler for it" in refusal(coordinator, caplog)


def test_a_process_that_ignores_it_is_refused(coordinator, caplog) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert "ignores it" in refusal(coordinator, caplog)


def test_an_event_loop_that_takes_it_is_refused(coordinator, caplog) -> None:
    async def refused() -> str:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
        return refusal(coordinator, caplog)

    assert "inside its event loop" in asyncio.run(refused())


def test_a_loop_with_a_handler_of_its_own_is_refused(coordinator, caplog) -> None:
    """As uvloop has."""

    class Loop(asyncio.AbstractEventLoop):
        def handle(self, number: int, frame: object) -> None: ...

    signal.signal(signal.SIGTERM, Loop().handle)
    assert "inside its event loop" in refusal(coordinator, caplog)


def test_a_handler_that_python_does_not_know_is_refused(coordinator, caplog, monkeypatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    assert "not installed by Python" in refusal(coordinator, caplog)


def test_a_system_without_signals_between_threads_is_refused(coordinator, caplog, monkeypatch) -> None:
    monkeypatch.delattr(signal, "pthread_kill")
    assert "no SIGTERM" in refusal(coordinator, caplog)


# -- servers and programs that end in their own ways ---------------------------------------------------------------------------


def uvicorn(
    heard: list[int], *, lifespan: str = "on", outcome: bool | None = False, timeout: float | None = None, reload: bool = False
) -> SimpleNamespace:
    """What the hook knows of uvicorn's server; tests/e2e/test_drain.py has the real one."""

    def handle_exit(self: object, number: int, frame: object) -> None:
        heard.append(number)

    kind = type("Server", (SimpleNamespace,), {"handle_exit": handle_exit, "__module__": "uvicorn.server"})
    config = SimpleNamespace(lifespan=lifespan, timeout_graceful_shutdown=timeout, should_reload=reload)
    return kind(config=config, lifespan=SimpleNamespace(error_occured=outcome), should_exit=False)


@pytest.mark.parametrize(
    ("lifespan", "outcome", "says_so"),
    [("off", None, False), ("auto", True, False), ("auto", False, True), ("on", False, True)],
    ids=["off", "not supported by the application", "auto", "on"],
)
def test_uvicorn_without_a_lifespan_is_stopped_so_that_exit_handlers_run(coordinator, metrics_clock, lifespan, outcome, says_so) -> None:
    heard = []
    server = uvicorn(heard, lifespan=lifespan, outcome=outcome)
    signal.signal(signal.SIGTERM, server.handle_exit)
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: coordinator.state is State.PREPARING)
    metrics_clock.advance(1)
    send()
    wait_until(lambda: heard or server.should_exit)
    assert (bool(heard), server.should_exit) == (says_so, not says_so)


@pytest.mark.parametrize(("chosen", "given"), [(None, pytest.approx(480, abs=30)), (7, 7)])
def test_uvicorn_waits_for_its_requests_within_the_budget_unless_it_was_told_how_long(coordinator, metrics_clock, chosen, given) -> None:
    heard = []
    server = uvicorn(heard, timeout=chosen)
    signal.signal(signal.SIGTERM, server.handle_exit)
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: coordinator.state is State.PREPARING)
    metrics_clock.advance(1)
    send()
    wait_until(lambda: heard)
    assert server.config.timeout_graceful_shutdown == given


def test_uvicorn_s_reloader_does_not_wait_for_load_balancers(coordinator, monkeypatch) -> None:
    heard = []
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    signal.signal(signal.SIGTERM, uvicorn(heard, reload=True).handle_exit)
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: heard)
    assert coordinator.state is State.DRAINING


@pytest.mark.parametrize(("reload", "parent"), [(True, None), (False, "a master")], ids=["without a reloader", "one of several workers"])
def test_another_uvicorn_waits_for_them(coordinator, monkeypatch, reload, parent) -> None:
    heard = []
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    signal.signal(signal.SIGTERM, uvicorn(heard, reload=reload).handle_exit)
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: coordinator.state is State.PREPARING)
    assert heard == []
    coordinator.skip_waits()
    wait_until(lambda: heard)


@pytest.fixture
def waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """A client that waits to be accepted."""
    with socket.create_connection(listener.getsockname(), timeout=30) as client:
        yield client


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


class Worker:
    """What the hook knows of gunicorn's worker; tests/e2e/test_drain.py has the real one."""

    def __init__(self, *sockets: socket.socket) -> None:
        self.sockets = sockets
        self.heard: list[int] = []
        signal.signal(signal.SIGTERM, self.handle_exit)

    def handle_exit(self, number: int, frame: object) -> None:
        self.heard.append(number)

    def has_still_not_heard(self, seconds: float = 0.3) -> bool:
        """After some time in which it would have, if nothing held the signal back."""
        with pytest.raises(AssertionError, match="not come true"):
            wait_until(lambda: self.heard, seconds)
        return not self.heard


@pytest.fixture
def prompt(handlers_as_before) -> Iterator[Callable[[float], Coordinator]]:
    """Makes coordinators without a drain delay, of a given budget."""
    made: list[Coordinator] = []

    def make(budget: float) -> Coordinator:
        made.append(Coordinator(budget=budget, drain_delay=0, registry=CollectorRegistry()))
        return made[-1]

    yield make
    for coordinator in made:
        coordinator.shutdown()  # ends the hook's thread


def test_a_server_that_accepts_one_by_one_stops_when_nobody_waits_to_be_accepted(prompt, listener, waiting) -> None:
    worker, coordinator = Worker(listener), prompt(600)
    hook_sigterm(coordinator)
    send()
    assert worker.has_still_not_heard()
    assert coordinator.state is State.PREPARING, "and accepting"
    with listener.accept()[0]:
        wait_until(lambda: worker.heard)
    assert coordinator.state is State.DRAINING


def test_who_is_never_accepted_is_given_a_part_of_what_remains(prompt, listener, waiting, caplog) -> None:
    worker, coordinator = Worker(listener), prompt(0.5)
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: worker.heard)
    assert "connections still wait to be accepted" in caplog.text


def test_a_second_signal_does_not_wait_for_them(prompt, listener, waiting, metrics_clock) -> None:
    worker, coordinator = Worker(listener), prompt(600)
    hook_sigterm(coordinator)
    send()
    assert worker.has_still_not_heard()
    metrics_clock.advance(2)
    send()
    wait_until(lambda: worker.heard)


def test_what_somebody_else_calls_sockets_holds_nothing_up(prompt) -> None:
    worker, coordinator = Worker(), prompt(600)
    worker.sockets = 3
    hook_sigterm(coordinator)
    send()
    wait_until(lambda: worker.heard)


PROGRAM = """
import atexit, logging, signal, threading
from measurand.lifecycle.coordinator import Coordinator, Event
from measurand.lifecycle.signals import hook_sigterm

logging.basicConfig(level="INFO")
coordinator = Coordinator(budget=20, drain_delay=0)
coordinator.add_waiter("work", lambda seconds: print("work done", flush=True) is None)
coordinator.add_flush("textfile", lambda seconds: print("flushed", flush=True))
atexit.register(print, "exit handlers ran", flush=True)
hook = hook_sigterm(coordinator, own_handler=True)
print(hook.installed, flush=True)
try:
    threading.Event().wait()
finally:
    print("finally", flush=True)
"""


def test_a_program_without_a_server_goes_through_its_shutdown_if_it_asks_for_that() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        child.terminate()
        said, log = child.communicate(timeout=60)
    assert said.splitlines() == ["work done", "flushed", "finally", "exit handlers ran"], log
    assert child.returncode == 143
    assert "flushed: textfile; lost: nothing" in log
