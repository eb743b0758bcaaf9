"""uvicorn as developers run it: with a root path, and with a reloader that stops the server at each change."""

from __future__ import annotations

import http.client
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers.process import Process, free_port
from tests.support import wait_until

pytestmark = pytest.mark.once

SERVICE = """
import measurand


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


app = measurand.asgi(hello, service="shop", state_directory="state", shutdown_budget=600, drain_delay=500)
"""


def status(port: int, path: str) -> int:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0


def test_probes_are_not_logged_below_a_root_path_and_a_reload_does_not_wait_for_load_balancers(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SERVICE)
    port = free_port()
    server = Process([sys.executable, "-m", "uvicorn", "shop:app", "--root-path", "/pre", "--reload", "--port", str(port)], tmp_path)
    try:
        wait_until(lambda: status(port, "/v1/ready") == 200, what=lambda: server.log)
        assert status(port, "/hello") == 200
        server.said("GET /pre/hello")
        assert "/v1/ready" not in server.log
        (tmp_path / "shop.py").write_text(f"{SERVICE}# changed\n")
        wait_until(lambda: server.log.count("Started server process") == 2, what=lambda: server.log)
    finally:
        server.stop()
