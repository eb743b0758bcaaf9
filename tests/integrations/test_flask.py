"""Flask applications: the conformance kit, and what only Flask has."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from measurand.integrations.flask import install
from measurand.testing.http import Boom, HttpConformance, StandIn, expected, recorded
from measurand.testing.http_wsgi import WsgiDriver, WsgiExchange
from measurand.testing.readings import Readings
from tests.integrations.wsgi_apps import broken, endless, stream

pytest.importorskip("flask")

from flask import Blueprint, Flask, Response, abort, redirect, request, send_file
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

pytestmark = pytest.mark.once


def make_app(tick: Callable[[], None] = lambda: None, **settings: Any) -> Flask:
    app = Flask("shop", **settings)
    api, deeper = Blueprint("api", __name__), Blueprint("v1", __name__)
    app.add_url_rule("/ok", "ok", lambda: "ok")
    app.add_url_rule("/items/<id>", "item", lambda id: id)
    app.add_url_rule("/upload", "upload", lambda: (str(len(request.get_data())), 201), methods=["POST"])
    deeper.add_url_rule("/deep/<int:x>", "deep", lambda x: f"{x}")
    api.register_blueprint(deeper, url_prefix="/v1")
    app.register_blueprint(api, url_prefix="/api")
    app.add_url_rule("/moved", "moved", lambda: redirect("/ok"))
    app.add_url_rule("/boom", "boom", boom)
    app.add_url_rule("/stream", "stream", lambda: Response(stream(tick)))
    app.add_url_rule("/broken", "broken", lambda: Response(broken()))
    app.add_url_rule("/endless", "endless", lambda: Response(endless()))

    @app.get("/status/<int:code>")
    def status(code: int) -> Any:
        try:
            return abort(code)
        except LookupError:  # a code without an exception of its own
            return "", code

    return app


def boom() -> Any:
    raise Boom


class TestFlask(HttpConformance):
    templates: ClassVar = {"item": "/items/<id>", "deep": "/api/v1/deep/<int:x>", "status": "/status/<int:code>"}

    def connect(self, service: StandIn | None) -> WsgiDriver:
        app = make_app(self.tick)
        return WsgiDriver(app if service is None else install(app, service))


def ask(app: Any, service: StandIn, path: str, method: str = "GET", **environ: Any) -> Any:
    """What one request has recorded."""
    readings = Readings(service.registry)
    exchange = WsgiExchange(app, method, path, **environ)
    exchange.run()
    return recorded(readings)


# -- installing ----------------------------------------------------------------------------------------------------------------


def test_installing_again_measures_once() -> None:
    service = StandIn()
    app = make_app()
    for _ in range(50):
        assert install(app, service) is app
    assert ask(app, service, "/ok") == expected("GET", "/ok", 200)
    assert ask(app, service, "/boom") == expected("GET", "/boom", 500, "Boom")


def test_installing_for_another_service_records_there() -> None:
    first, second = StandIn(), StandIn()
    app = install(install(make_app(), first), second)
    assert ask(app, first, "/ok") == {}
    assert ask(app, second, "/ok") == expected("GET", "/ok", 200)


def test_an_application_factory_may_be_called_many_times() -> None:
    service = StandIn()
    readings = Readings(service.registry)
    for _ in range(50):
        app = install(make_app(), service)
        WsgiDriver(app).request("GET", "/ok")
        WsgiDriver(app).request("GET", "/boom")
    assert readings.delta("http_requests_total", endpoint="/ok") == 50
    assert readings.delta("http_requests_failed_total", error_type="Boom") == 50


def test_an_application_that_is_gone_is_not_kept() -> None:
    app = install(make_app(), StandIn())
    app.logger.disabled = True  # what is logged refers to it
    WsgiDriver(app).request("GET", "/boom")
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None


def test_what_is_put_around_it_later_goes_on_working() -> None:
    service = StandIn()
    app = install(make_app(), service)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]
    assert ask(app, service, "/items/7", HTTP_X_FORWARDED_PREFIX="/behind") == expected("GET", "/items/<id>", 200)
    assert WsgiExchange(app, "GET", "/v1/page", HTTP_X_FORWARDED_PREFIX="/behind").run().body == b"page"


def test_without_signals_the_handler_of_exceptions_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flask before 2.3 without blinker."""

    class NoSignal:
        def connect(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("Signalling support is unavailable because the blinker library is not installed.")

    monkeypatch.setattr("flask.got_request_exception", NoSignal())
    service = StandIn()
    assert ask(install(make_app(), service), service, "/boom") == expected("GET", "/boom", 500, "Boom")


# -- routes --------------------------------------------------------------------------------------------------------------------


def rich_app(**settings: Any) -> Flask:
    app = make_app(**settings)
    shop = Blueprint("shop", __name__, url_prefix="/shop/<region>")
    shop.add_url_rule("/orders/<int:id>/", "order", lambda region, id: "order", methods=["GET", "PUT"])

    class Parts(MethodView):
        def get(self, key: str, region: str = "") -> str:
            return key

        def delete(self, key: str, region: str) -> tuple[str, int]:
            return "", 204

    shop.add_url_rule("/parts/<path:key>", view_func=Parts.as_view("parts"))
    app.register_blueprint(shop)
    app.register_blueprint(shop, name="again", url_prefix="/again")
    return app


ROUTES: dict[tuple[str, str], tuple[str, int, str | None]] = {
    ("GET", "/shop/eu/orders/7/"): ("/shop/<region>/orders/<int:id>/", 200, None),
    ("PUT", "/shop/us/orders/8/"): ("/shop/<region>/orders/<int:id>/", 200, None),
    ("HEAD", "/shop/us/orders/8/"): ("/shop/<region>/orders/<int:id>/", 200, None),
    ("OPTIONS", "/shop/us/orders/8/"): ("/shop/<region>/orders/<int:id>/", 200, None),
    ("GET", "/shop/us/orders/8"): ("__unmatched__", 308, None),
    ("DELETE", "/shop/us/orders/8/"): ("__unmatched__", 405, "client_error"),
    ("GET", "/shop/us/orders/x/"): ("__unmatched__", 404, "not_found"),
    ("GET", "/shop/eu/parts/a/b/c"): ("/shop/<region>/parts/<path:key>", 200, None),
    ("DELETE", "/shop/eu/parts/a/b/c"): ("/shop/<region>/parts/<path:key>", 204, None),
    ("POST", "/shop/eu/parts/a/b/c"): ("__unmatched__", 405, "client_error"),
    ("GET", "/again/parts/a"): ("/again/parts/<path:key>", 200, None),
    ("DELETE", "/again/parts/a"): ("/again/parts/<path:key>", 500, "TypeError"),
    ("GET", "/static/nothing.css"): ("/static/<path:filename>", 404, "not_found"),
    ("GET", "/%00"): ("__unmatched__", 404, "not_found"),
    ("GET", "/items//7"): ("__unmatched__", 308, None),
}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_endpoint_is_the_rule_or_there_is_none(method: str, path: str) -> None:
    service = StandIn()
    endpoint, status, error_type = ROUTES[method, path]
    assert ask(install(rich_app(), service), service, path, method) == expected(method, endpoint, status, error_type)


def test_hosts_do_not_show() -> None:
    service = StandIn()
    app = install(Flask("hosts", host_matching=True, static_host="static.example"), service)
    for host in ("a.example", "<tenant>.example.org"):
        app.add_url_rule("/who", host, lambda **_: "me", host=host)
    for host in ("a.example", "x.example.org", "y.example.org"):
        assert ask(app, service, "/who", HTTP_HOST=host) == expected("GET", "/who", 200)
    assert ask(app, service, "/who", HTTP_HOST="evil.example") == expected("GET", "__unmatched__", 404, "not_found")


def test_subdomains_do_not_show() -> None:
    service = StandIn()
    app = install(Flask("subdomains", subdomain_matching=True), service)
    app.config["SERVER_NAME"] = "example.org"
    app.add_url_rule("/who", "who", lambda tenant: tenant, subdomain="<tenant>")
    assert ask(app, service, "/who", HTTP_HOST="anna.example.org") == expected("GET", "/who", 200)


def test_an_application_that_is_mounted_knows_its_own_routes_only() -> None:
    service = StandIn()
    app = DispatcherMiddleware(Flask("root"), {"/api": install(make_app(), service)})
    assert ask(app, service, "/api/items/7") == expected("GET", "/items/<id>", 200)


@pytest.mark.parametrize("inner_too", [False, True])
def test_mounts_within_what_is_measured_are_part_of_the_template(inner_too: bool) -> None:
    service = StandIn()
    root, mounted = Flask("root"), make_app()
    if inner_too:
        install(mounted, service)
    root.wsgi_app = DispatcherMiddleware(root.wsgi_app, {"/api/v2": mounted})  # type: ignore[method-assign]
    install(root, service)
    assert ask(root, service, "/api/v2/items/7") == expected("GET", "/api/v2/items/<id>", 200)
    assert ask(root, service, "/api/v2/nothing") == expected("GET", "__unmatched__", 404, "not_found")
    assert ask(root, service, "/nothing") == expected("GET", "__unmatched__", 404, "not_found")
    assert ask(root, service, "/api/v2/boom") == expected("GET", "/api/v2/boom", 500, "Boom" if inner_too else "internal_error")


def test_a_view_that_answers_with_another_application_is_the_route() -> None:
    service = StandIn()
    app = make_app()
    app.add_url_rule("/inner", "inner", lambda: lambda environ, start_response: (start_response("200 OK", []), [b"inner"])[1])
    assert ask(install(app, service), service, "/inner") == expected("GET", "/inner", 200)


# -- exceptions ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["PROPAGATE_EXCEPTIONS", "TESTING", "DEBUG"])
def test_an_exception_that_is_let_through_is_recorded_once(setting: str) -> None:
    service = StandIn()
    app = install(make_app(), service)
    app.config[setting] = True
    exchange = WsgiExchange(app, "GET", "/boom")
    readings = Readings(service.registry)
    exchange.run()
    assert isinstance(exchange.error, Boom)
    assert recorded(readings) == expected("GET", "/boom", 500, "Boom")


def test_what_stops_a_worker_in_a_request_is_recorded_under_the_rule() -> None:
    """Gunicorn does so when the time for a request is over; Flask forgets the request then."""
    service = StandIn()
    app = make_app()

    @app.get("/stop/<int:code>")
    def stop(code: int) -> str:
        raise SystemExit(code)

    install(app, service)
    app.before_request(lambda: stop(7) if request.path == "/before" else None)
    asked = {"/stop/7": "/stop/<int:code>", "/before": "__unmatched__"}
    for path, endpoint in asked.items():
        readings = Readings(service.registry)
        with pytest.raises(SystemExit):
            WsgiExchange(app, "GET", path).run()
        assert recorded(readings) == expected("GET", endpoint, 503, "cancelled")


def test_an_exception_that_a_handler_takes_is_an_answer_like_others() -> None:
    service = StandIn()
    app = install(make_app(), service)
    app.register_error_handler(Boom, lambda error: ("out of stock", 409))
    assert ask(app, service, "/boom") == expected("GET", "/boom", 409, "client_error")


@pytest.mark.parametrize(("status", "error_type"), [(500, "Boom"), (503, "Boom"), (200, None), (418, "client_error")])
def test_an_exception_that_the_page_for_500_takes_is_named_if_it_stays_an_error(status: int, error_type: str | None) -> None:
    service = StandIn()
    app = install(make_app(), service)
    app.register_error_handler(500, lambda error: ("our page for errors", status))
    assert ask(app, service, "/boom") == expected("GET", "/boom", status, error_type)


def test_exceptions_around_a_view_are_named_too() -> None:
    service = StandIn()
    app = install(make_app(), service)
    app.before_request(lambda: boom() if request.args.get("before") else None)
    app.after_request(lambda response: boom() if request.args.get("after") else response)
    assert ask(app, service, "/ok?before=1") == expected("GET", "/ok", 500, "Boom")
    readings = Readings(service.registry)
    WsgiExchange(app, "GET", "/ok?after=1").run()
    assert readings.delta("http_requests_failed_total", status=500, error_type="Boom") == 1


def test_an_exception_after_the_answer_was_made_is_named() -> None:
    service = StandIn()
    app = install(make_app(), service)
    app.teardown_request(lambda error: boom())
    assert ask(app, service, "/ok") == expected("GET", "/ok", 500, "Boom")


# -- answers -------------------------------------------------------------------------------------------------------------------


def test_a_file_is_left_to_the_server(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(b"content")
    service = StandIn()
    app = make_app()
    app.add_url_rule("/file", "file", lambda: send_file(tmp_path / "file.txt"))
    readings = Readings(service.registry)
    exchange = WsgiExchange(install(app, service), "GET", "/file")
    assert (exchange.run().body, exchange.was_sendfile) == (b"content", True)
    assert recorded(readings) == expected("GET", "/file", 200)
    exchange = WsgiExchange(app, "GET", "/file", HTTP_RANGE="bytes=1-3")
    assert exchange.run()[::2] == (206, b"ont")


def test_what_runs_when_the_response_is_closed_is_waited_for() -> None:
    service = StandIn()
    app = make_app()
    seen: list[int] = []

    @app.get("/later")
    def later() -> Response:
        response = Response("soon")
        response.call_on_close(lambda: seen.append(service.http.in_progress()))
        return response

    assert ask(install(app, service), service, "/later") == expected("GET", "/later", 200)
    assert seen == [1]
    assert service.http.in_progress() == 0


def test_an_async_view_is_a_view_like_others() -> None:
    pytest.importorskip("asgiref")
    service = StandIn()
    app = make_app()

    @app.get("/async/<int:id>")
    async def view(id: int) -> str:
        if id == 0:
            raise Boom
        return "done"

    install(app, service)
    assert ask(app, service, "/async/7") == expected("GET", "/async/<int:id>", 200)
    assert ask(app, service, "/async/0") == expected("GET", "/async/<int:id>", 500, "Boom")


# -- Flask's own client for tests ----------------------------------------------------------------------------------------------


def test_flasks_client_records_a_response_that_nobody_reads() -> None:
    service = StandIn()
    client = install(make_app(), service).test_client()
    for path, endpoint in (("/ok", "/ok"), ("/items/7", "/items/<id>"), ("/moved", "/moved")):
        readings = Readings(service.registry)
        response = client.get(path)
        assert recorded(readings) == expected("GET", endpoint, response.status_code)
        assert response.data
        response.close()
        assert recorded(readings) == expected("GET", endpoint, response.status_code)


def test_flasks_client_records_an_upload_and_a_page_without_content() -> None:
    service = StandIn()
    app = install(make_app(), service)
    app.add_url_rule("/empty", "empty", lambda: ("", 204))
    readings = Readings(service.registry)
    assert app.test_client().post("/upload", data=b"12345").status_code == 201
    assert recorded(readings) == expected("POST", "/upload", 201)
    readings = Readings(service.registry)
    assert app.test_client().get("/empty").status_code == 204
    assert recorded(readings) == expected("GET", "/empty", 204)


def test_flasks_client_records_a_stream_when_it_has_been_read() -> None:
    service = StandIn()
    client = install(make_app(), service).test_client()
    readings = Readings(service.registry)
    with client.get("/stream") as response:
        assert response.data == b"onetwothree"
    assert recorded(readings) == expected("GET", "/stream", 200)
    with client.get("/endless") as response:
        assert response.status_code == 200
    assert readings.delta("http_client_disconnects_total", endpoint="/endless") == 1


def test_a_failure_in_here_does_not_reach_flask(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_order(exception: BaseException) -> str:
        raise LookupError("internals have changed")

    monkeypatch.setattr("measurand.integrations.flask.exception_name", out_of_order)
    service = StandIn()
    app = install(make_app(), service)
    app.logger.disabled = True
    for _ in range(2):
        assert ask(app, service, "/boom") == expected("GET", "/boom", 500, "internal_error")
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["internals have changed"]
