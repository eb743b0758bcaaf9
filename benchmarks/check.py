"""What a shared machine can hold of the performance: ``python -m benchmarks.check`` ends with 1 if a bound is broken, and says which.

Counts come first, because they do not depend on the weather: what the hot path allocates, what it leaves behind, what eight threads
lose. Then ratios to prometheus_client in the same process, taken by turns, with bounds at about a third of what the benchmarks show, so
that only a real loss breaks them. Both cores are checked: the C core here, the pure-Python core in a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import FunctionType
from typing import Any

from benchmarks import exposition, hotpath, http, threads
from benchmarks.__main__ import one
from benchmarks.adapters import Code, libraries
from benchmarks.adapters.measurand import Library as Ours
from benchmarks.adapters.prometheus_client import Library as Theirs
from benchmarks.adapters.prometheus_fastapi_instrumentator import Library as OnFastAPI
from benchmarks.adapters.prometheus_flask_exporter import Library as OnFlask
from benchmarks.goals import SHARING
from benchmarks.memory import resident
from benchmarks.timing import UNROLLED, measure, runner

HITS = 100_000
ROUNDS = 5

ALLOCATES_NOTHING = ("inc", "labels_positional", "labels_keyword", "observe", "set")
LEAVES_NOTHING = (*ALLOCATES_NOTHING, "labels_converted", "time_block", "timed_function", "timed_coroutine")

RATIOS = {  # at least so many times as fast as prometheus_client: (C core, pure-Python core)
    "inc": (5.0, 0.7),
    "labels_positional": (8.0, 0.7),
    "labels_keyword": (9.0, 0.7),
    "observe": (6.0, 0.7),
    "time_block": (2.5, 0.7),
    "timed_function": (4.0, 0.7),
    "timed_coroutine": (1.5, 0.7),
}
SCRAPE = (12.0, 3.0)
SEEN = 2.0  # an increment that other processes see, beside one in private memory
COMPANY = (12.0, 1.5)  # the same beside prometheus_client in multiprocess mode
WORKERS = 4.0  # a scrape after some workers have come and gone, beside theirs
DESTINATIONS = 1.5  # an increment while five destinations are delivered to, beside one without any
COUNTING = (("datadog", (20.0, 5.0)), ("statsd", (20.0, 5.0)))  # one count beside these clients' call
REQUESTS = (("fastapi", 10, OnFastAPI, 4.0), ("fastapi", 200, OnFastAPI, 6.0), ("flask", 10, OnFlask, 1.5))
EMPTY_CALLS = 4.0
BLOCKS, KEPT = 20, 1 << 20  # what the interpreter itself may do meanwhile

Verdict = tuple[str, bool]


def on_c_core() -> bool:
    """Whether measurand runs on its C core in this process."""
    from measurand import core  # noqa: PLC0415 - chooses the core, so not before it is needed

    return not isinstance(vars(core.CounterBase)["inc"], FunctionType)


def statement(library: type[Ours | Theirs], benchmark: str) -> Code:
    """The library's statement for a benchmark of the hot path."""
    code: Code = getattr(library(), benchmark)(*hotpath.ARGUMENTS.get(benchmark, ()))
    return code


def repeated(code: Code) -> Callable[[int], Any]:
    """What runs the statement ``turns * UNROLLED`` times, awaiting or not."""
    run = runner(code)
    return (lambda turns: asyncio.run(run(turns))) if code.awaits else run


def peak(code: Code) -> int:
    """How many bytes at most are allocated at any moment while the statement runs a thousand times."""
    run = repeated(code)
    run(50)
    gc.collect()
    tracemalloc.start()
    try:
        run(50)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        run(50)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def allocations() -> Iterator[Verdict]:
    """The hot path of the C core asks nobody for memory."""
    idle = peak(Code("pass", {}))
    for name in ALLOCATES_NOTHING:
        extra = peak(statement(Ours, name)) - idle
        yield f"{name} allocates {extra} bytes", extra <= 0


