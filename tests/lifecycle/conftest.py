"""What the tests of this layer share; whatever runs or hangs is stopped and released at the end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from measurand import CollectorRegistry
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.polling import Polling
from measurand.testing.readings import Readings
from tests.lifecycle.kit import THREADS, SignalServer, threads
from tests.support import wait_until


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


@pytest.fixture
def coordinator(registry) -> Coordinator:
    """With the defaults."""
    return Coordinator(registry=registry)


@pytest.fixture
def readings(registry) -> Readings:
    return Readings(registry)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What hangs, hangs until this is set; at the end it is, and what waited for it is awaited."""
    event = threading.Event()
    yield event
    event.set()
    wait_until(lambda: not threads("measurand-shutdown"))


@pytest.fixture
def make_polling(registry, release) -> Iterator[Callable[..., Polling]]:
    made: list[Polling] = []

    def polling(**settings: object) -> Polling:
        made.append(Polling(registry=registry, **settings))
        return made[-1]

    yield polling
    release.set()
    for one in made:
        one.stop(30)
    wait_until(lambda: not threads(*THREADS))


@pytest.fixture
def handlers_as_before() -> Iterator[None]:
    """Puts the handlers of signals back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    wait_until(lambda: not threads("measurand-hook"))


@pytest.fixture
def patient(handlers_as_before) -> Iterator[Coordinator]:
    """A coordinator with a drain delay that ends only when it is cut short, or the test is over."""
    made = Coordinator(budget=600, drain_delay=500, registry=CollectorRegistry())
    yield made
    made.shutdown()  # ends the hook's thread


@pytest.fixture
def server(patient) -> SignalServer:
    """Its handler is in place, for SIGTERM and SIGINT, as uvicorn's is."""
    made = SignalServer()
    made.coordinator = patient
    signal.signal(signal.SIGTERM, made.handle_exit)
    signal.signal(signal.SIGINT, made.handle_exit)
    return made
