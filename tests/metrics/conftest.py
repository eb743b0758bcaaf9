"""What the tests of this layer are given: a registry of their own, and what hangs until it is released."""

import threading
from collections.abc import Iterator

import prometheus_client
import pytest

from measurand import CollectorRegistry
from tests.metrics.company import Service
from tests.metrics.kit import helpers
from tests.support import wait_until


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


@pytest.fixture
def without_created_series() -> Iterator[None]:
    """Turns off in prometheus_client what is off in measurand."""
    prometheus_client.disable_created_metrics()
    yield
    prometheus_client.enable_created_metrics()


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What hangs, hangs until this is set; at the end it is, and all helper threads are awaited."""
    event = threading.Event()
    yield event
    event.set()
    wait_until(lambda: not helpers())


@pytest.fixture(scope="module", params=[(1, "c"), (4, "c"), (1, "python"), (4, "python")], ids=lambda param: f"{param[0]}-{param[1]}")
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of one process, or of four."""
    processes, twin = request.param
    running = Service(processes, twin == "python", tmp_path_factory.mktemp("service") / "families")
    yield running
    running.close()
