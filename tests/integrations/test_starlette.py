"""Starlette applications: the conformance kit, and what only Starlette has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from measurand.errors import ConfigurationError
from measurand.integrations.starlette import install
from measurand.testing.http import Boom, HttpConformance, StandIn
from measurand.testing.http_asgi import AsgiDriver, Exchange
from measurand.testing.readings import Readings

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles


def make_app(tick: Callable[[], None] = lambda: None, **settings: Any) -> Starlette:
    async def ok(request: Request) -> Response:
        return PlainTextResponse("ok")

    async def item(request: Request) -> Response:
        return PlainTextResponse(request.path_params["id"])

    async def upload(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())), 201)

    async def deep(request: Request) -> Response:
        return PlainTextResponse(request.path_params["x"])

    async def status(request: Request) -> Response:
        raise HTTPException(request.path_params["code"])

    async def moved(request: Request) -> Response:
        return RedirectResponse("/ok", 302)

    async def boom(request: Request) -> Response:
        raise Boom

    async def stream(request: Request) -> Response:
        def chunks() -> Iterator[bytes]:
            for chunk in (b"one", b"two", b"three"):
                tick()
                yield chunk

        return StreamingResponse(chunks())

    async def broken(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            raise Boom

        return StreamingResponse(chunks())

    async def endless(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)

        return StreamingResponse(chunks())

    return Starlette(
        routes=[
            Route("/ok", ok),
            Route("/items/{id}", item),
            Route("/upload", upload, methods=["POST"]),
            Mount("/api", routes=[Mount("/v1", routes=[Route("/deep/{x}", deep)])]),
            Route("/status/{code:int}", status),
            Route("/moved", moved),
            Route("/boom", boom),
            Route("/stream", stream),
            Route("/broken", broken),
            Route("/endless", endless),
        ],
        **settings,
    )


class TestConformance(HttpConformance):
    templates: ClassVar = {"no route under the prefix": "/api/v1/{path}"}

    def connect(self, service: StandIn | None) -> AsgiDriver:
        app = make_app(self.tick)
        return AsgiDriver(app if service is None else install(app, service))


class TestConformanceBehindTheirMiddlewares(TestConformance):
    """A middleware that buffers and re-creates requests stands between us and the routes."""

    def connect(self, service: StandIn | None) -> AsgiDriver:
        async def dispatch(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            return await call_next(request)

        app = make_app(self.tick)
        if service is not None:
            install(app, service)
        app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
        return AsgiDriver(app)


async def leaf(request: Request) -> Response:
    return PlainTextResponse("leaf")


async def other(request: Request) -> Response:
    return PlainTextResponse("other")


def endpoints_of(service: StandIn) -> dict[str, float]:
    """The number of requests by endpoint."""
    counted: dict[str, float] = {}
    for sample in Readings(service.registry).samples("http_requests_total"):
        counted[sample.labels["endpoint"]] = counted.get(sample.labels["endpoint"], 0) + sample.value
    return counted


def recorded_as(app: Any, method: str, path: str, headers: tuple[tuple[bytes, bytes], ...] = (), **scope: Any) -> tuple[str, int]:
    """The endpoint under which a request is recorded, and its status."""
    service = StandIn()
    install(app, service)
    exchange = Exchange(app, method, path, headers=headers, **scope)
    answer = asyncio.run(exchange.run())
    ((endpoint, count),) = endpoints_of(service).items()
    assert count == 1
    return endpoint, answer.status


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    folder = tmp_path_factory.mktemp("static")
    (folder / "there.txt").write_text("there")
    shared = Router(routes=[Route("/leaf/{y:int}", leaf)])
    return Starlette(
        routes=[
            Route("/items/{id:int}", leaf, methods=["GET"]),
            Route("/other/{id}", other),
            Mount("/api/{version}", routes=[Route("/deep/{x}", leaf), Mount("/in/{team}", app=shared), Route("/", leaf)]),
            Mount("/again", app=shared),
            Mount("/app", app=Starlette(routes=[Route("/x/{q}", other)])),
            Mount("/wrapped", app=CORSMiddleware(Starlette(routes=[Route("/x/{q}", other)]))),
            Mount("/static", app=StaticFiles(directory=folder)),
            Mount("/opaque", app=PlainTextResponse("whatever")),
            Mount("/hidden/{tenant}", app=Opaque(Starlette(routes=[Route("/x/{q}", hidden)]))),
            Host("{sub}.example.org", app=Router([Route("/h/{z}", leaf)])),
        ]
    )


async def hidden(request: Request) -> Response:
    return PlainTextResponse("hidden")


class Opaque:
    """An application that does not show what it holds."""

    def __init__(self, inside: Starlette) -> None:
        self._inside = inside

    async def __call__(self, *arguments: Any) -> None:
        await self._inside(*arguments)


@pytest.mark.parametrize(
    ("method", "path", "endpoint", "status"),
    [
        ("GET", "/items/7", "/items/{id}", 200),
        ("HEAD", "/items/7", "/items/{id}", 200),
        ("POST", "/items/7", "/items/{id}", 405),
        ("OPTIONS", "/items/7", "/items/{id}", 405),
        ("GET", "/items/seven", "__unmatched__", 404),
        ("GET", "/items/7/", "__unmatched__", 307),
        ("GET", "/other/7", "/other/{id}", 200),
        ("GET", "/api/v7/deep/9", "/api/{version}/deep/{x}", 200),
        ("GET", "/api/v7/", "/api/{version}/", 200),
        ("GET", "/api/v7/in/red/leaf/3", "/api/{version}/in/{team}/leaf/{y}", 200),
        ("GET", "/again/leaf/3", "/again/leaf/{y}", 200),
        ("GET", "/api/v7/in/red/nothing", "/api/{version}/in/{team}/{path}", 404),
        ("GET", "/app/x/5", "/app/x/{q}", 200),
        ("GET", "/wrapped/x/5", "/wrapped/x/{q}", 200),
        ("GET", "/static/there.txt", "/static/{path}", 200),
        ("GET", "/static/gone.txt", "/static/{path}", 404),
        ("GET", "/opaque/any/thing", "/opaque/{path}", 200),
        ("GET", "/nowhere", "__unmatched__", 404),
    ],
)
def test_the_endpoint_is_the_full_template(nested: Starlette, method: str, path: str, endpoint: str, status: int) -> None:
    """P-17: nested mounts, shared routers, files, whatever is asked of them."""
    nested.middleware_stack = None
    nested.__dict__.pop("build_middleware_stack", None)
    assert recorded_as(nested, method, path) == (endpoint, status)


def test_of_an_application_that_does_not_show_its_routes_the_mount_is_known(nested: Starlette) -> None:
    """And what the router leaves in the scope, which old ones do not."""
    nested.middleware_stack = None
    nested.__dict__.pop("build_middleware_stack", None)
    assert recorded_as(nested, "GET", "/hidden/acme/x/5") in {("/hidden/{tenant}/x/{q}", 200), ("/hidden/{tenant}/{path}", 200)}


def test_a_host_is_never_part_of_the_endpoint(nested: Starlette) -> None:
    nested.middleware_stack = None
    nested.__dict__.pop("build_middleware_stack", None)
    service = StandIn()
    install(nested, service)
    for number in range(20):
        exchange = Exchange(nested, "GET", "/h/5")
        exchange.scope["headers"] = [(b"host", f"s{number}.example.org".encode())]
        assert asyncio.run(exchange.run()).status == 200
    assert endpoints_of(service) == {"/h/{z}": 20}


def test_what_the_server_puts_in_front_of_paths_is_left_out() -> None:
    """Before version 0.33 the server had to leave it out of the path, since then it has to leave it in: the other way is a 404."""
    found = set()
    for path in ("/behind/proxy/api/v7/deep/9", "/api/v7/deep/9"):
        app = Starlette(routes=[Mount("/api/{version}", routes=[Route("/deep/{x}", leaf)])])
        found.add(recorded_as(app, "GET", path, root_path="/behind/proxy"))
    assert ("/api/{version}/deep/{x}", 200) in found
    assert found <= {("/api/{version}/deep/{x}", 200), ("/api/{version}/{path}", 404), ("__unmatched__", 404)}


def test_pages_are_found_below_what_the_server_puts_in_front() -> None:
    service = StandIn(excluded=frozenset({"/ok"}))
    app = install(make_app(), service)
    answer = asyncio.run(Exchange(app, "GET", "/behind/v1/page", root_path="/behind").run())
    assert (answer.status, answer.body) == (200, b"page")
    asyncio.run(Exchange(app, "GET", "/behind/ok", root_path="/behind").run())
    assert endpoints_of(service) == {}


def test_routes_that_are_added_later_are_found() -> None:
    service = StandIn()
    app = install(make_app(), service)
    driver = AsgiDriver(app)
    driver.request("GET", "/ok")
    app.router.routes.append(Route("/late/{x}", leaf))
    driver.request("GET", "/late/1")
    assert endpoints_of(service) == {"/ok": 1, "/late/{x}": 1}


def test_preflights_answered_by_a_middleware_belong_to_no_route() -> None:
    app = make_app(middleware=[Middleware(CORSMiddleware, allow_origins=["*"])])
    asked = ((b"origin", b"https://a.example"), (b"access-control-request-method", b"GET"))
    assert recorded_as(app, "OPTIONS", "/items/7", headers=asked) == ("__unmatched__", 200)


def test_pages_answer_whatever_the_middlewares_do() -> None:
    class Refusing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await (self.app if scope["type"] == "lifespan" else PlainTextResponse("no", 401))(scope, receive, send)

    service = StandIn()
    app = install(make_app(), service)
    app.add_middleware(Refusing)
    driver = AsgiDriver(app)
    assert driver.request("GET", "/v1/page").body == b"page"
    assert driver.request("GET", "/ok").status == 401
    assert endpoints_of(service) == {"__unmatched__": 1}


def test_a_handler_for_exceptions_says_the_status_and_the_exception_its_name() -> None:
    async def handled(request: Request, error: Exception) -> Response:
        return PlainTextResponse("sorry", 503)

    service = StandIn()
    app = install(make_app(exception_handlers={Exception: handled}), service)
    assert AsgiDriver(app).request("GET", "/boom").status == 503
    failed = Readings(service.registry).samples("http_requests_failed_total")
    assert [(sample.labels["status"], sample.labels["error_type"]) for sample in failed] == [("503", "Boom")]


def test_a_handled_exception_is_a_response_like_any_other() -> None:
    async def handled(request: Request, error: Exception) -> Response:
        return PlainTextResponse("sorry", 503)

    service = StandIn()
    app = install(make_app(exception_handlers={Boom: handled}), service)
    AsgiDriver(app).request("GET", "/boom")
    failed = Readings(service.registry).samples("http_requests_failed_total")
    assert [(sample.labels["status"], sample.labels["error_type"]) for sample in failed] == [("503", "service_unavailable")]


def test_mounted_applications_with_their_own_middleware_count_once() -> None:
    inner_service, outer_service = StandIn(), StandIn()
    inner = install(Starlette(routes=[Route("/x/{q}", leaf)]), inner_service)
    outer = install(Starlette(routes=[Mount("/inner", app=inner)]), outer_service)
    AsgiDriver(outer).request("GET", "/inner/x/5")
    assert (endpoints_of(outer_service), endpoints_of(inner_service)) == ({"/inner/x/{q}": 1}, {})


def test_installing_again_changes_the_service_only() -> None:
    first, second = StandIn(), StandIn()
    app = make_app()
    driver = AsgiDriver(app)
    assert install(app, first) is app
    assert install(app, first) is app
    driver.request("GET", "/ok")
    assert install(app, second) is app, "this holds for an application that has started, too"
    driver.request("GET", "/items/7")
    assert (endpoints_of(first), endpoints_of(second)) == ({"/ok": 1}, {"/items/{id}": 1})


def test_an_application_that_has_started_is_refused() -> None:
    app = make_app()
    AsgiDriver(app).request("GET", "/ok")
    with pytest.raises(ConfigurationError, match="the application has started"):
        install(app, StandIn())


def test_what_is_no_starlette_application_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"function is not a Starlette application; wrap it: app = measurand\.asgi\(app\)"):
        install(leaf, StandIn())


def test_files_are_served_by_the_server_itself_where_it_can(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("content")
    app = Starlette(routes=[Mount("/static", app=StaticFiles(directory=tmp_path))])
    service = StandIn()
    install(app, service)
    exchange = Exchange(app, "GET", "/static/file.txt", extensions={"http.response.pathsend": {}})
    asyncio.run(exchange.run())
    assert exchange.sent[-1]["type"] in {"http.response.pathsend", "http.response.body"}
    assert Readings(service.registry).value("http_requests_total", endpoint="/static/{path}", status=200) == 1
