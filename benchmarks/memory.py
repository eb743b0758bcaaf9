"""What a series costs in memory.

Memory that an extension takes from the C allocator is invisible to :mod:`tracemalloc`, so this is the growth of the process's resident set
while many series are made. Two cases bound what a service sees: the strings of the label values are new ones that only the library holds
on to, or they are held elsewhere anyway, as constants and route templates are.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

from benchmarks.adapters import Adapter
from benchmarks.exposition import warm
from benchmarks.hotpath import label_sets


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(adapter: Adapter, series: int, held: bool) -> dict[str, float] | None:
    """Bytes per series once made (``bytes``), and after a scrape, with what is kept for the next one (``scraped``).

    The strings of the label values are not counted if they are ``held`` elsewhere.
    """
    warm(adapter, "counter")
    touch = adapter.counter_series()
    if touch is None:
        return None
    labels = list(label_sets(series)) if held else label_sets(series)
    before = resident()
    for values in labels:
        touch(*values, 1.0)
    result = {"bytes": (resident() - before) / series}
    render = adapter.exposition()
    if render is not None:
        render()
        result["scraped"] = (resident() - before) / series
    return result
