"""What a series costs in memory.

Memory that an extension takes from the C allocator is invisible to :mod:`tracemalloc`, so this is the growth of the process's resident
set while many series are made. The label values are new strings, so whoever keeps them pays for them."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from benchmarks.adapters import Adapter
from benchmarks.exposition import touch_all, warm


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(adapter: Adapter, series: int) -> dict[str, float] | None:
    """Bytes per series once made (``bytes``), and after a scrape, with what is kept for the next one (``scraped``)."""
    warm(adapter, "counter")
    touch = adapter.counter_series()
    if touch is None:
        return None
    before = resident()
    touch_all(touch, series, 0)
    result = {"bytes": (resident() - before) / series}
    render = adapter.exposition()
    if render is not None:
        render()
        result["scraped"] = (resident() - before) / series
    return result
