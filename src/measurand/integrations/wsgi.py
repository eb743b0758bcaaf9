"""HTTP metrics and the service's pages for any WSGI application.

::

    application = Middleware(application, service)

A request is recorded when the last byte of its response has been sent and the response has been closed, whatever happens on the way:
exceptions, clients that leave, streams. Pages of the service are answered before the application is asked, and not recorded. The
response is the application's, byte for byte, also when something in here fails, which is logged once.

A route template comes from ``endpoint_of``, which is given the environment when the response starts, and again at the end if it has not
known it. By default it finds the routes of Flask; other frameworks have modules of their own.
"""

from __future__ import annotations

import logging
import os
import sys
import weakref
from collections.abc import Mapping
from itertools import count
from typing import Any

from measurand import clock
from measurand.endpoints.pages import Page
from measurand.endpoints.wsgi import WSGIApp, serve_page
from measurand.integrations.service import Service
from measurand.integrations.wsgi_exchange import KEY, EndpointOf, Environ, Exchange, Measuring, StartResponse

__all__ = ["Middleware", "install", "url_rule"]

LOG = logging.getLogger("measurand.http")

NO_BODY = frozenset({"", "0"})
"""What servers say of a request without a body as its CONTENT_LENGTH, if they say anything."""

MOST_KINDS = 50
"""How many kinds of iterables are remembered."""

ASGI = "measurand.integrations.asgi"
"""What has been imported where a measured ASGI application may stand around this one."""

MODULES = sys.modules

NESTED = 8
"""How deep applications within applications are searched for mounts."""


def url_rule(environ: Environ) -> str | None:
    """The rule that Flask, or what else sets ``url_rule`` on Werkzeug's request, has found for a request: ``/users/<int:id>``."""
    try:
        rule: str = environ["werkzeug.request"].url_rule.rule
    except (KeyError, AttributeError):
        return None
    return rule


def install(app: WSGIApp, service: Service, *, endpoint_of: EndpointOf | None = None) -> Middleware:
    """Measure an application. What is measured already only changes the service that it is measured for.

    Args:
        app: The application.
        service: The running service.
        endpoint_of: See :class:`Middleware`.
    """
    if isinstance(app, Middleware):
        app.serve(service)
        return app
    return Middleware(app, service, endpoint_of=endpoint_of)


