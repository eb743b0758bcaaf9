"""Pages without a framework: requests in, responses out, and which page stands at which path.

A page never sees a socket and never waits for a client; it is served as ASGI, as WSGI and by the management server alike. One that fails
answers 500 without a word about why, and the reason is logged.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from measurand.endpoints.page import Response, respond
from measurand.errors import ConfigurationError
from measurand.metrics.collecting import CallHere, is_quick
from measurand.metrics.domains import REGISTRY

__all__ = ["Page", "Pages", "Request", "answer", "has_token", "metrics", "text"]

LOG = logging.getLogger("measurand.endpoints")


class Request(NamedTuple):
    """The parts of a request that pages look at.

    Attributes:
        method: The method, as sent.
        path: The path, decoded.
        query: The query string, not decoded.
        headers: The headers, with names in lower case.
        trusted: Whether it came over a port that only this machine can reach.
        call_here: Runs a function where it must run, when the page itself is made in another thread; see
            :func:`measurand.metrics.collecting.gather`.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    trusted: bool = False
    call_here: CallHere | None = None


def _always() -> bool:
    return True


class Page(NamedTuple):
    """What stands at a path.

    Attributes:
        respond: Makes the response; called from any thread, many at once.
        is_quick: Whether it may be called in an event loop: it neither waits nor computes for long.
    """

    respond: Callable[[Request], Response]
    is_quick: Callable[[], bool] = _always


class Pages:
    """Pages by path. A trailing slash is the same page: probes and scrapers must never be redirected.

    Args:
        routes: The page of each path.

    Raises:
        ConfigurationError: A path does not begin with a slash, or two are the same.
    """

    def __init__(self, routes: Mapping[str, Page]) -> None:
        self._pages: dict[str, Page] = {}
        for path, page in routes.items():
            if not path.startswith("/") or "?" in path or "//" in path:
                raise ConfigurationError(f"{path!r} cannot be the path of a page; write it as '/v1/metrics'")
            for spelling in {path, path.rstrip("/") or "/", path if path.endswith("/") else f"{path}/"}:
                if spelling in self._pages:
                    raise ConfigurationError(f"two pages are to stand at {path!r}; give one of them another path")
                self._pages[spelling] = page

    @property
    def paths(self) -> frozenset[str]:
        """Every path that is answered, each spelling of it."""
        return frozenset(self._pages)

    def find(self, path: str) -> Page | None:
        """The page at a path, or ``None``."""
        return self._pages.get(path)

    def __iter__(self) -> Iterator[tuple[str, Page]]:
        return iter(self._pages.items())


def answer(page: Page, request: Request) -> Response:
    """What the page responds; 500 when it fails. A HEAD request gets the headers of the GET."""
    try:
        response = page.respond(request)
    except Exception:
        LOG.exception("the page at %s failed", request.path)
        response = text(500, "this page could not be made; the log says why\n")
    return response._replace(body=b"") if request.method == "HEAD" else response


def text(status: int, body: str, *headers: tuple[str, str]) -> Response:
    """A response for people, never kept by caches."""
    encoded = body.encode()
    return Response(
        status,
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("Content-Length", str(len(encoded))),
            *headers,
        ],
        encoded,
    )


def has_token(request: Request, token: str | None) -> bool:
    """Whether the request carries the bearer token (RFC 6750, section 2.1); compared in constant time. Never true without a token."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), str(token).encode())


def metrics(registry: Any = REGISTRY, *, compress: bool = True) -> Page:
    """The metrics page of a registry, a domain, or anything with ``collect()``.

    It is quick while the registry is small and has neither custom collectors nor callbacks.
    """

    def page(request: Request) -> Response:
        return respond(
            registry, request.method, request.path, request.query, request.headers, compress=compress, call_here=request.call_here
        )

    return Page(page, lambda: is_quick(registry))
