"""SIGTERM under servers and in programs: what cannot be hooked, what needs more, what has no server."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

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


def uvicorn(heard: list[int], *, lifespan: str = "on", outcome: bool | None = False, timeout: float | None = None) -> SimpleNamespace:
    """What the hook knows of uvicorn's server; tests/e2e/test_drain.py has the real one."""

    def handle_exit(self: object, number: int, frame: object) -> None:
        heard.append(number)

    kind = type("Server", (SimpleNamespace,), {"handle_exit": handle_exit, "__module__": "uvicorn.server"})
    config = SimpleNamespace(lifespan=lifespan, timeout_graceful_shutdown=timeout)
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
