"""A receiver of remote write that answers what a test tells it to, on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from typing import Any, NamedTuple

import cramjam
import pytest

from measurand import CollectorRegistry, Gauge
from measurand.errors import ExportFailed
from measurand.exporters.delivery import Delivery
from measurand.exporters.remote_write import RemoteWrite
from tests.encoding.remote_write_peer import Written

__all__ = ["Received", "Receiver", "Shop", "receiving"]


class Received(NamedTuple):
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def version(self) -> str:
        return "2.0" if "v2.Request" in self.headers["content-type"] else "1.0"

    @property
    def message(self) -> bytes:
        return bytes(cramjam.snappy.decompress_raw(self.body))

    @property
    def written(self) -> Written:
        return Written(self.version, self.message)


class Receiver:
    """What the server has got, and what it will answer.

    Attributes:
        requests: All requests, the oldest first.
        answers: Status, headers and body of the next answers. When there are none, all is accepted, as each version demands.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[Received] = []
        self.answers: list[tuple[int, dict[str, str], str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    def answer(self, *statuses: int, headers: Mapping[str, str] | None = None, body: str = "") -> None:
        """Answer this to the next requests."""
        self.answers += [(status, dict(headers or {}), body) for status in statuses]

    def respond(self, request: Received) -> tuple[int, dict[str, str], str]:
        self.requests.append(request)
        if self.answers:
            return self.answers.pop(0)
        return (204, written(request), "") if request.version == "2.0" else (204, {}, "")


def written(request: Received, fewer: int = 0) -> dict[str, str]:
    """The headers of a receiver of 2.0 that has written all, or fewer."""
    known = request.written
    counts = {"Samples": len(known.samples) - fewer, "Histograms": len(known.histograms), "Exemplars": len(known.exemplars)}
    return {f"X-Prometheus-Remote-Write-{what}-Written": str(count) for what, count in counts.items()}


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A running receiver, on a free port unless one is given."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            status, headers, text = receiver.respond(request)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text.encode()))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        receiver = Receiver(server.server_port)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


class Shop:
    """A registry with one gauge, and an exporter of it."""

    def __init__(self, receiver: Receiver, **settings: Any) -> None:
        self.registry = CollectorRegistry()
        self.depth = Gauge("depth", "Depth", registry=self.registry)
        self.exporter = RemoteWrite(receiver.url, **settings)
        self.delivery = Delivery(self.exporter, self.registry)

    def send(self, value: float, seconds: float = inf) -> None:
        self.depth.set(value)
        self.delivery.deliver(seconds)

    def fail(self, value: float, match: str = ".", seconds: float = inf) -> ExportFailed:
        with pytest.raises(ExportFailed, match=match) as caught:
            self.send(value, seconds)
        return caught.value
