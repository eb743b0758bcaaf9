"""A service of four workers under real servers, with nothing set up: any worker shows what all of them have counted, exactly."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.servers.process import Process, environment_of, free_port, until
from tests.support import SCALE

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

WORKERS = 4
APP = '''
import json, os
from pathlib import Path
from measurand import Counter, Gauge, Histogram, REGISTRY, generate_latest
from measurand.metrics import shared

shared.begin(Path(__file__).with_name("families"))
HITS, SECONDS, BUSY = Counter("hits", "d", ["path"]), Histogram("seconds", "d"), Gauge("busy", "d")
journal = os.open(Path(__file__).with_name("journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def answer(path):
    if path == "/scrape":
        generate_latest()
        return json.dumps([REGISTRY.get_sample_value(*of) or 0 for of in (("hits_total", {"path": "/hit"}), ("seconds_count",), ("busy",))])
    with BUSY.track_inprogress(), SECONDS.time():
        HITS.labels(path).inc()
        os.write(journal, b"x" if path == "/hit" else b"")
    return str(os.getpid())

def wsgi(environ, start):
    start("200 OK", [])
    return [answer(environ["PATH_INFO"]).encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        body = answer(scope["path"]).encode()
        headers = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
'''
SERVERS = {
    "gunicorn": ["gunicorn", "service:wsgi", "--workers", str(WORKERS), "--bind", "127.0.0.1:PORT"],
    "gunicorn preloaded": ["gunicorn", "service:wsgi", "--preload", "--workers", str(WORKERS), "--bind", "127.0.0.1:PORT"],
    "uvicorn": ["uvicorn", "service:asgi", "--workers", str(WORKERS), "--port", "PORT", "--log-level", "warning"],
}


class Service:
    """A running service."""

    def __init__(self, server: str, folder: Path) -> None:
        (folder / "service.py").write_text(APP)
        self.port, self.folder, self.families = free_port(), folder, folder / "families"
        command = [sys.executable, "-m", *(part.replace("PORT", str(self.port)) for part in SERVERS[server])]
        environment = {**environment_of(Path(sys.executable)), "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
        self.process = Process(command, folder, env=environment)
        until(lambda: len(self.workers()) == WORKERS, lambda: f"{self.workers()} work:\n{self.process.log[-2000:]}", 60)

    def ask(self, path: str) -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def try_to_ask(self, path: str) -> str | None:
        try:
            return self.ask(path)
        except (OSError, HTTPException):  # the worker was killed, or none listens yet
            return None

    def scrape(self) -> list[float]:
        numbers: list[float] = json.loads(self.ask("/scrape"))
        return numbers

    def workers(self) -> set[str]:
        return {worker for worker in (self.try_to_ask("/warm") for _ in range(30)) if worker}

    def lanes(self) -> list[Path]:
        return list(self.families.glob("*/lane-*"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    started: list[Service] = []

    def service(server: str) -> Service:
        package = server.split(maxsplit=1)[0]
        pytest.importorskip(package, reason=f"{package} is not there; run: pip install {package}")
        started.append(Service(server, tmp_path))
        return started[-1]

    yield service
    for one in started:
        one.process.stop()


@pytest.mark.parametrize("server", SERVERS)
def test_p4_every_scrape_of_four_workers_reads_exactly_what_all_have_counted(start: Callable[[str], Service], server: str) -> None:
    service = start(server)
    seconds_before = service.scrape()[1]
    served = [service.ask("/hit") for _ in range(1000)]
    assert len(set(served)) > 1
    assert {tuple(service.scrape()) for _ in range(100)} == {(1000.0, seconds_before + 1000, 0.0)}
    assert len(service.lanes()) <= WORKERS + 1


def test_p1_killed_workers_leave_their_counts_and_no_files(start: Callable[[str], Service]) -> None:
    service = start("gunicorn")
    stop, chance, before, kills = threading.Event(), random.Random(1), 0.0, 0

    def load() -> None:
        while not stop.is_set():
            service.try_to_ask("/hit")

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(int(5 * SCALE)):
            for _ in range(20):
                answer = service.try_to_ask("/scrape")
                if answer is not None:
                    now = json.loads(answer)[0]
                    assert now >= before
                    before = now
            os.kill(int(chance.choice(sorted(service.workers()))), signal.SIGKILL)
            kills += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    until(lambda: len(service.workers()) == WORKERS, lambda: f"{service.workers()} work")
    assert abs(service.scrape()[0] - (service.folder / "journal").stat().st_size) <= kills
    assert len(service.lanes()) <= WORKERS + 1
    service.process.stop()
    assert not service.families.exists()
