"""Asking a running service's pages over HTTP."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Answer", "Place", "Unreachable", "ask"]

TIMEOUT = 5.0
"""Seconds that a page may take."""


class Unreachable(Exception):
    """Nobody answered, or not in HTTP; the message says why."""


class Place(NamedTuple):
    """Where to ask: a URL taken apart."""

    scheme: str
    host: str
    port: int | None
    path: str

    @classmethod
    def of(cls, url: str, default_path: str) -> Place:
        """Read a URL; ``http://`` may be left out, and so may the path.

        Raises:
            ValueError: It is none.
        """
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
            raise ValueError(f"{url!r} is no address; write it as http://127.0.0.1:9100")
        return cls(parts.scheme, parts.hostname, port, parts.path if parts.path.strip("/") else default_path)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}{self.path}"


class Answer(NamedTuple):
    """What a page said: the status code, and the body, read as JSON where it is."""

    status: int
    content: Any


def ask(place: Place, method: str = "GET", token: str | None = None, **headers: str) -> Answer:
    """Ask once.

    Raises:
        Unreachable: There was no answer.
    """
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection = (http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection)(
        place.host, place.port, timeout=TIMEOUT
    )
    try:
        connection.request(method, place.path, headers=headers)
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ssl.SSLError) as reason:
        raise Unreachable(f"{place} does not answer: {getattr(reason, 'strerror', None) or reason or type(reason).__name__}") from reason
    finally:
        connection.close()
    try:
        return Answer(response.status, json.loads(body))
    except ValueError:
        return Answer(response.status, body.strip())
