"""The demo: the service with several workers on a fresh database, under traffic, with stand-ins for what it asks elsewhere, and a
Prometheus beside it when there is one; and what to open.

``python -m examples.inventory.demo`` runs until Ctrl-C. Everything it makes is private to it (loopback, free ports, a temporary
directory) and gone within seconds of the end.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import prometheus
from .child import Ended, serving
from .serve import WORKERS
from .signals import stop_on_signals
from .standins import together
from .traffic import Traffic, UnreachableError

REFRESH_SECONDS = 1
DRAIN_SECONDS = 0.5  # nobody but us has to notice
SECONDS_OF_TRAFFIC = 5  # before the numbers are shown
WORTH_SHOWING = (
    'inventory_quantity_changes_total{operation="add"}',
    'inventory_quantity_changes_total{operation="remove"}',
    "inventory_total_parts",
    "inventory_total_quantity",
    "inventory_low_stock_parts",
    "kits_created_total",
    "kits_active_count",
    "pick_list_created_total",
    "pick_list_line_picked_total",
    "pick_list_pdf_generated_total",
    "shopping_list_receive_quantity_total",
    "sse_gateway_active_connections",
    'auth_validation_total{status="success"}',
    'ai_duplicate_search_requests_total{outcome="found"}',
    'mouser_api_requests_total{endpoint="search_by_keyword",status="success"}',
    'part_kit_usage_requests_total{has_results="true"}',
)
SCRAPES = 10  # of whichever worker answers
WORTH_ASKING = "sum by (operation) (rate(inventory_quantity_changes_total[30s]))"

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is never reached through a proxy


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.inventory.demo", description="Show the workshop inventory under traffic.")
    parser.add_argument("--port", type=int, default=0, help="port of the service (default: a free one)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes that serve (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=20, help="requests a second (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the traffic (default: %(default)s)")
    parser.add_argument("--duration", type=float, default=math.inf, metavar="SECONDS", help="end by itself after so long (default: Ctrl-C)")
    parser.add_argument("--no-prometheus", action="store_true", help="do not start a Prometheus even if there is one")
    chosen = parser.parse_args(arguments)
    if not chosen.rate > 0:
        parser.error("the rate must be above 0 requests a second")
    stop_on_signals()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inventory-demo-")))
        print("Starting a workshop inventory and its traffic …\n", flush=True)
        environment = stack.enter_context(together.running())
        environment |= {"DATABASE_URL": f"sqlite:///{folder / 'inventory.db'}", "MEASURAND_STATE_DIRECTORY": str(folder / "state")}
        options = {"port": chosen.port, "workers": chosen.workers, "log-level": "warning"}
        options |= {"refresh-interval": REFRESH_SECONDS, "drain-delay": DRAIN_SECONDS}
        try:
            service = stack.enter_context(serving(options, environment))
            where = service.url.removeprefix("http://").rstrip("/")
            server = None if chosen.no_prometheus else stack.enter_context(prometheus.scraping(where, folder / "prometheus"))
            traffic = Traffic(service.url, rate=chosen.rate, seed=chosen.seed)
            show = Show(service.url, traffic, server, may_start_one=not chosen.no_prometheus, duration=chosen.duration)
            stack.enter_context(show.running())
            service.wait(chosen.duration)
        except Ended as reason:
            return reason.status or 1
        except SystemExit:
            pass  # a signal: clean up, then say so
    print("Stopped; everything is cleaned up.")
    return 0


class Show:
    """What happens beside the service, in two threads: the traffic, and the telling."""

    def __init__(self, url: str, traffic: Traffic, server: prometheus.Prometheus | None, *, may_start_one: bool, duration: float) -> None:
        self._url = url
        self._traffic = traffic
        self._server = server
        self._may_start_one = may_start_one
        self._end = time.monotonic() + duration
        self._stop = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Both threads run while the block lasts."""
        threads = [threading.Thread(target=work, daemon=True) for work in (self._work, self._tell)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            deadline = time.monotonic() + 1
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        try:
            self._traffic.run(stop=self._stop)
        except UnreachableError as reason:
            if not self._stop.is_set():
                print(f"The traffic has stopped: {reason}", file=sys.stderr, flush=True)

    def _tell(self) -> None:
        while time.monotonic() < self._end - 2 and not all(self._numbers().get(name) for name in WORTH_SHOWING[:3]):
            if self._stop.wait(0.1):
                return
        print(self._what_to_open(), flush=True)
        self._stop.wait(min(SECONDS_OF_TRAFFIC, max(0.0, self._end - time.monotonic() - 1)))
        if not self._stop.is_set():
            print(self._table(), flush=True)
            print(self._who_answers(), flush=True)

    def _what_to_open(self) -> str:
        lines = [
            "It is under traffic, and measured with measurand. Open:",
            "",
            f"  the service    {self._url}",
            f"  its metrics    {self._url}metrics",
            f"  OpenMetrics    curl -s -H 'Accept: application/openmetrics-text' {self._url}metrics",
            f"  is it ready?   {self._url}v1/ready",
            f"  what happens   curl -sN {self._url}api/events",
            f"  sign in        {self._url}api/auth/login, then {self._url}api/me",
        ]
        if self._server is not None and self._server.wait_until_ready(self._stop):
            lines += [f"  Prometheus     {self._server.url}", f"  as a graph     {self._server.graph(WORTH_ASKING)}"]
        elif self._server is not None:
            lines += ["  Prometheus     was started but does not answer"]
        elif self._may_start_one:
            lines += [f"  Prometheus     is not installed; to see graphs here: {prometheus.HOW_TO_GET_IT}"]
        return "\n".join([*lines, "", "Ctrl-C stops everything.", ""])

    def _table(self) -> str:
        numbers = self._numbers()
        width = max(map(len, WORTH_SHOWING))
        rows = [f"  {name:<{width}}  {numbers[name]:>8,g}" for name in WORTH_SHOWING if name in numbers]
        return "\n".join([f"After {self._traffic.answers.total():,} requests:", "", *rows, ""])

    def _who_answers(self) -> str:
        """What to see of there being several workers: each shows the numbers of all."""
        workers = Counter[str]()
        scrapes = [numbers for _ in range(SCRAPES) if (numbers := self._numbers(workers))]
        counted = [sum(value for name, value in numbers.items() if name.startswith("http_requests_total{")) for numbers in scrapes]
        answered = ", ".join(f"{pid} ({times} x)" for pid, times in sorted(workers.items()))
        course = "never fewer than before" if counted == sorted(counted) else "AND FEWER IN BETWEEN, which should not be"
        seen = f"{min(counted, default=0):,g} to {max(counted, default=0):,g} requests"
        lines = [
            f"{len(scrapes)} scrapes just now were answered by {len(workers)} worker processes: {answered}.",
            f"Whoever answered showed what all of them had counted: {seen}, {course}.",
            f"Do the same by hand:     curl -si {self._url}metrics | grep -i -e ^x-worker -e ^kits_created_total",
            f"What each has recorded:  {sys.executable} -m measurand family --pid {min(workers, default='PID')}",
        ]
        return "\n".join([*lines, ""])

    def _numbers(self, workers: Counter[str] | None = None) -> dict[str, float]:
        """The samples of one scrape; empty when the service does not answer (yet). Counts in ``workers`` who answered."""
        try:
            with _direct.open(f"{self._url}metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        if workers is not None:
            workers[answer.headers["X-Worker"]] += 1
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


if __name__ == "__main__":
    sys.exit(main())
