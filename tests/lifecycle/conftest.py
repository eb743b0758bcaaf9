"""What the tests of this layer share: a registry, a coordinator, polling that is stopped at the end, what hangs until it is released."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from measurand import CollectorRegistry
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.polling import Polling
from measurand.testing.readings import Readings
from tests.lifecycle.kit import THREADS, threads
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
