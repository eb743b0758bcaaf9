"""FastAPI applications: the conformance kit, routers and sub-applications, and its own telemetry beside ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from measurand.errors import ConfigurationError
from measurand.integrations import asgi
from measurand.integrations.fastapi import install
from measurand.testing.http import Boom, HttpConformance, StandIn
from measurand.testing.http_asgi import AsgiDriver, Exchange
from measurand.testing.readings import Readings

pytest.importorskip("fastapi")

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

# The annotations of the handlers below are read at run time, from the module.


def make_app(tick: Callable[[], None] = lambda: None, **settings: Any) -> FastAPI:
    app = FastAPI(**settings)
    deep = APIRouter(prefix="/deep")

    @app.head("/ok", include_in_schema=False)
    @app.get("/ok")
    async def ok() -> Response:
        return PlainTextResponse("ok")

    @app.get("/items/{id}")
    def item(id: str) -> Response:  # a plain function: FastAPI runs it in a thread
        return PlainTextResponse(id)

    @app.post("/upload")
    async def upload(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())), 201)

    @deep.get("/{x}")
    async def within(x: str) -> Response:
        return PlainTextResponse(x)

    @app.get("/status/{code}")
    async def status(code: int) -> None:
        raise HTTPException(code)

    @app.get("/moved")
    async def moved() -> Response:
        return RedirectResponse("/ok", 302)

    @app.get("/boom")
    async def boom() -> None:
        raise Boom

    @app.get("/stream")
    async def stream() -> Response:
        def chunks() -> Iterator[bytes]:
            for chunk in (b"one", b"two", b"three"):
                tick()
                yield chunk

        return StreamingResponse(chunks())

    @app.get("/broken")
    async def broken() -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            raise Boom

        return StreamingResponse(chunks())

    @app.get("/endless")
    async def endless() -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)

        return StreamingResponse(chunks())

    version = APIRouter()
    version.include_router(deep, prefix="/v1")
    app.include_router(version, prefix="/api")
    return app


class TestConformance(HttpConformance):
    def connect(self, service: StandIn | None) -> AsgiDriver:
        app = make_app(self.tick)
        return AsgiDriver(app if service is None else install(app, service))


class TestConformanceWithTheMiddlewareAroundTheApplication(HttpConformance):
    def connect(self, service: StandIn | None) -> AsgiDriver:
        app = make_app(self.tick)
        return AsgiDriver(app if service is None else asgi.install(app, service))


async def leaf(x: str = "") -> dict[str, str]:
    return {"x": x}


async def plain(request: Request) -> Response:
    return PlainTextResponse("plain")


def make_nested(folder: Path, **settings: Any) -> FastAPI:
    (folder / "there.txt").write_text("there")
    deep = APIRouter(prefix="/in")
    deep.get("/deep/{x}")(leaf)
    version = APIRouter()
    version.include_router(deep, prefix="/v1")
    version.mount("/mounted", Starlette(routes=[Route("/x/{q}", plain)]))
    version.add_route("/plain/{z}", plain)
    app = FastAPI(**settings)
    app.get("/items/{x}")(leaf)
    app.include_router(version, prefix="/api")
    app.include_router(deep, prefix="/other/{tenant}")
    below = FastAPI()
    below.include_router(deep, prefix="/s")
    below.get("/d/{x}")(leaf)
    app.mount("/sub/{tenant}", below)
    app.mount("/static", StaticFiles(directory=folder))
    app.add_route("/added/{z}", plain)
    return app


PLACES = [
    ("GET", "/items/7", "/items/{x}", 200),
    ("DELETE", "/items/7", "/items/{x}", 405),
    ("OPTIONS", "/items/7", "/items/{x}", 405),
    ("GET", "/items/7/", "__unmatched__", 307),
    ("GET", "/api/v1/in/deep/9", "/api/v1/in/deep/{x}", 200),
    ("DELETE", "/api/v1/in/deep/9", "/api/v1/in/deep/{x}", 405),
    ("GET", "/api/v1/in/nothing", "__unmatched__", 404),
    ("GET", "/other/acme/in/deep/9", "/other/{tenant}/in/deep/{x}", 200),
    ("GET", "/sub/acme/s/in/deep/9", "/sub/{tenant}/s/in/deep/{x}", 200),
    ("GET", "/sub/acme/d/9", "/sub/{tenant}/d/{x}", 200),
    ("GET", "/sub/acme/docs", "/sub/{tenant}/docs", 200),
    ("GET", "/sub/acme/nothing", "/sub/{tenant}/{path}", 404),
    ("GET", "/static/there.txt", "/static/{path}", 200),
    ("GET", "/static/gone.txt", "/static/{path}", 404),
    ("GET", "/added/5", "/added/{z}", 200),
    ("GET", "/docs", "/docs", 200),
    ("GET", "/openapi.json", "/openapi.json", 200),
    ("GET", "/nowhere", "__unmatched__", 404),
]


def recorded_as(app: Any, method: str, path: str, **scope: Any) -> tuple[str, int]:
    """The endpoint under which a request is recorded, and its status."""
    service = StandIn()
    install(app, service)
    answer = asyncio.run(Exchange(app, method, path, **scope).run())
    (sample,) = Readings(service.registry).samples("http_requests_total")
    assert sample.value == 1
    assert sample.labels["status"] == str(answer.status)
    return sample.labels["endpoint"], answer.status


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    app = make_nested(tmp_path_factory.mktemp("static"))
    install(app, StandIn())
    return app


@pytest.mark.parametrize(("method", "path", "endpoint", "status"), PLACES)
def test_the_endpoint_is_the_full_template(nested: FastAPI, method: str, path: str, endpoint: str, status: int) -> None:
    """P-17: routers within routers, sub-applications, files, the documentation."""
    assert recorded_as(nested, method, path) == (endpoint, status)


@pytest.mark.parametrize(
    ("path", "endpoint"), [("/api/mounted/x/3", "/api/mounted/x/{q}"), ("/api/plain/5", "/api/plain/{z}"), ("/api/mounted/zip", None)]
)
def test_what_stands_in_an_included_router_has_its_prefix(nested: FastAPI, path: str, endpoint: str | None) -> None:
    """Old versions of FastAPI do not include mounts at all."""
    found, status = recorded_as(nested, "GET", path)
    assert (found, status) == (endpoint, 200) or (found in {"__unmatched__", "/api/mounted/{path}"} and status == 404)


def test_what_the_server_puts_in_front_of_paths_is_no_part_of_the_endpoint() -> None:
    """Frameworks have differed in whether the path of the scope has it."""
    found = {recorded_as(make_app(), "GET", path, root_path="/proxy") for path in ("/proxy/api/v1/deep/7", "/api/v1/deep/7")}
    assert ("/api/v1/deep/{x}", 200) in found
    assert found <= {("/api/v1/deep/{x}", 200), ("__unmatched__", 404)}


def test_websockets_are_recorded_under_their_route() -> None:
    router = APIRouter(prefix="/rooms")

    @router.websocket("/{room}")
    async def room(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        await websocket.close()

    app = FastAPI()
    app.include_router(router, prefix="/api")
    service = StandIn()
    install(app, service)
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/api/rooms/7", "root_path": "", "headers": [], "query_string": b"", "scheme": "ws"}
    asyncio.run(app({**scope, "asgi": {"version": "3.0"}, "subprotocols": []}, receive, send))
    assert sent == ["websocket.accept", "websocket.close"]
    assert Readings(service.registry).value("websocket_connection_duration_seconds_count", endpoint="/api/rooms/{room}") == 1


def test_documentation_and_schema_are_those_of_the_application() -> None:
    bare, measured = make_app(), install(make_app(), StandIn())
    assert measured.openapi() == bare.openapi()
    assert AsgiDriver(measured).request("GET", "/docs") == AsgiDriver(bare).request("GET", "/docs")


def test_an_invalid_request_is_counted_under_its_route() -> None:
    assert recorded_as(make_app(), "GET", "/status/teapot") == ("/status/{code}", 422)


def test_dependencies_that_fail_are_unhandled_exceptions() -> None:
    async def dependency() -> AsyncIterator[None]:
        raise Boom
        yield

    app = FastAPI()
    app.get("/items/{x}", dependencies=[Depends(dependency)])(leaf)
    service = StandIn()
    install(app, service)
    assert AsgiDriver(app).request("GET", "/items/7").status == 500
    assert Readings(service.registry).value("http_requests_failed_total", endpoint="/items/{x}", error_type="Boom") == 1


def test_background_tasks_are_no_part_of_the_duration(metrics_clock: Any) -> None:
    app = FastAPI()

    @app.get("/items/{x}")
    async def with_task(x: str, tasks: BackgroundTasks) -> str:
        metrics_clock.advance(0.5)
        tasks.add_task(metrics_clock.advance, 20)
        return x

    service = StandIn()
    install(app, service)
    AsgiDriver(app).request("GET", "/items/7")
    assert Readings(service.registry).value("http_request_duration_seconds_sum", endpoint="/items/{x}") == 0.5


def test_an_application_that_has_started_is_refused() -> None:
    app = make_app()
    AsgiDriver(app).request("GET", "/ok")
    with pytest.raises(ConfigurationError, match="the application has started"):
        install(app, StandIn())


def test_fifty_factories_share_one_service() -> None:
    service = StandIn()
    for _ in range(50):
        AsgiDriver(install(make_app(), service)).request("GET", "/ok")
    assert Readings(service.registry).value("http_requests_total", endpoint="/ok") == 50


# -- FastAPI's own telemetry -------------------------------------------------------------------------------------------------------


@pytest.fixture
def provider() -> Any:
    """An OpenTelemetry provider that keeps what it is given."""
    pytest.importorskip("fastapi.telemetry", reason="this version of FastAPI has no telemetry")
    sdk = pytest.importorskip("opentelemetry.sdk.metrics")
    reader = pytest.importorskip("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    provider = sdk.MeterProvider([reader])
    provider.reader = reader
    yield provider
    provider.shutdown()


def counted_by(provider: Any) -> dict[str, int]:
    """How many requests FastAPI has recorded, by route."""
    found: dict[str, int] = {}
    data = provider.reader.get_metrics_data()
    for metric in (metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics):
        if metric.name == "http.server.request.duration":
            for point in metric.data.data_points:
                route = point.attributes.get("http.route", "")
                found[route] = found.get(route, 0) + point.count
    return found


def test_both_count_each_request_once(provider: Any) -> None:
    service = StandIn()
    app = install(make_app(telemetry={"meter_provider": provider}), service)
    driver = AsgiDriver(app)
    for path in ("/items/1", "/items/2", "/api/v1/deep/3", "/boom", "/v1/page"):
        driver.request("GET", path)
    ours = {sample.labels["endpoint"]: sample.value for sample in Readings(service.registry).samples("http_requests_total")}
    assert ours == {"/items/{id}": 2, "/api/v1/deep/{x}": 1, "/boom": 1}
    theirs = counted_by(provider)
    assert {route: theirs[route] for route in ours} == ours
    assert sum(theirs.values()) == 5, "theirs stands around everything: it sees the page, and knows no route for it"


@pytest.mark.parametrize(("method", "path", "endpoint", "status"), [place for place in PLACES if place[3] != 307])
def test_templates_are_the_same_with_telemetry(
    provider: Any, tmp_path: Path, method: str, path: str, endpoint: str, status: int
) -> None:
    app = make_nested(tmp_path, telemetry={"meter_provider": provider})
    assert recorded_as(app, method, path) == (endpoint, status)
    assert counted_by(provider) == {endpoint if endpoint != "__unmatched__" else "": 1}


def test_telemetry_knows_the_route_that_a_redirect_leads_to(provider: Any, tmp_path: Path) -> None:
    app = make_nested(tmp_path, telemetry={"meter_provider": provider})
    assert recorded_as(app, "GET", "/items/7/") == ("/items/{x}", 307)
