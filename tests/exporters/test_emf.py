"""The embedded metric format, on streams and on the agent's sockets."""

from __future__ import annotations

import fcntl
import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import from_address
from measurand.exporters.delivery import Delivery
from measurand.exporters.emf import EMF
from measurand.exporters.protocol import Exporter
from measurand.testing.exporters import ExporterConformance
from tests.support import CLOSINGS, wait_until

pytestmark = pytest.mark.once


class OnDocuments(ExporterConformance):
    """Adds up what the documents say."""

    answers = False
    closings = CLOSINGS

    def documents(self) -> list[dict[str, Any]]:
        raise LookupError

    def values(self, name: str, run: str) -> list[Any]:
        return [document[name] for document in self.documents() if document.get("run") == run and name in document]

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return sum(self.values(f"{name}_total", labels["run"]))

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        return next(reversed(self.values(name, labels["run"])), None)

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        found = self.values(name, labels["run"])
        return sum(value["Count"] for value in found), sum(value["Sum"] for value in found)


class TestOnAStream(OnDocuments):
    @pytest.fixture(autouse=True)
    def _stream(self) -> None:
        self.stream = io.StringIO()

    def forget(self) -> None:
        self.stream.seek(0)
        self.stream.truncate()

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        return EMF("Kit", destination=self.stream)

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


class Agent:
    """Keeps the lines that come on a TCP port, as CloudWatch's agent takes them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._read: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                self._read.extend(file)

    def lines(self) -> list[str]:
        return [line.decode() for line in list(self._read)]

    def forget(self) -> None:
        self._read.clear()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(20)


@pytest.fixture
def agent() -> Iterator[Agent]:
    made = Agent()
    yield made
    made.close()


class TestOnTheAgentsSocket(OnDocuments):
    @pytest.fixture(autouse=True)
    def _agent(self, agent: Agent) -> None:
        self.agent = agent

    def forget(self) -> None:
        self.agent.forget()

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        return EMF("Kit", destination=f"tcp://127.0.0.1:{self.agent.port}", timeout=timeout)

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.agent.lines()]


def test_a_document_is_a_datagram_where_the_agent_takes_those() -> None:
    registry = CollectorRegistry()
    Counter("orders", "d", registry=registry).inc(3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        exporter = EMF("Shop", destination=f"udp://127.0.0.1:{server.getsockname()[1]}", dimensions={"team": "parts"})
        exporter.check()
        Delivery(exporter, registry).deliver()
        document = json.loads(server.recv(65536))
        exporter.close()
    assert (document["orders_total"], document["team"]) == (3, "parts")


def test_lines_on_standard_output_are_never_mixed_with_others(capfd: pytest.CaptureFixture[str]) -> None:
    registry = CollectorRegistry()
    counter = Counter("orders", "d", ["n"], registry=registry)
    for number in range(300):
        counter.labels(str(number)).inc()
    delivery = Delivery(EMF("Shop"), registry)
    threads = [threading.Thread(target=lambda: [sys.stdout.write("{}\n") for _ in range(500)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    delivery.deliver()
    for thread in threads:
        thread.join(60)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line]
    assert sum(document.get("orders_total", 0) for document in lines) == 300


MANY = """
import os, sys
from measurand import CollectorRegistry, Counter
from measurand.exporters import EMF
from measurand.exporters.delivery import Delivery

registry = CollectorRegistry()
for number in range(200):
    Counter(f"{sys.argv[1]}_{number}", "d", registry=registry).inc()
delivery = Delivery(EMF("Shop"), registry)
for _ in range(40):
    for collector in registry.collectors():
        collector.inc()
    delivery.deliver()
"""


def test_lines_of_several_processes_on_one_pipe_do_not_mix() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # one page: what is larger has to be cut
    programs = [subprocess.Popen([sys.executable, "-c", MANY, f"program{number}"], stdout=writing) for number in range(3)]
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        found = [json.loads(line) for line in pipe]
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    for number in range(3):
        assert sum(document.get(f"program{number}_199_total", 0) for document in found) == 41


def test_what_was_written_before_a_stream_failed_is_not_written_again() -> None:
    class Filling(io.StringIO):
        room = 1

        def write(self, text: str) -> int:
            self.room -= 1
            if self.room < 0:
                raise OSError(28, "No space left on device")
            return super().write(text)

    registry, stream = CollectorRegistry(), Filling()
    orders = Counter("orders", "d", ["channel"], registry=registry)
    for channel in ("web", "shop", "phone"):
        orders.labels(channel).inc(3)
    delivery = Delivery(EMF("Shop", destination=stream), registry)
    with pytest.raises(OSError, match="No space left"):
        delivery.deliver()
    stream.room = 10
    delivery.deliver()
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sorted((document["channel"], document["orders_total"]) for document in found) == [("phone", 3), ("shop", 3), ("web", 3)]


def test_what_a_stream_does_not_take_is_written_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    registry, stream = CollectorRegistry(), Full()
    Counter("orders", "d", registry=registry).inc(3)
    delivery = Delivery(EMF("Shop", destination=stream), registry)
    with pytest.raises(OSError, match="No space left"):
        delivery.deliver()
    stream.full = False
    delivery.deliver()
    assert json.loads(stream.getvalue())["orders_total"] == 3
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ExportFailed, match="the program has no standard output"):
        Delivery(EMF("Shop"), registry).deliver()


def test_an_address_says_all_of_it(agent: Agent) -> None:
    assert repr(from_address("emf://stdout?namespace=Shop&interval=5")) == "EMF('Shop', destination='stdout')"
    exporter: Any = from_address(f"emf+tcp://127.0.0.1:{agent.port}?namespace=Shop&dimension.team=parts&timeout=5")
    exporter.check()
    registry = CollectorRegistry()
    Counter("orders", "d", registry=registry).inc()
    Delivery(exporter, registry).deliver()
    wait_until(lambda: any(json.loads(line).get("team") == "parts" for line in agent.lines()))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EMF(""), "a namespace of CloudWatch has 1 to 255 printable ASCII characters .*; '' is none"),
        (lambda: EMF("AWS/x"), "'AWS/x' is none"),
        (lambda: EMF("x", dimensions={"team": ""}), "a dimension of CloudWatch has a name and a value; 'team' is given as ''"),
        (lambda: EMF("x", destination="stderr"), "EMF goes to stdout, tcp://host:25888 or udp://host:25888, not to 'stderr'"),
        (lambda: EMF("x", destination="tcp://"), "is no address to send to"),
        (lambda: from_address("emf:"), "a namespace of CloudWatch"),
    ],
)
def test_what_cannot_be_used_is_said_at_once(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()
