"""What a scrape costs the process that is scraped: rendering the registry as text."""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time

from benchmarks.adapters import BUCKETS, Adapter, Touch
from benchmarks.hotpath import label_sets

LINES = {"counter": 1, "histogram": len(BUCKETS) + 3}
"""How many lines a series is: a histogram has +Inf, its sum and its count besides the buckets."""


def touch_all(touch: Touch, series: int, turn: int) -> None:
    """Record something on every series, so that every number differs from the scrape before."""
    for index, (method, endpoint, status) in enumerate(label_sets(series)):
        touch(method, endpoint, status, (index * 7919 + turn) % 99_991 + 1)


def filled(adapter: Adapter, kind: str, series: int) -> tuple[Touch, Callable[[], bytes]] | None:
    """A registry with that many series of one metric: what records on them and what renders them."""
    touch = adapter.counter_series() if kind == "counter" else adapter.histogram_series()
    render = adapter.exposition()
    if touch is None or render is None:
        return None
    touch_all(touch, series, 0)
    return touch, render


def warm(adapter: Adapter, kind: str) -> None:
    """Load and run all the code once, on another registry."""
    other = filled(type(adapter)(), kind, 50)
    if other is not None:
        other[1]()


def check(text: bytes, kind: str, series: int) -> None:
    """Refuse to time a text that does not hold every series.

    Raises:
        AssertionError: It does not.
    """
    lines = sum(1 for line in text.splitlines() if line and not line.startswith(b"#"))
    if lines != series * LINES[kind]:
        raise AssertionError(f"{lines} lines for {series} series of a {kind}, not {series * LINES[kind]}")


def run(adapter: Adapter, kind: str, series: int, repeats: int) -> dict[str, float] | None:
    """Seconds of the first rendering (``first``), the median of those that follow after changes (``steady``; in processor time ``work``),
    and the text's size (``bytes``).

    The garbage collector stays on, as it does in a service: what it does because of a scrape is a part of the scrape.
    """
    warm(adapter, kind)
    made = filled(adapter, kind, series)
    if made is None:
        return None
    touch, render = made
    times, work = [], []
    for turn in range(repeats + 1):
        touch_all(touch, series, turn)
        gc.collect()
        start, worked = perf_counter(), process_time()
        text = render()
        work.append(process_time() - worked)
        times.append(perf_counter() - start)
    check(text, kind, series)
    return {"first": times[0], "steady": median(times[1:]), "work": median(work[1:]), "bytes": len(text)}
