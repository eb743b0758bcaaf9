"""Repeats something at an interval in the background. A later slice hands this work to the library's polling.

Promises: the first call comes at once, calls never overlap, and ``stop`` returns as soon as the one under way has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType


class Refresher:
    """One daemon thread that calls ``work`` every ``interval`` seconds while the ``with`` block lasts.

    ``work`` handles its own failures. An instance serves one block.
    """

    def __init__(self, work: Callable[[], None], interval: float) -> None:
        self._work = work
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inventory-refresher", daemon=True)

    def __enter__(self) -> Refresher:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, reason: BaseException | None, where: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join(timeout=2)  # a daemon: if the database hangs, the process may leave without it

    def _run(self) -> None:
        self._work()
        while not self._stopping.wait(self._interval):
            self._work()
