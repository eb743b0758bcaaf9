"""P-16: whatever fails in the middleware fails alone. Each thing that it calls raises, one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from measurand import clock
from measurand.catalog.http import HttpMetrics
from measurand.endpoints.pages import Pages
from measurand.integrations.asgi import Middleware, install
from measurand.testing.http import ROUTES, TABLE, Answer, StandIn
from measurand.testing.http_asgi import AsgiDriver, Exchange
from tests.integrations.test_asgi import LAST, PART, START, Server, make_app, steps

pytestmark = pytest.mark.once


class Broken(Exception):
    """What everything raises here."""


def fail(*_: Any, **__: Any) -> Any:
    raise Broken


class BrokenClock:
    """Fails at the reading of that number and at all further ones."""

    def __init__(self, at: int) -> None:
        self._left = at

    def monotonic(self) -> float:
        self._left -= 1
        if self._left <= 0:
            raise Broken
        return 0.0

    def wall(self) -> float:
        return 0.0


class BrokenMetrics(HttpMetrics):
    """Fails in the methods that are named."""

    def __init__(self, registry: Any, *broken: str) -> None:
        super().__init__(registry, body_sizes=True, first_byte=True)
        for name in broken:
            setattr(self, name, fail)


class BrokenPages(Pages):
    @property
    def paths(self) -> frozenset[str]:
        raise Broken


class BrokenService(StandIn):
    @property
    def excluded(self) -> frozenset[str]:
        raise Broken

    @excluded.setter
    def excluded(self, value: frozenset[str]) -> None:
        pass


def broken_start() -> StandIn:
    service = StandIn()
    service.server_started = fail  # type: ignore[method-assign]
    return service


def broken_metrics(*names: str) -> StandIn:
    service = StandIn()
    service.http = BrokenMetrics(service.registry, *names)
    return service


class BrokenRoute:
    """What a router of tomorrow leaves in the scope."""

    def __getattr__(self, name: str) -> Any:
        raise Broken


FAILING: dict[str, Any] = {
    "the service's start": broken_start,
    "the excluded paths": BrokenService,
    "the paths of the pages": lambda: StandIn(pages=BrokenPages({})),
    "start": lambda: broken_metrics("start"),
    "finish": lambda: broken_metrics("finish"),
    "start and finish": lambda: broken_metrics("start", "finish"),
}


def answers(app: Any) -> list[Answer]:
    driver = AsgiDriver(app)
    return [driver.request(row.method, row.path, row.body) for row in TABLE]


@pytest.fixture
def errors() -> Iterator[list[logging.LogRecord]]:
    """What the package logs as an error meanwhile."""
    heard: list[logging.LogRecord] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record)

    ear, logger = Ear(logging.ERROR), logging.getLogger("measurand")
    logger.addHandler(ear)
    yield heard
    logger.removeHandler(ear)


@pytest.mark.parametrize("what", FAILING)
def test_responses_are_the_same_and_it_is_said_once(what: str, errors: list[logging.LogRecord]) -> None:
    assert answers(install(make_app(), FAILING[what]())) == answers(make_app())
    assert [record.exc_info[0] for record in errors if record.exc_info] == [Broken]


@pytest.mark.parametrize("at", range(1, 6))
def test_responses_are_the_same_when_the_clock_fails_at_any_reading(at: int, errors: list[logging.LogRecord]) -> None:
    service = StandIn()
    service.http = HttpMetrics(service.registry, body_sizes=True, first_byte=True)
    bare = answers(make_app())
    before = clock.use(BrokenClock(at))
    try:
        assert answers(install(make_app(), service)) == bare
    finally:
        clock.use(before)
    assert len(errors) == 1


def test_responses_are_the_same_when_templates_cannot_be_found(errors: list[logging.LogRecord]) -> None:
    service = StandIn()
    assert answers(install(make_app(), service, endpoint_of=fail)) == answers(make_app())
    assert len(errors) == 1
    requests = [sample for metric in service.registry.collect() for sample in metric.samples if sample.name == "http_requests_total"]
    assert {sample.labels["endpoint"] for sample in requests} == {"__unmatched__"}
    assert sum(sample.value for sample in requests) == len(TABLE)


@pytest.mark.parametrize("key", ["endpoint", "route", "router", "fastapi", "fastapi.telemetry", "app_root_path", "root_path"])
def test_what_frameworks_leave_in_the_scope_may_be_anything(key: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.update({"endpoint": make_app, "router": object(), "route": object(), key: BrokenRoute()})
        await steps(START, LAST)(scope, receive, send)

    for value in (BrokenRoute(), None, 17, "text", {"effective_route_context": BrokenRoute()}):
        server = Server()

        async def app_with(scope: Any, receive: Any, send: Any, value: Any = value) -> None:
            await app(scope, receive, send)
            scope[key] = value

        service = StandIn()
        asyncio.run(server.ask(Middleware(app_with, service)))
        assert server.sent == [START, LAST]
        assert service.http.in_progress() == 0


def test_an_error_of_the_application_is_that_of_the_application_when_recording_it_fails() -> None:
    error = ValueError("the application's")

    async def ask() -> None:
        await Server().ask(Middleware(steps(START, error), broken_metrics("finish")))

    with pytest.raises(ValueError, match="the application's") as raised:
        asyncio.run(ask())
    assert raised.value is error
    assert raised.value.__context__ is None


def test_disconnects_are_still_seen_by_the_application() -> None:
    for service in (StandIn(), broken_metrics("start"), broken_metrics("finish")):
        seen: list[str] = []

        async def app(scope: Any, receive: Any, send: Any, seen: list[str] = seen) -> None:
            await send(START)
            await send(PART)
            while not seen or seen[-1] != "http.disconnect":
                seen.append((await receive())["type"])

        asyncio.run(Exchange(install(app, service), "GET", "/x", leave_after=1).run())
        assert seen == ["http.request", "http.disconnect"]


def test_the_kit_asks_for_every_route() -> None:
    """Else these comparisons would say less than they seem to."""
    assert {row.route for row in TABLE if row.route} == {route.name for route in ROUTES} - {"endless"}
