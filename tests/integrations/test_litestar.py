"""Litestar applications: the conformance kit, exceptions that Litestar answers itself, start and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from measurand.errors import ConfigurationError
from measurand.integrations.litestar import install
from measurand.testing.http import Boom, HttpConformance, StandIn
from measurand.testing.http_asgi import AsgiDriver
from measurand.testing.readings import Readings

pytest.importorskip("litestar")

from litestar import Litestar, Request, Response, Router, asgi, get, post, route
from litestar.exceptions import HTTPException
from litestar.response import Redirect, Stream
from litestar.types import Receive, Scope, Send

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore::DeprecationWarning:litestar")]


def make_app(tick: Callable[[], None] = lambda: None, **settings: Any) -> Litestar:
    @route("/ok", http_method=["GET", "HEAD"], media_type="text/plain")
    async def ok() -> str:
        return "ok"

    @get("/items/{id:str}", media_type="text/plain")
    async def item(id: str) -> str:
        return id

    @post("/upload", media_type="text/plain")
    async def upload(request: Request) -> str:
        return str(len(await request.body()))

    @get("/deep/{x:str}", media_type="text/plain")
    async def deep(x: str) -> str:
        return x

    @get("/status/{code:int}")
    async def status(code: int) -> None:
        raise HTTPException(status_code=code)

    @get("/moved", status_code=302)
    async def moved() -> Redirect:
        return Redirect("/ok", status_code=302)

    @get("/boom")
    async def boom() -> None:
        raise Boom

    @get("/stream")
    async def stream() -> Stream:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in (b"one", b"two", b"three"):
                tick()
                yield chunk

        return Stream(chunks())

    @get("/broken")
    async def broken() -> Stream:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            raise Boom

        return Stream(chunks())

    @get("/endless")
    async def endless() -> Stream:
        async def chunks() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)

        return Stream(chunks())

    routes = [ok, item, upload, Router("/api/v1", route_handlers=[deep]), status, moved, boom, stream, broken, endless]
    return Litestar(routes, logging_config=None, **settings)


class TestConformance(HttpConformance):
    def connect(self, service: StandIn | None) -> AsgiDriver:
        app = make_app(self.tick)
        return AsgiDriver(app if service is None else install(app, service))


def failures_of(app: Litestar, path: str) -> list[tuple[str, str]]:
    """Status and error type of what is recorded as failed."""
    service = StandIn()
    AsgiDriver(install(app, service)).request("GET", path)
    return [
        (sample.labels["status"], sample.labels["error_type"])
        for sample in Readings(service.registry).samples("http_requests_failed_total")
    ]


def test_an_exception_with_a_handler_is_a_response_like_any_other() -> None:
    def handled(request: Request, error: Exception) -> Response:
        return Response("sorry", status_code=503)

    assert failures_of(make_app(exception_handlers={Boom: handled}), "/boom") == [("503", "service_unavailable")]


def test_an_application_without_the_integration_runs_its_own_hooks_as_before() -> None:
    seen = []

    async def own(error: Exception, scope: Any) -> None:
        seen.append(type(error).__name__)

    assert failures_of(make_app(after_exception=[own]), "/boom") == [("500", "Boom")]
    assert seen == ["Boom"]


def test_the_service_starts_after_the_application_and_stops_before_it() -> None:
    order = []
    service = StandIn()
    service.calls = order

    @asynccontextmanager
    async def pool(app: Litestar) -> AsyncIterator[None]:
        order.append("pool opened")
        yield
        order.append("pool closed")

    async def starting() -> None:
        order.append("application started")

    async def ending() -> None:
        order.append("application stopped")

    live(install(make_app(lifespan=[pool], on_startup=[starting], on_shutdown=[ending]), service), order)
    assert order.index("application started") < order.index("started") < order.index("lifespan.startup.complete")
    assert order.index("stopping") < order.index("pool closed") < order.index("lifespan.shutdown.complete")
    assert order.index("stopping") < order.index("application stopped")
    assert order.count("started") == order.count("stopping") == 1


def test_each_lifespan_starts_the_service_and_stops_it() -> None:
    service = StandIn()
    app = install(make_app(), service)
    for _ in range(2):
        live(app, [])
    assert service.calls == ["started", "stopping"] * 2


def live(app: Litestar, order: list[str]) -> None:
    """Run an application through its life."""

    async def run() -> None:
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            order.append(message["type"])

        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)  # type: ignore[arg-type]

    asyncio.run(run())


async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/m", "/m/{path}"),
        ("/m/a/b", "/m/{path}"),
        ("/in/m/a", "/in/m/{path}"),
        ("/two/a", "/two/{path}"),
        ("/twofold/a", "/twofold/{path}"),
        ("/plain", "/plain"),
        ("/nothing", "__unmatched__"),
    ],
)
def test_what_a_mount_serves_belongs_to_the_mount(path: str, endpoint: str) -> None:
    one = asgi("/m", is_mount=True)(mounted)
    app = Litestar([one, Router("/in", route_handlers=[one]), asgi(["/two", "/twofold"], is_mount=True)(mounted), asgi("/plain")(mounted)])
    service = StandIn()
    AsgiDriver(install(app, service)).request("GET", path)
    (sample,) = Readings(service.registry).samples("http_requests_total")
    assert sample.labels["endpoint"] == endpoint


def test_installing_again_changes_the_service_only() -> None:
    first, second = StandIn(), StandIn()
    app = make_app()
    assert install(app, first) is app
    assert install(app, second) is app
    AsgiDriver(app).request("GET", "/ok")
    assert Readings(first.registry).samples("http_requests_total") == []
    assert Readings(second.registry).value("http_requests_total") == 1


def test_what_is_no_litestar_application_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="object is not a Litestar application"):
        install(object(), StandIn())
