"""Pages as WSGI applications."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from measurand.endpoints.pages import Page, Request, answer, metrics
from measurand.metrics.domains import REGISTRY

__all__ = ["make_wsgi_app", "serve_page"]

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def make_wsgi_app(registry: Any = REGISTRY, disable_compression: bool = False) -> WSGIApp:
    """Make a WSGI application that serves the metrics of a registry under any path.

    Args:
        registry: A registry, a domain, or anything with ``collect()``.
        disable_compression: Never use gzip.
    """
    page = metrics(registry, compress=not disable_compression)

    def metrics_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return serve_page(page, environ, start_response)

    return metrics_app


def serve_page(page: Page, environ: dict[str, Any], start_response: Callable[..., Any], *, trusted: bool = False) -> Iterable[bytes]:
    """Answer one request with a page; ``trusted`` as in :class:`~measurand.endpoints.pages.Request`."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    response = answer(page, Request(environ["REQUEST_METHOD"], path, query, headers, trusted))
    start_response(f"{response.status} {HTTPStatus(response.status).phrase}", response.headers)
    return [response.body]
