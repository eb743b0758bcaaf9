"""P-23: scrapes of a large registry do not hold up the event loop that serves them, and what they show fits together."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Histogram, core, make_asgi_app
from measurand.metrics.collecting import is_quick
from tests.endpoints.test_asgi import scrape
from tests.support import IS_FREE_THREADED, SCALE, in_background

SERIES = 20_000 if core.implementation == "python" else 100_000
SCRAPES = 10
TICK = 0.001
MOST = 0.8
"""The part of a page's making for which the loop may be held up at once. A quarter to a half is usual, and all of it where the page is made
in the loop, or by code that keeps the interpreter to itself."""


async def held_up(app: Any) -> tuple[list[bytes], float]:
    """Some scrapes' bodies, and the longest time between two wakings of the loop as a part of the whole scrape, the median of all scrapes.

    Counted is the time that this process was given: what else a busy machine does makes neither of them longer.
    """
    bodies, parts = [], []
    for _ in range(SCRAPES):
        begun = woken = time.process_time()
        longest = 0.0
        scraping = asyncio.ensure_future(scrape(app, "GET", "/metrics", b"", (b"accept-encoding", b"identity")))
        while not scraping.done():
            await asyncio.wait([scraping], timeout=TICK)
            now = time.process_time()
            longest, woken = max(longest, now - woken), now
        bodies.append((await scraping).body)
        parts.append(longest / (woken - begun))
    return bodies, statistics.median(parts)


def test_the_loop_goes_on_while_the_page_of_a_large_registry_is_made() -> None:
    """How many milliseconds that are is shown by the benchmarks."""
    registry = CollectorRegistry()
    requests = Counter("requests", "Requests", ["method", "route", "user"], registry=registry, max_series=SERIES)
    for number in range(SERIES):
        requests.labels("GET", "/parts", str(number)).inc(number)
    assert not is_quick(registry)
    bodies, part = asyncio.run(held_up(make_asgi_app(registry)))
    assert {body.count(b"\nrequests_total{") for body in bodies} == {SERIES}
    assert part < MOST


class Selfish:
    """A collector that keeps the interpreter to itself: one call of a function that is not Python's code."""

    def collect(self) -> list[Any]:
        sum(range(10_000_000))
        return []


@pytest.mark.skipif(IS_FREE_THREADED, reason="nobody has this interpreter to himself")
def test_a_page_that_kept_the_interpreter_to_itself_would_be_seen() -> None:
    registry = CollectorRegistry()
    registry.register(Selfish())
    _, part = asyncio.run(held_up(make_asgi_app(registry)))
    assert part > MOST


@pytest.mark.parametrize("accept", [b"text/plain", b"application/openmetrics-text"])
def test_no_histogram_is_torn_while_writers_observe(accept: bytes) -> None:
    """Every value is 1, so that the count, the last bucket, the bucket of 1 and the sum have to be the same number."""
    registry = CollectorRegistry()
    seconds = Histogram("seconds", "Seconds", ["route"], registry=registry, buckets=[0.5, 1, 2])
    children = [seconds.labels(str(number)) for number in range(200)]
    app = make_asgi_app(registry)
    written = threading.Event()

    def observe() -> None:
        for child in children:
            child.observe(1)
        written.set()

    async def main() -> list[bytes]:
        rounds = range(int(10 * min(SCALE, 60)))
        return [
            answer.body
            for _ in rounds
            for answer in await asyncio.gather(*(scrape(app, "GET", "/", b"", (b"accept", accept)) for _ in range(10)))
        ]

    with in_background(observe, observe):
        assert written.wait(30)
        bodies = asyncio.run(main())
    seen = set()
    for body in bodies:
        values: dict[str, set[float]] = {}
        for line in body.decode().splitlines():
            if line.startswith("seconds_"):
                series, value = line.split(" ")
                route = series.partition('route="')[2].partition('"')[0]
                if 'le="0.5"' in series:
                    assert value == "0.0", line
                else:
                    values.setdefault(route, set()).add(float(value))
        assert len(values) == 200
        assert {route: found for route, found in values.items() if len(found) != 1} == {}
        seen.add(sum(sum(found) for found in values.values()))
    assert len(seen) > 1, "nothing was observed between the scrapes"
