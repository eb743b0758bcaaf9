"""Django applications: the conformance kit under WSGI and ASGI, and what only Django has."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from measurand.integrations.django import install, template
from measurand.testing.http import Boom, Driver, HttpConformance, StandIn, expected, recorded
from measurand.testing.http_asgi import AsgiDriver, Exchange
from measurand.testing.http_wsgi import WsgiDriver, WsgiExchange
from measurand.testing.readings import Readings

pytest.importorskip("django")

from tests.integrations import django_site as site  # isort: skip - which configures Django
import django
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path

pytestmark = pytest.mark.once

TEMPLATES = {"item": "/items/<id>", "deep": "/api/v1/deep/<int:x>", "status": "/status/<int:code>"}


LEFT_OPEN = pytest.mark.filterwarnings("ignore:Unclosed file <tempfile:ResourceWarning")
"""Under ASGI, Django does not close the file of a request's body when an exception leaves it."""


class OfThisKit(HttpConformance):
    templates: ClassVar = TEMPLATES

    @pytest.fixture(autouse=True)
    def _routes(self) -> Iterator[None]:
        with site.urlconf(*site.urls(lambda: self.tick())):  # noqa: PLW0108 - a test may have a clock of its own
            yield


class TestUnderWsgi(OfThisKit):
    def connect(self, service: StandIn | None) -> Driver:
        app = get_wsgi_application()
        return WsgiDriver(app if service is None else install(app, service))


@LEFT_OPEN
class TestUnderAsgi(OfThisKit):
    notices_unsent_bodies = False  # it does, but before it looks for a route

    @pytest.fixture(autouse=True)
    def _without_what_django_leaves(self) -> Iterator[None]:
        yield
        gc.collect()

    def test_a_client_that_leaves_while_it_reads_is_a_disconnect_and_no_failure(self) -> None:
        if django.VERSION >= (5, 0):  # before that, it streams on to nobody
            super().test_a_client_that_leaves_while_it_reads_is_a_disconnect_and_no_failure()

    def connect(self, service: StandIn | None) -> Driver:
        app = get_asgi_application()
        return AsgiDriver(app if service is None else install(app, service))


