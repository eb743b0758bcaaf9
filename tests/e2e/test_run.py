"""``measurand run`` in front of real servers: programs that know nothing of us, and what is known of them afterwards."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.process import Process, free_port
from tests.support import wait_until

pytestmark = [pytest.mark.once, pytest.mark.skipif(os.name != "posix", reason="this system has no exec")]

FLASK = """
from flask import Flask
application = Flask("shop")

@application.get("/orders/<int:number>")
def order(number):
    return str(number)
"""
FASTAPI = """
from fastapi import FastAPI
application = FastAPI()

@application.get("/orders/{number}")
def order(number: int):
    return number
"""
DJANGO = """
import os, sys
from django.conf import settings
settings.configure(DEBUG=False, ROOT_URLCONF="shop", ALLOWED_HOSTS=["*"], SECRET_KEY="x", WSGI_APPLICATION="shop.application")
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("orders/<int:number>", lambda request, number: HttpResponse(str(number)))]
application = get_wsgi_application()
if __name__ == "__main__":
    from wsgiref.simple_server import make_server
    sys.modules["shop"] = sys.modules["__main__"]
    make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
"""


class Running(NamedTuple):
    port: int
    management: str
    server: Process

    def orders(self, endpoint: str) -> float | None:
        """How many orders were asked for, as the management server says."""
        page = ask(self.management, "/v1/metrics")[1]
        found = re.search(rf'^http_requests_total{{endpoint="{re.escape(endpoint)}",.*}} (\S+)$', page, re.MULTILINE)
        return float(found[1]) if found else None


def ask(address: str, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read().decode()


@contextmanager
def run(folder: Path, *command: object, source: str = "", options: tuple[str, ...] = ()) -> Iterator[Running]:
    """A program under ``measurand run``; ``PORT`` among its words is a free port."""
    (folder / "shop.py").write_text(source)
    port = free_port()
    words = [str(word).replace("PORT", str(port)) for word in command]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MEASURAND_", "SERVICE_"))}
    variables |= {"MEASURAND_STATE_DIRECTORY": str(folder / "state"), "MEASURAND_DRAIN_DELAY": "0"}
    variables["GUNICORN_CMD_ARGS"] = "--no-control-socket"
    ran = [sys.executable, "-m", "measurand", "run", "--management", str(free_port()), *options, "--", *words]
    server = Process(ran, folder, env=variables)
    try:
        yield Running(port, server.said(r"service 'shop': http://(\S+?)/v1/metrics")[1], server)
    finally:
        server.stop()


def answers(running: Running) -> bool:
    try:
        return ask(f"127.0.0.1:{running.port}", "/orders/7") == (200, "7")
    except (OSError, http.client.HTTPException):
        return False


BIND = "127.0.0.1:PORT"
PROGRAMS = {
    "uvicorn": (FASTAPI, "/orders/{number}", ["-m", "uvicorn", "shop:application", "--port", "PORT"]),
    "uvicorn, two workers": (FASTAPI, "/orders/{number}", ["-m", "uvicorn", "shop:application", "--port", "PORT", "--workers", "2"]),
    "gunicorn": (FLASK, "/orders/<int:number>", ["-m", "gunicorn", "shop:application", "-b", BIND, "-w", "2"]),
    "gunicorn, preloaded": (FLASK, "/orders/<int:number>", ["-m", "gunicorn", "shop:application", "-b", BIND, "-w", "2", "--preload"]),
    "flask run": (FLASK, "/orders/<int:number>", ["-m", "flask", "--app", "shop", "run", "--port", "PORT"]),
    "flask run, reloading": (FLASK, "/orders/<int:number>", ["-m", "flask", "--app", "shop", "run", "--port", "PORT", "--debug"]),
    "a script": (DJANGO, "/orders/<int:number>", ["shop.py", "PORT"]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_knows_nothing_of_us_is_measured(name: str, tmp_path: Path) -> None:
    source, endpoint, words = PROGRAMS[name]
    with run(tmp_path, sys.executable, *words, source=source) as running:
        wait_until(lambda: answers(running), 60, what=lambda: running.server.log, every=0.05)
        # a client has its answer a moment before that is counted
        before = wait_until(lambda: running.orders(endpoint), what=lambda: running.server.log, every=0.05)
        for _ in range(5):
            assert answers(running)
        wait_until(lambda: running.orders(endpoint) == before + 5, what=lambda: f"{running.orders(endpoint)} after {before}", every=0.05)
        assert running.server.log.count("service 'shop'") == 1, "workers say it once more"
        assert "Error in sitecustomize" not in running.server.log
        assert ask(running.management, "/v1/health")[0] == 200


CELERY = """
from celery import Celery
application = Celery("shop", broker="filesystem://", set_as_current=True)
application.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
application.conf.worker_hijack_root_logger = False

