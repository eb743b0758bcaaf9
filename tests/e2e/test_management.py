"""P-27: the pages on a port of their own, with a token, under a real server with four workers."""

from __future__ import annotations

import http.client
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.process import Process, free_port
from tests.support import wait_until

pytestmark = pytest.mark.once

SERVICE = """
import os
from flask import Flask
import measurand

app = Flask(__name__)
measurand.flask(app, service="shop", state_directory="state", management=int(os.environ["MANAGEMENT"]), token="s3cret", drain_delay=0)


@app.get("/hello")
def hello():
    return "hello"
"""


class Service(NamedTuple):
    application: int
    management: int
    master: int


@pytest.fixture(params=[(), ("--preload",)], ids=["each worker loads", "the master loads"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service with four workers."""
    (tmp_path / "shop.py").write_text(SERVICE)
    application, management = free_port(), free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{application}", "--workers", "4", *request.param, "shop:app"]
    environment = {**os.environ, "MANAGEMENT": str(management), "GUNICORN_CMD_ARGS": "--no-control-socket"}
    server = Process(command, tmp_path, env=environment)
    try:
        wait_until(lambda: server.log.count("Booting worker") == 4, what=lambda: server.log)
        wait_until(lambda: status(application, "/hello") == 200, what=lambda: server.log)
        yield Service(application, management, server.pid)
    finally:
        server.stop()
    assert "Traceback" not in server.log


def ask(port: int, path: str, **headers: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def status(port: int, path: str, **headers: str) -> int:
    try:
        return ask(port, path, **headers)[0]
    except (OSError, http.client.HTTPException):
        return 0


def holder(port: int) -> int | None:
    """The process that listens on a port."""
    wanted = f"{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{fields[9]}]" for fields in lines if fields[1].endswith(f":{wanted}") and fields[3] == "0A"}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(descriptor) in sockets for descriptor in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:  # it has ended meanwhile
            continue
    return None


def test_one_server_with_a_token_whichever_worker_lives(service: Service) -> None:
    token = {"Authorization": "Bearer s3cret"}
    assert status(service.application, "/v1/metrics") == 404
    assert status(service.management, "/v1/metrics") == 401
    assert status(service.management, "/v1/metrics", Authorization="Bearer wrong") == 401
    code, body = ask(service.management, "/v1/metrics", **token)
    assert code == 200
    assert 'uptime_seconds{environment="development",service="shop"}' in body
    assert status(service.application, "/v1/ready") == status(service.management, "/v1/health") == 200
    first = holder(service.management)
    assert first is not None
    if first != service.master:  # a worker; the master that loaded the application holds the port as long as there is a service
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: holder(service.management) not in {None, first})
        wait_until(lambda: status(service.management, "/v1/metrics", **token) == 200)
