"""Stacks of middlewares that hide what ours needs: those that copy the scope, and those that OpenTelemetry's instrumentation builds."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest

from measurand.integrations.starlette import install
from measurand.testing.http import Boom, StandIn, expected, recorded
from measurand.testing.http_asgi import AsgiDriver, Exchange
from measurand.testing.readings import Readings

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

pytestmark = pytest.mark.once


async def leaf(request: Request) -> Response:
    return PlainTextResponse("leaf")


async def other(request: Request) -> Response:
    return PlainTextResponse("other")


async def boom(request: Request) -> Response:
    raise Boom


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def make_app(*middlewares: Any, **settings: Any) -> Starlette:
    shared = Router(routes=[Route("/leaf/{x}", leaf)])
    routes = [
        Route("/items/{id}", leaf, methods=["GET"]),
        Route("/other/{id}", other),
        Route("/boom", boom),
        Mount("/api/{version}", app=shared),
        Mount("/again", app=shared),
        Mount("/app", app=Starlette(routes=[Route("/x/{q}", other)])),
        WebSocketRoute("/talk/{room}", talk),
    ]
    return Starlette(routes=routes, middleware=list(middlewares), **settings)


# -- copies of the scope -----------------------------------------------------------------------------------------------------------


class Copying:
    """Passes a copy of the scope on, without a prefix if the path has it; refuses what is forbidden."""

    def __init__(self, app: Any, prefix: str = "/old") -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == "/items/forbidden":
            await PlainTextResponse("no", 403)(scope, receive, send)
        else:
            await self._app({**scope, "path": scope.get("path", "").removeprefix(self._prefix)}, receive, send)


@pytest.mark.parametrize("middlewares", [1, 2])
@pytest.mark.parametrize(
    ("method", "path", "root_path", "endpoint", "status"),
    [
        ("GET", "/items/7", "", "/items/{id}", 200),
        ("GET", "/items/7", "/root", "/items/{id}", 200),
        ("POST", "/items/7", "", "/items/{id}", 405),
        ("GET", "/items/forbidden", "", "__unmatched__", 403),
        ("GET", "/api/v7/leaf/3", "", "/api/{version}/leaf/{x}", 200),
        ("GET", "/again/leaf/3", "", "/again/leaf/{x}", 200),
        ("GET", "/old/again/leaf/3", "", "/again/leaf/{x}", 200),
        ("GET", "/app/x/5", "", "/app/x/{q}", 200),
        ("GET", "/app/nothing", "", "/app/{path}", 404),
        ("GET", "/nowhere", "", "__unmatched__", 404),
    ],
)
def test_the_endpoint_is_known_where_middlewares_copy_the_scope(
    middlewares: int, method: str, path: str, root_path: str, endpoint: str, status: int
) -> None:
    app, service = make_app(), StandIn()
    install(app, service)
    for _ in range(middlewares):
        app.add_middleware(Copying)
    for _ in range(2):
        assert asyncio.run(Exchange(app, method, path, root_path=root_path).run()).status == status
    ((labels, count),) = [(one.labels, one.value) for one in Readings(service.registry).samples("http_requests_total")]
    assert (labels["endpoint"], labels["status"], count) == (endpoint, str(status), 2)


def test_a_preflight_that_a_middleware_answers_belongs_to_no_route() -> None:
    app, service = make_app(Middleware(Copying), Middleware(CORSMiddleware, allow_origins=["*"])), StandIn()
    headers = ((b"origin", b"https://example.org"), (b"access-control-request-method", b"GET"))
    assert asyncio.run(Exchange(install(app, service), "OPTIONS", "/items/7", headers=headers).run()).status == 200
    assert [one.labels["endpoint"] for one in Readings(service.registry).samples("http_requests_total")] == ["__unmatched__"]


def test_a_websocket_behind_a_copy_is_recorded_under_its_route() -> None:
    service = StandIn()
    app = install(make_app(Middleware(Copying)), service)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        """Goes nowhere."""

    scope = {"type": "websocket", "path": "/talk/7", "root_path": "", "headers": [], "query_string": b"", "state": {}}
    asyncio.run(app(scope, receive, send))
    assert Readings(service.registry).value("websocket_connection_duration_seconds_count", endpoint="/talk/{room}") == 1


def test_the_list_of_the_applications_middlewares_stays_as_it_was() -> None:
    app = install(make_app(Middleware(Copying)), StandIn())
    AsgiDriver(app).request("GET", "/items/7")
    assert [each.cls for each in app.user_middleware] == [Copying]


# -- stacks that are built of ours -------------------------------------------------------------------------------------------------


class Tracing:
    """Notes the requests that it sees, and what they raise."""

    def __init__(self, app: Any, seen: list[str]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self._seen.append(scope["path"])
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            self._seen.append(type(error).__name__)
            raise


def trace(app: Any, seen: list[str]) -> None:
    """Put a middleware into an application as OpenTelemetry's instrumentation of FastAPI does."""
    original = app.build_middleware_stack

    @functools.wraps(original)
    def build(self: Any) -> Any:
        stack = original()
        assert isinstance(stack, ServerErrorMiddleware)
        rebuilt = ServerErrorMiddleware(Tracing(stack.app, seen), stack.handler, stack.debug)
        return ServerErrorMiddleware(Tracing(rebuilt, seen))

    app.build_middleware_stack = MethodType(build, app)


