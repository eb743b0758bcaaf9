"""Flask: HTTP metrics and the service's pages for an application object.

::

    app = install(Flask("shop"), service)

The endpoint of a request is the rule that took it (``/orders/<int:id>``, with the prefixes of blueprints); what no rule took, such as a 404
or the redirect to a path with a slash, is ``__unmatched__``. An exception that no error handler took is named, whether Flask makes a
response of it or lets it through.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from measurand.catalog.http import exception_name
from measurand.errors import MissingExtra
from measurand.integrations.service import Service
from measurand.integrations.wsgi import Middleware, url_rule
from measurand.integrations.wsgi_exchange import FAILURE, INTERRUPTED, TEMPLATE, Environ

__all__ = ["install"]

EXTENSION = "measurand"
"""Under which name the middleware is found in ``app.extensions``."""


def install(app: Any, service: Service) -> Any:
    """Measure a Flask application, from inside of what is put around ``app.wsgi_app`` later on.

    Repeated, it only changes the service that the application is measured for. Safe for applications that are made many times.

    Args:
        app: A ``flask.Flask``.
        service: The running service.

    Returns:
        ``app``.

    Raises:
        MissingExtra: Flask is not installed.
    """
    installed = app.extensions.get(EXTENSION)
    if isinstance(installed, Middleware):
        installed.serve(service)
        return app

    def endpoint_of(environ: Environ) -> str | None:
        try:
            rule: str = environ["werkzeug.request"].url_rule.rule
        except (KeyError, AttributeError):
            return _match_again(app, environ) if INTERRUPTED in environ else None
        return rule

    middleware = Middleware(app.wsgi_app, service, endpoint_of=endpoint_of)
    _hear_of_exceptions(app)
    app.wsgi_app = app.extensions[EXTENSION] = middleware
    return app


def _match_again(app: Any, environ: Environ) -> str | None:
    """The rule of a request that has been interrupted, of which Flask forgets everything and tells nobody."""
    try:
        rule, _ = app.create_url_adapter(app.request_class(environ, populate_request=False)).match(return_rule=True)
    except Exception:  # noqa: BLE001 - there is none, or what looks for it has changed
        return None
    endpoint: str | None = getattr(rule, "rule", None)
    return endpoint


def _hear_of_exceptions(app: Any) -> None:
    try:
        got_request_exception = import_module("flask").got_request_exception
    except ImportError:
        raise MissingExtra("Flask", "flask") from None
    try:
        got_request_exception.connect(_remember, app, weak=False)
    except RuntimeError:  # Flask before 2.3, without blinker
        handle = app.handle_exception

        def handle_exception(exception: Exception) -> Any:
            _remember(app, exception)
            return handle(exception)

        app.handle_exception = handle_exception


def _remember(app: Any, exception: BaseException, **_: Any) -> None:
    """Flask makes a response of an exception, or lets it through: now the request's rule is known, afterwards no longer."""
    try:
        environ = import_module("flask").request.environ
        environ[FAILURE] = exception_name(exception)
        rule = url_rule(environ)
        if rule is not None:
            environ[TEMPLATE] = rule
    except Exception as failure:  # noqa: BLE001 - ours must not become the application's
        app.extensions[EXTENSION].report(failure)
