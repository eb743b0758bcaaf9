"""Timed loops.

A statement is repeated twenty times in the body of a loop, so that the loop itself hardly counts, and its names are local variables, so
that looking them up hardly counts either: what remains is the call. The number of turns is calibrated so that one loop takes long enough
to be read exactly.

The clock is the thread's processor time. These loops wait for nothing, so on an idle machine it shows the same as a wall clock; on a busy
one it leaves out the time that others had the processor. The cyclic garbage collector is run before and switched off during a loop, as
:mod:`timeit` does; that favours those who allocate.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from itertools import repeat
from time import thread_time
from typing import Any

from benchmarks.adapters import Code

UNROLLED = 20

Loop = Callable[[int], float]
"""Runs a loop that many turns, and returns the seconds of processor time that it took."""


def unrolled(code: Code) -> int:
    """How many times the statement stands in the body of the loop."""
    return max(1, UNROLLED // code.operations)


def runner(code: Code) -> Callable[[int], Any]:
    """A function that runs the loop that many turns; a coroutine function if the statement awaits."""
    parameters = ", ".join(["turns", *(f"{name}={name}" for name in code.names)])
    lines = [f"{'async ' if code.awaits else ''}def run({parameters}):", "    for _ in repeat(None, turns):"]
    lines += [f"        {code.statement}"] * unrolled(code)
    scope: dict[str, Any] = {**code.names, "repeat": repeat}
    exec("\n".join(lines), scope)
    made: Callable[[int], Any] = scope["run"]
    return made


def loop(code: Code) -> Loop:
    """What times a statement."""
    run = runner(code)

    def timed(turns: int) -> float:
        start = thread_time()
        run(turns)
        return thread_time() - start

    def awaited(turns: int) -> float:
        async def main() -> float:
            start = thread_time()
            await run(turns)
            return thread_time() - start

        return asyncio.run(main())

    return awaited if code.awaits else timed


def calibrate(timed: Loop, seconds: float) -> int:
    """The number of turns that takes about ``seconds``."""
    turns = 1
    while True:
        elapsed = timed(turns)
        if elapsed >= seconds / 4:
            return max(1, round(turns * seconds / elapsed))
        turns = max(turns * 2, min(turns * 100, int(turns * seconds / 3 / max(elapsed, 1e-7))))


def measure(codes: dict[str, Code], seconds: float, repeats: int) -> dict[str, float]:
    """Nanoseconds per operation of each statement, taken in turns.

    Of the repeats the fastest counts: within one process, all that can happen to a loop is that something else delays it.
    """
    loops = {name: loop(code) for name, code in codes.items()}
    turns = {name: calibrate(timed, seconds) for name, timed in loops.items()}
    best = dict.fromkeys(codes, float("inf"))
    for _ in range(repeats):
        for name, timed in loops.items():
            gc.collect()
            gc.disable()
            try:
                best[name] = min(best[name], timed(turns[name]))
            finally:
                gc.enable()
    return {name: best[name] / (turns[name] * unrolled(codes[name]) * codes[name].operations) * 1e9 for name in codes}
