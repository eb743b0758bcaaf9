"""Plain ASGI applications: what is recorded of each way in which a request can end, and what passes through untouched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from measurand.integrations.asgi import FAILURE, TEMPLATE, Middleware, install
from measurand.testing.clock import FakeClock
from measurand.testing.http import Boom, HttpConformance, StandIn, expected, recorded
from measurand.testing.http_asgi import AsgiDriver, Exchange
from measurand.testing.readings import Readings

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]}
LAST = {"type": "http.response.body", "body": b"ok"}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


def make_app(tick: Callable[[], None] = lambda: None) -> App:
    """The routes of the conformance kit without a framework."""

    async def answer(send: Send, status: int, *chunks: bytes, more: bool = False) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        first, *rest = scope["path"].strip("/").split("/")
        template = {"items": "/items/{id}", "status": "/status/{code}", "api": "/api/v1/deep/{x}"}.get(first, f"/{first}")
        known = {"ok", "items", "upload", "api", "status", "moved", "boom", "stream", "broken", "endless"}
        if first not in known or (first == "api" and rest[1] != "deep"):
            await answer(send, 404, b"")
            return
        scope[TEMPLATE] = template
        if scope["method"] not in {"GET", "HEAD"} and first != "upload":
            await answer(send, 405, b"")
        elif first == "upload":
            size, more = 0, True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                size += len(message["body"])
                more = message["more_body"]
            await answer(send, 201, str(size).encode())
        elif first == "status":
            await answer(send, int(rest[0]), b"")
        elif first == "boom":
            raise Boom
        elif first in {"stream", "broken", "endless"}:
            await answer(send, 200)
            await stream(first, receive, send)
        else:
            await answer(send, 302 if first == "moved" else 200, (rest or [first])[-1].encode())

    async def stream(kind: str, receive: Receive, send: Send) -> None:
        for chunk in (b"one", b"two", b"three") if kind == "stream" else (b"one",):
            if kind == "stream":
                tick()
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if kind == "broken":
            raise Boom
        if kind == "endless":
            await receive()
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
                if (await receive())["type"] == "http.disconnect":
                    return
        await send({"type": "http.response.body", "body": b""})

    return app


class TestConformance(HttpConformance):
    def connect(self, service: StandIn | None) -> AsgiDriver:
        app = make_app(self.tick)
        return AsgiDriver(app if service is None else install(app, service))


class TestConformanceWithAFunctionThatKnowsTheTemplates(HttpConformance):
    def connect(self, service: StandIn | None) -> AsgiDriver:
        app = make_app(self.tick)
        return AsgiDriver(app if service is None else install(app, service, endpoint_of=lambda scope: scope.get(TEMPLATE)))


# -- how a request can end ---------------------------------------------------------------------------------------------------------


class Server:
    """Plays one request; ``gone_after`` is how many messages it takes before it says, with an ``OSError``, that the client has gone."""

    def __init__(self, *arriving: str, gone_after: int | None = None) -> None:
        self.sent: list[Any] = []
        self._gone_after = gone_after
        self._arriving = [{"type": kind} for kind in arriving]

    async def receive(self) -> Any:
        return self._arriving.pop(0) if self._arriving else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self._gone_after is not None and len(self.sent) >= self._gone_after:
            raise OSError("the client has gone")
        self.sent.append(message)

    async def ask(self, app: App, **scope: Any) -> dict[str, Any]:
        asked = {"type": "http", "method": "GET", "path": "/x", "headers": [], **scope}
        await app(asked, self.receive, self.send)
        return asked


def outcome(app: App, server: Server | None = None) -> tuple[dict[tuple[str, ...], float], BaseException | None]:
    """What is recorded of a request, and what came out of the application."""
    service = StandIn()
    readings = Readings(service.registry)
    measured = Middleware(app, service, endpoint_of=lambda scope: "/x")
    raised = None
    try:
        asyncio.run((server or Server()).ask(measured))
    except BaseException as error:
        raised = error
    assert service.http.in_progress() == 0
    return recorded(readings), raised


def steps(*do: Any) -> App:
    """An application that sends messages, raises exceptions and receives (``None``), in this order."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        for step in do:
            if isinstance(step, BaseException):
                raise step
            await (receive() if step is None else send(step))

    return app