@application.task(name="shop.add")
def add(a, b):
    return a + b

if __name__ == "__main__":
    for number in range(5):
        add.delay(number, 1)
"""


def test_so_are_the_processes_of_a_celery_worker(tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    worker = ["worker", "--concurrency", "2", "--without-gossip", "--without-mingle"]
    with run(tmp_path, sys.executable, "-W", "ignore", "-m", "celery", "-A", "shop:application", *worker, source=CELERY) as running:
        subprocess.run([sys.executable, "-W", "ignore", "shop.py"], cwd=tmp_path, check=True, timeout=60)
        done = re.compile(r'^celery_tasks_total{.*queue="celery",.*state="SUCCESS",task="shop.add"} 5.0$', re.MULTILINE)
        wait_until(lambda: done.search(ask(running.management, "/v1/metrics")[1]), 60, what=lambda: running.server.log, every=0.1)


def test_it_says_what_is_measured_and_what_is_not_and_why(tmp_path: Path) -> None:
    source = "import signal\nprint('on', flush=True)\nsignal.pause()\n"
    with run(tmp_path, sys.executable, "shop.py", source=source, options=("--without", "django")) as running:
        running.server.said("on")
        for line in (r"measurand: flask \d\S+: measured where the program imports it", "measurand: skipped django: as told"):
            running.server.said(line)


def test_a_program_that_begins_by_itself_decides(tmp_path: Path) -> None:
    source = """
        import signal, measurand, sys
        from flask import Flask
        application = measurand.flask(Flask("own"), service="own", environment="production", common_labels={"team": "a"})
        print(measurand.start.__module__, "at", application.test_client().get("/nothing").status, flush=True)
        signal.pause()
    """
    with run(tmp_path, sys.executable, "shop.py", source="\n".join(line[8:] for line in source.splitlines())) as running:
        running.server.said("at 404")
        wait_until(lambda: 'team="a"' in ask(running.management, "/v1/metrics")[1], what=lambda: running.server.log)
        assert "Traceback" not in running.server.log


OTHERS = """
import multiprocessing, subprocess, sys
from pathlib import Path

CODE = "import sys; print('measured' if 'measurand.bootstrap.runtime' in sys.modules else 'left alone')"


def say():
    print("a worker is", "measured" if "measurand.bootstrap.runtime" in sys.modules else "left alone", flush=True)


if __name__ == "__main__":
    for method in ("spawn", "forkserver", "fork"):
        worker = multiprocessing.get_context(method).Process(target=say)
        worker.start()
        worker.join()
    print("another program is", subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True).stdout, flush=True)
    print("done", flush=True)
"""


def test_workers_are_measured_and_other_programs_are_not(tmp_path: Path) -> None:
    with run(tmp_path, sys.executable, "-W", "ignore", "shop.py", source=OTHERS + "    import signal\n    signal.pause()\n") as running:
        running.server.said("done")
        assert running.server.log.count("a worker is measured") == 3, running.server.log
        assert "another program is left alone" in running.server.log
