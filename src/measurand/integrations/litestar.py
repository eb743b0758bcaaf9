"""HTTP metrics and the service's pages for Litestar applications."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from measurand.catalog.http import exception_name
from measurand.errors import ConfigurationError
from measurand.integrations.asgi import FAILURE, ASGIApp, Middleware, Receive, Scope, Send
from measurand.integrations.asgi_lifespan import stop
from measurand.integrations.service import Service

__all__ = ["install"]

App = TypeVar("App")


def install(app: App, service: Service) -> App:
    """Measure an application, and answer for the service's pages.

    The middleware stands around everything that handles requests. The service starts after the application's start-up hooks, and stops
    before its lifespan managers and shutdown hooks. Installing again only changes the service.

    Args:
        app: The application.
        service: The running service.

    Returns:
        The application.

    Raises:
        ConfigurationError: It is not a Litestar application.
    """
    handler = getattr(app, "asgi_handler", None)
    if isinstance(handler, Middleware):
        handler.serve(service)
        return app
    if handler is None or not hasattr(app, "after_exception"):
        raise ConfigurationError(f"{type(app).__name__} is not a Litestar application; wrap it: app = measurand.asgi(app)")
    application: Any = app
    middleware = Middleware(Unwrapping(handler), service)
    application.asgi_handler = middleware
    application.after_exception.append(note)

    async def start() -> None:
        middleware.life_started()

    async def end() -> None:
        await stop(middleware)

    @asynccontextmanager
    async def until_shutdown(_: Any) -> AsyncIterator[None]:
        yield
        await end()

    application.on_startup.append(start)
    managers = getattr(application, "_lifespan_managers", None)  # no public place lets anything end before the application's own
    if isinstance(managers, list):
        managers.append(until_shutdown)
    else:
        application.on_shutdown.insert(0, end)
    return app


async def note(error: Exception, scope: MutableMapping[str, Any]) -> None:
    """Keep the name of an exception that Litestar is about to answer with 500; those with a status code of their own mean that code."""
    if not hasattr(error, "status_code"):
        scope[FAILURE] = exception_name(error)


class Unwrapping:
    """Finds the exception that was raised after the response had begun in those that Litestar puts around it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on."""
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            inner: BaseException = error
            while type(inner).__name__ == "LitestarException" and inner.__cause__ is not None:
                inner = inner.__cause__
            scope[FAILURE] = exception_name(inner)
            raise
