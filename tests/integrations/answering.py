"""A real HTTP/1.1 server for the suites about HTTP clients."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Answering", "answering"]


class Answering(ThreadingHTTPServer):
    """The server.

    ======================  ==============================================================================
    ``/``                   200 and a few bytes
    ``/status/404``         that status
    ``/redirect/2``         two redirects, each to the other name of this host, then ``/``
    ``/protected``          401 unless there are credentials, which it asks for with a digest
    ``/broken``             fewer bytes than it has announced
    ``/parts``              three parts, each when :attr:`part` is released
    ``/silent``             no answer, until :attr:`part` is released
    ``/flaky``              503 twice, then 200
    ``/closing``            closes the connection at once
    ======================  ==============================================================================

    Attributes:
        seen: Method and path of each request.
        part: Released once for each part that may be sent.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[str] = []
        self.part = threading.Semaphore(0)
        self.failures_left = 2
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.other_url = f"http://localhost:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Answering
    timeout = 60

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        _, name, *rest = self.path.split("/")
        getattr(self, f"answer_{name or 'plainly'}")(*rest)

    do_HEAD = do_POST = do_PURGE = do_GET

    def answer(self, status: int, body: bytes = b"hello", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_plainly(self) -> None:
        self.answer(200)

    def answer_status(self, status: str) -> None:
        self.answer(int(status))

    def answer_redirect(self, left: str) -> None:
        here = self.headers["Host"].startswith("127.")
        base = self.server.other_url if here else self.server.url
        self.answer(302, Location=f"{base}/redirect/{int(left) - 1}" if int(left) > 1 else f"{base}/")

    def answer_protected(self) -> None:
        if self.headers.get("Authorization", "").startswith("Digest "):
            self.answer(200)
        else:
            self.answer(401, WWW_Authenticate='Digest realm="here", nonce="abc", qop="auth", algorithm=MD5')

    def answer_broken(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3e8\r\ntoo few")
        self.close_connection = True

    def answer_parts(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(3):
            self.server.part.acquire(timeout=60)
            self.wfile.write(b"4\r\npart\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def answer_silent(self) -> None:
        self.server.part.acquire(timeout=60)
        self.answer(200)

    def answer_flaky(self) -> None:
        self.server.failures_left -= 1
        self.answer(503 if self.server.failures_left >= 0 else 200)

    def answer_closing(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def answering() -> Iterator[Answering]:
    """The server, running."""
    with Answering() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.part.release(100)
            server.shutdown()
            thread.join()
