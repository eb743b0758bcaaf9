"""What all stand-ins are made of: a small HTTP server on loopback in threads of its own, gone when its block ends."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

LARGEST_BODY = 4_000_000


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: bytes

    def json(self) -> Any:
        """The body. Raises ``ValueError`` when it is not JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body, sent as a form."""
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Answer:
    """A response; the content is sent as JSON."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Standin:
    """A server that answers with :meth:`answer` while its ``with`` block lasts. It listens as soon as it is made.

    Args:
        port: Where to listen on 127.0.0.1; 0 for a free port.
    """

    def __init__(self, port: int = 0) -> None:
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name=type(self).__name__, daemon=True)

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, asked: Asked) -> Answer:
        """What to say to a request; called from many threads."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, reason: BaseException | None, where: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, where: tuple[str, int], standin: Standin) -> None:
        super().__init__(where, _Handler)
        self.standin = standin


class _Handler(BaseHTTPRequestHandler):
    """One request per connection, so that no thread outlives its request."""

    server: _Server
    timeout = 10

    def _respond(self) -> None:
        where = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            answer = Answer(413)
        else:
            body = self.rfile.read(length)
            try:
                answer = self.server.standin.answer(
                    Asked(self.command, where.path, dict(parse_qsl(where.query)), self.headers, body),
                )
            except (LookupError, TypeError, ValueError):
                answer = Answer(400, {"error": "invalid_request"})
        content = b"" if answer.content is None else json.dumps(answer.content).encode()
        try:
            self.send_response(answer.status)
            for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(content))} | answer.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # whoever asked has given up

    do_GET = do_POST = _respond

    def log_message(self, *_: object) -> None:
        """Nothing: the service's own numbers are what the demo is about."""
