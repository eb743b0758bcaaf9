"""The conformance kit's routes as a plain WSGI application, and what the suites about WSGI share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from measurand.testing.http import Boom

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

PATTERNS = {
    "/ok": "/ok",
    "/items/{id}": r"/items/(\w+)",
    "/upload": "/upload",
    "/api/v1/deep/{x}": r"/api/v1/deep/(\w+)",
    "/status/{code}": r"/status/(\d+)",
    "/moved": "/moved",
    "/boom": "/boom",
    "/stream": "/stream",
    "/broken": "/broken",
    "/endless": "/endless",
}


def make_app(tick: Callable[[], None] = lambda: None) -> Any:
    """A router by hand: it puts the template into the environment under ``test.route``."""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]

        def respond(status: int, body: Any = None, *headers: tuple[str, str]) -> Any:
            line = f"{status} {HTTPStatus(status).phrase}"
            content = line.encode() if body is None else body
            if isinstance(content, bytes):
                headers = (*headers, ("Content-Length", str(len(content))))
                content = [content]
            start_response(line, [("Content-Type", "text/plain"), *headers])
            return content

        for template, pattern in PATTERNS.items():
            match = re.fullmatch(pattern, path)
            if match is None:
                continue
            environ["test.route"] = template
            if method != ("POST" if template == "/upload" else "GET") and not (method == "HEAD" and template == "/ok"):
                return respond(405)
            if template == "/boom":
                raise Boom
            if template == "/upload":
                return respond(201, str(len(environ["wsgi.input"].read())).encode())
            if template == "/status/{code}":
                return respond(int(match[1]))
            if template == "/moved":
                return respond(302, b"", ("Location", "/ok"))
            streams = {"/stream": stream(tick), "/broken": broken(), "/endless": endless()}
            return respond(200, streams.get(template) or (match[1] if match.groups() else "ok").encode())
        return respond(404)

    return app


def stream(tick: Callable[[], None]) -> Iterator[bytes]:
    for chunk in (b"one", b"two", b"three"):
        tick()
        yield chunk


def broken() -> Iterator[bytes]:
    yield b"one"
    raise Boom


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 1000


def route(environ: Environ) -> str | None:
    """What the plain application knows of the route."""
    return environ.get("test.route")


class Body:
    """A body that remembers how it was treated; its chunks may be exceptions, which it raises, and functions, which it calls."""

    def __init__(self, *chunks: Any, at_close: Callable[[], object] = lambda: None) -> None:
        self.chunks = chunks
        self.events: list[str] = []
        self.at_close = at_close

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.events.append("chunk")
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk() if callable(chunk) else chunk

    def close(self) -> None:
        self.events.append("close")
        self.at_close()


def returning(body: Any, status: str = "200 OK", headers: Iterable[tuple[str, str]] = ()) -> Any:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response(status, list(headers))
        return body() if callable(body) else body

    return app


def writing(*chunks: bytes) -> Any:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        write = start_response("200 OK", [])
        for chunk in chunks:
            write(chunk)
        return [b"last"]

    return app


def reading(environ: Environ, start_response: StartResponse) -> list[bytes]:
    length = len(environ["wsgi.input"].read())
    start_response("201 Created", [])
    return [str(length).encode()]
