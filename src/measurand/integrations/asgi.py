"""The middleware for ASGI applications: serves the pages of a service, and records every request and websocket.

Pure ASGI (version 3.0 of the specification): nothing is buffered, copied or kept back, every message passes through as it is, and what
the application raises goes on untouched. Whatever fails in here fails alone: it is logged once, and requests are served as if this
were not there. It belongs outermost, so that probes are answered whatever other middlewares do, and errors are seen.

A request's duration ends with the last message of its response. It is recorded when the application has returned; by then its
route is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from measurand import clock
from measurand.catalog.http import CANCELLED, INCOMPLETE, UNMATCHED, exception_name
from measurand.endpoints.asgi import serve_page
from measurand.endpoints.pages import Page
from measurand.integrations.asgi_details import Details
from measurand.integrations.asgi_lifespan import drive
from measurand.integrations.asgi_websocket import watch
from measurand.integrations.routes import RouteTemplates
from measurand.integrations.service import Service

__all__ = ["COUNTED", "FAILURE", "TEMPLATE", "Middleware", "install"]

LOG = logging.getLogger("measurand.http")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

COUNTED = "measurand.counted"
"""In the scope of a request that is taken care of, so that a mounted application with a middleware of its own does not count it again."""

TEMPLATE = "measurand.endpoint"
"""Where inner code may put the template of the route that took the request, if nothing else says it."""

FAILURE = "measurand.failure"
"""Where inner code may put the class name of an exception that it answered with status 500, or raised another one instead of."""

CLIENT_GONE = 499
"""The status of a request whose client went away before there was a response."""

OTHER_ENDS = frozenset({"http.response.pathsend", "http.response.zerocopysend", "http.response.trailers"})
"""Messages of extensions that may end a response."""


def install(app: ASGIApp, service: Service, *, endpoint_of: Callable[[Scope], str | None] | None = None) -> Middleware:
    """Measure an application. What is measured already only changes the service that it is measured for.

    Args:
        app: The application.
        service: The running service.
        endpoint_of: See :class:`Middleware`.

    Returns:
        The application to serve in the other's place.
    """
    if isinstance(app, Middleware):
        app.serve(service)
        return app
    return Middleware(app, service, endpoint_of=endpoint_of)


class Middleware:
    """An ASGI application that measures another one; any number of requests at a time.

    Within a measured application another Middleware passes requests on, so that none is counted twice.

    Attributes:
        app: The application.
        service: The service.

    Args:
        app: The application.
        service: The service to serve and record for.
        endpoint_of: Says from the scope, after the application has returned, which template a request belongs to; ``None`` for none.
            It must not return raw paths. By default the routes of Starlette, FastAPI and Litestar are understood.
    """

    def __init__(self, app: ASGIApp, service: Service, *, endpoint_of: Callable[[Scope], str | None] | None = None) -> None:
        self.app = app
        self._endpoint_of = endpoint_of
        self._find_template = RouteTemplates().find
        self._has_failed = False
        self.serve(service)

    def serve(self, service: Service) -> None:
        """Record for this service from now on, and answer with its pages."""
        self.service = service
        self._http = service.http
        self._aside: dict[str, Page | None] = {}
        self._is_new = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0912, PLR0915 - one request's state
        """Serve one connection."""
        if scope["type"] != "http" or COUNTED in scope:
            await self._pass(scope, receive, send)
            return
        scope[COUNTED] = True
        page = details = started = None
        method = path = below = ""
        try:
            if self._is_new:
                self.server_started()
            path = below = scope["path"]
            if (root := scope.get("root_path")) and path not in self._aside and path.startswith(root):
                below = path[len(root) :]  # the server was told to put something in front of every path
            if below in self._aside:
                page = self._aside[below]
            else:
                now = clock.monotonic()
                method = self._http.start(scope["method"])
                started = now
                if self._http.has_details:
                    details = Details(now)
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            self.report(failure)
        if page is not None:
            await serve_page(page, scope, receive, send)
            return
        if started is None:
            await self.app(scope, receive, send)
            return

        status = 0
        ended: float | None = None
        is_gone = is_closing = has_trailers = False

        async def watched_receive() -> Message:
            nonlocal is_gone
            message = await receive()
            try:
                if message["type"] == "http.disconnect":
                    is_gone = is_gone or not is_closing
                elif details is not None:
                    details.received(message)
            except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                self.report(failure)
            return message

        async def watched_send(message: Message) -> None:
            nonlocal status, ended, is_gone, is_closing, has_trailers
            try:
                kind = message["type"]
                if kind == "http.response.body":
                    is_closing = not message.get("more_body", False) and not has_trailers
                elif kind == "http.response.start":
                    if not is_gone:
                        status = message["status"]
                    has_trailers = message.get("trailers", False)
                elif kind in OTHER_ENDS:
                    is_closing = is_last(message, has_trailers)
                if details is not None:
                    details.sent(message)
            except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                self.report(failure)
            try:
                await send(message)
            except OSError:  # how servers of version 2.4 of the specification say that the client has gone
                is_gone = True
                raise
            if is_closing and ended is None:
                try:
                    ended = clock.monotonic()
                except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                    self.report(failure)

        try:
            await self.app(scope, watched_receive, watched_send)
        except BaseException as error:
            try:
                self._settle(scope, path, method, status, started, ended, is_gone, error, details)
            except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                self.report(failure)
            raise
        try:
            if ended is not None and not is_gone and details is None and status < 500:
                self._http.finish(method, self.template(scope, path), status, ended - started)
            else:
                self._settle(scope, path, method, status, started, ended, is_gone, None, details)
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            self.report(failure)

    def _settle(
        self,
        scope: Scope,
        path: str,
        method: str,
        status: int,
        started: float,
        ended: float | None,
        is_gone: bool,
        error: BaseException | None,
        details: Details | None,
    ) -> None:
        """Record a request that did not just go well."""
        now = clock.monotonic()
        failure = None
        if is_gone:
            status = status or CLIENT_GONE
        elif error is not None and was_cancelled(error):
            if ended is None:  # else it was a background task, and the client has everything
                status, failure = status or 503, CANCELLED
        elif error is not None:
            status, failure = status or 500, scope.get(FAILURE) or exception_name(error)
        elif ended is None:
            status, failure = 500, INCOMPLETE
        elif status == 500:
            failure = scope.get(FAILURE)
        self._http.finish(
            method,
            self.template(scope, path),
            status,
            (now if ended is None else ended) - started,
            failure,
            is_gone,
            **({} if details is None else details.figures(now, ended)),
        )

    def template(self, scope: Scope, path: str) -> str:
        """The template of the route that took the request."""
        try:
            found = self._find_template(scope, path) if self._endpoint_of is None else self._endpoint_of(scope)
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            self.report(failure)
            found = None
        return found or UNMATCHED

    # -- what is not a request to be recorded ----------------------------------------------------------------------------------

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a websocket, the lifespan, or a request that another middleware has taken care of."""
        kind = scope["type"]
        if kind == "lifespan":
            await drive(self, scope, receive, send)
        elif kind == "websocket" and COUNTED not in scope:
            scope[COUNTED] = True
            if self._is_new:
                self.server_started()
            if scope.get("path") in self._aside:
                await self.app(scope, receive, send)
            else:
                await watch(self, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def server_started(self) -> None:
        """Tell the service, once, that its server is up; called in the event loop. What fails is reported."""
        if self._is_new:
            self._is_new = False
            try:
                pages = self.service.pages
                self._aside = {**dict.fromkeys(self.service.excluded), **{path: pages.find(path) for path in pages.paths}}
            except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                self.report(failure)
            try:
                self.service.server_started(running_loop())
            except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                self.report(failure)

    def report(self, failure: Exception) -> None:
        """Log what has failed in here, the first time."""
        if not self._has_failed:
            self._has_failed = True
            LOG.error("measuring a request has failed; requests are served all the same. Said once.", exc_info=failure)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that this runs in; ``None`` if it is another library's."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def is_last(message: Message, has_trailers: bool) -> bool:
    """Whether a message of one of the extensions ends the response."""
    if message["type"] == "http.response.trailers":
        return not message.get("more_trailers", False)
    return not message.get("more_body", False) and not has_trailers


def was_cancelled(error: BaseException) -> bool:
    """Whether the task was cancelled. Servers do that when they shut down, not when a client goes away."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return True
    return type(error).__module__.startswith("trio") and type(error).__name__ == "Cancelled"
