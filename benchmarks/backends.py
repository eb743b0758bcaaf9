"""What destinations cost: whoever records, and whoever delivers.

The destination is a :class:`benchmarks.sinks.Sink`, a process that swallows everything.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from time import perf_counter, process_time, sleep

from benchmarks.adapters import Adapter, Code
from benchmarks.exposition import touch_all
from benchmarks.sinks import Sink
from benchmarks.timing import calibrate, loop, unrolled

COUNTS = {"none": 0, "one": 1, "ns": 5}
"""With how many destinations a statement is timed, by the figure's name."""

DESTINATIONS = ("statsd", "dogstatsd", "pushgateway", "remote_write", "otlp", "cloudwatch", "emf")

PATIENCE = 30.0


def recording(adapter: Adapter, benchmark: str, seconds: float, repeats: int) -> dict[str, float] | None:
    """Nanoseconds of a statement of the hot path while the service has five destinations (``ns``), one (``one``) and none (``none``).

    The three take turns in one process; what is timed has been delivered by all of the destinations before, and is again meanwhile. Of the
    repeats the fastest counts, as in :func:`benchmarks.timing.measure`.
    """
    code: Code | None = getattr(adapter, benchmark)()
    with Sink() as sink, ExitStack() as until:
        service = adapter.destinations(sink)
        if code is None or service is None:
            return None
        destinations = until.enter_context(service)
        timed = loop(code)
        turns = calibrate(timed, seconds)
        best = dict.fromkeys(COUNTS, float("inf"))
        for _ in range(repeats):
            for figure, count in COUNTS.items():
                with destinations(count) as has_delivered:
                    _await(has_delivered)
                    gc.collect()
                    gc.disable()
                    try:
                        best[figure] = min(best[figure], timed(turns))
                    finally:
                        gc.enable()
    return {figure: best[figure] / (turns * unrolled(code) * code.operations) * 1e9 for figure in COUNTS}


def _await(condition: Callable[[], bool]) -> None:
    deadline = perf_counter() + PATIENCE
    while not condition():
        if perf_counter() > deadline:
            raise AssertionError("a destination has got nothing")
        sleep(0.005)


def counting(adapter: Adapter, known: bool, seconds: float, repeats: int) -> dict[str, float] | None:
    """Nanoseconds that it costs the caller to count one thing for a server of (Dog)StatsD (``ns``).

    Args:
        adapter: The library.
        known: Whether the series is known before, as far as the library offers that, or its three labels are given in the call.
        seconds: How long a loop takes.
        repeats: Of how many loops the fastest counts.
    """
    with Sink() as sink, ExitStack() as until:
        code = adapter.counted_for_server(sink, known, until)
        if code is None:
            return None
        timed = loop(code)
        turns = calibrate(timed, seconds)
        best = float("inf")
        for _ in range(repeats):
            gc.collect()
            gc.disable()
            try:
                best = min(best, timed(turns))
            finally:
                gc.enable()
        _await(lambda: sink.total() > 0)
    return {"ns": best / (turns * unrolled(code) * code.operations) * 1e9}


def delivering(adapter: Adapter, destination: str, series: int, repeats: int) -> dict[str, float] | None:
    """What a delivery of so many counters costs after all have changed: seconds of processor time (``work``), seconds on the wall
    (``wall``), of the first delivery (``first``), and the bytes that arrived (``bytes``).

    The garbage collector stays on, as it does in a service.
    """
    with Sink() as sink:
        made = adapter.delivery(destination, sink)
        if made is None:
            return None
        touch, deliver = made
        times, work, sizes = [], [], []
        for turn in range(repeats + 1):
            touch_all(touch, series, turn)
            gc.collect()
            before = sink.total()
            start, worked = perf_counter(), process_time()
            deliver()
            work.append(process_time() - worked)
            times.append(perf_counter() - start)
            sizes.append(sink.total() - before)
    if min(sizes) < series * 2:
        raise AssertionError(f"{min(sizes)} bytes are too few for {series} series")
    return {"first": work[0], "work": median(work[1:]), "wall": median(times[1:]), "bytes": median(sizes[1:])}
