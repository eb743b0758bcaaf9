"""What a service of four workers says of itself, and how it drains, under real servers: as one."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.process import Process, free_port
from tests.support import wait_until

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

WORKERS = 4
SERVICE = """
import os
from flask import Flask
import measurand
from measurand import Counter
from measurand.exporters.textfile import Textfile

LOADED_IN = os.getpid()
app = Flask(__name__)
HELLOS = Counter("hellos", "Greetings")


def who_loaded_is_not_well():
    return os.getpid() != LOADED_IN or not os.environ.get("PRELOADED")


def refresh():
    descriptor = os.open("calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"x")
    os.close(descriptor)


measurand.register_for_polling("refresh", refresh, interval=1000)
measurand.flask(
    app,
    service="shop",
    state_directory="state",
    management=int(os.environ["MANAGEMENT"]),
    drain_delay=0,
    health_interval=0.2,
    checks=[measurand.Check("worker", who_loaded_is_not_well)],
    exporters=[Textfile("last.prom", interval=1000)],
    common_labels={},
)


@app.get("/hello")
def hello():
    HELLOS.inc()
    return str(os.getpid())
"""


class Service(NamedTuple):
    application: int
    management: int
    server: Process
    folder: Path

    def ask(self, path: str, port: int = 0) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", port or self.application, timeout=30)) as connection:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def values(self) -> dict[str, list[float]]:
        """The series of the metrics page by what they are called, with their labels."""
        page = self.ask("/v1/metrics", self.management)[1]
        found: dict[str, list[float]] = {}
        for line in page.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found.setdefault(name, []).append(float(value))
        return found


@pytest.fixture(params=["preloaded", "each worker loads"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service whose workers all serve."""
    pytest.importorskip("gunicorn", reason="gunicorn is not there; run: pip install gunicorn")
    (tmp_path / "shop.py").write_text(SERVICE)
    options = ["--preload"] if request.param == "preloaded" else []
    application, management = free_port(), free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{application}", "--workers", str(WORKERS), *options, "shop:app"]
    environment = {name: value for name, value in os.environ.items() if name != "PRELOADED"}
    environment |= {"MANAGEMENT": str(management), "GUNICORN_CMD_ARGS": "--no-control-socket", **({"PRELOADED": "1"} if options else {})}
    made = Service(application, management, Process(command, tmp_path, env=environment), tmp_path)
    try:
        seen: set[str] = set()

        def all_serve() -> bool:
            try:
                seen.add(made.ask("/hello")[1])
            except (OSError, http.client.HTTPException):
                return False
            return len(seen) == WORKERS

        wait_until(all_serve, 90, what=lambda: f"{seen} work:\n{made.server.log[-3000:]}")
        yield made
    finally:
        made.server.stop()


def test_it_says_of_itself_what_one_process_would_say_drains_as_one_and_leaves_the_whole_truth(service: Service) -> None:
    expected = {
        "service_ready": [1.0],
        'health_check_status{check="worker"}': [1.0],  # a master that only starts workers finds otherwise, and does not serve
        "application_shutting_down": [0.0],
        'app_info{environment="development",version="unknown"}': [1.0],
        "service_starts_total": [1.0],
        'http_requests_in_progress{method="GET"}': [0.0],
        'measurand_poll_errors_total{name="refresh"}': [0.0],
        'measurand_poll_duration_seconds_count{name="refresh"}': [1.0],
    }
    wait_until(lambda: {name: service.values().get(name) for name in expected} == expected, what=lambda: str(service.values()))
    shown = service.values()
    assert len(shown["uptime_seconds"]) == 1
    assert 0 <= shown['measurand_poll_age_seconds{name="refresh"}'][0] <= shown["uptime_seconds"][0] + 1
    assert [name for name in shown if "pid=" in name] == []
    assert (service.folder / "calls").read_text() == "x", "one process polls"
    later = [service.values()["uptime_seconds"][0] for _ in range(3)]
    assert later == sorted(later)

    drain = [sys.executable, "-m", "measurand", "drain", f"http://127.0.0.1:{service.management}", "--wait"]
    drained = subprocess.run(drain, capture_output=True, text=True, timeout=90, check=False)
    assert drained.returncode == 0, drained.stdout + drained.stderr
    assert {service.ask("/v1/ready")[0] for _ in range(60)} == {503}
    assert service.ask("/hello")[0] == 200, "it still accepts"
    wait_until(lambda: service.values()["service_ready"] == [0.0])
    wait_until(lambda: service.values()["application_shutting_down"] == [1.0])

    hellos = service.values()["hellos_total"][0]
    for _ in range(20):
        service.ask("/hello")
    service.server.stop()
    last = (service.folder / "last.prom").read_text()
    assert float(re.findall(r"^hellos_total (\S+)$", last, re.MULTILINE)[0]) == hellos + 20
