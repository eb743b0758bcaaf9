"""The middleware for WSGI applications: the conformance kit on a plain application, and what no framework is needed for."""

from __future__ import annotations

import gc
import io
import os
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from measurand import clock
from measurand.catalog.http import METHODS, UNMATCHED, HttpMetrics
from measurand.endpoints.pages import Page, Pages, text
from measurand.integrations.wsgi import Middleware, install, url_rule
from measurand.integrations.wsgi_exchange import TEMPLATE
from measurand.metrics import shared
from measurand.metrics.registry import CollectorRegistry
from measurand.testing.http import TABLE, HttpConformance, StandIn, expected, recorded
from measurand.testing.http_wsgi import WsgiDriver, WsgiExchange
from measurand.testing.readings import Readings
from tests.integrations.wsgi_apps import Environ, StartResponse, make_app, route
from tests.support import SCALE, run_threads


class TestPlainApplication(HttpConformance):
    def connect(self, service: StandIn | None) -> WsgiDriver:
        app = make_app(self.tick)
        return WsgiDriver(app if service is None else install(app, service, endpoint_of=route))


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def named(template: str) -> Any:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["test.route"] = template
        return hello(environ, start_response)

    return app


class Dispatcher:
    """Puts the first part of the path into the SCRIPT_NAME, if there is an application for it."""

    def __init__(self, app: Any, mounts: dict[str, Any]) -> None:
        self.app = app
        self.mounts = mounts

    def __call__(self, environ: Environ, start_response: StartResponse) -> Any:
        head, slash, tail = environ["PATH_INFO"][1:].partition("/")
        if f"/{head}" not in self.mounts:
            return self.app(environ, start_response)
        environ["SCRIPT_NAME"] += f"/{head}"
        environ["PATH_INFO"] = slash + tail
        return self.mounts[f"/{head}"](environ, start_response)


def ask(app: Any, service: StandIn, path: str = "/", method: str = "GET", **environ: Any) -> Any:
    """What one request has recorded."""
    readings = Readings(service.registry)
    WsgiExchange(app, method, path, **environ).run()
    return recorded(readings)


def failures_said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(record.exc_info[1]) for record in caplog.records if record.name == "measurand.http" and record.exc_info]


# -- installing ----------------------------------------------------------------------------------------------------------------


def test_installing_again_measures_once() -> None:
    service = StandIn()
    app = install(hello, service)
    for _ in range(50):
        assert install(app, service) is app
    assert ask(app, service) == expected("GET", UNMATCHED, 200)


def test_installing_for_another_service_records_there() -> None:
    first, second = StandIn(), StandIn(pages=Pages({"/second": Page(lambda request: text(200, "second"))}))
    app = install(hello, first)
    assert install(app, second) is app
    assert ask(app, first) == {}
    assert ask(app, second) == expected("GET", UNMATCHED, 200)
    assert WsgiDriver(app).request("GET", "/second").body == b"second"
    assert WsgiDriver(app).request("GET", "/v1/page").body == b"hello"


def test_many_applications_share_one_services_metrics() -> None:
    service = StandIn()
    for app in [install(named(f"/{number}"), service, endpoint_of=route) for number in range(50)]:
        ask(app, service)
    assert Readings(service.registry).value("http_requests_total", endpoint="/49") == 1


def test_applications_that_are_gone_are_not_kept() -> None:
    before = sum(isinstance(each, Middleware) for each in gc.get_objects())
    for _ in range(10):
        ask(install(hello, StandIn()), StandIn())
    gc.collect()
    assert sum(isinstance(each, Middleware) for each in gc.get_objects()) <= before


# -- pages ---------------------------------------------------------------------------------------------------------------------


def test_a_page_is_found_below_and_across_the_script_name() -> None:
    service = StandIn()
    app = install(hello, service)
    for script, path in (("", "/v1/page"), ("/shop", "/v1/page"), ("/v1", "/page"), ("/shop", "/v1/page/")):
        exchange = WsgiExchange(app, "GET", path, SCRIPT_NAME=script)
        assert exchange.run().body == b"page", (script, path)
    assert WsgiExchange(app, "GET", "/page", SCRIPT_NAME="/v2").run().body == b"hello"


def test_a_page_is_told_all_of_the_request() -> None:
    seen: list[Any] = []

    def page(request: Any) -> Any:
        seen.append(request)
        return text(200, "page")

    app = install(hello, StandIn(pages=Pages({"/page": Page(page)})))
    WsgiExchange(app, "GET", "/page?a=b", HTTP_ACCEPT="text/plain").run()
    ((request),) = seen
    assert (request.method, request.path, request.query, request.headers["accept"]) == ("GET", "/page", "a=b", "text/plain")
    assert not request.trusted