def remains() -> Iterator[Verdict]:
    """Nothing that is recorded on existing series stays in memory."""
    for name in LEAVES_NOTHING:
        run = repeated(statement(Ours, name))
        run(50)
        gc.collect()
        size, blocks = resident(), sys.getallocatedblocks()
        run(HITS // UNROLLED)
        gc.collect()
        blocks, size = sys.getallocatedblocks() - blocks, resident() - size
        yield f"{HITS:,} x {name} leave {blocks} blocks and {size >> 10} KiB behind", blocks <= BLOCKS and size <= KEPT


def exact(increments: int) -> Iterator[Verdict]:
    """Eight threads lose nothing, however often the interpreter switches between them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        figures = threads.run(Ours(), increments) or {}
    finally:
        sys.setswitchinterval(before)
    yield f"{figures['increments']:,.0f} increments by {threads.THREADS} threads: {figures['lost']:,.0f} lost", figures["lost"] == 0


def ratios(column: int) -> Iterator[Verdict]:
    """Recording is so many times as fast as prometheus_client's."""
    for name, bounds in RATIOS.items():
        codes = {"ours": statement(Ours, name), "theirs": statement(Theirs, name)}
        rounds = [measure(codes, 0.01, 2) for _ in range(ROUNDS)]
        ratio = median(figures["theirs"] / figures["ours"] for figures in rounds)
        yield f"{name} is {ratio:.1f} times as fast as prometheus_client, at least {bounds[column]:g}", ratio >= bounds[column]


def empty_calls() -> Iterator[Verdict]:
    """An increment costs little more than any call into C."""
    codes = {"inc": statement(Ours, "inc"), "empty": hotpath.empty_method()}
    rounds = [measure(codes, 0.01, 2) for _ in range(ROUNDS)]
    ratio = median(figures["inc"] / figures["empty"] for figures in rounds)
    yield f"inc takes {ratio:.1f} times an empty C method call, at most {EMPTY_CALLS:g}", ratio <= EMPTY_CALLS


def scrapes(column: int) -> Iterator[Verdict]:
    """Rendering is so many times as fast as prometheus_client's."""
    settings: dict[str, Any] = {"kind": "counter", "series": 2_000, "repeats": ROUNDS}
    ours, theirs = exposition.run(Ours(), **settings) or {}, exposition.run(Theirs(), **settings) or {}
    ratio = theirs["work"] / ours["work"]
    text = f"rendering 2,000 series is {ratio:.1f} times as fast as prometheus_client, at least {SCRAPE[column]:g}"
    yield text, ratio >= SCRAPE[column]


def requests() -> Iterator[Verdict]:
    """Measuring a request adds so many times less than the peers add."""
    for framework, routes, peer, bound in REQUESTS:
        settings: dict[str, Any] = {"framework": framework, "routes": routes, "turns": 100, "requests": 10}
        rounds = [(http.run(Ours(), **settings) or {}, http.run(peer(), **settings) or {}) for _ in range(3)]
        ratio = median(theirs["ns"] / max(ours["ns"], 1.0) for ours, theirs in rounds)
        text = f"a request of {framework} with {routes} routes is measured at 1/{ratio:.1f} of what {peer.title} adds, at most 1/{bound:g}"
        yield text, ratio >= bound


def several(column: int) -> Iterator[Verdict]:
    """Other processes see what is recorded, at no price; workers that come and go leave nothing behind."""
    name = ("measurand", "measurand_pure")[column]
    rounds = [[one(key, libraries()[key], "company_inc", quick=True) or {} for key in (name, SHARING)] for _ in range(3)]
    seen = median(ours["ns"] / ours["private"] for ours, _ in rounds)
    yield f"inc that other processes see takes {seen:.2f} times one that they do not, at most {SEEN:g}", seen <= SEEN
    ratio = median(theirs["ns"] / ours["ns"] for ours, theirs in rounds)
    text = f"inc that other processes see is {ratio:.1f} times as fast as prometheus_client's, at least {COMPANY[column]:g}"
    yield text, ratio >= COMPANY[column]
    ours, theirs = (one(key, libraries()[key], "workers_256", quick=True) or {} for key in (name, SHARING))
    grown = ours["bytes"] - ours["bytes_before"]
    yield f"workers that have come and gone leave {grown:,.0f} bytes of storage behind", grown <= 0
    ratio = theirs["steady"] / ours["steady"]
    yield f"a scrape after them is {ratio:.1f} times as fast as prometheus_client's, at least {WORKERS:g}", ratio >= WORKERS


def destinations(column: int) -> Iterator[Verdict]:
    """Whoever records does not pay for destinations."""
    name = ("measurand", "measurand_pure")[column]
    rounds = [one(name, libraries()[name], "backends_inc", quick=True) or {} for _ in range(3)]
    ratio = median(figures["ns"] / figures["none"] for figures in rounds)
    yield f"inc with five destinations takes {ratio:.2f} times one with none, at most {DESTINATIONS:g}", ratio <= DESTINATIONS
    for peer, bounds in COUNTING:
        both = [[one(key, libraries()[key], "counting", quick=True) or {} for key in (name, peer)] for _ in range(3)]
        ratio = median(theirs["ns"] / ours["ns"] for ours, theirs in both)
        yield f"one count takes 1/{ratio:.0f} of a call of {peer}'s client, at most 1/{bounds[column]:g}", ratio >= bounds[column]


def verdicts() -> Iterator[Verdict]:
    """Every check of the core that this process runs on."""
    if os.environ.get("MEASURAND_PURE") == "1":
        yield from remains()
        yield from exact(200_000)
        yield from ratios(1)
        yield from scrapes(1)
        yield from several(1)
        yield from destinations(1)
        return
    yield "measurand runs on its C core", on_c_core()
    yield from allocations()
    yield from remains()
    yield from exact(2_000_000)
    yield from empty_calls()
    yield from ratios(0)
    yield from scrapes(0)
    yield from requests()
    yield from several(0)
    yield from destinations(0)


def main() -> int:
    """Check, say each verdict, and return the exit code."""
    pure = os.environ.get("MEASURAND_PURE") == "1"
    broken = 0
    for text, kept in verdicts():
        broken += not kept
        print(f"{'ok    ' if kept else 'BROKEN'} {'pure Python' if pure else 'C core     '} {text}", flush=True)
    if not pure:
        twin = subprocess.run(
            [sys.executable, "-m", "benchmarks.check"],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "MEASURAND_PURE": "1"},
            check=False,
        )
        broken += twin.returncode != 0
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
