"""DogStatsD's lines over a unix socket and UDP, to a reader of the lines as Datadog's agent reads them."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from measurand import CollectorRegistry, Counter, Gauge
from measurand.errors import ExportFailed
from measurand.exporters.addresses import from_address
from measurand.exporters.delivery import Delivery
from measurand.exporters.dogstatsd import DogStatsD
from measurand.exporters.protocol import Exporter
from measurand.testing.exporters import ExporterConformance
from tests.support import CLOSINGS, wait_until

pytestmark = pytest.mark.once


class Agent:
    """Adds up what it reads from a datagram socket; Datadog's own agent is not to be had as a package."""

    def __init__(self, socket_: socket.socket) -> None:
        self._socket = socket_
        self.counters: dict[str, float] = defaultdict(float)
        self.gauges: dict[str, float] = {}
        self.bad: list[bytes] = []
        self._closing = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._thread.join(20)
        self._socket.close()

    def _read(self) -> None:
        self._socket.settimeout(0.05)
        while not self._closing:
            try:
                data = self._socket.recv(65536)
            except OSError:
                continue
            for line in data.split(b"\n") if data else ():
                self._take(line)

    def _take(self, line: bytes) -> None:
        name, colon, rest = line.decode().partition(":")
        value, kind, *more = rest.split("|")
        if not colon or kind not in {"c", "g"}:
            self.bad.append(line)
            return
        key = name + "".join(part for part in more if part.startswith("#"))
        if kind == "c":
            self.counters[key] += float(value)
        else:
            self.gauges[key] = float(value)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[Agent, str]]:
    path = str(tmp_path / "dsd.socket")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(path)
    agent = Agent(made)
    yield agent, path
    agent.close()


class TestOverAUnixSocket(ExporterConformance):
    closings = CLOSINGS

    @pytest.fixture(autouse=True)
    def _agent(self, agent: tuple[Agent, str]) -> Iterator[None]:
        self.agent, self.path = agent
        yield
        assert self.agent.bad == []

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        return DogStatsD(self.path, transport="unix", timeout=timeout)

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return self.agent.counters.get(f"{name}_total#run:{labels['run']}")

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        return self.agent.gauges.get(f"{name}#run:{labels['run']}")

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        parts = [self.agent.counters.get(f"{name}.{part}#run:{labels['run']}") for part in ("count", "sum")]
        return parts[0], parts[1]


def test_a_socket_that_is_removed_and_made_again_is_found_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "dsd.socket"
    registry = CollectorRegistry()
    hits = Counter("hits", "d", registry=registry)
    exporter = DogStatsD(str(path), transport="unix", timeout=2)
    delivery = Delivery(exporter, registry)
    hits.inc()
    with pytest.raises(ExportFailed, match="takes no datagrams: No such file"):
        delivery.deliver()
    with pytest.raises(ExportFailed, match="cannot be found"):
        exporter.check()
    total = 0.0
    for _ in range(2):
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        server.bind(str(path))
        agent = Agent(server)
        delivery.deliver()
        total += 1
        wait_until(lambda agent=agent: agent.counters.get("hits_total") == 1)
        agent.close()
        path.unlink()
        hits.inc()
    assert total == 2
    exporter.close()


def test_ipv6_only_and_a_server_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as first, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as second:
        first.bind(("::1", 0))
        second.bind(("::1", 0))
        for server in (first, second):
            server.settimeout(20)
        where = [first]

        def resolve(host: str, port: int, **_: object) -> list[object]:
            assert (host, port) == ("agent.example", 8125)
            return [(socket.AF_INET6, socket.SOCK_DGRAM, 0, "", where[0].getsockname())]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        registry = CollectorRegistry()
        hits = Counter("hits", "d", registry=registry)
        exporter = DogStatsD("agent.example")
        delivery = Delivery(exporter, registry)
        hits.inc(3)
        delivery.deliver()
        assert first.recv(1000) == b"hits_total:3|c"
        where[0] = second
        first.close()  # from now on it is refused there
        hits.inc(4)
        delivery.deliver()
        assert second.recv(1000) == b"hits_total:4|c"
        exporter.close()


def test_of_two_addresses_the_one_is_found_where_somebody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as nobody:
        server.bind(("127.0.0.1", 0))
        nobody.bind(("::1", 0))
        server.settimeout(20)
        known = [(each.family, socket.SOCK_DGRAM, 0, "", each.getsockname()) for each in (nobody, server)]
        nobody.close()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)
        registry = CollectorRegistry()
        hits = Counter("hits", "d", registry=registry)
        exporter = DogStatsD("localhost")
        delivery = Delivery(exporter, registry)
        for _ in range(3):
            hits.inc(2)
            delivery.deliver()
            assert server.recv(1000) == b"hits_total:2|c"
        exporter.close()


def test_nothing_is_lost_while_nobody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        where = gone.getsockname()
    registry = CollectorRegistry()
    hits = Counter("hits", "d", registry=registry)
    exporter = DogStatsD(f"127.0.0.1:{where[1]}")
    delivery = Delivery(exporter, registry)
    for _ in range(3):
        hits.inc()
        with pytest.raises(ExportFailed, match="takes no datagrams: Connection refused"):
            delivery.deliver()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(where)
        server.settimeout(20)
        delivery.deliver()
        assert server.recv(1000) == b"hits_total:3|c"
    exporter.close()


def test_what_no_line_can_hold_is_counted(agent: tuple[Agent, str]) -> None:
    registry = CollectorRegistry()
    Gauge("level", "d", registry=registry).set(inf)
    Gauge("depth", "d", registry=registry).set(2)
    exporter = DogStatsD(agent[1], transport="unix")
    delivery = Delivery(exporter, registry)
    delivery.deliver()
    assert delivery.dropped == 1
    wait_until(lambda: agent[0].gauges == {"depth": 2})
    exporter.close()


def test_an_address_says_all_of_it() -> None:
    exporter = from_address("dogstatsd+unix:///var/run/dsd.socket?tag.team=parts&distributions=1&container=x&with_time=no&prefix=shop")
    assert (exporter.name, exporter.interval, repr(exporter)) == ("dogstatsd", 10.0, "DogStatsD('/var/run/dsd.socket')")
