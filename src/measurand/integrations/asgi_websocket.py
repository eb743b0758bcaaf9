"""Websockets: how many are open, and for how long each was.

A websocket is open from the moment the application accepts it, when its route is known, until either side closes it or the application
returns. One that is refused was never open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from measurand import clock
from measurand.integrations.service import Service

__all__ = ["Watching", "watch"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Watching(Protocol):
    """The middleware, as websockets need it."""

    service: Service
    app: Callable[[Message, Receive, Send], Awaitable[None]]

    def template(self, scope: Message, path: str) -> str:
        """The template of the route that took the connection."""
        ...

    def report(self, failure: Exception) -> None:
        """Log what has failed in here."""
        ...


async def watch(middleware: Watching, scope: Message, receive: Receive, send: Send) -> None:
    """Serve a scope of type ``websocket``."""
    connection = Connection(middleware, scope)

    async def watched_receive() -> Message:
        message = await receive()
        if message.get("type") == "websocket.disconnect":
            connection.close()
        return message

    async def watched_send(message: Message) -> None:
        try:
            await send(message)
        except OSError:
            connection.close()
            raise
        kind = message.get("type")
        if kind == "websocket.accept":
            connection.open()
        elif kind == "websocket.close":
            connection.close()

    try:
        await middleware.app(scope, watched_receive, watched_send)
    finally:
        connection.close()


class Connection:
    """One websocket, from its handshake to its end."""

    def __init__(self, middleware: Watching, scope: Message) -> None:
        self._middleware = middleware
        self._scope = scope
        self._path = scope.get("path", "")
        self._opened = 0.0
        self._closed: Callable[[float], None] | None = None

    def open(self) -> None:
        """It was accepted."""
        try:
            self._opened = clock.monotonic()
            self._closed = self._middleware.service.http.websocket_opened(self._middleware.template(self._scope, self._path))
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            self._middleware.report(failure)

    def close(self) -> None:
        """It is no longer open."""
        closed, self._closed = self._closed, None
        if closed is not None:
            try:
                closed(clock.monotonic() - self._opened)
            except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                self._middleware.report(failure)
