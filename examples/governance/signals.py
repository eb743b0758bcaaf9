"""How the traffic ends."""

from __future__ import annotations

import signal
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals() -> None:
    """Make SIGTERM and Ctrl-C leave the main thread through its ``with`` blocks; a second one does not disturb the first."""
    for number in STOPPING:
        signal.signal(number, _leave)


def _leave(_number: int, _frame: FrameType | None) -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)