def measure_and_trace(app: Any, service: StandIn, seen: list[str]) -> None:
    install(app, service)
    trace(app, seen)


def trace_and_measure(app: Any, service: StandIn, seen: list[str]) -> None:
    trace(app, seen)
    install(app, service)


def measure_trace_and_measure(app: Any, service: StandIn, seen: list[str]) -> None:
    measure_and_trace(app, StandIn(), seen)
    install(app, service)


orders = pytest.mark.parametrize("put_into", [measure_and_trace, trace_and_measure, measure_trace_and_measure])


def live(app: Any) -> None:
    """Run an application through its life."""
    arriving = ["lifespan.startup", "lifespan.shutdown"]

    async def receive() -> Any:
        return {"type": arriving.pop(0)}

    async def send(message: Any) -> None:
        """Goes nowhere."""

    asyncio.run(app({"type": "lifespan", "state": {}}, receive, send))


@orders
@pytest.mark.parametrize("with_lifespan", [True, False])
@pytest.mark.parametrize("middlewares", [[], [Middleware(Copying)]])
def test_tracing_and_measuring_work_in_either_order(put_into: Callable[..., None], with_lifespan: bool, middlewares: list[Any]) -> None:
    app, service, seen = make_app(*middlewares), StandIn(), list[str]()
    put_into(app, service, seen)
    if with_lifespan:
        live(app)
        assert service.calls == ["started", "stopping"]
    plain = AsgiDriver(make_app(*middlewares))
    for path, row in {
        "/items/7": expected("GET", "/items/{id}", 200),
        "/boom": expected("GET", "/boom", 500, "Boom"),
        "/nowhere": expected("GET", "__unmatched__", 404, "not_found"),
    }.items():
        seen.clear()
        readings = Readings(service.registry)
        assert AsgiDriver(app).request("GET", path) == plain.request("GET", path)
        assert recorded(readings) == row
        assert seen == [path] * 2 + ["Boom"] * 2 * (path == "/boom")
    seen.clear()
    assert AsgiDriver(app).request("GET", "/v1/page").body == b"page"
    assert seen == [], "pages are answered outside of everything"


@orders
def test_a_handler_of_all_exceptions_is_called_once_and_says_the_status(put_into: Callable[..., None]) -> None:
    calls = []

    async def sorry(request: Request, error: Exception) -> Response:
        calls.append(error)
        return PlainTextResponse("sorry", 503)

    app, service, seen = make_app(exception_handlers={Exception: sorry}), StandIn(), list[str]()
    put_into(app, service, seen)
    AsgiDriver(app).request("GET", "/items/7")
    readings = Readings(service.registry)
    answer = AsgiDriver(app).request("GET", "/boom")
    assert (answer.status, answer.body, len(calls)) == (503, b"sorry", 1)
    assert recorded(readings) == expected("GET", "/boom", 503, "Boom")


def test_what_is_put_into_the_stack_in_place_is_used() -> None:
    app, service, seen = make_app(), StandIn(), list[str]()
    original = install(app, service).build_middleware_stack

    def build() -> Any:
        stack = original()
        stack.app = Tracing(stack.app, seen)
        return stack

    app.build_middleware_stack = build  # type: ignore[method-assign]
    for _ in range(2):
        AsgiDriver(app).request("GET", "/items/7")
    assert seen == ["/items/7"] * 2
    assert Readings(service.registry).value("http_requests_total", endpoint="/items/{id}") == 2


def test_a_stack_without_the_frameworks_own_end_is_measured_all_the_same() -> None:
    app, service = make_app(), StandIn()
    app.build_middleware_stack = lambda: app.router  # type: ignore[method-assign]
    AsgiDriver(install(app, service)).request("GET", "/items/7")
    assert Readings(service.registry).value("http_requests_total", endpoint="/items/{id}") == 1
