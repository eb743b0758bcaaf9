"""The metrics page as a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from measurand.endpoints.page import respond
from measurand.metrics.domains import REGISTRY

__all__ = ["make_wsgi_app"]

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def make_wsgi_app(registry: Any = REGISTRY, disable_compression: bool = False) -> WSGIApp:
    """Make a WSGI application that serves the metrics of a registry under any path.

    Args:
        registry: A registry, a domain, or anything with ``collect()``.
        disable_compression: Never use gzip.
    """

    def metrics_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        response = respond(
            registry,
            environ["REQUEST_METHOD"],
            environ.get("PATH_INFO", ""),
            environ.get("QUERY_STRING", ""),
            headers,
            compress=not disable_compression,
        )
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", response.headers)
        return [response.body]

    return metrics_app
