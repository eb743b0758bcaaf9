"""What an import costs: whole fresh interpreters, less one that imports nothing."""

from __future__ import annotations

import subprocess
import sys
from time import perf_counter

BARE = "pass"


def run(statement: str) -> dict[str, float]:
    """Seconds that an interpreter takes to start, run ``statement`` and end, less one that does nothing (``seconds``); and that one's
    (``bare``)."""
    bare = _interpreter(BARE)
    return {"seconds": _interpreter(statement) - bare, "bare": bare}


def _interpreter(statement: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-I", "-c", statement], check=True)
    return perf_counter() - start
