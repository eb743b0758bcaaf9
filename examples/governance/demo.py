"""The demo: the four services, one of them with four workers, under traffic, with a Redis and a Prometheus beside them where there are
such programs; and what to open.

``python -m examples.governance.demo`` runs until Ctrl-C. Everything it makes is private to it (loopback, free ports, a temporary
directory) and gone within seconds of the end.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..inventory import prometheus
from .domains import GOVERNANCE_PATH
from .fleet import Fleet
from .settings import SERVICES
from .traffic import Traffic, UnreachableError

METRICS_PATH = "/v1/metrics"
SECONDS_TO_START = 60
SECONDS_OF_TRAFFIC = 4  # before the numbers are shown
IN_A_HURRY = ("--interval=0.5", "--health-interval=1", "--drain-delay=0", "--witness-within=4", "--answer-within=5", "--environment=demo")
WORTH_SHOWING: Mapping[str, Mapping[str, Sequence[str]]] = {
    "observer": {
        GOVERNANCE_PATH: (
            "governance_chain_length",
            "governance_chain_intact",
            "governance_breaches_total",
            "governance_dissent_health_ratio",
            'governance_witness_coverage_ratio{act="decision"}',
            "governance_override_ratio",
            "governance_halts_total",
        ),
    },
    "api": {METRICS_PATH: ("http_requests_total", "http_requests_failed_total", "event_handovers_total", "measurand_processes")},
    "event-writer": {METRICS_PATH: ("event_store_append_duration_seconds_count",), GOVERNANCE_PATH: ("governance_refusals_total",)},
    "watchdog": {METRICS_PATH: ("watchdog_probes_total",)},
}
WORTH_ASKING = "sum by (article) (governance_breaches_total)"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.governance.demo", description="Show the governance platform under traffic.")
    parser.add_argument("--port", type=int, default=0, help="port of the api (default: a free one)")
    parser.add_argument("--rate", type=float, default=20, help="requests a second (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the traffic (default: %(default)s)")
    parser.add_argument(
        "--duration", type=float, default=math.inf, metavar="SECONDS", help="end after so much traffic (default: at Ctrl-C)"
    )
    parser.add_argument("--no-prometheus", action="store_true", help="do not start a Prometheus even if there is one")
    parser.add_argument("--no-redis", action="store_true", help="do not start a Redis even if there is one")
    chosen = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())  # noticed where it waits, so that nothing is left half-started
    with contextlib.ExitStack() as stack:
        stack.callback(print, "Stopped; everything is cleaned up.")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="governance-demo-")))
        print("Starting four governance services and an assembly …\n", flush=True)
        redis_url = None if chosen.no_redis else stack.enter_context(_redis(folder, stop))
        try:
            fleet = stack.enter_context(Fleet(folder, redis_url=redis_url, api_port=chosen.port, options=IN_A_HURRY))
            traffic = Traffic(fleet.urls["api"], fleet.urls["watchdog"], rate=chosen.rate, seed=chosen.seed)
        except OSError as reason:
            print(f"cannot listen on port {chosen.port}: {reason}; choose another one with --port", file=sys.stderr)
            return 1
        except ValueError as reason:
            parser.error(str(reason))
        server = None if chosen.no_prometheus else stack.enter_context(prometheus.running(_jobs(fleet), folder / "prometheus"))
        fleet.start_all()
        if not _came_up(fleet, stop):
            return 0 if stop.is_set() else 1
        print(_what_to_open(fleet, redis_url, server, stop, may_start_one=not chosen.no_prometheus), flush=True)
        end = time.monotonic() + chosen.duration
        with _working(traffic):
            _pause(fleet, min(SECONDS_OF_TRAFFIC, chosen.duration), stop)
            if not stop.is_set():
                print(_table(fleet, traffic), flush=True)
            return 0 if _pause(fleet, end - time.monotonic(), stop) else 1


# --- running --------------------------------------------------------------------------------------------------------------------


def _came_up(fleet: Fleet, stop: threading.Event) -> bool:
    """Wait until all are ready; false when told to stop, or, and said why, when one does not get there."""
    deadline = time.monotonic() + SECONDS_TO_START
    while waiting := [name for name in SERVICES if not fleet.is_ready(name)]:
        if fleet.dead() or time.monotonic() > deadline:
            _complain(fleet, (fleet.dead() or waiting)[0])
            return False
        if stop.wait(0.1):
            return False
    return True


def _pause(fleet: Fleet, seconds: float, stop: threading.Event) -> bool:
    """Let time pass, or be told to stop; false, and said why, when a service has died meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not stop.wait(min(left, 0.5)):
        if fleet.dead():
            _complain(fleet, fleet.dead()[0])
            return False
    return True


