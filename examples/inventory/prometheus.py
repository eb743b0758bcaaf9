"""A private Prometheus for the demos: started when one is on PATH, gone when its block ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

HOW_TO_GET_IT = "apt-get install prometheus, or https://prometheus.io/download/"
SCRAPE_SECONDS = 1
STOP_SECONDS = 3


class Prometheus:
    """A running server. Its data live in the folder that it was given."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._port = port
        self.url = f"http://127.0.0.1:{port}/"

    def wait_until_ready(self, stop: threading.Event, *, tries: int = 50) -> bool:
        """Whether it answers queries now; gives up when it died, when ``stop`` is set, or after some 10 seconds."""
        for _ in range(tries):
            if self._process.poll() is not None:
                return False
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(self._connection()) as connection:
                connection.request("GET", "/-/ready")
                if connection.getresponse().status == 200:
                    return True
            if stop.wait(0.2):
                return False
        return False

    def graph(self, expression: str) -> str:
        """The address of a graph of the last two minutes."""
        return f"{self.url}graph?" + urlencode({"g0.expr": expression, "g0.tab": 0, "g0.range_input": "2m"})

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)


@contextlib.contextmanager
def scraping(host_and_port: str, folder: Path) -> Iterator[Prometheus | None]:
    """Run a Prometheus that scrapes ``host_and_port`` every second; ``None`` when there is no such program on PATH."""
    with running([{"job_name": "inventory", "static_configs": [{"targets": [host_and_port]}]}], folder) as server:
        yield server


@contextlib.contextmanager
def running(jobs: Sequence[Mapping[str, object]], folder: Path) -> Iterator[Prometheus | None]:
    """Run a Prometheus that scrapes every second what ``scrape_configs`` says; ``None`` when there is no such program on PATH."""
    program = shutil.which("prometheus")
    if program is None:
        yield None
        return
    folder.mkdir()
    configuration = folder / "prometheus.yml"  # JSON is YAML
    configuration.write_text(json.dumps({"global": {"scrape_interval": f"{SCRAPE_SECONDS}s"}, "scrape_configs": jobs}))
    port = _free_port()
    options = {"config.file": configuration, "storage.tsdb.path": folder / "data", "web.listen-address": f"127.0.0.1:{port}"}
    command = [program, *(f"--{option}={value}" for option, value in options.items())]
    with (folder / "prometheus.log").open("wb") as log:
        # A session of its own: the terminal's Ctrl-C reaches the demo alone, which then stops what it started.
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield Prometheus(process, port)
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
