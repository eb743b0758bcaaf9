"""Asks clients not to come back on their connection, once the service is about to stop.

A server that stops closes the connections that it has kept open, and a client that sends its next request just then loses it. With
``Connection: close`` on the last responses the client opens a new connection instead, to wherever requests go by then (RFC 9112, section
9.6).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

__all__ = ["closing"]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

CLOSE = (b"connection", b"close")


def closing(scope: Mapping[str, Any], send: Send) -> Send:
    """What to send responses with: the same, and the header on the response's start. HTTP/2 and 3 have other means."""
    if not str(scope.get("http_version", "1.1")).startswith("1"):
        return send

    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(bytes(name).lower() == CLOSE[0] for name, _ in headers):
                message = {**message, "headers": [*headers, CLOSE]}
        await send(message)

    return send_last
