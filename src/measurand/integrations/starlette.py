"""HTTP metrics and the service's pages for Starlette applications, and for all that are built on Starlette."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from measurand.errors import ConfigurationError
from measurand.integrations.asgi import ASGIApp, Middleware
from measurand.integrations.service import Service

__all__ = ["install"]

App = TypeVar("App")


def install(app: App, service: Service) -> App:
    """Measure an application, and answer for the service's pages.

    The middleware is put around everything when the application builds its stack, whatever middlewares are added before or after this
    call; routes, documentation and exception handlers stay as they are. Installing again only changes the service.

    Args:
        app: The application; it must not have served yet.
        service: The running service.

    Returns:
        The application.

    Raises:
        ConfigurationError: The application has started, or is not one of Starlette's.
    """
    build = getattr(app, "build_middleware_stack", None)
    if isinstance(build, Stack):
        build.serve(service)
        return app
    if not callable(build):
        raise ConfigurationError(f"{type(app).__name__} is not a Starlette application; wrap it: app = measurand.asgi(app)")
    if getattr(app, "middleware_stack", None) is not None:
        raise ConfigurationError(
            "the application has started, and its middlewares are fixed; call measurand right after the application has been made"
        )
    app.build_middleware_stack = Stack(build, service)  # type: ignore[attr-defined]
    return app


class Stack:
    """Builds an application's stack of middlewares, with ours around it."""

    def __init__(self, build: Callable[[], ASGIApp], service: Service) -> None:
        self._build = build
        self._service = service
        self._built: list[Middleware] = []

    def __call__(self) -> Any:
        """The stack."""
        middleware = Middleware(self._build(), self._service)
        self._built.append(middleware)
        return middleware

    def serve(self, service: Service) -> None:
        """Record for this service from now on."""
        self._service = service
        for middleware in self._built:
            middleware.serve(service)
