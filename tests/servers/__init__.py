"""Real servers for tests: private processes on free loopback ports, stopped by process id, awaited by conditions with a deadline.

A pytest plugin; ``tests/conftest.py`` loads it. Fixtures:

``prometheus``
    Called with a version ("2.42" or "3.5") it returns a running :class:`~tests.servers.prometheus.Prometheus`. Without further arguments
    that server is shared by the whole session: add targets with its ``scraping(...)``. With jobs, a configuration or flags of
    its own it belongs to the test.
``pushgateway``
    A running :class:`~tests.servers.pushgateway.Pushgateway`, the test's own.
``redis``
    A running :class:`~tests.servers.redis.Redis`, the test's own; it can be stopped, started and paused.
``rabbitmq``
    A running :class:`~tests.servers.rabbitmq.RabbitMQ`, shared by the whole session: name your queues so that they are your own.
``postgres``
    A running :class:`~tests.servers.postgres.Postgres`, the test's own; it can be stopped, started and paused.
``victoriametrics``
    A running :class:`~tests.servers.victoriametrics.VictoriaMetrics`, shared by the whole session.
``statsd_server``
    A running :class:`~tests.servers.statsd.StatsdServer`, the test's own.
``rotel``
    A running :class:`~tests.servers.emulators.Rotel`, the test's own.
``cloudwatch``
    A running :class:`~tests.servers.emulators.CloudWatchEmulator`, shared by the whole session; emptied before each test.
``promtool``
    Called with arguments (and text for its standard input) it runs promtool and returns the completed process.

A server that is not there skips the test, with the command that installs it; with ``MEASURAND_REQUIRE_SERVERS=1`` in the
environment it fails instead.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.servers import postgres as clusters
from tests.servers import pushgateway as gateways
from tests.servers import rabbitmq as brokers
from tests.servers import redis as stores
from tests.servers import statsd as adders
from tests.servers import victoriametrics as databases
from tests.servers.emulators import CloudWatchEmulator, Rotel
from tests.servers.postgres import Postgres
from tests.servers.process import require
from tests.servers.prometheus import Prometheus, binary
from tests.servers.pushgateway import Pushgateway
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.servers.statsd import StatsdServer
from tests.servers.victoriametrics import VictoriaMetrics

__all__ = [
    "CloudWatchEmulator",
    "Postgres",
    "Prometheus",
    "Pushgateway",
    "RabbitMQ",
    "Redis",
    "Rotel",
    "StatsdServer",
    "VictoriaMetrics",
    "cloudwatch",
    "postgres",
    "prometheus",
    "promtool",
    "pushgateway",
    "rabbitmq",
    "redis",
    "rotel",
    "statsd_server",
    "victoriametrics",
]


@pytest.fixture(scope="session")
def _shared_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Prometheus]]:
    running: dict[str, Prometheus] = {}
    with ExitStack() as stack:

        def shared(version: str) -> Prometheus:
            if version not in running:
                running[version] = stack.enter_context(Prometheus(binary("prometheus", version), tmp_path_factory.mktemp("prometheus")))
            return running[version]

        yield shared


@pytest.fixture
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, _shared_prometheus: Callable[[str], Prometheus]
) -> Iterator[Callable[..., Prometheus]]:
    """``prometheus(version="2.42", jobs=None, config=None, flags=())`` returns a running server."""
    with ExitStack() as stack:

        def start(version: str = "2.42", **settings: Any) -> Prometheus:
            if not settings:
                return _shared_prometheus(version)
            return stack.enter_context(Prometheus(binary("prometheus", version), tmp_path_factory.mktemp("prometheus"), **settings))

        yield start


@pytest.fixture
def pushgateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushgateway]:
    """A running Pushgateway."""
    with Pushgateway(gateways.binary(), tmp_path_factory.mktemp("pushgateway")) as running:
        yield running


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A running Redis."""
    with Redis(stores.binary(), tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A running RabbitMQ."""
    with RabbitMQ(brokers.binary(), tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


@pytest.fixture(scope="session")
def victoriametrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    """A running VictoriaMetrics."""
    with VictoriaMetrics(databases.binary(), tmp_path_factory.mktemp("victoriametrics")) as running:
        yield running


@pytest.fixture
def statsd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StatsdServer]:
    """A running StatsD."""
    with StatsdServer(adders.binary(), tmp_path_factory.mktemp("statsd")) as running:
        yield running


@pytest.fixture
def rotel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotel]:
    """A running OpenTelemetry collector."""
    with Rotel(tmp_path_factory.mktemp("rotel")) as running:
        yield running


@pytest.fixture(scope="session")
def _shared_cloudwatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudWatchEmulator]:
    with CloudWatchEmulator(tmp_path_factory.mktemp("cloudwatch")) as running:
        yield running


@pytest.fixture
def cloudwatch(_shared_cloudwatch: CloudWatchEmulator) -> CloudWatchEmulator:
    """A running emulator of CloudWatch that knows nothing yet."""
    _shared_cloudwatch.reset()
    return _shared_cloudwatch


@pytest.fixture(scope="session")
def _postgres_template() -> Iterator[Path]:
    with clusters.cluster(clusters.binary()) as template:
        yield template


@pytest.fixture
def postgres(_postgres_template: Path) -> Iterator[Postgres]:
    """A running PostgreSQL."""
    with Postgres(clusters.binary(), _postgres_template) as running:
        yield running


@pytest.fixture(scope="session")
def promtool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``promtool(*arguments, input=None, version="2.42")`` runs promtool to its end; its exit code is the caller's to judge."""

    def run(*arguments: str, input: str | None = None, version: str = "2.42") -> subprocess.CompletedProcess[str]:
        command = [require(binary("promtool", version)), *arguments]
        return subprocess.run(command, input=input or "", capture_output=True, text=True, timeout=60, check=False)

    return run
