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
from measurand.catalog.http import AT_HAND, CANCELLED, INCOMPLETE, UNMATCHED, HttpRequest, Series, exception_name
from measurand.endpoints.asgi import serve_page
from measurand.endpoints.pages import Page
from measurand.integrations.asgi_closing import closing
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


Way = tuple[str, Callable[[], None], Callable[[], None], dict[int, dict[int, Series]]]
"""A method as it is labelled, what counts requests in and out, and what records them: by the endpoint's id, then by status.

An id belongs to one endpoint only while that lives; the routes keep theirs alive.
"""


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
        self._routes = RouteTemplates()
        self._has_failed = False
        self.serve(service)

    def serve(self, service: Service) -> None:
        """Record for this service from now on, and answer with its pages."""
        self.service = service
        self._http = service.http
        self._aside: dict[str, Page | None] = {}
        self._entrances: dict[str, Way] = {}  # nothing before the first request, which starts the service
        self._kept = 0
        self._has_details = False
        self._is_new = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0912, PLR0915 - one request's state
        """Serve one connection."""
        # An application's own work leaves little of ours in the processor's caches, so what counts here is how much code and data a
        # request touches: a request that goes well makes no call to code of ours.
        if scope["type"] != "http" or COUNTED in scope:
            await self._pass(scope, receive, send)
            return
        scope[COUNTED] = True
        page = details = entrance = None
        path = ""
        started = 0.0
        try:
            path = scope["path"]
            entrance = self._entrances.get(scope["method"]) or self._entrance(scope["method"])
            if path in self._aside or (scope.get("root_path") and self._is_below_root(scope, path)):
                entrance, page = None, self._page(scope, path)
            else:
                entrance[1]()
                started = clock.monotonic()
                if self._has_details:
                    details = Details(started, self.report)
                    receive, send = details.watch(receive, send)
                if self.service.is_stopping:
                    send = closing(scope, send)
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            entrance = None
            self.report(failure)
        if entrance is None:
            await (self.app(scope, receive, send) if page is None else serve_page(page, scope, receive, send))
            return

        status = 0
        ended: float | None = None
        is_gone = is_closing = has_trailers = False

        async def watched_receive() -> Message:
            nonlocal is_gone
            message = await receive()
            try:
                if message["type"] == "http.disconnect" and not is_closing:
                    is_gone = True
            except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                self.report(failure)
            return message

        async def watched_send(message: Message) -> None:
            nonlocal status, ended, is_gone, is_closing, has_trailers
            try:
                kind = message["type"]
                if kind == "http.response.body":
                    is_closing = not has_trailers and not ("more_body" in message and message["more_body"])  # noqa: RUF019 - faster
                elif kind == "http.response.start":
                    if not is_gone:
                        status = message["status"]
                    if "trailers" in message:
                        has_trailers = message["trailers"]
                elif kind in OTHER_ENDS:
                    is_closing = ends(message, has_trailers)
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
                entrance[2]()
                self._settle(scope, path, entrance[0], status, started, ended, is_gone, error, details)
            except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                self.report(failure)
            raise
        try:
            entrance[2]()
            kinds = entrance[3].get(id(scope["endpoint"])) if "endpoint" in scope else None
            series = None if kinds is None else kinds.get(status)
            if series is None or ended is None or is_gone:
                self._settle(scope, path, entrance[0], status, started, ended, is_gone, None, details)
            else:
                count, observe, failed = series
                count()
                observe(ended - started)
                if failed is not None:
                    failed()
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            self.report(failure)

    def _entrance(self, method: str) -> Way:
        """What counts requests of a method in and out; kept for methods that are told apart."""
        self.server_started()
        label, enter, leave = self._http.entrance(method)
        made: Way = label, enter, leave, {}
        return self._entrances.setdefault(label, made) if label == method else made

    def _is_below_root(self, scope: Scope, path: str) -> bool:
        """Whether something stands aside at the path without what the server was told to put in front of every path."""
        return path.startswith(scope["root_path"]) and path[len(scope["root_path"]) :] in self._aside

    def _page(self, scope: Scope, path: str) -> Page | None:
        """The page at a path that stands aside; ``None`` where the application answers, and nothing is recorded."""
        return self._aside[path if path in self._aside else path[len(scope["root_path"]) :]]

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
        """Record a request that did not just go well, or the first of its kind."""
        now = clock.monotonic()
        template = self.template(scope, path)
        failure, is_plain = None, False
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
        else:
            is_plain = details is None and self._endpoint_of is None
        figures = {} if details is None else details.figures(now, ended)
        duration = (now if ended is None else ended) - started
        self._http.record(HttpRequest(method, template, status, duration, failure, is_gone, **figures))
        if is_plain and self._kept < AT_HAND and method in self._entrances and self._routes.is_certain(scope):
            self._kept += 1
            self._entrances[method][3].setdefault(id(scope["endpoint"]), {})[status] = self._http.series(method, template, status)

    def template(self, scope: Scope, path: str) -> str:
        """The template of the route that took the request."""
        try:
            found = self._routes.find(scope, path) if self._endpoint_of is None else self._endpoint_of(scope)
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

    def life_started(self) -> None:
        """Tell the service that a lifespan has begun, whether or not there was one before: the end of that has stopped the service."""
        self._is_new = True
        self.server_started()

    def server_started(self) -> None:
        """Tell the service, once, that its server is up; called in the event loop. What fails is reported."""
        if self._is_new:
            self._is_new = False
            try:
                self._has_details = self._http.has_details
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


def ends(message: Message, has_trailers: bool) -> bool:
    """Whether a message of one of the extensions ends the response."""
    if message["type"] == "http.response.trailers":
        return not message.get("more_trailers", False)
    return not message.get("more_body", False) and not has_trailers


def was_cancelled(error: BaseException) -> bool:
    """Whether the task was cancelled. Servers do that when they shut down, not when a client goes away."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return True
    return type(error).__module__.startswith("trio") and type(error).__name__ == "Cancelled"