@pytest.mark.parametrize(
    ("app", "status", "error_type"),
    [
        (steps(START, LAST), 200, None),
        (steps(Boom()), 500, "Boom"),
        (steps({**START, "status": 503}, LAST), 503, "service_unavailable"),
        (steps({**START, "status": 404}, LAST), 404, "not_found"),
        (steps(START, Boom()), 200, "Boom"),
        (steps(START, PART, Boom()), 200, "Boom"),
        (steps(START, LAST, Boom()), 200, "Boom"),
        (steps({**START, "status": 500}, LAST, Boom()), 500, "Boom"),
        (steps(), 500, "incomplete_response"),
        (steps(START), 500, "incomplete_response"),
        (steps(START, PART), 500, "incomplete_response"),
        (steps(asyncio.CancelledError()), 503, "cancelled"),
        (steps(START, PART, asyncio.CancelledError()), 200, "cancelled"),
        (steps(START, LAST, asyncio.CancelledError()), 200, None),
        (steps(KeyboardInterrupt()), 500, "KeyboardInterrupt"),
        (steps(SystemExit(3)), 500, "SystemExit"),
        (steps(BaseExceptionGroup("one", [Boom()])), 500, "Boom"),
        (steps(BaseExceptionGroup("two", [Boom(), ValueError()])), 500, "ExceptionGroup"),
        (steps(OSError("the disk, not the client")), 500, "OSError"),
    ],
)
def test_what_is_recorded_of_each_way_to_end(app: App, status: int, error_type: str | None) -> None:
    assert outcome(app)[0] == expected("GET", "/x", status, error_type)


@pytest.mark.parametrize(
    ("app", "status"),
    [
        (steps(None, Boom()), 499),
        (steps(None), 499),
        (steps(None, START, LAST), 499),
        (steps(None, asyncio.CancelledError()), 499),
        (steps(START, None, PART), 200),
        (steps(START, PART, None), 200),
        (steps(START, PART, None, Boom()), 200),
        (steps(START, PART, None, asyncio.CancelledError()), 200),
    ],
)
def test_a_client_that_has_gone_is_a_disconnect_whatever_the_application_does_then(app: App, status: int) -> None:
    assert outcome(app)[0] == expected("GET", "/x", status, disconnected=True)


def test_a_client_that_goes_when_it_has_everything_is_no_disconnect() -> None:
    assert outcome(steps(START, LAST, None))[0] == expected("GET", "/x", 200)


@pytest.mark.parametrize(("gone_after", "status"), [(1, 200), (2, 200)])
def test_a_server_may_say_with_an_error_that_the_client_has_gone(gone_after: int, status: int) -> None:
    """Version 2.4 of the specification."""
    found, raised = outcome(steps(START, PART, LAST), Server(gone_after=gone_after))
    assert found == expected("GET", "/x", status, disconnected=True)
    assert isinstance(raised, OSError)


def test_what_the_application_raises_goes_on_untouched() -> None:
    for error in (Boom("with arguments"), KeyboardInterrupt(), asyncio.CancelledError("shutdown"), GeneratorExit()):
        assert outcome(steps(START, error))[1] is error


def test_an_exception_that_inner_code_answered_itself_can_be_named() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        scope[FAILURE] = "Inner"
        await steps({**START, "status": 500}, LAST)(scope, receive, send)

    assert outcome(app)[0] == expected("GET", "/x", 500, "Inner")


def test_cancelling_the_task_as_servers_do_at_their_end_is_recorded() -> None:
    service = StandIn()
    readings = Readings(service.registry)

    async def main() -> None:
        entered = asyncio.Event()

        async def app(scope: Any, receive: Receive, send: Send) -> None:
            entered.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(Server().ask(Middleware(app, service, endpoint_of=lambda scope: "/x")))
        await entered.wait()
        assert service.http.in_progress() == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert recorded(readings) == expected("GET", "/x", 503, "cancelled")


def test_a_thousand_aborted_streams_leave_nothing_in_progress() -> None:
    """P-18."""
    service = StandIn()
    readings = Readings(service.registry)
    app = install(make_app(), service)

    async def main() -> None:
        await asyncio.gather(*(Exchange(app, "GET", "/endless", leave_after=1).run() for _ in range(1000)))

    asyncio.run(main())
    assert readings.value("http_requests_in_progress", method="GET") == 0
    assert readings.delta("http_client_disconnects_total", endpoint="/endless") == 1000
    assert recorded(readings) == dict.fromkeys(expected("GET", "/endless", 200, disconnected=True), 1000)


# -- durations -----------------------------------------------------------------------------------------------------------------------


def test_headers_body_and_background_are_three_values() -> None:
    """P-18: 200 ms to the headers, one second to the end of the body, two seconds of background task."""
    service = StandIn()
    service.http = type(service.http)(service.registry, first_byte=True, background=True)
    readings = Readings(service.registry)
    with FakeClock() as clock:

        async def app(scope: Any, receive: Receive, send: Send) -> None:
            clock.advance(0.2)
            await send(START)
            for _ in range(10):
                clock.advance(0.1)
                await send(PART)
            await send(LAST)
            clock.advance(2)

        asyncio.run(Server().ask(Middleware(app, service, endpoint_of=lambda scope: "/x")))
    assert readings.delta("http_response_first_byte_seconds_sum", endpoint="/x") == pytest.approx(0.2)
    assert readings.delta("http_request_duration_seconds_sum", endpoint="/x") == pytest.approx(1.2)
    assert readings.delta("http_background_seconds_sum", endpoint="/x") == pytest.approx(2)


