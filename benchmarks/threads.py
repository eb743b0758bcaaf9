"""Eight threads add to one counter."""

from __future__ import annotations

from threading import Barrier, Thread
from time import perf_counter

from benchmarks.adapters import Adapter
from benchmarks.timing import UNROLLED, runner

THREADS = 8


def run(adapter: Adapter, increments: int) -> dict[str, float] | None:
    """Millions of increments a second over all threads (``millions``), and how many were lost (``lost``)."""
    shared = adapter.shared_counter()
    if shared is None:
        return None
    code, read = shared
    add = runner(code)
    turns = increments // (THREADS * UNROLLED)
    done = turns * THREADS * UNROLLED
    gate = Barrier(THREADS + 1)

    def work() -> None:
        gate.wait()
        add(turns)

    threads = [Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    gate.wait()
    start = perf_counter()
    for thread in threads:
        thread.join()
    elapsed = perf_counter() - start
    return {"millions": done / elapsed / 1e6, "increments": done, "lost": done - read()}
