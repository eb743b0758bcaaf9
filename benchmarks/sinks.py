"""A destination that swallows everything, in a process of its own, so that its work is nobody else's.

``python -m benchmarks.sinks FOLDER`` says where it listens (a line of JSON), and for each line that it reads how many bytes have come to
each place. It takes datagrams over UDP and over a unix socket, bytes over TCP, and HTTP requests, which it answers as an obliging server
would.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

CHUNK = 1 << 18
BUFFER = 1 << 22
ROOT = Path(__file__).parent.parent

ANSWER = b"<PutMetricDataResponse><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></PutMetricDataResponse>"
XML = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


class Sink:
    """The process, as seen from the one that measures; a context manager.

    Attributes:
        udp: Its UDP address, ``host:port``.
        tcp: Its address for bytes over TCP.
        http: Its address for HTTP.
        unix: The path of its socket for datagrams.
    """

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-"))
        command = [sys.executable, "-m", "benchmarks.sinks", folder]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        said = self._answer()
        self.udp, self.tcp, self.http, self.unix = (str(said[name]) for name in ("udp", "tcp", "http", "unix"))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate(timeout=30)  # the end of its input ends it
        self._stack.close()

    def received(self) -> dict[str, int]:
        """How many bytes have come, by place."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return self._answer()

    def total(self) -> int:
        """How many bytes have come."""
        return sum(self.received().values())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


class Server:
    """The process' own part.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: str) -> None:
        self.selector = selectors.DefaultSelector()
        self.received = dict.fromkeys(("udp", "tcp", "http", "unix"), 0)
        self.partial: dict[socket.socket, bytearray] = {}
        self.places = {
            "udp": self._datagrams("udp", socket.AF_INET, ("127.0.0.1", 0)),
            "unix": self._datagrams("unix", socket.AF_UNIX, f"{folder}/socket"),
            "tcp": self._listener("tcp", self._swallow),
            "http": self._listener("http", self._answer),
        }
        self.selector.register(sys.stdin.buffer.raw, selectors.EVENT_READ, self._say)
        self.is_open = True

    def run(self) -> None:
        """Swallow until nobody can ask any more."""
        self._print(self.places)
        while self.is_open:
            self._turn(None)

    def _turn(self, timeout: float | None) -> bool:
        ready = self.selector.select(timeout)
        for key, _ in ready:
            if timeout is None or key.fileobj is not sys.stdin.buffer.raw:
                key.data(key.fileobj)
        return any(key.fileobj is not sys.stdin.buffer.raw for key, _ in ready)

    def _datagrams(self, name: str, family: int, address: Any) -> str:
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        made.bind(address)
        made.setblocking(False)
        self.selector.register(made, selectors.EVENT_READ, lambda source: self._take(name, source))
        return _shown(made)

    def _listener(self, name: str, read: Callable[[str, socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)

        def accept(source: socket.socket) -> None:
            connection, _ = source.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(connection, selectors.EVENT_READ, lambda source: read(name, source))

        self.selector.register(listener, selectors.EVENT_READ, accept)
        return _shown(listener)

    def _take(self, name: str, source: socket.socket) -> None:
        with suppress(BlockingIOError):
            for _ in range(100):
                self.received[name] += len(source.recv(CHUNK))

    def _swallow(self, name: str, source: socket.socket) -> bytes:
        data = b""
        with suppress(ConnectionError):
            data = source.recv(CHUNK)
        self.received[name] += len(data)
        if not data:
            self.selector.unregister(source)
            source.close()
            self.partial.pop(source, None)
        return data

    def _answer(self, name: str, source: socket.socket) -> None:
        held = self.partial.setdefault(source, bytearray())
        data = self._swallow(name, source)
        held += data
        end = held.find(b"\r\n\r\n")
        if data and end >= 0:
            length = next((int(line[15:]) for line in bytes(held[:end]).split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
            if len(held) >= end + 4 + length:
                source.sendall(XML if b"PutMetricData" in held[:4096] or b"amazonaws" in held[:end] else EMPTY)
                held.clear()

    def _say(self, source: Any) -> None:
        if not source.read(1):
            self.is_open = False
            return
        while self._turn(0):
            pass
        self._print(self.received)

    def _print(self, what: Any) -> None:
        print(json.dumps(what), flush=True)


def _shown(made: socket.socket) -> str:
    where = made.getsockname()
    return where if isinstance(where, str) else f"{where[0]}:{where[1]}"


if __name__ == "__main__":
    Server(sys.argv[1]).run()
