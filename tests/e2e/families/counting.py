"""What the services of this folder count, and how they keep a journal of it beside."""

from __future__ import annotations

import os
import threading

from measurand import Counter, Gauge, Histogram

__all__ = ["hit", "loiter"]

HITS = Counter("hits_total", "What was asked for", ["path"])
SECONDS = Histogram("hit_seconds", "How long it took")
BUSY = Gauge("busy", "Requests that are being answered")


def hit() -> str:
    """Count one, here and in the journal; says which process did."""
    with BUSY.track_inprogress(), SECONDS.time():
        journal = os.open("journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        HITS.labels("/hit").inc()
        os.write(journal, b"x")
        os.close(journal)
    return str(os.getpid())


def loiter() -> str:
    """Be busy until the file ``go`` is there."""
    pause = threading.Event()
    with BUSY.track_inprogress():
        while not os.path.exists("go"):
            pause.wait(0.02)
    return str(os.getpid())
