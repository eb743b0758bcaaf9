"""How long a scrape keeps others waiting.

A ticker wants to run every millisecond, on a fixed timetable. A tick's lateness is how long after its time it ran; when the ticker was
kept waiting for 20 ms, the 20 ticks that fell into that time each count with their own lateness. Meanwhile another thread scrapes without
a pause. Before that the same is measured while nobody scrapes: this is what the machine itself does to a ticker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event, Thread
from time import perf_counter, sleep

from benchmarks.adapters import Adapter
from benchmarks.exposition import filled, warm

PERIOD = 0.001


def by_thread(seconds: float) -> list[float]:
    """The lateness of each tick of a thread."""
    late = []
    due = perf_counter()
    end = due + seconds
    while due < end:
        due += PERIOD
        wait = due - perf_counter()
        if wait > 0:
            sleep(wait)
        late.append(perf_counter() - due)
    return late


def by_loop(seconds: float) -> list[float]:
    """The lateness of each tick of an asyncio event loop."""

    async def main() -> list[float]:
        late: list[float] = []
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        end = loop.time() + seconds

        def tick(due: float) -> None:
            late.append(loop.time() - due)
            if due < end:
                loop.call_at(due + PERIOD, tick, due + PERIOD)
            else:
                over.set_result(None)

        loop.call_at(loop.time() + PERIOD, tick, loop.time() + PERIOD)
        await over
        return late

    return asyncio.run(main())


TICKERS: dict[str, Callable[[float], list[float]]] = {"thread": by_thread, "loop": by_loop}


def summary(late: list[float], prefix: str = "") -> dict[str, float]:
    """The median, the 99th percentile and the maximum, in seconds."""
    ordered = sorted(late)
    return {f"{prefix}p50": ordered[len(ordered) // 2], f"{prefix}p99": ordered[len(ordered) * 99 // 100], f"{prefix}max": ordered[-1]}


def run(adapter: Adapter, ticker: str, series: int, seconds: float) -> dict[str, float] | None:
    """Lateness in seconds while scraped (``p50``, ``p99``, ``max``) and before (``idle_…``), how many scrapes there were
    (``scrapes``), of how many series (``series``)."""
    warm(adapter, "counter")
    made = filled(adapter, "counter", series)
    if made is None:
        return None
    render = made[1]
    render()
    tick = TICKERS[ticker]
    idle = summary(tick(min(seconds, 1.0)), "idle_")
    stop, scrapes = Event(), [0]

    def scrape() -> None:
        while not stop.is_set():
            render()
            scrapes[0] += 1

    thread = Thread(target=scrape)
    thread.start()
    late = tick(seconds)
    stop.set()
    thread.join()
    return {**summary(late), **idle, "scrapes": scrapes[0], "series": series}
