"""What is measured of a request besides its duration, where the service has switched that on."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from measurand import clock

__all__ = ["Details"]


class Details:
    """Sizes of bodies and the time to the start of the response, of one request.

    The size of a response whose file the server sends by itself (``http.response.pathsend``, ``zerocopysend``) is not known.

    Args:
        started: When the request arrived, by the monotonic clock.
    """

    __slots__ = ("_begun", "_in", "_is_sized", "_out", "_started")

    def __init__(self, started: float) -> None:
        self._started = started
        self._begun: float | None = None
        self._in = self._out = 0
        self._is_sized = True

    def received(self, message: MutableMapping[str, Any]) -> None:
        """The application receives this."""
        self._in += len(message.get("body", b""))

    def sent(self, message: MutableMapping[str, Any]) -> None:
        """The application sends this."""
        kind = message["type"]
        if kind == "http.response.body":
            self._out += len(message.get("body", b""))
        elif kind == "http.response.start":
            self._begun = clock.monotonic()
        elif kind in {"http.response.pathsend", "http.response.zerocopysend"}:
            self._is_sized = False

    def figures(self, now: float, ended: float | None) -> dict[str, float]:
        """What was found, by the names of ``HttpMetrics.finish``'s arguments.

        Args:
            now: When the application returned.
            ended: When the response was complete; ``None`` if it never was.
        """
        found: dict[str, float] = {"request_bytes": self._in}
        if self._is_sized:
            found["response_bytes"] = self._out
        if self._begun is not None:
            found["first_byte"] = self._begun - self._started
        if ended is not None:
            found["background"] = now - ended
        return found
