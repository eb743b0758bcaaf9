"""Sending a request to a destination over HTTP, and what its answer means.

One connection is kept open for each destination, and made anew when it has broken. A request has one deadline for everything: connecting,
sending, and the whole answer, of which no more is read than is worth reading. Redirects are not followed and proxies not used.
Needs the standard library only.
"""

from __future__ import annotations

import http.client
import io
import os
import random
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from measurand import clock
from measurand.errors import ConfigurationError, ExportFailed

__all__ = ["Answer", "HttpPeer", "Unreachable", "backoff", "bounded"]

LONGEST_ANSWER = 64 * 1024
"""Bytes of an answer that are read."""

LONGEST_RETRY = 600.0
"""Seconds to wait at most because a peer asks for it."""

SHORTEST = 0.05
"""Seconds that a request always has."""


class Unreachable(ExportFailed):
    """No answer came.

    Attributes:
        is_sent: Whether the peer may have got the request as a whole all the same.
    """

    def __init__(self, message: str, *, is_sent: bool) -> None:
        super().__init__(message)
        self.is_sent = is_sent


class Answer(NamedTuple):
    """What a peer answered.

    Attributes:
        status: The status code.
        headers: Header values, by name in lower case.
        body: The first :data:`LONGEST_ANSWER` bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the request was accepted."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The beginning of the body on one line, for messages."""
        return " ".join(self.body[:300].decode("utf-8", "replace").split())

    @property
    def retry_after(self) -> float | None:
        """The seconds that the peer asks to wait, at most :data:`LONGEST_RETRY`; ``None`` if it does not say. RFC 9110, "Retry-After"."""
        said = self.headers.get("retry-after", "").strip()
        with suppress(ValueError):
            seconds = float(said)
            return min(max(seconds, 0.0), LONGEST_RETRY) if seconds < inf else None
        with suppress(ValueError, TypeError):
            moment = parsedate_to_datetime(said)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            left = (moment - datetime.fromtimestamp(clock.wall(), UTC)).total_seconds()
            return min(max(left, 0.0), LONGEST_RETRY)
        return None


