"""What stands before the emulator of CloudWatch, which enforces next to nothing: every documented limit, throttling, failures, silence."""

from __future__ import annotations

import gzip
import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple, Self
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from measurand import clock
from tests.encoding.cloudwatch_limits import complaints

__all__ = ["Call", "CloudWatchStandIn", "Fault"]

LARGEST = 1_000_000
_direct = build_opener(ProxyHandler({}))


class Fault(NamedTuple):
    """What becomes of a call in place of an answer by CloudWatch.

    Attributes:
        status: The answer's status; 0 for none at all, not even an end.
        code: The answer's error code.
        is_taken: Whether the data are taken all the same.
    """

    status: int = 0
    code: str = ""
    is_taken: bool = False


class Call(NamedTuple):
    """A call of PutMetricData.

    Attributes:
        time: When it came, by the clock that is in use.
        data: How many data it had.
        size: Its body's bytes, as sent.
        is_compressed: Whether it was compressed.
        peer: The port that it came from.
    """

    time: float
    data: int
    size: int
    is_compressed: bool
    peer: int


class CloudWatchStandIn:
    """A server on a free loopback port, in a thread; a context manager.

    Args:
        emulator: The URL of the emulator that gets what passes.

    Attributes:
        calls: All calls.
        rejections: What was wrong with them; each was answered with a 400.
        faults: What becomes of the next calls, one by one.
        judge: Asked with the data of each call for a fault, when there is none in ``faults``.
    """

    def __init__(self, emulator: str) -> None:
        self._emulator = emulator
        self.calls: list[Call] = []
        self.rejections: list[str] = []
        self.faults: deque[Fault] = deque()
        self.judge: Callable[[list[dict[str, Any]]], Fault | None] = lambda data: None
        self._end = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                stand_in.answer(self)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Handle one call."""
        body = request.rfile.read(int(request.headers["Content-Length"]))
        encoding = request.headers.get("Content-Encoding")
        told = json.loads(gzip.decompress(body) if encoding == "gzip" else body)
        data = told.get("MetricData", [])
        self.calls.append(Call(clock.monotonic(), len(data), len(body), encoding == "gzip", request.client_address[1]))
        wrong = [*complaints(told.get("Namespace"), data, clock.wall())]
        if len(body) > LARGEST:
            wrong.append(f"{len(body)} bytes")
        if not str(request.headers.get("X-Amz-Target")).endswith(".PutMetricData"):
            wrong.append("no PutMetricData")
        if wrong:
            self.rejections += wrong
            _reply(request, 400, "InvalidParameterValue")
            return
        fault = self.faults.popleft() if self.faults else self.judge(data)
        if fault is not None and not fault.is_taken:
            self._fail(request, fault)
            return
        status, content = self._pass_on(request, body)
        if fault is not None:
            self._fail(request, fault)
        else:
            _send(request, status, content)

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection", "content-length")}
        try:
            with _direct.open(Request(self._emulator, body, headers), timeout=60) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                self.rejections.append(f"the emulator: {error.code}")
                return error.code, error.read()

    def _fail(self, request: BaseHTTPRequestHandler, fault: Fault) -> None:
        if fault.status:
            _reply(request, fault.status, fault.code)
        else:
            self._end.wait(120)
            request.close_connection = True


def _reply(request: BaseHTTPRequestHandler, status: int, code: str) -> None:
    sender: Literal["Sender", "Receiver"] = "Sender" if status < 500 else "Receiver"
    content = json.dumps({"__type": f"com.amazonaws.cloudwatch#{code}", "message": "said by the stand-in"}).encode()
    _send(request, status, content, {"x-amzn-query-error": f"{code};{sender}"})


def _send(request: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
    request.send_response(status)
    for name, value in {"Content-Type": "application/x-amz-json-1.0", "Content-Length": str(len(content)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(content)
