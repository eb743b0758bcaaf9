"""Django: HTTP metrics and the service's pages for the application object of ``wsgi.py`` or ``asgi.py``.

::

    application = install(get_wsgi_application(), service)

The endpoint of a request is its route in the URLconf (``/shop/orders/<int:pk>/``, with what ``include()`` puts before it); what no route
took, such as a 404 or the redirect to a path with a slash, is ``__unmatched__``. An exception of which Django made a response of
status 500 is named.

Nothing goes into ``MIDDLEWARE``: the time that other middlewares take is measured, too. Django's own test client calls views without the
application object, so that its requests are not measured.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import wraps
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any

from measurand.catalog.http import exception_name
from measurand.errors import MissingExtra
from measurand.integrations import asgi, wsgi
from measurand.integrations.service import Service
from measurand.integrations.wsgi_exchange import FAILURE, TEMPLATE

__all__ = ["install", "template"]

LOG = logging.getLogger("measurand.http")

DEPTH = 8
"""How deep the handler is searched within other applications."""

AT_HAND = 1000
"""How many endpoints are kept by their routes; further ones are made each time."""

ANCHORS = re.compile(r"(?:(?<=^)|(?<=/))\^|(?:\$|\\Z)$")

Report = Callable[[Exception], None]


def install(app: Any, service: Service) -> Any:
    """Measure a Django application.

    Repeated on what it returned, it only changes the service that the application is measured for.

    Args:
        app: What ``get_wsgi_application()`` or ``get_asgi_application()`` has made, or an application around that.
        service: The running service.

    Returns:
        The application to serve: a WSGI application for one, an ASGI application for the other.

    Raises:
        MissingExtra: Django is not installed.
    """
    if isinstance(app, wsgi.Middleware | asgi.Middleware):
        app.serve(service)
        return app
    try:
        got_request_exception = import_module("django.core.signals").got_request_exception
    except ImportError:
        raise MissingExtra("Django", "django") from None
    middleware: wsgi.Middleware | asgi.Middleware
    if iscoroutinefunction(app) or iscoroutinefunction(type(app).__call__):
        middleware = asgi.Middleware(app, service, endpoint_of=_remembered)
    else:
        middleware = wsgi.Middleware(app, service, endpoint_of=_remembered)
    handlers = list(_handlers(app, DEPTH))
    for handler in handlers:
        _remember_routes(handler, middleware.report)
    if not handlers:
        LOG.warning("no handler of Django's was found in %r: its requests are recorded without their routes", app)
    got_request_exception.connect(_remember_exception, dispatch_uid="measurand", weak=False)
    return middleware


def template(route: str) -> str:
    """A route as Django writes it, as an endpoint: with a slash in front, and without the anchors of regular expressions."""
    route = ANCHORS.sub("", route)
    return route if route.startswith("/") else f"/{route}"


def _remembered(request: Mapping[str, Any]) -> str | None:
    endpoint: str | None = request.get(TEMPLATE)
    return endpoint


def _handlers(app: Any, depth: int) -> Iterator[Any]:
    """Django's handlers, however many applications are around them."""
    if callable(getattr(app, "get_response", None)) and callable(getattr(app, "load_middleware", None)):
        yield app
        return
    inside = [getattr(app, name, None) for name in ("application", "app", "wsgi_app")]
    mapping = getattr(app, "application_mapping", None)  # Channels' ProtocolTypeRouter
    if isinstance(mapping, Mapping):
        inside.append(mapping.get("http"))
    for inner in inside:
        if inner is not None and inner is not app and depth:
            yield from _handlers(inner, depth - 1)


def _remember_routes(handler: Any, report: Report) -> None:
    """Have the handler say which route each request took."""
    if "get_response" in vars(handler):
        return  # done before
    get_response, get_response_async = handler.get_response, getattr(handler, "get_response_async", None)
    templates: dict[str, str] = {}

    def remember(request: Any) -> None:
        try:
            route = getattr(request.resolver_match, "route", None)
            if route is None:
                return
            known = templates.get(route)
            if known is None:
                known = template(route)
                if len(templates) < AT_HAND:
                    templates[route] = known
            _surroundings(request)[TEMPLATE] = known
        except Exception as failure:  # noqa: BLE001 - ours must not become the application's
            report(failure)

    @wraps(get_response)
    def remembering(request: Any) -> Any:
        try:
            return get_response(request)
        finally:
            remember(request)

    handler.get_response = remembering
    if get_response_async is not None:

        @wraps(get_response_async)
        async def remembering_async(request: Any) -> Any:
            try:
                return await get_response_async(request)
            finally:
                remember(request)

        handler.get_response_async = remembering_async


def _remember_exception(sender: Any, request: Any = None, **_: Any) -> None:
    """Django is about to make a response of an exception; it does not hand it over, but is handling it."""
    exception = sys.exc_info()[1]
    if request is not None and exception is not None:
        _surroundings(request)[FAILURE] = exception_name(exception)


def _surroundings(request: Any) -> MutableMapping[str, Any]:
    """The scope under ASGI, the environment under WSGI."""
    found: MutableMapping[str, Any] = getattr(request, "scope", None) or request.environ
    return found