@pytest.fixture(params=["wsgi", "asgi"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Measured:
    """The site, measured, behind one of the two protocols."""

    def __init__(self, protocol: str) -> None:
        self.service = StandIn()
        self.is_asgi = protocol == "asgi"
        self.made = get_asgi_application() if self.is_asgi else get_wsgi_application()
        self.app = install(self.made, self.service)
        self.error: BaseException | None = None

    def ask(self, path: str, method: str = "GET") -> Any:
        """What one request has recorded."""
        readings = Readings(self.service.registry)
        exchange: Any = (Exchange if self.is_asgi else WsgiExchange)(self.app, method, path)
        answer = exchange.run()
        self.answer = asyncio.run(answer) if self.is_asgi else answer
        self.error, exchange.error = exchange.error, None
        return recorded(readings)


# -- installing ----------------------------------------------------------------------------------------------------------------


def test_installing_again_measures_once(protocol: str) -> None:
    measured = Measured(protocol)
    for _ in range(50):
        assert install(measured.app, measured.service) is measured.app
    again = install(measured.made, measured.service)
    assert measured.ask("/ok") == expected("GET", "/ok", 200)
    measured.app = again
    assert measured.ask("/items/7") == expected("GET", "/items/<id>", 200)


def test_many_applications_of_one_service_record_together(protocol: str) -> None:
    measured = Measured(protocol)
    readings = Readings(measured.service.registry)
    for _ in range(20):
        measured.app = install(get_asgi_application() if measured.is_asgi else get_wsgi_application(), measured.service)
        measured.ask("/ok")
        measured.ask("/boom")
    assert readings.delta("http_requests_total", endpoint="/ok") == 20
    assert readings.delta("http_requests_failed_total", endpoint="/boom", error_type="Boom") == 20


def test_an_application_that_is_gone_is_not_kept(protocol: str) -> None:
    measured = Measured(protocol)
    measured.ask("/boom")
    gone = weakref.ref(measured.made)
    del measured
    gc.collect()
    assert gone() is None


def test_the_handler_is_found_within_other_applications() -> None:
    class Around:
        def __init__(self, application: Any) -> None:
            self.application = application

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return self.application(environ, start_response)

    service = StandIn()
    readings = Readings(service.registry)
    WsgiDriver(install(Around(Around(get_wsgi_application())), service)).request("GET", "/items/7")
    assert recorded(readings) == expected("GET", "/items/<id>", 200)


def test_the_handler_is_found_behind_a_router_of_protocols() -> None:
    class ProtocolTypeRouter:
        """As Channels has it."""

        def __init__(self, application_mapping: dict[str, Any]) -> None:
            self.application_mapping = application_mapping

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.application_mapping[scope["type"]](scope, receive, send)

    service = StandIn()
    readings = Readings(service.registry)
    AsgiDriver(install(ProtocolTypeRouter({"http": get_asgi_application()}), service)).request("GET", "/items/7")
    assert recorded(readings) == expected("GET", "/items/<id>", 200)


def test_an_application_that_is_not_djangos_is_measured_without_routes(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    service = StandIn()
    readings = Readings(service.registry)
    WsgiDriver(install(app, service)).request("GET", "/ok")
    assert recorded(readings) == expected("GET", "__unmatched__", 200)
    assert "no handler of Django's was found" in caplog.text


# -- routes --------------------------------------------------------------------------------------------------------------------


ROUTES: dict[tuple[str, str], tuple[str, int, str | None]] = {
    ("GET", "/parts/a/b/"): ("/parts/<path:key>/", 200, None),
    ("HEAD", "/parts/a/b/"): ("/parts/<path:key>/", 200, None),
    ("OPTIONS", "/parts/a/b/"): ("/parts/<path:key>/", 200, None),
    ("POST", "/parts/a/b/"): ("/parts/<path:key>/", 405, "client_error"),
    ("GET", "/parts/a/b"): ("__unmatched__", 301, None),
    ("GET", "/old/1999/"): ("/old/(?P<year>[0-9]{4})/", 200, None),
    ("GET", "/shelf/17/"): (r"/shelf/(\d+)/", 200, None),
    ("GET", "/shelf/x/"): ("__unmatched__", 404, "not_found"),
    ("GET", "/status/404"): ("/status/<int:code>", 404, "not_found"),
    ("GET", "/waiting/7"): ("/waiting/<int:id>", 200, None),
    ("GET", "/waiting/0"): ("/waiting/<int:id>", 500, "Boom"),
    ("GET", "/"): ("__unmatched__", 404, "not_found"),
}


@pytest.mark.parametrize(("method", "path_"), ROUTES)
def test_the_endpoint_is_the_route_or_there_is_none(protocol: str, method: str, path_: str) -> None:
    endpoint, status, error_type = ROUTES[method, path_]
    assert Measured(protocol).ask(path_, method) == expected(method, endpoint, status, error_type)


@pytest.mark.parametrize(
    ("route", "endpoint"),
    [
        ("", "/"),
        ("items/<int:id>/", "/items/<int:id>/"),
        ("/already/", "/already/"),
        (r"^items/(?P<id>\d+)/$", r"/items/(?P<id>\d+)/"),
        (r"api/^v1/^items/$", "/api/v1/items/"),
        (r"^end\Z", "/end"),
        (r"^not/[^/]+/$", "/not/[^/]+/"),
    ],
)
def test_a_route_becomes_a_path_without_anchors(route: str, endpoint: str) -> None:
    assert template(route) == endpoint


def test_routes_of_the_admin_and_of_languages_have_templates(protocol: str) -> None:
    about = i18n_patterns(path("about/<int:id>/", lambda request, id: HttpResponse("about")))
    with site.urlconf(path("admin/", admin.site.urls), *about), override_settings(MIDDLEWARE=site.FOR_ADMIN):
        measured = Measured(protocol)
        assert measured.ask("/admin/login/") == expected("GET", "/admin/login/", 200)
        assert measured.ask("/admin/auth/user/7/change/") == expected("GET", "/admin/auth/user/<path:object_id>/change/", 302)
        assert measured.ask("/de/about/7/") == expected("GET", "/de/about/<int:id>/", 200)
        assert measured.ask("/about/7/") == expected("GET", "__unmatched__", 302)
        assert measured.ask("/xx/about/7/")["http_requests_total", "GET", "__unmatched__", "404"] == 1


# -- exceptions ----------------------------------------------------------------------------------------------------------------


@LEFT_OPEN
def test_an_exception_that_is_let_through_is_recorded_once(protocol: str) -> None:
    measured = Measured(protocol)
    with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True):
        assert measured.ask("/boom") == expected("GET", "/boom", 500, "Boom")
    assert isinstance(measured.error, Boom)
    del measured
    gc.collect()


def test_an_exception_in_debug_mode_is_named(protocol: str) -> None:
    measured = Measured(protocol)
    with override_settings(DEBUG=True):
        assert measured.ask("/boom") == expected("GET", "/boom", 500, "Boom")
    assert b"Traceback" in measured.answer.body


def test_an_exception_of_a_middleware_is_named(protocol: str) -> None:
    with override_settings(MIDDLEWARE=["tests.integrations.django_site.raising_middleware"]):
        measured = Measured(protocol)
        assert measured.ask("/ok") == expected("GET", "/ok", 500, "Boom")


def test_exceptions_that_are_answers_are_answers(protocol: str) -> None:
    measured = Measured(protocol)
    with override_settings(ALLOWED_HOSTS=["example.org"]):
        assert measured.ask("/ok")["http_requests_failed_total", "GET", "__unmatched__", "400", "bad_request"] == 1


# -- answers -------------------------------------------------------------------------------------------------------------------


def test_a_file_is_left_to_the_server() -> None:
    service = StandIn()
    app = install(get_wsgi_application(), service)
    readings = Readings(service.registry)
    exchange = WsgiExchange(app, "GET", "/file")
    assert b"def file(" in exchange.run().body
    assert exchange.was_sendfile
    assert recorded(readings) == expected("GET", "/file", 200)


def test_a_client_that_leaves_while_it_sends_has_met_no_route_under_asgi() -> None:
    measured = Measured("asgi")
    readings = Readings(measured.service.registry)
    AsgiDriver(measured.app).leave_while_sending("/upload")
    assert recorded(readings) == expected("POST", "__unmatched__", 499, disconnected=True)


def test_pages_are_served_under_both_protocols(protocol: str) -> None:
    measured = Measured(protocol)
    assert measured.ask("/v1/page") == {}
    assert measured.answer.body == b"page"


def test_a_failure_in_here_does_not_reach_django(protocol: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_order(route: str) -> str:
        raise LookupError("internals have changed")

    monkeypatch.setattr("measurand.integrations.django.template", out_of_order)
    measured = Measured(protocol)
    for _ in range(2):
        assert measured.ask("/ok") == expected("GET", "__unmatched__", 200)
    failures = [str(record.exc_info[1]) for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]
    assert failures == ["internals have changed"]