# -- the start of the server ---------------------------------------------------------------------------------------------------


def test_the_service_hears_of_the_server_at_the_first_request_and_once() -> None:
    service = StandIn()
    app = install(hello, service)
    assert service.calls == []
    run_threads(*[lambda: WsgiDriver(app).request("GET", "/")] * 8)
    WsgiDriver(app).request("GET", "/v1/page")
    assert service.calls == ["started"]
    assert service.loops == [None]


def test_a_probe_is_a_first_request_too() -> None:
    service = StandIn()
    WsgiDriver(install(hello, service)).request("GET", "/v1/page")
    assert service.calls == ["started"]


def test_a_start_that_fails_costs_neither_the_answer_nor_its_record(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(StandIn):
        def server_started(self, loop: Any) -> None:
            raise RuntimeError("no main thread")

    service = Failing()
    assert ask(install(hello, service), service) == expected("GET", UNMATCHED, 200)
    assert failures_said(caplog) == ["no main thread"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_that_was_forked_from_a_serving_one_announces_itself_once() -> None:
    service = StandIn()
    app = install(hello, service)
    WsgiDriver(app).request("GET", "/")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = list(service.calls)
            WsgiDriver(app).request("GET", "/")
            WsgiDriver(app).request("GET", "/")
            os.write(writing, f"{before} {service.calls}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read() == "['started'] ['started', 'started']"
    WsgiDriver(app).request("GET", "/")
    assert service.calls == ["started"]


# -- endpoints -----------------------------------------------------------------------------------------------------------------


def test_a_request_through_two_middlewares_is_recorded_once_under_what_the_inner_one_knows() -> None:
    service = StandIn()
    inner = install(named("/inner/{id}"), service, endpoint_of=route)
    assert ask(Middleware(inner, service), service) == expected("GET", "/inner/{id}", 200)
    outer = Middleware(install(named("/inner"), service, endpoint_of=lambda environ: None), service, endpoint_of=lambda environ: "/outer")
    assert ask(outer, service) == expected("GET", "/outer", 200)


def test_the_mounts_of_a_dispatcher_are_part_of_the_template() -> None:
    service = StandIn()
    deep = Dispatcher(named("/own"), {"/deep": named("/items/{id}")})
    app = install(Dispatcher(named("/"), {"/api": deep}), service, endpoint_of=route)
    asked = {"/7": "/", "/api": "/api/own", "/api/x": "/api/own", "/api/deep/7": "/api/deep/items/{id}"}
    assert {path: ask(app, service, path) for path in asked} == {path: expected("GET", asked[path], 200) for path in asked}
    assert ask(app, service, "/api/7", SCRIPT_NAME="/behind/a/proxy") == expected("GET", "/api/own", 200)


def test_the_text_of_a_client_does_not_become_a_mount() -> None:
    """A router by hand that moves what it matched into the SCRIPT_NAME."""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        head, _, tail = environ["PATH_INFO"][1:].partition("/")
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = f"/{head}", f"/{tail}"
        return named("/items/{id}")(environ, start_response)

    service = StandIn()
    for user in ("anna", "bert"):
        assert ask(install(app, service, endpoint_of=route), service, f"/{user}/items/7") == expected("GET", "/items/{id}", 200)


def test_a_route_that_is_known_only_at_the_end_counts() -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        environ["test.route"] = environ[TEMPLATE] = "/late"
        return [b"hello"]

    service = StandIn()
    assert ask(install(app, service, endpoint_of=route), service) == expected("GET", "/late", 200)
    assert ask(install(app, service), service) == expected("GET", "/late", 200)


@pytest.mark.parametrize("request_", [None, object(), type("Request", (), {"url_rule": None})()])
def test_a_werkzeug_request_without_a_rule_has_none(request_: Any) -> None:
    assert url_rule({"werkzeug.request": request_}) is None
    assert url_rule({}) is None


def test_an_endpoint_that_cannot_be_found_costs_neither_the_answer_nor_the_record(caplog: pytest.LogCaptureFixture) -> None:
    def out_of_order(environ: Environ) -> str:
        raise LookupError("internals have changed")

    service = StandIn()
    app = install(make_app(), service, endpoint_of=out_of_order)
    for _ in range(3):
        assert ask(app, service, "/ok") == expected("GET", UNMATCHED, 200)
    assert failures_said(caplog) == ["internals have changed"]


# -- under load ----------------------------------------------------------------------------------------------------------------


def test_totals_are_exact_with_many_threads() -> None:
    service = StandIn()
    app = install(make_app(), service, endpoint_of=route)
    each = int(200 * SCALE)

    def work() -> None:
        driver = WsgiDriver(app)
        for number in range(each):
            driver.request("GET", f"/items/{number}")
            driver.request("GET", "/boom")

    run_threads(*[work] * 8)
    readings = Readings(service.registry)
    assert readings.value("http_requests_total", endpoint="/items/{id}", status=200) == 8 * each
    assert readings.value("http_requests_failed_total", endpoint="/boom", error_type="Boom") == 8 * each
    assert service.http.in_progress() == 0


def test_nothing_that_clients_make_up_grows_the_metrics(caplog: pytest.LogCaptureFixture) -> None:
    """P-15: random paths, methods and hosts; even an application that gives away raw paths is kept within the limit."""
    count = int(5_000 * min(SCALE, 100))
    chance = random.Random(7)

    def leaky(environ: Environ) -> str:
        return str(environ["PATH_INFO"])

    for endpoint_of, most in ((route, 1), (leaky, 201)):
        service = StandIn()
        app = install(make_app(), service, endpoint_of=endpoint_of)
        ask(app, service, "/ok")
        gc.collect()
        tracemalloc.start()
        for number in range(count):
            method = chance.choice((*METHODS, f"M{number}"))
            WsgiExchange(app, method, f"/{chance.getrandbits(64):x}", HTTP_HOST=f"{number}.example").run()
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        counted = [sample for sample in Readings(service.registry).samples("http_requests_total") if sample.labels["endpoint"] != "/ok"]
        assert sum(sample.value for sample in counted) == count
        assert len({sample.labels["endpoint"] for sample in counted}) <= most
        assert len(counted) <= 11 * most
        assert grown < 5_000_000
    assert caplog.text.count("route templates, the limit") == 1


# -- P-16: whatever fails in here ----------------------------------------------------------------------------------------------


class Saboteur:
    """Lets the n-th use of anything that the middleware uses fail: metrics, clock, routes, the service itself."""

    def __init__(self, fails_at: int) -> None:
        self.left = fails_at
        self.wrapped = StandIn()

    def use(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("out of order")

    def monotonic(self) -> float:
        self.use()
        return 1.0

    def wall(self) -> float:
        return 1.0

    def route(self, environ: Environ) -> str | None:
        self.use()
        return route(environ)

    def service(self) -> Any:
        return _Sabotaged(self.wrapped, self.use)


class _Sabotaged:
    def __init__(self, wrapped: Any, use: Callable[[], None]) -> None:
        self._wrapped = wrapped
        self._use = use

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if isinstance(found, HttpMetrics):
            return _Sabotaged(found, self._use)
        if name in {"has_details", "start", "finish", "server_started"}:
            self._use()
        return found


SOME = [
    row for row in TABLE if row.name in {"a parameter", "a body", "a stream", "an unhandled exception", "an exception after the headers"}
]


@pytest.mark.parametrize("row", SOME, ids=lambda row: row.name)
def test_every_single_failure_of_ours_leaves_the_answer_as_it_is(row: Any, caplog: pytest.LogCaptureFixture) -> None:
    alone = WsgiDriver(make_app()).request(row.method, row.path, row.body)
    unseen: list[list[str]] = [[]] if shared.company() is not None else []  # what shares series with other processes also asks for the time
    failures = 0
    for fails_at in range(1, 100):
        caplog.clear()
        saboteur = Saboteur(fails_at)
        before = clock.use(saboteur)
        try:
            app = install(make_app(), saboteur.service(), endpoint_of=saboteur.route)
            answers = [WsgiDriver(app).request(row.method, row.path, row.body) for _ in range(2)]
        finally:
            clock.use(before)
        assert answers == [alone, alone]
        if saboteur.left > 0:
            break
        said = failures_said(caplog)
        assert said in [["out of order"], *unseen]
        failures += len(said)
    assert failures >= 8
    assert saboteur.wrapped.http.in_progress() == 0


def test_a_failure_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    class Raising:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f"{name} is out of order")

    app = install(hello, StandIn(http=Raising()))  # type: ignore[arg-type]
    run_threads(*[lambda: WsgiDriver(app).request("GET", "/")] * 4)
    assert failures_said(caplog) == ["has_details is out of order"]


def test_a_request_is_kept_by_nothing_afterwards() -> None:
    class Canary(io.BytesIO):
        pass

    service = StandIn(HttpMetrics(CollectorRegistry(), body_sizes=True))
    app = install(make_app(), service, endpoint_of=route)
    gc.collect()
    gc.disable()
    try:
        for path in ("/ok", "/items/7", "/boom", "/stream", "/nothing"):
            played = WsgiExchange(app, "GET", path, canary=Canary())
            played.run()
            played.error = None  # whose traceback refers to it
            del played
        alive = [each for each in gc.get_objects() if isinstance(each, Canary)]
    finally:
        gc.enable()
    assert alive == []
