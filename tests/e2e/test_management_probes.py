"""The probes of the management server, where the process that has the port serves no clients: they tell of those that do."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.servers.process import Process, free_port
from tests.support import wait_until

pytestmark = pytest.mark.once

SERVICE = """
import os
from flask import Flask
import measurand

LOADED = os.getpid()
app = Flask(__name__)
check = measurand.Check("worker", lambda: os.getpid() != LOADED or "PRELOADED" not in os.environ)
measurand.flask(app, service="shop", state_directory="state", management=int(os.environ["MANAGEMENT"]), checks=[check], drain_delay=0)


@app.get("/hello")
def hello():
    return "hello"
"""


def status(port: int, path: str) -> int:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0


@contextmanager
def serving(folder: Path, command: Callable[[int], list[str]], **environment: str) -> Iterator[tuple[int, int]]:
    """The ports of the application and of the management server."""
    (folder / "shop.py").write_text(SERVICE)
    application, management = free_port(), free_port()
    ours = {"MANAGEMENT": str(management), "GUNICORN_CMD_ARGS": "--no-control-socket"}
    server = Process([sys.executable, *command(application)], folder, env={**os.environ, **ours, **environment})
    try:
        wait_until(lambda: status(management, "/v1/health") == 200, what=lambda: server.log)
        yield application, management
    finally:
        server.stop()


def becomes_ready(application: int, management: int) -> None:
    wait_until(lambda: status(application, "/hello") == 200)
    wait_until(lambda: (status(management, "/v1/ready"), status(management, "/v1/startup")) == (200, 200))
    ready = [sys.executable, "-m", "measurand", "ready", f"http://127.0.0.1:{management}"]
    said = subprocess.run(ready, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_where_the_master_loads_the_application_it_is_ready_when_a_worker_is(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn", reason="gunicorn is not there; run: pip install gunicorn")

    def preloaded(port: int) -> list[str]:
        return ["-m", "gunicorn", "--preload", "--workers", "2", "--bind", f"127.0.0.1:{port}", "shop:app"]

    with serving(tmp_path, preloaded, PRELOADED="1") as (application, management):
        assert (status(management, "/v1/ready"), status(management, "/v1/startup")) == (503, 503), "nothing serves yet"
        becomes_ready(application, management)
