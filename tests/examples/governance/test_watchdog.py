"""What the watchdog sees, and when it halts: real probes of services that can be made to fail, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from examples.governance.constitution import HaltCause, Kind
from examples.governance.errors import PendingError, UnreachableError
from examples.governance.events import Act
from examples.governance.handover import Measured
from examples.governance.services.observer import create_app as create_observer
from examples.governance.services.observer import create_pass
from examples.governance.services.watchdog import create_app
from examples.governance.store import EventStore
from examples.governance.watchdog import Sight, Watchdog
from examples.governance.writer import Writer
from measurand.testing.readings import Readings
from tests.examples.governance.direct import Client, Direct
from tests.examples.governance.history import History
from tests.examples.governance.test_observer import observing

pytestmark = pytest.mark.once


class Service:
    """Answers probes with the status that it has for each."""

    def __init__(self) -> None:
        self.status = {"/v1/health": 200, "/v1/ready": 200}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(service.status[self.path])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()


class Stage:
    """A watchdog over one service, called observer, with a patience of ten seconds, in one event loop."""

    def __init__(self, url: str, direct: Direct, loop: asyncio.Runner) -> None:
        self.seconds = 0.0
        self.direct = direct
        self._loop = loop
        self.watchdog = Watchdog({"observer": url}, direct, patience=10, now=lambda: self.seconds)
        self.client = Client(create_app(self.watchdog, direct))

    def round(self, *, later: float = 0) -> None:
        self.seconds += later
        self._loop.run(self.watchdog.round())


@pytest.fixture
def stage(service: Service, writer: Writer) -> Iterator[Stage]:
    with asyncio.Runner() as loop:
        made = Stage(service.url, Direct(writer), loop)
        yield made
        loop.run(made.watchdog.close())


def halts(store: EventStore) -> list[tuple[str, str]]:
    return [(event.act.actor, event.act.text) for event in store.read() if event.act.kind == Kind.HALT]


def test_it_sees_who_is_alive_and_ready(stage: Stage, service: Service, metrics: Readings):
    assert stage.watchdog.seconds_since_last_round == float("inf")
    stage.round()
    assert stage.watchdog.sights == {"observer": Sight(alive=True, ready=True)}
    service.status["/v1/ready"] = 503
    stage.round(later=1)
    assert stage.client.get("/v1/targets").json() == {"targets": {"observer": {"alive": True, "ready": False}}}
    assert (metrics.value("watchdog_target_alive", target="observer"), metrics.value("watchdog_target_ready", target="observer")) == (1, 0)
    assert metrics.delta("watchdog_probes_total", target="observer", probe="ready", outcome="failed") == 1
    assert metrics.delta("watchdog_probes_total", target="observer", probe="health", outcome="passed") == 2
    assert metrics.delta("watchdog_probe_duration_seconds_count", target="observer") == 4
    assert stage.watchdog.seconds_since_last_round == 0


def test_a_redirect_is_no_good_answer(stage: Stage, service: Service):
    service.status["/v1/health"] = 307
    stage.round()
    assert not stage.watchdog.sights["observer"].alive


def test_it_halts_once_when_nobody_observes_for_longer_than_its_patience(
    stage: Stage, service: Service, store: EventStore, governance: Readings
):
    stage.round()
    service.status["/v1/ready"] = 503
    for _ in range(10):
        stage.round(later=1)
    assert halts(store) == []
    for _ in range(3):
        stage.round(later=1)
    assert halts(store) == [("watchdog", "nobody has observed the log for 11 seconds")]
    assert governance.delta("governance_halts_ordered_total", halt_cause=HaltCause.UNOBSERVED) == 1


def test_a_short_absence_is_none(stage: Stage, service: Service, store: EventStore):
    for status in (200, 503, 200, 503, 200):
        service.status["/v1/ready"] = status
        stage.round(later=8)
    assert halts(store) == []


def test_an_observer_that_is_gone_altogether_is_missed_too(stage: Stage, service: Service, store: EventStore):
    service.server.shutdown()
    service.server.server_close()
    stage.round(later=11)
    assert stage.watchdog.sights == {"observer": Sight()}
    assert len(halts(store)) == 1


@pytest.mark.parametrize("obstacle", [UnreachableError("away"), PendingError(Act(Kind.HALT, "watchdog"))])
def test_a_halt_that_cannot_be_recorded_is_tried_at_every_round_and_recorded_once(
    stage: Stage, service: Service, store: EventStore, governance: Readings, obstacle: Exception
):
    service.status["/v1/ready"] = 503
    stage.direct.obstacle = obstacle
    stage.round(later=11)
    stage.round(later=1)
    assert (halts(store), governance.delta("governance_halts_ordered_total")) == ([], 0)
    stage.direct.obstacle = None
    for _ in range(3):
        stage.round(later=1)
    assert len(halts(store)) == 1


def test_the_next_absence_is_a_reason_for_the_next_halt(stage: Stage, service: Service, store: EventStore):
    for _ in range(2):
        service.status["/v1/ready"] = 503
        stage.round(later=11)
        service.status["/v1/ready"] = 200
        stage.round(later=1)
        assert stage.client.post("/v1/lift", {"actor": "chair", "reason": "seen to"}).status_code == 201
    assert len(halts(store)) == 2


def test_authorities_halt_and_lift_by_order_and_nobody_lifts_unobserved(
    stage: Stage, service: Service, store: EventStore, governance: Readings
):
    stage.round()
    order = {"actor": "chair", "reason": "stop"}
    assert stage.client.post("/v1/halt", {**order, "actor": "bob"}).status_code == 403
    assert stage.client.post("/v1/halt", order).status_code == 201
    assert stage.client.post("/v1/halt", order).json()["code"] == "already_halted"
    assert governance.delta("governance_halts_ordered_total", halt_cause=HaltCause.ORDER) == 1
    service.status["/v1/ready"] = 503
    stage.round()
    assert stage.client.post("/v1/lift", order).json()["code"] == "unobserved"
    service.status["/v1/ready"] = 200
    stage.round()
    lifted = stage.client.post("/v1/lift", order)
    assert (lifted.status_code, lifted.json()["kind"]) == (201, "lift")
    assert stage.client.post("/v1/lift", order).json()["code"] == "not_halted"
    assert store.head().sequence == 2


def test_an_observer_that_finds_the_log_changed_halts_the_system_once(
    writer: Writer, history: History, store: EventStore, constitution, governance: Readings
):
    writer.prepare()
    observer, direct = observing(history, constitution), Direct(writer)
    look = create_pass(observer, Measured(direct))
    history.decided()
    with asyncio.Runner() as loop:
        loop.run(look())
        assert halts(store) == []
        history.tamper("UPDATE events SET text = 'against' WHERE sequence = 2")
        for _ in range(2):
            loop.run(look())
    assert halts(store) == [("observer", "the log is not what it was")]
    assert governance.delta("governance_halts_ordered_total", halt_cause=HaltCause.CHAIN) == 1
    findings = Client(create_observer(observer)).get("/v1/findings").json()
    assert (findings["chain_intact"], findings["halted"], findings["breaches"]["chain"]) == (False, True, 1)
