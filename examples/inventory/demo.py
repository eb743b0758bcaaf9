"""The demo: the service on a fresh database, under traffic, with a Prometheus beside it when there is one; and what to open.

``python -m examples.inventory.demo`` runs until Ctrl-C. Everything it makes is private to it (loopback, free ports, a temporary
directory) and gone within 5 seconds of the end.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import sys
import tempfile
import threading
import time
import urllib.request
from _thread import interrupt_main
from collections.abc import Iterator, Sequence
from pathlib import Path
from signal import SIGTERM

from . import prometheus
from .database import Database
from .serve import address, listen, run
from .signals import stop_on_signals
from .traffic import Traffic, UnreachableError

REFRESH_SECONDS = 1
SECONDS_OF_TRAFFIC = 5  # before the numbers are shown
WORTH_SHOWING = (
    'inventory_quantity_changes_total{operation="add"}',
    'inventory_quantity_changes_total{operation="remove"}',
    "inventory_total_parts",
    "inventory_total_quantity",
    "inventory_low_stock_parts",
    "kits_created_total",
    "kits_active_count",
    "kits_archived_count",
    'kit_content_mutations_total{action="update"}',
    "kit_content_update_duration_seconds_count",
    'part_kit_usage_requests_total{has_results="true"}',
)
WORTH_ASKING = "sum by (operation) (rate(inventory_quantity_changes_total[30s]))"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.inventory.demo", description="Show the workshop inventory under traffic.")
    parser.add_argument("--port", type=int, default=0, help="port of the service (default: a free one)")
    parser.add_argument("--rate", type=float, default=20, help="requests a second (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the traffic (default: %(default)s)")
    parser.add_argument("--duration", type=float, default=math.inf, metavar="SECONDS", help="end by itself after so long (default: Ctrl-C)")
    parser.add_argument("--no-prometheus", action="store_true", help="do not start a Prometheus even if there is one")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that requests wait for a moment on a busy machine is no news here
    stop_on_signals()
    try:
        listener = listen("127.0.0.1", chosen.port)
    except OSError as reason:
        print(f"cannot listen on port {chosen.port}: {reason}; choose another one with --port", file=sys.stderr)
        return 1
    try:
        traffic = Traffic(address(listener), rate=chosen.rate, seed=chosen.seed)
    except ValueError as reason:
        listener.close()
        parser.error(str(reason))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inventory-demo-")))
        database = stack.enter_context(contextlib.closing(Database(f"sqlite:///{folder / 'inventory.db'}")))
        database.create_tables()
        host, port = listener.getsockname()
        server = None if chosen.no_prometheus else stack.enter_context(prometheus.scraping(f"{host}:{port}", folder / "prometheus"))
        show = Show(address(listener), traffic, server, may_start_one=not chosen.no_prometheus, duration=chosen.duration)
        stack.enter_context(show.running())
        run(database, listener, refresh_interval=REFRESH_SECONDS)
    print("Stopped; everything is cleaned up.")
    return 0


class Show:
    """What happens beside the server, in two threads: the traffic, and the telling."""

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
        print("Starting a workshop inventory and its traffic …\n", flush=True)
        while not all(self._numbers().get(name) for name in WORTH_SHOWING[:3]):
            if self._stop.wait(0.1):
                return
        print(self._what_to_open(), flush=True)
        self._stop.wait(min(SECONDS_OF_TRAFFIC, max(0.0, self._end - time.monotonic())))
        print(self._table(), flush=True)
        if self._end < math.inf and not self._stop.wait(max(0.0, self._end - time.monotonic())):
            interrupt_main(SIGTERM)

    def _what_to_open(self) -> str:
        lines = [
            "It is under traffic, and measured with measurand. Open:",
            "",
            f"  the service    {self._url}",
            f"  its metrics    {self._url}metrics",
            f"  OpenMetrics    curl -s -H 'Accept: application/openmetrics-text' {self._url}metrics",
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

    def _numbers(self) -> dict[str, float]:
        """The samples of one scrape; empty when the service does not answer (yet)."""
        try:
            with urllib.request.urlopen(f"{self._url}metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


if __name__ == "__main__":
    sys.exit(main())
