"""The conformance kit finds what integrations do wrong: each fault is planted once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from measurand.integrations.asgi import Middleware
from measurand.testing.http import ROUTES, STATUSES, TABLE, Boom, HttpConformance, Row, StandIn, expected, recorded
from measurand.testing.http_asgi import AsgiDriver
from measurand.testing.readings import Readings
from tests.integrations.test_asgi import make_app

pytestmark = pytest.mark.once

TESTS = [name for name in dir(HttpConformance) if name.startswith("test_")]
App = Callable[..., Any]


class Kit(HttpConformance):
    """The kit on an application of ours, through something that may be at fault."""

    def __init__(self, integration: Callable[[App, StandIn], App]) -> None:
        self._integration = integration

    def connect(self, service: StandIn | None) -> AsgiDriver:
        app = make_app(self.tick)
        return AsgiDriver(app if service is None else self._integration(app, service))


Kit.__test__ = False  # type: ignore[attr-defined]


def refused(integration: Callable[[App, StandIn], App]) -> set[str]:
    """The tests of the kit that an integration does not pass."""
    failed = set()
    for name in TESTS:
        try:
            getattr(Kit(integration), name)()
        except AssertionError:
            failed.add(name)
    return failed


def test_a_good_integration_passes() -> None:
    assert refused(Middleware) == set()


def raw_paths(app: App, service: StandIn) -> App:
    return Middleware(app, service, endpoint_of=lambda scope: scope["path"])


def nothing_is_recorded(app: App, service: StandIn) -> App:
    return Middleware(app, StandIn(pages=service.pages, excluded=service.excluded))


def counted_twice(app: App, service: StandIn) -> App:
    inner = Middleware(app, service)

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        async def without_flag(scope: Any, receive: Any, send: Any) -> None:
            scope = {key: value for key, value in scope.items() if key != "measurand.counted"}
            await inner(scope, receive, send)

        await Middleware(without_flag, service)(scope, receive, send)

    return outer


def a_header_more(app: App, service: StandIn) -> App:
    async def changed(scope: Any, receive: Any, send: Any) -> None:
        async def adding(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-measured", b"1")]}
            await send(message)

        await app(scope, receive, adding)

    return Middleware(changed, service)


def failures_pass_on(app: App, service: StandIn) -> App:
    measured = Middleware(app, StandIn(service.http, service.pages, service.excluded))

    async def fragile(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in service.pages.paths:
            service.http.in_progress()
        await measured(scope, receive, send)

    return fragile


def pages_are_passed_on(app: App, service: StandIn) -> App:
    return Middleware(app, StandIn(service.http, excluded=service.excluded, pages=type(service.pages)({})))


def exclusions_are_ignored(app: App, service: StandIn) -> App:
    return Middleware(app, StandIn(service.http, service.pages))


def disconnects_are_not_seen(app: App, service: StandIn) -> App:
    """As with a server's messages that stop somewhere on the way."""

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        async def first() -> Any:
            return await receive()

        scope["hidden"] = first
        await Middleware(hearing, service)(scope, silent, send)

    async def silent() -> Any:
        raise AssertionError("the application asks the server itself")

    async def hearing(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, scope["hidden"], send)

    return deaf


@pytest.mark.parametrize(
    ("fault", "found_by"),
    [
        (raw_paths, {"test_what_clients_make_up_makes_no_series", "test_each_request_is_recorded_under_its_route_once"}),
        (nothing_is_recorded, {"test_each_request_is_recorded_under_its_route_once", "test_the_duration_ends_with_the_last_byte"}),
        (counted_twice, {"test_each_request_is_recorded_under_its_route_once"}),
        (a_header_more, {"test_responses_are_those_of_the_application_alone"}),
        (pages_are_passed_on, {"test_pages_are_served_by_the_integration_and_not_recorded"}),
        (exclusions_are_ignored, {"test_excluded_paths_are_answered_and_not_recorded"}),
        (disconnects_are_not_seen, {"test_a_client_that_leaves_while_it_reads_is_a_disconnect_and_no_failure"}),
    ],
)
def test_a_fault_is_found(fault: Callable[[App, StandIn], App], found_by: set[str]) -> None:
    assert found_by <= refused(fault)


def test_an_integration_whose_failures_reach_the_application_is_found() -> None:
    with pytest.raises((AssertionError, RuntimeError)):
        Kit(failures_pass_on).test_metrics_that_fail_change_nothing_and_are_reported_once()


def test_every_route_is_asked_for_and_every_row_has_a_name_of_its_own() -> None:
    assert {row.route for row in TABLE if row.route} | {"endless"} == {route.name for route in ROUTES}
    assert len({row.name for row in TABLE}) == len(TABLE)
    assert {row.status for row in TABLE if row.route == "status"} == set(STATUSES)


def test_what_is_expected_is_what_the_semantics_say() -> None:
    assert expected("GET", "/x", 404, "not_found") == {
        ("http_requests_total", "GET", "/x", "404"): 1,
        ("http_request_duration_seconds_count", "GET", "/x"): 1,
        ("http_requests_failed_total", "GET", "/x", "404", "not_found"): 1,
    }
    assert expected("GET", "/x", 499, disconnected=True)["http_client_disconnects_total", "/x"] == 1


def test_a_gauge_that_came_back_is_no_change() -> None:
    service = StandIn()
    readings = Readings(service.registry)
    method = service.http.start("GET")
    assert recorded(readings) == {("http_requests_in_progress", "GET"): 1}
    service.http.finish(method, "/x", 200, 0.1)
    assert recorded(readings) == expected("GET", "/x", 200)


def test_rows_can_be_left_out_where_a_protocol_cannot_do_them() -> None:
    class Without(Kit):
        skipped = frozenset(row.name for row in TABLE)

    def never(app: App, service: StandIn) -> App:
        raise Boom

    assert Row("x", "GET", "/", 200, None).body == b""
    with pytest.raises(Boom):
        Without(never).test_each_request_is_recorded_under_its_route_once()
    assert "test_each_request_is_recorded_under_its_route_once" in refused(raw_paths)
    Without(raw_paths).test_each_request_is_recorded_under_its_route_once()
