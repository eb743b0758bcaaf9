"""A listener on the event stream: connects, hears some events, vanishes without a word, comes back."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import threading
from types import TracebackType
from typing import Self

LONGEST = 20  # events before it vanishes


class Listener:
    """Listens in a thread of its own while the block lasts. ``heard`` counts the events."""

    def __init__(self, host: str, port: int, seed: int) -> None:
        self.heard = 0
        self._where = host, port
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, reason: BaseException | None, where: TracebackType | None) -> None:
        self._stop.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes it up
        self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._listen(self._chance.randint(1, LONGEST))
            self._stop.wait(0.5)

    def _listen(self, events: int) -> None:
        with contextlib.closing(http.client.HTTPConnection(*self._where, timeout=30)) as connection:
            connection.connect()
            self._socket = connection.sock
            connection.request("GET", "/api/events")
            with connection.getresponse() as answer:
                while answer.status == 200 and events and not self._stop.is_set():
                    line = answer.readline()
                    if not line:
                        return
                    if line.startswith(b"event:"):
                        self.heard += 1
                        events -= 1
