"""A measured Flask application within a measured ASGI application: one request is counted once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from measurand.integrations import asgi, flask
from measurand.testing.http import StandIn
from measurand.testing.http_asgi import AsgiDriver
from measurand.testing.http_wsgi import WsgiDriver
from measurand.testing.readings import Readings

pytest.importorskip("flask")
pytest.importorskip("starlette")

from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Mount

pytestmark = pytest.mark.once


class EnvironmentWithScope:
    """A bridge that does as a2wsgi does: the scope stands in the environment, and ``start_response`` is nobody's."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        environ = {
            "asgi.scope": scope,
            "REQUEST_METHOD": scope["method"],
            "SCRIPT_NAME": "",
            "PATH_INFO": scope["path"].removeprefix("/shop"),
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
        }
        begun: list[str] = []
        content = self._app(environ, lambda status, headers, exc_info=None: begun.append(status))
        body = b"".join(content)
        content.close()
        await send({"type": "http.response.start", "status": int(begun[0].split()[0]), "headers": []})
        await send({"type": "http.response.body", "body": body})


def starlettes(app: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        return import_module("starlette.middleware.wsgi").WSGIMiddleware(app)


@pytest.fixture(params=[starlettes, EnvironmentWithScope])
def bridge(request: pytest.FixtureRequest) -> Callable[..., Any]:
    found: Callable[..., Any] = request.param
    return found


def counted(service: StandIn) -> dict[str, float]:
    """The number of requests by endpoint."""
    return {sample.labels["endpoint"]: sample.value for sample in Readings(service.registry).samples("http_requests_total")}


def make_shop(service: StandIn) -> Flask:
    shop = Flask("shop")

    @shop.get("/orders/<int:number>")
    def order(number: int) -> str:
        return str(number)

    return flask.install(shop, service)  # type: ignore[no-any-return]


def test_only_the_outer_application_counts(bridge: Callable[..., Any]) -> None:
    inner, outer = StandIn(), StandIn()
    app = asgi.install(Starlette(routes=[Mount("/shop", app=bridge(make_shop(inner)))]), outer)
    answer = AsgiDriver(app).request("GET", "/shop/orders/7")
    assert (answer.status, answer.body) == (200, b"7")
    assert (counted(inner), counted(outer)) == ({}, {"/shop/{path}": 1})
    assert inner.http.in_progress() == 0, "Starlette's bridge never closes a response, so it would be under way for ever"


def test_where_the_outer_application_is_not_measured_the_inner_one_counts() -> None:
    inner = StandIn()
    bridged = EnvironmentWithScope(make_shop(inner))
    AsgiDriver(Starlette(routes=[Mount("/shop", app=bridged)])).request("GET", "/shop/orders/7")
    assert list(counted(inner).values()) == [1]


def test_requests_that_come_to_the_inner_application_itself_are_counted(bridge: Callable[..., Any]) -> None:
    inner, outer = StandIn(), StandIn()
    shop = make_shop(inner)
    AsgiDriver(asgi.install(Starlette(routes=[Mount("/shop", app=bridge(shop))]), outer)).request("GET", "/shop/orders/7")
    WsgiDriver(shop).request("GET", "/orders/7")
    assert counted(inner) == {"/orders/<int:number>": 1}
