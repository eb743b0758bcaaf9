"""Finds the scope that reaches the router, where a middleware on the way there has copied the scope.

A router says in the scope which route it chose, and a middleware that passes on ``dict(scope)`` keeps that from whoever stands outside
of it. A list survives such a copy as the same list: :class:`Outside` puts one into the scope, and :class:`Inside`, behind all middlewares,
notes there what arrives. What a middleware has answered itself leaves nothing, so that it belongs to no route, as ever.

Both only pass the call on and are no step of their own when the application is resumed. They are for applications that have middlewares.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["INNER", "Inside", "Outside"]

Scope = MutableMapping[str, Any]
ASGIApp = Callable[[Scope, Any, Any], Awaitable[None]]

INNER = "measurand.inner"
"""In the scope: the copies that have reached the router, each with the path that it held then."""


class Outside:
    """Stands around the middlewares."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Any, send: Any) -> Awaitable[None]:
        """Pass a connection on."""
        scope[INNER] = []
        return self.app(scope, receive, send)


class Inside:
    """Stands between the middlewares and the router."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Any, send: Any) -> Awaitable[None]:
        """Pass a connection on."""
        copies = scope.pop(INNER, None)  # a scope that held the list in which it stands would have to wait for the garbage collector
        if copies is not None:
            copies.append((scope, scope.get("path", "")))
        return self.app(scope, receive, send)
