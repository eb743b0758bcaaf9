"""Destinations that are of no use, each in its own way; all on loopback, all context managers.

``BlackHole``
    A port on which connecting hangs.
``Silence``
    A port that takes connections and all that is sent, and never says anything.
``FullSocket``
    A unix socket for datagrams that nobody reads, and that is full.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.servers.process import free_port

__all__ = ["BlackHole", "FullSocket", "Nobody", "Silence"]


class Nobody:
    """A port that nobody listens on: connecting is refused."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """There is nothing to end."""


class BlackHole:
    """Listens, never accepts, and its queue is full: the system answers no further attempt to connect."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._waiting: list[socket.socket] = []
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        host, port = self._listener.getsockname()
        self.address = f"{host}:{port}"

    def __enter__(self) -> Self:
        while self.takes_connections(0.3):
            assert len(self._waiting) < 100, "the queue of connections is never full"
        return self

    def __exit__(self, *exc_info: object) -> None:
        for waiting in self._waiting:
            waiting.close()
        self._listener.close()

    def takes_connections(self, seconds: float) -> bool:
        """Whether a connection comes about in this time."""
        self._waiting.append(socket.socket())
        self._waiting[-1].settimeout(seconds)
        with suppress(TimeoutError):
            self._waiting[-1].connect(self._listener.getsockname())
            return True
        return False


class Silence:
    """Accepts connections, reads, and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(20)
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(65536):
                continue


class FullSocket:
    """A unix socket for datagrams without room.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)

    def __enter__(self) -> Self:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filling, suppress(BlockingIOError):
            filling.connect(self.address)
            filling.setblocking(False)
            while True:
                filling.send(b"x")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.close()
