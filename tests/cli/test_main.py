"""The verbs, on pages that are really served."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from measurand.catalog.index import markdown
from measurand.cli.main import main
from measurand.endpoints.drain import Progress, drain_page
from measurand.endpoints.management import ManagementServer
from measurand.endpoints.page import Response
from measurand.endpoints.pages import Page, Pages, Request

pytestmark = pytest.mark.once


class Service:
    """Pages whose answers the test chooses."""

    def __init__(self) -> None:
        self.status = 200
        self.body = {"status": "ready", "checks": {"database": {"healthy": True}, "cache": {"healthy": False}}}
        self.asked = 0
        self.drained_after = 3
        probe = Page(self.probe)
        drain = drain_page(self.begin, self.progress, None)
        self.server = ManagementServer(Pages({"/v1/ready": probe, "/v1/health": probe, "/v1/drain": drain}), "127.0.0.1", 0)
        self.begun = False

    def probe(self, request: Request) -> Response:
        self.asked += 1
        body = json.dumps(self.body).encode()
        return Response(self.status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)

    def begin(self) -> None:
        self.begun = True

    def progress(self) -> Progress:
        self.asked += 1
        return Progress("preparing", self.asked > self.drained_after, 2)


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    running.server.start()
    yield running
    running.server.stop()


@pytest.fixture
def nobody() -> Iterator[str]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize(("status", "said", "exit_status"), [(200, "ready", 0), (503, "not_ready", 1)])
def test_ready_says_the_state_and_what_fails(
    service: Service, capsys: pytest.CaptureFixture[str], status: int, said: str, exit_status: int
) -> None:
    service.status, service.body["status"] = status, said
    assert main(["ready", service.server.url]) == exit_status
    assert capsys.readouterr().out == f"{said}: cache\n"


def test_json_is_the_page_as_it_is(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ready", "--json", service.server.url]) == 0
    assert json.loads(capsys.readouterr().out) == service.body


def test_a_page_that_is_not_there_is_not_ready(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ready", f"{service.server.url}/elsewhere"]) == 1
    assert capsys.readouterr().out.startswith("404 ")


@pytest.mark.parametrize("verb", [["ready"], ["drain"], ["wait", "--timeout", "0.3"]])
def test_nobody_there_is_exit_status_3(nobody: str, capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    assert main([*verb, nobody]) == 3
    assert "does not answer: Connection refused" in capsys.readouterr().err


def test_wait_asks_until_it_is_so(service: Service) -> None:
    service.status = 503

    def become_ready() -> None:
        while service.asked < 2:
            pause.wait(0.01)
        service.status = 200

    pause = threading.Event()
    thread = threading.Thread(target=become_ready, daemon=True)
    thread.start()
    assert main(["wait", service.server.url, "--for", "live", "--timeout", "60"]) == 0
    assert service.asked >= 3
    thread.join(30)


def test_wait_gives_up_when_the_time_is_over(service: Service) -> None:
    service.status = 503
    assert main(["wait", service.server.url, "--timeout", "0.5"]) == 1
    assert service.asked >= 2


def test_drain_begins_and_returns(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drain", service.server.url]) == 0
    assert service.begun
    assert capsys.readouterr().out == "preparing\n"


def test_drain_can_wait_until_the_process_may_go(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drain", "--wait", service.server.url]) == 0
    assert service.asked > service.drained_after
    assert capsys.readouterr().out == "drained\n"


def test_a_drain_that_does_not_end_is_said(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.drained_after = 10**9
    assert main(["drain", "--wait", "--timeout", "0.5", service.server.url]) == 1
    assert capsys.readouterr().out == "not drained after 0.5 s: preparing\n"


def test_the_module_is_the_command() -> None:
    found = subprocess.run([sys.executable, "-m", "measurand", "ready", "ftp://x"], capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 2
    assert "'ftp://x' is no address; write it as http://127.0.0.1:9100" in found.stderr


def test_the_catalog_is_the_page_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog"]) == 0
    assert capsys.readouterr().out == markdown()
