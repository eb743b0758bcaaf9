"""HTTP metrics and the service's pages for Starlette applications, and for all that are built on Starlette."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from measurand.errors import ConfigurationError
from measurand.integrations.asgi import ASGIApp, Middleware, Receive, Scope, Send
from measurand.integrations.asgi_inner import Inside, Outside
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
    installed = build
    while installed is not None and not isinstance(installed, Stack):
        installed = getattr(installed, "__wrapped__", None)  # OpenTelemetry's instrumentation replaces what builds, and says so
    if installed is not None:
        installed.serve(service)
        return app
    if not callable(build):
        raise ConfigurationError(f"{type(app).__name__} is not a Starlette application; wrap it: app = measurand.asgi(app)")
    if getattr(app, "middleware_stack", None) is not None:
        raise ConfigurationError(
            "the application has started, and its middlewares are fixed; call measurand right after the application has been made"
        )
    app.build_middleware_stack = Stack(app, build, service)  # type: ignore[attr-defined]
    return app


class Stack:
    """Builds an application's stack of middlewares, with ours around it."""

    def __init__(self, app: Any, build: Callable[[], ASGIApp], service: Service) -> None:
        self._app = app
        self._build = build
        self._service = service
        self._built: list[Middleware] = []

    def __call__(self) -> Any:
        """The stack, as what the framework itself builds: a ``ServerErrorMiddleware``, where it has built one.

        OpenTelemetry's instrumentation takes nothing else; it makes one of its own of the other's parts and drops the other. So a part
        sees to it that ours is not lost.
        """
        with noting(getattr(self._app, "user_middleware", None)) as has_middlewares:
            stack: Any = self._build()
        around = Outside if has_middlewares else as_it_is
        middleware = Middleware(around(stack), self._service)
        self._built.append(middleware)
        known = import_module("starlette.middleware.errors").ServerErrorMiddleware
        if not isinstance(stack, known):
            return middleware
        inner = stack.app
        first = Middleware(around(inner), self._service)
        self._built.append(first)
        part = Part(self._app, first, middleware)
        # Called as a whole, it is the middleware. That takes a class of its own, since Python looks for __call__ there only.
        whole = type(
            known.__name__,
            (known,),
            {
                "__call__": staticmethod(middleware.__call__),
                "app": property(lambda _: part, lambda _, app: setattr(stack, "app", inner if app is part else app)),
            },
        )
        part.whole = whole(part, stack.handler, stack.debug)
        return part.whole

    def serve(self, service: Service) -> None:
        """Record for this service from now on."""
        self._service = service
        for middleware in self._built:
            middleware.serve(service)


class Part:
    """What is within the stack, for who takes the stack apart and builds another one: our middleware moves around that.

    What comes first, as a rule the lifespan, tells of the other stack, and is measured in here.

    Attributes:
        whole: The stack that this is a part of, as long as that is in use.

    Args:
        app: The application.
        first: Measures what this stands for until the other stack is known.
        middleware: Measures the other stack from then on.
    """

    def __init__(self, app: Any, first: Middleware, middleware: Middleware) -> None:
        self.whole: Any = None
        self._app = app
        self._first = first
        self._middleware = middleware

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass a connection on."""
        outer = self._app.middleware_stack
        if outer is self._middleware or outer is self.whole:
            return self._first.app(scope, receive, send)
        if outer is not None:
            self._middleware.app = outer
            self._app.middleware_stack = self._middleware
        return self._first(scope, receive, send)


def as_it_is(app: ASGIApp) -> ASGIApp:
    """Nothing needs to stand around it."""
    return app


@contextmanager
def noting(middlewares: Any) -> Iterator[bool]:
    """Have a stack built with :class:`Inside` behind the application's own middlewares, if there are any; the list stays as it was."""
    if not isinstance(middlewares, list) or not middlewares:
        yield False
        return
    last = import_module("starlette.middleware").Middleware(Inside)
    middlewares.append(last)
    try:
        yield True
    finally:
        middlewares.pop()
