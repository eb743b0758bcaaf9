"""Server and client in one for WSGI applications, in process: the WSGI half of the conformance kit."""

from __future__ import annotations

import io
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_to_bytes

from measurand.testing.http import Answer

__all__ = ["FileWrapper", "WsgiDriver", "WsgiExchange"]

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

CHUNK = 16_384


class FileWrapper:
    """What this server sends in one piece if the application returns it: see PEP 3333, "Optional Platform-Specific File Handling"."""

    def __init__(self, filelike: Any, block_size: int = 8192) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        block: bytes = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block


class WsgiExchange:
    """One request to a WSGI application, played as a server plays it that knows its way around PEP 3333.

    Attributes:
        environ: The request's environment.
        status: The status line that was sent; empty if none was.
        headers: The headers that were sent.
        chunks: The pieces of the body as they were sent.
        error: What the application raised, if it did; not what became of a client that left.
        was_sendfile: Whether the response was a file of this server's own, sent in one piece.

    Args:
        app: The application.
        method: The method.
        path: The path as a client writes it, with a query string where there is one.
        body: The request's body.
        leave_after: After how many bytes of the response the client goes away; ``None`` for never.
        leave_while_sending: The client goes away before the end of its body.
        **environ: Keys of the environment that are to differ.
    """

    def __init__(
        self,
        app: WSGIApp,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        leave_after: int | None = None,
        leave_while_sending: bool = False,
        **environ: Any,
    ) -> None:
        path, _, query = path.partition("?")
        self.environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "testserver",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body[: len(body) // 2] if leave_while_sending else body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            **environ,
        }
        if body:
            self.environ["CONTENT_LENGTH"] = str(len(body))
            self.environ.setdefault("CONTENT_TYPE", "application/octet-stream")
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.chunks: list[bytes] = []
        self.error: BaseException | None = None
        self.was_sendfile = False
        self._app = app
        self._begun: tuple[str, list[tuple[str, str]]] | None = None
        self._leave_after = 0 if leave_while_sending else leave_after
        self._received = 0

    def run(self) -> Answer:
        """Play it to its end; what the application raises is answered as servers do, and kept in :attr:`error`."""
        try:
            body = self._app(self.environ, self.start_response)
            try:
                self._send(body)
            finally:
                if hasattr(body, "close"):
                    body.close()
        except _ClientGone:
            pass
        except Exception as error:  # noqa: BLE001 - as a server does
            self.error = error
            if not self.status:
                return Answer(500, [], b"")
        return self.answer

    @property
    def answer(self) -> Answer:
        """What the client has so far."""
        status = int(self.status[:3]) if self.status else 0
        return Answer(status, [(name.lower(), value) for name, value in self.headers], b"".join(self.chunks))

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Callable[[bytes], None]:
        """See PEP 3333."""
        if exc_info is not None:
            try:
                if self.status:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._begun is not None:
            raise AssertionError("the response has been started before")
        HTTPStatus(int(status[:3]))
        self._begun = (status, list(headers))
        return self.write

    def write(self, data: bytes) -> None:
        """See PEP 3333.

        Raises:
            BrokenPipeError: The client is gone.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"{data!r} is not bytes")
        self._send_headers()
        if self._leave_after is not None and self._received >= self._leave_after:
            raise _ClientGone
        self._received += len(data)
        if self.environ["REQUEST_METHOD"] != "HEAD" and self.status[:3] not in {"204", "304"}:
            self.chunks.append(data)

    def _send(self, body: Any) -> None:
        if isinstance(body, FileWrapper):
            self.was_sendfile = True
            self.write(body.filelike.read())
            return
        for chunk in body:
            if not self.status and hasattr(body, "__len__") and len(body) == 1:
                self._announce_length(len(chunk))  # as PEP 3333 suggests, "Handling the Content-Length Header"
            self.write(chunk)
        self._send_headers()

    def _announce_length(self, length: int) -> None:
        if self._begun is not None and not any(name.lower() == "content-length" for name, _ in self._begun[1]):
            self._begun[1].append(("Content-Length", str(length)))

    def _send_headers(self) -> None:
        if not self.status:
            if self._begun is None:
                raise AssertionError("the application sends a body without a start")
            self.status, self.headers = self._begun


class WsgiDriver:
    """Drives a WSGI application; see :class:`measurand.testing.http.Driver`.

    Args:
        app: The application.
        **environ: Keys of every request's environment that are to differ.
    """

    def __init__(self, app: WSGIApp, **environ: Any) -> None:
        self._app = app
        self._environ = environ

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Ask, and read the answer to its end."""
        return WsgiExchange(self._app, method, path, body, **self._environ).run()

    def leave_while_sending(self, path: str) -> None:
        """Begin to POST a body, and go away before its end."""
        WsgiExchange(self._app, "POST", path, b"x" * 2 * CHUNK, leave_while_sending=True, **self._environ).run()

    def leave_while_reading(self, path: str) -> None:
        """GET, read the first bytes of the body, and go away."""
        WsgiExchange(self._app, "GET", path, leave_after=1, **self._environ).run()


class _ClientGone(BrokenPipeError):
    """What a server's socket raises when the client is gone."""
