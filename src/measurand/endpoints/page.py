"""The metrics page without a framework: a request's few relevant parts in, a response out."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from measurand.encoding.negotiation import choose, gzip_accepted
from measurand.metrics.collecting import DEADLINE, CallHere, gather

__all__ = ["ALLOWED", "Response", "metrics_page", "respond"]

ALLOWED = "GET, HEAD, OPTIONS"
EMPTY = (("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "0"))

GZIP_LEVEL = 4  # about the size of level 9 on this kind of text, at a third of its time

MARGIN = 0.5
"""Seconds of a scraper's timeout that are left for encoding and for the way back."""


class Response(NamedTuple):
    """What to send: a status code, headers, and the body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def metrics_page(
    registry: Any,
    accept: str | None = None,
    accept_encoding: str | None = None,
    names: Sequence[str] = (),
    *,
    scrape_timeout: str | None = None,
    compress: bool = True,
    call_here: CallHere | None = None,
) -> Response:
    """The metrics of a registry in the format that the client prefers.

    Args:
        registry: A registry, a domain, or anything with ``collect()``.
        accept: The Accept header.
        accept_encoding: The Accept-Encoding header.
        names: Only the series with these names (``?name[]=…``); all if empty.
        scrape_timeout: The X-Prometheus-Scrape-Timeout-Seconds header; collectors get less time when it is short.
        compress: Whether gzip may be used.
        call_here: See :func:`measurand.metrics.collecting.gather`.
    """
    chosen = choose(accept)
    if names and hasattr(registry, "restricted_registry"):
        registry = registry.restricted_registry(names)
    body = chosen.encode(gather(registry, _deadline(scrape_timeout), call_here))
    headers = [("Content-Type", chosen.content_type), ("Vary", "Accept, Accept-Encoding" if compress else "Accept")]
    if compress and gzip_accepted(accept_encoding):
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(len(body))))
    return Response(200, headers, body)


def respond(
    registry: Any,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    *,
    compress: bool = True,
    call_here: CallHere | None = None,
) -> Response:
    """Answer a request for the metrics page, whatever its path.

    Args:
        registry: A registry, a domain, or anything with ``collect()``.
        method: The request's method.
        path: Its path; only a browser's request for ``/favicon.ico`` is answered without metrics.
        query: Its query string.
        headers: Its headers, with names in lower case.
        compress: Whether gzip may be used.
        call_here: See :func:`measurand.metrics.collecting.gather`.
    """
    if method == "OPTIONS":
        return Response(200, [("Allow", ALLOWED), *EMPTY], b"")
    if method not in {"GET", "HEAD"}:
        body = f"# HTTP 405 Method Not Allowed: {method[:20]!a}; use GET, HEAD or OPTIONS\n".encode()
        return Response(405, [("Allow", ALLOWED), ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))], body)
    if path == "/favicon.ico":
        return Response(200, [*EMPTY], b"")
    response = metrics_page(
        registry,
        headers.get("accept"),
        headers.get("accept-encoding"),
        parse_qs(query).get("name[]", ()),
        scrape_timeout=headers.get("x-prometheus-scrape-timeout-seconds"),
        compress=compress,
        call_here=call_here,
    )
    return response._replace(body=b"") if method == "HEAD" else response


def _deadline(scrape_timeout: str | None) -> float:
    try:
        seconds = float(scrape_timeout or "")
    except ValueError:
        return DEADLINE
    return min(DEADLINE, max(seconds - MARGIN, seconds / 2)) if seconds > 0 else DEADLINE
