"""A service whose exporters are told on the command line; what it does is told line by line on standard input, and answered in JSON.

``python -m tests.e2e.exporters.service '{"exporters": [["otlp", "127.0.0.1:1"], …], "interval": 0.2}'``

``record N``
    Counts N times, watched: answers how often, and which events of sockets and files the recording thread caused.
``count N``
    Counts N times, and answers how often that is.
``stop SECONDS``
    Stops the runtime and answers what came of it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import measurand
from measurand import Counter, Histogram
from measurand.exporters import EMF, OTLP, CloudWatch, DogStatsD, Pushgateway, RemoteWrite, StatsD

ORDERS = Counter("orders_total", "Orders accepted", ["channel"])
SECONDS = Histogram("order_seconds", "Time that an order took")

MAKE: dict[str, Callable[..., Any]] = {
    "statsd": lambda address, **common: StatsD(address, transport="tcp", **common),
    "dogstatsd": lambda address, **common: DogStatsD(address, transport="tcp", **common),
    "dogstatsd_unix": lambda address, **common: DogStatsD(address, transport="unix", **common),
    "pushgateway": lambda address, **common: Pushgateway(address, "shop", **common),
    "remote_write": lambda address, **common: RemoteWrite(f"http://{address}/api/v1/write", **common),
    "otlp": lambda address, **common: OTLP(f"http://{address}", **common),
    "cloudwatch": lambda address, **common: CloudWatch("Shop", region="eu-west-1", endpoint_url=f"http://{address}", **common),
    "emf": lambda address, **common: EMF("Shop", destination=f"tcp://{address}", **common),
}

_watched: dict[int, list[str]] = {}
_elsewhere: list[str] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event.startswith(("socket.", "open", "os.", "subprocess.", "urllib.")):
        _watched.get(threading.get_ident(), _elsewhere).append(event)


def record(times: int) -> dict[str, Any]:
    """Record, watched; at least so often, and until exporters have tried to connect meanwhile."""
    bound = ORDERS.labels("web")
    before = len(_elsewhere)
    deadline = perf_counter() + 20
    done = 0
    caused = _watched[threading.get_ident()] = []
    while done < times or ("socket.connect" not in _elsewhere[before:] and perf_counter() < deadline):
        for _ in range(1000):
            bound.inc()
            ORDERS.labels("shop").inc()
            SECONDS.observe(0.25)
        done += 1000
    caused = list(caused)
    with open(os.devnull):  # what is watched is seen
        seen = _watched.pop(threading.get_ident())
    return {"times": done, "counted": counted(), "caused": caused, "seen": seen, "elsewhere": sorted(set(_elsewhere[before:]))}


def counted() -> dict[str, float]:
    """What the counter has come to, by label."""
    return {sample.labels["channel"]: sample.value for family in ORDERS.collect() for sample in family.samples}


def main() -> None:
    """Serve."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    told = json.loads(sys.argv[1])
    common = {"interval": told["interval"]} | ({"timeout": told["timeout"]} if "timeout" in told else {})
    exporters = [MAKE[kind](address, name=name, **common) for kind, name, address in told["exporters"]]
    sys.addaudithook(_hook)
    begun = perf_counter()
    runtime = measurand.start("shop", exporters=exporters, drain_delay=0)
    answer({"started": perf_counter() - begun})
    ORDERS.labels("web").inc(3)
    for line in sys.stdin:
        what, _, value = line.partition(" ")
        if what == "record":
            answer(record(int(value)))
        elif what == "count":
            for channel in ("web", "shop"):
                ORDERS.labels(channel).inc(int(value))
            answer({"counted": counted()})
        elif what == "stop":
            begun = perf_counter()
            report = runtime.stop(timeout=float(value))
            answer({"seconds": perf_counter() - begun, "lost": dict(report.lost), "flushed": report.flushed})
            return


def answer(what: Any) -> None:
    """Say it."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