class HttpPeer:
    """A destination that is spoken to over HTTP/1.1. From one thread at a time.

    Args:
        url: Where to send; ``http`` or ``https``. A user and a password in it become basic authentication.
        headers: Sent with each request.
        username: For basic authentication, in place of what the URL says.
        password: For basic authentication.
        bearer_token: For bearer authentication.
        tls: For ``https``; the system's authorities by default.

    Raises:
        ConfigurationError: The URL is none, or two ways to authenticate are given.

    Attributes:
        shown: The URL without credentials and query, for messages.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        username: str | None = None,
        password: str | None = None,
        bearer_token: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
            raise ConfigurationError(f"{_without_credentials(url)!r} is no address to send to: give a URL such as http://127.0.0.1:9090/path")
        self._is_tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, port or (443 if self._is_tls else 80)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._netloc = host if port is None else f"{host}:{port}"
        self.shown = f"{parts.scheme}://{self._netloc}{parts.path}"
        if username is None and parts.username is not None:
            username, password = unquote(parts.username), unquote(parts.password or "")
        if username is not None and bearer_token is not None:
            raise ConfigurationError(f"{self.shown} is given a user name and a bearer token; choose one")
        self._headers = {"Host": self._netloc, "User-Agent": "measurand", **(headers or {})}
        if username is not None:
            self._headers["Authorization"] = "Basic " + b64encode(f"{username}:{password or ''}".encode()).decode()
        elif bearer_token is not None:
            self._headers["Authorization"] = f"Bearer {bearer_token}"
        for name, value in self._headers.items():
            if any(sign in f"{name}{value}" for sign in "\r\n\0"):
                raise ConfigurationError(f"the header {name!r} for {self.shown} has a line break in it")
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None
        self._deadline = inf
        self._pid = os.getpid()

    def request(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, timeout: float, method: str = "POST", target: str | None = None
    ) -> Answer:
        """Send a request and return the answer, whatever its status.

        Args:
            body: The body.
            headers: Headers of this request.
            timeout: Seconds for all of it.
            method: The method.
            target: Path and query, in place of the URL's.

        Raises:
            Unreachable: No answer came in time.
        """
        self._deadline = clock.system_monotonic() + max(timeout, SHORTEST)
        if self._pid != os.getpid():
            self.close()  # it is the parent's, and what one of the two sent would be in the midst of what the other sends
            self._pid = os.getpid()
        kept = self._connection is not None
        try:
            return self._exchange(method, target or self._target, body, headers or {})
        except _Refused as reason:
            self.close()
            if not kept or not reason.is_stale:
                raise Unreachable(f"{self.shown} cannot be reached: {reason}", is_sent=reason.is_sent) from None
        try:  # the peer had closed the connection that was kept, and has not seen the request
            return self._exchange(method, target or self._target, body, headers or {})
        except _Refused as reason:
            self.close()
            raise Unreachable(f"{self.shown} cannot be reached: {reason}", is_sent=reason.is_sent) from None

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        is_sent = False
        try:
            connection = self._connection or self._connect()
            connection.sock.settimeout(self._left())
            connection.request(method, target, body, {**self._headers, **headers})
            is_sent = True
            response = connection.getresponse()
            content = self._read(response)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as reason:
            raise _Refused(_said(reason), is_sent=is_sent, is_stale=True) from reason
        except (OSError, http.client.HTTPException, ValueError) as reason:
            is_ours = not isinstance(reason, OSError) and isinstance(reason, ValueError | http.client.InvalidURL)
            said = type(reason).__name__ if is_ours else _said(reason)  # else there may be a part of the request in it, and so a secret
            raise _Refused(said, is_sent=is_sent, is_stale=False) from reason
        if response.will_close:
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def _left(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: There are none.
        """
        left = self._deadline - clock.system_monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def _connect(self) -> http.client.HTTPConnection:
        left = self._left()
        if self._is_tls:
            context = self._tls or ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(self._host, self._port, timeout=left, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=left)
        connection.response_class = self._respond  # type: ignore[assignment]
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        return connection

    def _respond(self, sock: socket.socket, *arguments: Any, **settings: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Source(sock, self._left), *arguments, **settings)  # type: ignore[arg-type]

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        content = b""
        while len(content) < LONGEST_ANSWER:
            part = response.read1(LONGEST_ANSWER - len(content))
            if not part:
                response.close()  # at the end of a body of a known length it is still open, and the connection could not be used again
                return content
            content += part
        self.close()  # there may be more, which nobody wants
        return content


class _Source:
    """What an answer is read from: each read has what is left of the request's time, however little the peer sends at once."""

    def __init__(self, sock: socket.socket, left: Callable[[], float]) -> None:
        self._sock = sock
        self._left = left

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._sock, self._left))


class _Timed(io.RawIOBase):
    def __init__(self, sock: socket.socket, left: Callable[[], float]) -> None:
        self._sock = sock
        self._left = left
        self._raw = sock.makefile("rb", buffering=0)  # the socket stays open for it when the connection is closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Refused(Exception):
    """An exchange came to nothing."""

    def __init__(self, message: str, *, is_sent: bool, is_stale: bool) -> None:
        super().__init__(message)
        self.is_sent = is_sent
        self.is_stale = is_stale


def backoff(failures: int, shortest: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row: doubled at each, up to the longest, and a random part of up to a half less."""
    return min(shortest * 2.0 ** min(max(failures - 1, 0), 30), longest) * (1 - random.random() / 2)


def bounded(timeout: float, seconds: float) -> float:
    """A destination's own timeout, or what there is if that is less."""
    return max(min(timeout, seconds), SHORTEST)


def _said(reason: BaseException) -> str:
    return str(reason) or type(reason).__name__


def _without_credentials(url: str) -> str:
    before, at, after = url.rpartition("@")
    return f"{before.partition('://')[0]}://…@{after}" if at and "://" in before else url
