"""What a process does for the others of its service while it runs, in the background: it costs nothing while it is alone.

It looks for them. It tells them every few seconds what its gauge callbacks say, and it learns from them that the service is to stop:
whichever process is told to drain, all of them do, and those that join them meanwhile. That lasts until the last of them has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from measurand.lifecycle.background import BackgroundThread, renew_after_fork
from measurand.metrics import shared

__all__ = ["Company", "is_draining"]

DRAIN = "drain"
"""The task in which those take part that were told to stop."""

LOOK = 0.2
"""Seconds between two looks at whether the others drain."""

PUBLISH = 2.0
"""Seconds between two times that the callbacks are asked for the others."""


def is_draining() -> bool:
    """Whether any process of the service was told to drain."""
    return shared.is_on(DRAIN)


class Company:
    """One process' part; safe from any thread. After a fork it goes on in the child.

    Args:
        drain: Begins the drain of this process; called once.
        heeds: Whether this process does as the others do.
    """

    def __init__(self, drain: Callable[[], None], heeds: Callable[[], bool]) -> None:
        self._drain = drain
        self._heeds = heeds
        self._drains = False
        self._soon = threading.Event()
        self._watching = BackgroundThread("measurand-company", self._watch)
        self._publishing = BackgroundThread("measurand-publish", self._publish)  # on its own: a callback may hang
        renew_after_fork(self)

    def start(self) -> None:
        """Begin."""
        self._drains = False
        self._watching.start()
        self._publishing.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """End; whether it has within ``timeout`` seconds. The others go on."""
        self._publishing.stop(0)
        self._soon.set()
        with shared.stepping_back(DRAIN):
            pass
        return self._watching.stop(timeout) and self._publishing.stop(timeout)

    def drain_all(self) -> None:
        """Let all processes of the service drain, beginning with this one."""
        shared.take_part(DRAIN)
        self._drains = True
        self._drain()

    def look(self) -> None:
        """Do as the others do."""
        if not self._drains and self._heeds() and is_draining():
            self.drain_all()  # taking part, so that who joins later learns of it from this process too

    def publish_soon(self) -> None:
        """Tell the others now what the callbacks say."""
        self._soon.set()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK):
            shared.company()  # who was started by multiprocessing counts as of the service only if it is met before it ends
            self.look()

    def _publish(self, stop: threading.Event) -> None:
        while not stop.is_set():
            shared.publish()
            self._soon.wait(PUBLISH)
            self._soon.clear()

    def renew(self) -> None:
        """In a new child process."""
        self._soon = threading.Event()