def test_trailers_are_the_end_where_they_were_announced() -> None:
    service = StandIn()
    readings = Readings(service.registry)
    with FakeClock() as clock:

        async def app(scope: Any, receive: Receive, send: Send) -> None:
            await send({**START, "trailers": True})
            await send(LAST)
            clock.advance(1)
            await send({"type": "http.response.trailers", "headers": [], "more_trailers": True})
            clock.advance(1)
            await send({"type": "http.response.trailers", "headers": []})
            clock.advance(1)

        asyncio.run(Server().ask(Middleware(app, service)))
    assert readings.delta("http_request_duration_seconds_sum") == 2
    assert recorded(readings) == expected("GET", "__unmatched__", 200)


@pytest.mark.parametrize(
    "last",
    [
        {"type": "http.response.pathsend", "path": "/tmp/file"},
        {"type": "http.response.zerocopysend", "file": 3},
    ],
)
def test_files_that_the_server_sends_by_itself_end_the_response(last: dict[str, Any]) -> None:
    assert outcome(steps(START, last))[0] == expected("GET", "/x", 200)


def test_a_file_sent_in_parts_ends_with_the_last_part() -> None:
    part = {"type": "http.response.zerocopysend", "file": 3, "count": 10, "more_body": True}
    assert outcome(steps(START, part))[0] == expected("GET", "/x", 500, "incomplete_response")
    assert outcome(steps(START, part, LAST))[0] == expected("GET", "/x", 200)


# -- passing through -----------------------------------------------------------------------------------------------------------------


def test_every_message_passes_as_it_is_and_at_once() -> None:
    messages = [
        {"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]},
        {"type": "http.response.push", "path": "/style.css", "headers": []},
        {"type": "http.response.debug", "info": {}},
        START,
        PART,
        {"type": "extension.of.tomorrow"},
        LAST,
    ]
    server = Server()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        for count, message in enumerate(messages):
            assert len(server.sent) == count
            await send(message)
            assert server.sent[-1] is message

    asyncio.run(server.ask(Middleware(app, StandIn())))
    assert len(server.sent) == len(messages)


def test_what_arrives_passes_as_it_is() -> None:
    arriving = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]
    seen: list[Any] = []

    async def receive() -> Any:
        return arriving[len(seen)]

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        for _ in range(2):
            seen.append(await receive())

    async def main() -> None:
        await Middleware(app, StandIn())({"type": "http", "method": "GET", "path": "/"}, receive, Server().send)

    asyncio.run(main())
    assert all(one is two for one, two in zip(seen, arriving, strict=True))


def test_a_malformed_message_reaches_the_server_which_knows_what_to_say() -> None:
    server = Server()
    asyncio.run(server.ask(Middleware(steps({"no": "type"}, START, LAST), StandIn())))
    assert server.sent == [{"no": "type"}, START, LAST]


def test_unknown_scopes_pass() -> None:
    seen = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    service = StandIn()
    asyncio.run(Server().ask(Middleware(app, service), type="tomorrow"))
    assert seen == ["tomorrow"]
    assert Readings(service.registry).samples("http_requests_total") == []


def test_a_middleware_within_another_passes_everything_on() -> None:
    inner, outer = StandIn(), StandIn()
    asyncio.run(Server().ask(Middleware(Middleware(steps(START, LAST), inner), outer)))
    assert len(Readings(outer.registry).samples("http_requests_total")) == 1
    assert Readings(inner.registry).samples("http_requests_total") == []


# -- start ---------------------------------------------------------------------------------------------------------------------------


def test_without_a_lifespan_the_first_request_starts_the_service_even_one_for_a_page() -> None:
    service = StandIn()
    driver = AsgiDriver(install(make_app(), service))
    assert service.calls == []
    for path in ("/v1/page", "/ok"):
        driver.request("GET", path)
    assert service.calls == ["started"]
    assert isinstance(service.loops[0], asyncio.AbstractEventLoop)


def test_installing_again_changes_the_service_only() -> None:
    first, second = StandIn(), StandIn()
    app = install(make_app(), first)
    assert install(app, second) is app
    AsgiDriver(app).request("GET", "/ok")
    assert (first.calls, second.calls) == ([], ["started"])
