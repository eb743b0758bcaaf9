"""The scope that reaches the router, behind middlewares that copy it and others that do not."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from measurand.integrations.asgi_inner import INNER, Inside, Outside

pytestmark = pytest.mark.once


async def nothing() -> None:
    """Neither receives nor sends."""


class Scope(dict[str, Any]):
    """A scope that can be referred to weakly."""


class Router:
    """Says in the scope what it has chosen."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["endpoint"] = nothing


class Copying:
    """Passes a copy on, with another path if there is one."""

    def __init__(self, app: Any, times: int = 1, **changed: Any) -> None:
        self._app = app
        self._times = times
        self._changed = changed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for _ in range(self._times):
            await self._app({**scope, **self._changed}, receive, send)


def after(app: Any) -> Scope:
    """The scope that a server would have after a request."""
    scope = Scope(type="http", path="/as/asked")
    asyncio.run(app(scope, nothing, nothing))
    return scope


def test_nothing_is_noted_where_nothing_was_copied() -> None:
    scope = after(Outside(Inside(Router())))
    assert scope == {"type": "http", "path": "/as/asked", "endpoint": nothing}


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_the_last_copy_is_noted_with_the_path_that_it_held(copies: int) -> None:
    app: Any = Inside(Router())
    for _ in range(copies):
        app = Copying(app, path="/as/rewritten")
    scope = after(Outside(app))
    assert "endpoint" not in scope
    ((inner, path),) = scope[INNER]
    assert (inner["endpoint"], path) == (nothing, "/as/rewritten")


def test_a_middleware_that_tries_again_has_each_copy_noted() -> None:
    assert len(after(Outside(Copying(Inside(Router()), times=3)))[INNER]) == 3


def test_what_never_reached_the_router_left_nothing() -> None:
    assert after(Outside(Copying(None, times=0)))[INNER] == []


@pytest.mark.parametrize("around", [lambda app: app, Copying])
def test_a_scope_is_gone_with_its_request(around: Any) -> None:
    gc.disable()
    try:
        scope = after(Outside(around(Inside(Router()))))
        gone = weakref.ref(scope)
        del scope
        assert gone() is None
    finally:
        gc.enable()
