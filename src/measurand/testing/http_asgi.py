"""Server and client in one for ASGI applications, in process: the ASGI half of the conformance kit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from measurand.testing.http import Answer

__all__ = ["AsgiDriver", "Exchange"]

Message = MutableMapping[str, Any]
ASGIApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

CHUNK = 16_384


class Exchange:
    """One request to an ASGI application, played as a server plays it.

    Attributes:
        scope: The connection scope.
        sent: The messages that the application sent.
        error: What it raised, if it did.

    Args:
        app: The application.
        method: The method.
        path: The path as a client writes it, with a query string where there is one.
        body: The request's body; it arrives in pieces.
        headers: Further headers.
        leave_after: After how many bytes of the response the client goes away; ``None`` for never.
        leave_while_sending: The client goes away before the end of its body.
        **scope: Keys of the scope that are to differ.
    """

    def __init__(
        self,
        app: ASGIApp,
        method: str,
        path: str,
        body: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        *,
        leave_after: int | None = None,
        leave_while_sending: bool = False,
        **scope: Any,
    ) -> None:
        path, _, query = path.partition("?")
        length = ((b"content-length", str(len(body)).encode()),) if body else ()
        self.scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"testserver"), *length, *headers],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
            "state": {},
            **scope,
        }
        self.sent: list[Message] = []
        self.error: BaseException | None = None
        self._app = app
        self._arriving = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)] or [b""]
        self._leaves_while_sending = leave_while_sending
        self._leave_after = leave_after
        self._received = 0
        self._gone = asyncio.Event()

    async def run(self) -> Answer:
        """Play it to its end. What the application raises is kept in :attr:`error`, except the cancellation of this very call."""
        try:
            await self._app(self.scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - as a server does
            self.error = error
            if not self.sent:
                return Answer(500, [], b"")
        return self.answer

    @property
    def answer(self) -> Answer:
        """What the client has so far."""
        start = next((message for message in self.sent if message["type"] == "http.response.start"), None)
        if start is None:
            return Answer(0, [], b"")
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start.get("headers", ())]
        body = b"".join(message.get("body", b"") for message in self.sent if message["type"] == "http.response.body")
        return Answer(start["status"], headers, b"" if self.scope["method"] == "HEAD" else body)

    async def _receive(self) -> Message:
        if self._arriving:
            piece = self._arriving.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._arriving) or self._leaves_while_sending}
        if self._leaves_while_sending:
            self._gone.set()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await asyncio.sleep(0)
        if self._gone.is_set():
            return  # as uvicorn does; servers that follow version 2.4 of the specification raise OSError
        self.sent.append(message)
        if message["type"] == "http.response.body":
            self._received += len(message.get("body", b""))
            finished = not message.get("more_body", False)
            if finished or (self._leave_after is not None and self._received >= self._leave_after):
                self._gone.set()


class AsgiDriver:
    """Drives an ASGI application; see :class:`measurand.testing.http.Driver`. Each request runs in an event loop of its own.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Ask, and read the answer to its end."""
        return self._run(method, path, body)

    def leave_while_sending(self, path: str) -> None:
        """Begin to POST a body, and go away before its end."""
        self._run("POST", path, b"x" * 2 * CHUNK, leave_while_sending=True)

    def leave_while_reading(self, path: str) -> None:
        """GET, read the first bytes of the body, and go away."""
        self._run("GET", path, leave_after=1)

    def _run(self, method: str, path: str, body: bytes = b"", **how: Any) -> Answer:
        async def play() -> Answer:
            return await asyncio.wait_for(Exchange(self._app, method, path, body, **how).run(), 60)

        return asyncio.run(play())