class Middleware:
    """A WSGI application that measures another one; safe to call from any number of threads.

    Within a measured application another Middleware passes requests on, so that none is counted twice; its ``endpoint_of`` is asked
    before that of the outer one. Mounted in a measured ASGI application it passes them on, too, and its templates are not known there.

    Attributes:
        app: The application.
        service: The service.

    Args:
        app: The application.
        service: The service to serve and record for.
        endpoint_of: Takes the environment and returns the template of the request's route, or ``None`` if there is none. It must
            not return raw paths. What it raises is logged once.
    """

    def __init__(self, app: WSGIApp, service: Service, *, endpoint_of: EndpointOf | None = None) -> None:
        self.app = app
        self._endpoint_of = endpoint_of or url_rule
        self._mounts: set[str] = set()
        self._plain: set[type] = set()  # kinds of iterables that a server with a file wrapper has no special way with
        self._has_failed = False
        self.serve(service)
        _renew_after_forks(self)

    def serve(self, service: Service) -> None:
        """Record for this service from now on, and answer with its pages."""
        self.service = service
        self._measuring = Measuring(service.http, self._endpoint_of, self._mount_of, self.report)
        pages = service.pages
        self._aside: dict[str, Page | None] = dict.fromkeys(service.excluded) | {path: pages.find(path) for path in pages.paths}
        self.renew()

    def renew(self) -> None:
        """Announce the service again at the next request: this is another process now."""
        self._firsts = count()
        self._is_new = True

    def __call__(self, environ: Environ, start_response: StartResponse) -> Any:  # noqa: PLR0912 - on the way of every request
        """See PEP 3333."""
        exchange = page = None
        try:
            if self._is_new:
                self._announce()
            path = environ.get("PATH_INFO", "")
            aside = self._aside
            script = environ.get("SCRIPT_NAME")
            if path in aside or (script and (path := script + path) in aside):
                page = aside[path]
            else:
                outer = environ.get(KEY)
                if outer is not None:
                    outer.pass_on(self._endpoint_of)
                elif ASGI not in MODULES or not _is_counted_outside(environ, start_response):
                    measuring = self._measuring
                    http = measuring.http
                    has_details = http.has_details
                    started = clock.monotonic()
                    method = http.start(environ["REQUEST_METHOD"])
                    exchange = environ[KEY] = Exchange(measuring, environ, script, start_response, method, started)
                    if environ.get("CONTENT_LENGTH", "0") not in NO_BODY or "HTTP_TRANSFER_ENCODING" in environ:
                        exchange.watch_body()
                    if has_details:
                        exchange.watch_details()
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            self.report(failure)
        if page is not None:
            return serve_page(page, environ, start_response)
        if exchange is None:
            return self.app(environ, start_response)
        try:
            returned: Any = self.app(environ, exchange.start_response)
        except BaseException as error:
            exchange.failed(error)
            raise
        kind = type(returned)
        if kind in self._plain and "wsgi.file_wrapper" in environ:
            exchange.content, exchange.at_close = returned, returned.close
            return exchange
        given = exchange.wrap(returned)
        if given is exchange and hasattr(kind, "close") and len(self._plain) < MOST_KINDS:
            self._plain.add(kind)
        return given

    def _announce(self) -> None:
        """Say that the server is up; at the first request, since who loads the application may only fork those that serve it."""
        self._is_new = False
        if next(self._firsts) == 0:
            try:
                self.service.server_started(None)
            except Exception as failure:  # noqa: BLE001 - ours must not become the application's
                self.report(failure)

    def _mount_of(self, before: str, after: str) -> str:
        """What a dispatcher has moved from the path to the SCRIPT_NAME, if it is one of its mounts rather than text of the client."""
        mount = after.removeprefix(before)
        if not mount or mount in self._mounts:
            return mount
        if not after.startswith(before) or not _is_mounted(self.app, mount):
            return ""
        self._mounts.add(mount)
        return mount

    def report(self, failure: Exception) -> None:
        """Log what has failed in here, the first time."""
        if not self._has_failed:
            self._has_failed = True
            LOG.error("measuring a request has failed; requests are served all the same. Said once.", exc_info=failure)


def _is_counted_outside(environ: Environ, start_response: StartResponse) -> bool:
    """Whether the request has come through a measured ASGI application. What bridges the two keeps the scope at hand in one of two ways.

    a2wsgi puts it into the environment; in Starlette and asgiref, what has the ``start_response`` has the scope.
    """
    scope = environ.get("asgi.scope") or getattr(getattr(start_response, "__self__", None), "scope", None)
    return isinstance(scope, Mapping) and MODULES[ASGI].COUNTED in scope


def _is_mounted(app: Any, path: str, depth: int = NESTED) -> bool:
    """Whether a dispatcher with ``mounts``, as Werkzeug's, anywhere in the application has something at this path."""
    if not path or not depth:
        return not path
    mounts = getattr(app, "mounts", None)
    if isinstance(mounts, Mapping):
        for prefix, inner in mounts.items():
            if prefix and path.startswith(prefix) and _is_mounted(inner, path[len(prefix) :], depth - 1):
                return True
    inside = (getattr(app, name, None) for name in ("app", "wsgi_app", "application"))
    return any(callable(inner) and inner is not app and _is_mounted(inner, path, depth - 1) for inner in inside)


_live: weakref.WeakSet[Middleware] = weakref.WeakSet()
_forks_are_watched = False


def _renew_after_forks(middleware: Middleware) -> None:
    global _forks_are_watched  # noqa: PLW0603 - a hook of the process, of which there can be one
    _live.add(middleware)
    if not _forks_are_watched and hasattr(os, "register_at_fork"):
        _forks_are_watched = True
        os.register_at_fork(after_in_child=_renew_all)


def _renew_all() -> None:
    for middleware in list(_live):
        middleware.renew()
