"""A gate in front of a TCP server, that refuses or falls silent when it is told to.

What is sent while it is not open never reaches the server, so that a test knows what has arrived. It listens on loopback.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Literal, Self

__all__ = ["Gate"]

Mode = Literal["open", "refusing", "silent"]
CHUNK = 64 * 1024


class Gate:
    """Passes connections on to a server; a context manager. Safe from any thread.

    Args:
        host: Where the server listens.
        port: Its port.

    Attributes:
        port: The gate's own port, on 127.0.0.1.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._mode: Mode = "open"
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="measurand-test-gate", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()

    @property
    def address(self) -> str:
        """Host and port of the gate."""
        return f"127.0.0.1:{self.port}"

    def open(self) -> None:
        """Pass everything on, from the next connection on."""
        self._change("open")

    def refuse(self) -> None:
        """Close every connection, those that are there too."""
        self._change("refusing")

    def fall_silent(self) -> None:
        """Accept connections and do nothing with them; those that are there are closed."""
        self._change("silent")

    def _change(self, mode: Mode) -> None:
        with self._lock:
            self._mode = mode
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                mode = self._mode
                if mode != "refusing":
                    self._connections.add(client)
            if mode == "refusing":
                client.close()
            elif mode == "open":
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server, timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            self._connections.add(server)
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target), name="measurand-test-gate", daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
