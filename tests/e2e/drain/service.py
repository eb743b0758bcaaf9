"""What the service under ASGI and the one under WSGI have in common: what they count, and their settings.

What a process has counted at its end goes into a file of that process.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from measurand import Counter
from measurand.exporters.textfile import Textfile
from measurand.metrics.collecting import Gathering

__all__ = ["DONE", "settings"]

DONE = Counter("work_done_total", "Requests that were worked on to their end")
FOLDER = Path(os.environ["DRAIN_FOLDER"])

logging.basicConfig(level="INFO", stream=sys.stderr, format="%(process)d %(name)s %(levelname)s %(message)s")


class LastNumbers:
    """Writes a file for each process; with this interval, only at the end."""

    name = "last numbers"
    interval = 3600.0

    def export(self, snapshot: Gathering) -> None:
        Textfile(FOLDER / f"{os.getpid()}.prom").export(snapshot)


def settings() -> dict[str, Any]:
    """For ``measurand.start()`` and its like."""
    return {
        "service": "drained",
        "drain_delay": float(os.environ["DRAIN_DELAY"]),
        "shutdown_budget": float(os.environ["DRAIN_BUDGET"]),
        "state_directory": FOLDER / "state",
        "exporters": [LastNumbers()],
    }
