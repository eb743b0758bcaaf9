"""P-13: SIGTERM under load. Not ready at once, alive and accepting until everybody has noticed, no request lost, the last numbers kept."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.drain.load import Answer, Load
from tests.e2e.drain.running import Running
from tests.support import wait_until

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="these servers do not run on this system")]

DRAIN_DELAY = 1.6
BUDGET = 30.0

UVICORN = ("uvicorn", "tests.e2e.drain.asgi:app", "--port", "PORT")
GUNICORN = ("gunicorn", "--bind", "127.0.0.1:PORT")
THREADS = ("--worker-class", "gthread", "--threads", "16", "tests.e2e.drain.wsgi:app")
SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn without lifespan": (*UVICORN, "--lifespan", "off"),
    "uvicorn, 2 workers": (*UVICORN, "--workers", "2"),
    "gunicorn, threads, preloaded, 2 workers": (*GUNICORN, "--preload", "--workers", "2", *THREADS),
    "gunicorn, sync, 3 workers": (*GUNICORN, "--workers", "3", "tests.e2e.drain.wsgi:app"),
    "gunicorn, sync, 1 worker": (*GUNICORN, "--workers", "1", "tests.e2e.drain.wsgi:app"),  # what comes meanwhile waits to be accepted
    "gunicorn, uvicorn worker": (*GUNICORN, "--worker-class", "uvicorn_worker.UvicornWorker", "tests.e2e.drain.asgi:app"),
}
REFUSING = {
    "hypercorn": ("hypercorn", "--bind", "127.0.0.1:PORT", "tests.e2e.drain.asgi:app"),
    "granian": ("granian", "--interface", "asgi", "--port", "PORT", "tests.e2e.drain.asgi:app"),
}
PASSES_ON_LATE = 0.5
"""Seconds after which uvicorn's master may pass a signal on to its workers: it looks every half second."""


def in_progress(port: int) -> float:
    with urlopen(f"http://127.0.0.1:{port}/v1/metrics", timeout=20) as page:
        families = text_string_to_metric_families(page.read().decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == "http_requests_in_progress")


def is_no_answer(answer: Answer) -> bool:
    return answer.status == 0


@pytest.mark.parametrize("server", SERVERS)
def test_sigterm_under_load(server: str, tmp_path: Path) -> None:
    with Running(SERVERS[server], tmp_path, drain_delay=DRAIN_DELAY, budget=BUDGET) as service:
        load, ready, alive = Load(service.port), Load(service.port), Load(service.port)
        load.add("/work", count=2)
        load.add("/work?seconds=0.05")
        if "sync" not in server:  # which serves one request at a time and keeps no connection
            load.add("/work", count=3, keeps=True)
            load.add("/work?seconds=0.05", count=2, keeps=True)
        ready.add("/readyz", is_over=is_no_answer)
        alive.add("/livez", is_over=is_no_answer)
        wait_until(lambda: len(load.answers) > 50, what=lambda: f"{len(load.answers)} answers; {service.log}")

        told = service.terminate()
        wait_until(lambda: time.monotonic() > told + DRAIN_DELAY * 0.45)  # load balancers have noticed, and stop sending
        load.add("/work?seconds=1.2", is_over=lambda answer: True)  # in flight when the server stops accepting
        wait_until(lambda: time.monotonic() > told + DRAIN_DELAY * 0.5)
        load.stop()
        code, ended = service.exit(BUDGET * 2)
        ready.stop()
        alive.stop()

        assert [answer for answer in load.answers if answer.status != 200] == []
        refused = min(answer.answered for answer in ready.answers if answer.status == 503)
        accepted = max(answer.asked for answer in ready.answers if answer.status == 200)
        late = PASSES_ON_LATE if server == "uvicorn, 2 workers" else 0.0
        assert accepted - told < late + DRAIN_DELAY / 2, "not ready long before it stops accepting"
        assert any(answer.asked > refused for answer in load.answers), "and accepting all the while"
        lived = [answer.status for answer in alive.answers if answer.answered < told + DRAIN_DELAY]
        assert set(lived) == {200}
        assert code in (0, -signal.SIGTERM)
        assert told + DRAIN_DELAY < ended < told + BUDGET
        assert service.last_numbers("work_done_total") == len(load.answers), service.log
        assert "flushed: last numbers; lost: nothing" in service.log
        assert "Traceback" not in service.log
        print(f"{server}: 503 after {1000 * (refused - told):.0f} ms, exit after {ended - told:.2f} s, {len(load.answers)} requests")


def test_a_second_sigterm_skips_the_waits(tmp_path: Path) -> None:
    with Running(UVICORN, tmp_path, drain_delay=BUDGET, budget=BUDGET * 2) as service:
        told = service.terminate()
        ready = Load(service.port)
        ready.add("/readyz", is_over=lambda answer: answer.status == 503)
        wait_until(lambda: any(answer.status == 503 for answer in ready.answers))
        ready.stop()
        wait_until(lambda: time.monotonic() > told + 1.3)  # before that it would be the same signal told twice
        service.terminate()
        _, ended = service.exit(BUDGET)
        assert ended < told + BUDGET
        assert "a second signal" in service.log
        assert "flushed: last numbers; lost: nothing" in service.log


def test_a_request_that_never_ends_keeps_neither_the_server_nor_the_last_numbers(tmp_path: Path) -> None:
    with Running(UVICORN, tmp_path, drain_delay=0.2, budget=4) as service:
        load, stuck = Load(service.port), Load(service.port)
        load.add("/work", is_over=lambda answer: True)
        stuck.add("/endless", is_over=lambda answer: True)
        wait_until(lambda: load.answers)
        load.stop()
        wait_until(lambda: in_progress(service.port) == 1)
        told = service.terminate()
        _, ended = service.exit(60)
        stuck.stop()
        assert ended - told > 1, "it was waited for"
        assert service.last_numbers("work_done_total") == 1
        assert "flushed: last numbers; lost: nothing" in service.log


@pytest.mark.parametrize("server", REFUSING)
def test_where_sigterm_cannot_be_held_back_the_log_says_what_to_do_and_the_last_numbers_are_kept(server: str, tmp_path: Path) -> None:
    with Running(REFUSING[server], tmp_path, drain_delay=DRAIN_DELAY, budget=BUDGET) as service:
        load = Load(service.port)
        load.add("/work", is_over=lambda answer: len(load.answers) >= 10)
        wait_until(lambda: len(load.answers) >= 10)
        load.stop()
        service.terminate()
        service.exit(BUDGET)
        assert "no drain on SIGTERM" in service.log
        assert "measurand drain URL" in service.log
        assert "preStop" in service.log
        assert service.last_numbers("work_done_total") == len(load.answers), service.log
        assert "flushed: last numbers; lost: nothing" in service.log