def _complain(fleet: Fleet, name: str) -> None:
    last = fleet.log_file(name).read_text().splitlines()[-20:]
    print(f"{name} does not work; the end of its log:", *last, sep="\n  ", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _working(traffic: Traffic) -> Iterator[None]:
    stop = threading.Event()

    def work() -> None:
        try:
            traffic.run(stop=stop)
        except UnreachableError as reason:
            if not stop.is_set():
                print(f"The traffic has stopped: {reason}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(1)


@contextlib.contextmanager
def _redis(folder: Path, stop: threading.Event) -> Iterator[str | None]:
    """A private Redis; ``None`` when there is no such program on PATH, or it does not start."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder}
    command = [program, *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield f"redis://127.0.0.1:{port}/0" if _accepts(port, process, stop) else None
    finally:
        process.terminate()
        try:
            process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _accepts(port: int, process: subprocess.Popen[bytes], stop: threading.Event) -> bool:
    while process.poll() is None and not stop.wait(0.02):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
    return False


def _jobs(fleet: Fleet) -> list[dict[str, object]]:
    """Both endpoints of all services; the label service says whose it is."""
    targets = [{"targets": [url.removeprefix("http://") for url in fleet.urls.values()]}]
    return [
        {"job_name": job, "metrics_path": path, "static_configs": targets}
        for job, path in (("operational", METRICS_PATH), ("governance", GOVERNANCE_PATH))
    ]


# --- telling --------------------------------------------------------------------------------------------------------------------


def _what_to_open(
    fleet: Fleet, redis_url: str | None, server: prometheus.Prometheus | None, stop: threading.Event, *, may_start_one: bool
) -> str:
    lines = [
        f"They work, and acts go through {'a queue in Redis' if redis_url else 'HTTP, without a redis-server'}. Open:",
        "",
        f"  the api             {fleet.urls['api']}/docs",
        f"  why it is ready     {fleet.urls['api']}/v1/ready",
        f"  p50, p95, p99       {fleet.urls['api']}/v1/latency",
        f"  what was found      {fleet.urls['observer']}/v1/findings",
        f"  what is watched     {fleet.urls['watchdog']}/v1/targets",
        *(f"  metrics             {fleet.urls[name]}{METRICS_PATH}  ({name})" for name in SERVICES),
        *(f"  governance metrics  {fleet.urls[name]}{GOVERNANCE_PATH}  ({name})" for name in SERVICES),
    ]
    if server is not None and server.wait_until_ready(stop):
        lines += [f"  Prometheus          {server.url}", f"  as a graph          {server.graph(WORTH_ASKING)}"]
    elif server is not None:
        lines += ["  Prometheus          was started but does not answer"]
    elif may_start_one:
        lines += [f"  Prometheus          is not installed; to see graphs here: {prometheus.HOW_TO_GET_IT}"]
    return "\n".join([*lines, "", "Ctrl-C stops everything.", ""])


def _table(fleet: Fleet, traffic: Traffic) -> str:
    rows = []
    for name, paths in WORTH_SHOWING.items():
        for path, wanted in paths.items():
            numbers = _numbers(f"{fleet.urls[name]}{path}")
            rows += [f"  {name:<12}  {series:<50}  {_sum(numbers, series):>10,.4g}" for series in wanted]
    return "\n".join([f"After {traffic.answers.total():,} requests:", "", *rows, ""])


def _sum(numbers: Mapping[str, float], wanted: str) -> float:
    """Over all series of that name which have those labels."""
    name, _, labels = wanted.rstrip("}").partition("{")
    return sum(value for series, value in numbers.items() if series.partition("{")[0] == name and labels in series)


def _numbers(url: str) -> dict[str, float]:
    """The samples of one scrape; empty when the service does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


if __name__ == "__main__":
    sys.exit(main())
