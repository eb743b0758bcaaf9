"""Pages as ASGI applications."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from measurand.endpoints.page import Response
from measurand.endpoints.pages import Page, Request, answer, metrics
from measurand.metrics.domains import REGISTRY

__all__ = ["make_asgi_app", "roots", "serve_page"]

MOST_ROOTS = 16
"""Root paths that are remembered: a server has one, and each place where an application is mounted."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def make_asgi_app(registry: Any = REGISTRY, disable_compression: bool = False) -> ASGIApp:
    """Make an ASGI application that serves the metrics of a registry under any path; to be mounted, or served alone.

    The page of a large registry, or of one with custom collectors or callbacks, is made in another thread, so that the event loop goes
    on. A collector that needs the loop's thread, such as a callback that counts its tasks, is called there. Without asyncio (under
    trio) everything runs in the calling thread.

    Args:
        registry: A registry, a domain, or anything with ``collect()``.
        disable_compression: Never use gzip.
    """
    page = metrics(registry, compress=not disable_compression)

    async def metrics_app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await serve_page(page, scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    return metrics_app


def roots() -> tuple[str, ...]:
    """What has stood before the paths of pages that were asked for, as it is written in access logs."""
    return tuple(_roots)


async def serve_page(page: Page, scope: Scope, receive: Receive, send: Send, *, trusted: bool = False) -> None:
    """Answer one request with a page: in another thread unless the page is quick; without asyncio (under trio) in the calling one.

    Args:
        page: The page.
        scope: The request's scope, of type ``http``.
        receive: Not used: pages have no use for a body.
        send: Where the response goes.
        trusted: As in :class:`~measurand.endpoints.pages.Request`.
    """
    if root := scope.get("root_path"):
        _note(root)  # before the response: servers log with its start
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    query = scope.get("query_string", b"").decode("latin-1")
    response = await _respond(page, Request(scope["method"], scope.get("path", ""), query, headers, trusted))
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": encoded})
    await send({"type": "http.response.body", "body": response.body})


_roots: dict[str, None] = {}


def _note(root: str) -> None:
    written = quote(root)
    if written not in _roots and len(_roots) < MOST_ROOTS:
        _roots[written] = None


async def _respond(page: Page, request: Request) -> Response:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if loop is None or page.is_quick():
        return answer(page, request)

    def in_loop(function: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), loop).result()

    return await asyncio.to_thread(answer, page, request._replace(call_here=in_loop))


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
