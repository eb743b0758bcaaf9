"""The conformance kit of HTTP integrations: fixed routes, fixed expectations, whatever the framework.

An integration proves itself by subclassing :class:`HttpConformance` in a test module: it writes an application with the routes of
:data:`ROUTES` in its framework's way, and says where that framework writes templates differently. ::

    class TestMyFramework(HttpConformance):
        templates = {"item": "/items/<id>"}

        def connect(self, service):
            app = make_app(self.tick)              # the routes of the table
            if service is not None:
                install(app, service)              # the integration under test
            return AsgiDriver(app)

The tests need no test framework but run under any that collects ``test_`` methods of classes. Everything happens in process; a driver
plays the server and the client. Each test makes an application and a registry of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from measurand.catalog.http import UNMATCHED, HttpMetrics
from measurand.endpoints.pages import Page, Pages, text
from measurand.metrics.registry import CollectorRegistry
from measurand.testing.clock import FakeClock
from measurand.testing.readings import Readings

__all__ = ["ROUTES", "TABLE", "Answer", "Boom", "Driver", "HttpConformance", "Route", "Row", "StandIn"]


class Route(NamedTuple):
    """A route that the application under test must have.

    Attributes:
        name: Its name in the table.
        methods: The methods that it answers.
        template: Its path; parameters in braces.
        does: What it does.
    """

    name: str
    methods: tuple[str, ...]
    template: str
    does: str


class Boom(Exception):
    """What routes of the table raise."""


ROUTES = (
    Route("ok", ("GET", "HEAD"), "/ok", "answers 200, body b'ok'"),
    Route("item", ("GET",), "/items/{id}", "answers 200 with the id as body"),
    Route("upload", ("POST",), "/upload", "reads the whole body and answers 201 with its length in digits as body"),
    Route("deep", ("GET",), "/api/v1/deep/{x}", "answers 200 with x; stands in a mount, router or blueprint under the prefix /api/v1"),
    Route("status", ("GET",), "/status/{code}", "answers the code, by an HTTP exception where the framework has them"),
    Route("moved", ("GET",), "/moved", "answers 302 with a Location of /ok"),
    Route("boom", ("GET",), "/boom", "raises Boom"),
    Route("stream", ("GET",), "/stream", "streams b'one', b'two', b'three', each after a tick()"),
    Route("broken", ("GET",), "/broken", "streams b'one', then raises Boom"),
    Route("endless", ("GET",), "/endless", "streams chunks of 1,000 bytes for as long as somebody reads them"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A request, and what must be recorded of it.

    Attributes:
        name: What the row is about.
        method: The method to send.
        path: The path to ask for, with a query string where there is one.
        status: The status that is recorded, and sent.
        route: The name of the route that takes it; ``None`` for none.
        error_type: Why it failed; ``None`` if it did not.
        body: The body to send.
        label: The method as recorded, where it differs.
        or_unmatched: Frameworks differ in whether the route is known then; both are right.
    """

    name: str
    method: str
    path: str
    status: int
    route: str | None
    error_type: str | None = None
    body: bytes = b""
    label: str | None = None
    or_unmatched: bool = False


STATUSES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    409: "client_error",
    429: "rate_limited",
    500: "internal_error",
    501: "server_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}

TABLE = (
    Row("a plain route", "GET", "/ok", 200, "ok"),
    Row("a query string", "GET", "/ok?user=17", 200, "ok"),
    Row("the head only", "HEAD", "/ok", 200, "ok"),
    Row("a parameter", "GET", "/items/17", 200, "item"),
    Row("another value of the parameter", "GET", "/items/18", 200, "item"),
    Row("a body", "POST", "/upload", 201, "upload", body=b"x" * 70_000),
    Row("a route under a prefix", "GET", "/api/v1/deep/17", 200, "deep"),
    Row("a redirect by the application", "GET", "/moved", 302, "moved"),
    Row("a stream", "GET", "/stream", 200, "stream"),
    *(Row(f"status {code}", "GET", f"/status/{code}", code, "status", kind) for code, kind in STATUSES.items()),
    Row("a method that the route does not take", "DELETE", "/items/17", 405, "item", "client_error", or_unmatched=True),
    Row("a method that nobody knows", "BREW", "/ok", 405, "ok", "client_error", label="_OTHER", or_unmatched=True),
    Row("no route", "GET", "/wp-login.php", 404, None, "not_found"),
    Row("no route under the prefix", "GET", "/api/v1/wp-login.php", 404, None, "not_found"),
    Row("an unhandled exception", "GET", "/boom", 500, "boom", "Boom"),
    Row("an exception after the headers", "GET", "/broken", 200, "broken", "Boom"),
)


class Answer(NamedTuple):
    """What a client got: the status (0 if none), the headers with names in lower case, the body as far as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Driver(Protocol):
    """Server and client in one. An exception that the application raises is answered as servers do: 500, or the end of the stream."""

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Ask, and read the answer to its end."""
        ...

    def leave_while_sending(self, path: str) -> None:
        """Begin to POST a body, and go away before its end."""
        ...

    def leave_while_reading(self, path: str) -> None:
        """GET, read the first bytes of the body, and go away."""
        ...


class StandIn:
    """A service without a runtime: what an integration needs, on a registry of its own.

    Attributes:
        registry: Where requests are recorded.
        calls: Which of ``server_started`` and ``server_stopping`` were called, in order.
        loops: What ``server_started`` was given.

    Args:
        http: What records; by default an ``HttpMetrics`` on a new registry.
        pages: The pages; by default one at ``/v1/page``, which answers 200 and ``page``.
        excluded: See ``Service.excluded``.
    """

    def __init__(self, http: HttpMetrics | None = None, pages: Pages | None = None, excluded: frozenset[str] = frozenset()) -> None:
        self.registry = CollectorRegistry()
        self.http = http or HttpMetrics(self.registry)
        self.pages = pages or Pages({"/v1/page": Page(lambda request: text(200, "page"))})
        self.excluded = excluded
        self.is_stopping = False
        self.calls: list[str] = []
        self.loops: list[asyncio.AbstractEventLoop | None] = []

    def server_started(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """See ``Service``."""
        self.calls.append("started")
        self.loops.append(loop)

    def server_stopping(self) -> None:
        """See ``Service``."""
        self.calls.append("stopping")


Recorded = dict[tuple[str, ...], float]
"""By the metric's name and its label values, in the order of its label names: how much it has changed."""

WATCHED = {
    "http_requests_total": ("method", "endpoint", "status"),
    "http_requests_failed_total": ("method", "endpoint", "status", "error_type"),
    "http_request_duration_seconds_count": ("method", "endpoint"),
    "http_requests_in_progress": ("method",),
    "http_client_disconnects_total": ("endpoint",),
}


def recorded(readings: Readings) -> Recorded:
    """What has been recorded of HTTP requests since the readings began; what is back where it was is left out."""
    found = {}
    for change in readings.changes():
        if change.name in WATCHED:
            key = (change.name, *(change.labels[label] for label in WATCHED[change.name]))
            found[key] = (change.after or 0.0) - (change.before or 0.0)
    return {key: value for key, value in found.items() if value}


def expected(method: str, endpoint: str, status: int, error_type: str | None = None, disconnected: bool = False) -> Recorded:
    """What one request must record."""
    series: Recorded = {
        ("http_requests_total", method, endpoint, str(status)): 1.0,
        ("http_request_duration_seconds_count", method, endpoint): 1.0,
    }
    if error_type is not None:
        series["http_requests_failed_total", method, endpoint, str(status), error_type] = 1.0
    if disconnected:
        series["http_client_disconnects_total", endpoint] = 1.0
    return series


class _Raising:
    """Metrics whose every use fails."""

    def __init__(self) -> None:
        self.uses = 0

    def __getattr__(self, name: str) -> Any:
        self.uses += 1
        raise RuntimeError(f"{name} is out of order")


class _Listener(logging.Handler):
    """Hears the errors that the package logs while the block runs, in everybody's place."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def __enter__(self) -> Self:
        self._logger = logging.getLogger("measurand")
        self._logger.addHandler(self)
        self._propagated, self._logger.propagate = self._logger.propagate, False
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagated


class HttpConformance:
    """What every integration of a framework must do; see the module."""

    templates: ClassVar[Mapping[str, str]] = {}
    """The endpoint of each route that the framework writes differently from :data:`ROUTES`, by the route's name; and of a row that no
    route takes, by the row's name, where a mount takes it in this framework."""

    skipped: ClassVar[frozenset[str]] = frozenset()
    """Rows that the framework or its protocol cannot do, by name."""

    notices_unsent_bodies: ClassVar[bool] = True
    """Whether an application can tell that a client went away before the end of its body."""

    _clock: FakeClock | None = None

    def connect(self, service: StandIn | None) -> Driver:
        """Make the application with the routes of the table, install the integration unless ``service`` is ``None``, and drive it."""
        raise NotImplementedError

    def tick(self) -> None:
        """One second passes; for the route ``stream``."""
        if self._clock is not None:
            self._clock.advance(1.0)

    def endpoint(self, route: str) -> str:
        """The endpoint that requests of a route are recorded under."""
        return self.templates.get(route) or next(each.template for each in ROUTES if each.name == route)

    def test_each_request_is_recorded_under_its_route_once(self) -> None:
        """The table, row by row."""
        service = StandIn()
        driver = self.connect(service)
        wrong = []
        for row in TABLE:
            if row.name in self.skipped:
                continue
            readings = Readings(service.registry)
            answer = driver.request(row.method, row.path, row.body)
            found = recorded(readings)
            label = row.label or row.method
            endpoint = self.endpoint(row.route) if row.route else self.templates.get(row.name, UNMATCHED)
            allowed = [expected(label, endpoint, row.status, row.error_type)]
            if row.or_unmatched:
                allowed.append(expected(label, UNMATCHED, row.status, row.error_type))
            if answer.status != row.status or found not in allowed:
                wrong.append(f"{row.name}: answered {answer.status}, recorded {found}, expected {allowed[0]}")
        assert not wrong, "\n".join(wrong)

    def test_responses_are_those_of_the_application_alone(self) -> None:
        """Byte for byte, the date aside."""
        bare, measured = self.connect(None), self.connect(StandIn())
        self._assert_same(bare, measured)

    def test_metrics_that_fail_change_nothing_and_are_reported_once(self) -> None:
        """Every single use of the metrics raises."""
        raising = _Raising()
        with _Listener() as listener:
            service = StandIn(http=raising)  # type: ignore[arg-type]
            self._assert_same(self.connect(None), self.connect(service))
        assert raising.uses, "the metrics were not used at all"
        assert len(listener.said) == 1, listener.said

    def _assert_same(self, bare: Driver, measured: Driver) -> None:
        for row in TABLE:
            if row.name in self.skipped:
                continue
            one, two = (driver.request(row.method, row.path, row.body) for driver in (bare, measured))
            without_date = [[header for header in each.headers if header[0] != "date"] for each in (one, two)]
            assert (one.status, without_date[0], one.body) == (two.status, without_date[1], two.body), row.name

    def test_the_duration_ends_with_the_last_byte(self) -> None:
        """Three chunks, each after a second."""
        with FakeClock() as self._clock:
            service = StandIn()
            driver = self.connect(service)
            readings = Readings(service.registry)
            answer = driver.request("GET", "/stream")
        assert answer.body == b"onetwothree"
        took = readings.delta("http_request_duration_seconds_sum", endpoint=self.endpoint("stream"))
        assert took == 3.0, took

    def test_a_client_that_leaves_while_it_reads_is_a_disconnect_and_no_failure(self) -> None:
        """The code that was sent stays."""
        service = StandIn()
        driver = self.connect(service)
        readings = Readings(service.registry)
        driver.leave_while_reading("/endless")
        assert recorded(readings) == expected("GET", self.endpoint("endless"), 200, disconnected=True), recorded(readings)

    def test_a_client_that_leaves_while_it_sends_is_a_disconnect_with_status_499(self) -> None:
        """Nothing had been sent to it."""
        if not self.notices_unsent_bodies:
            return
        service = StandIn()
        driver = self.connect(service)
        readings = Readings(service.registry)
        driver.leave_while_sending("/upload")
        assert recorded(readings) == expected("POST", self.endpoint("upload"), 499, disconnected=True), recorded(readings)

    def test_pages_are_served_by_the_integration_and_not_recorded(self) -> None:
        """With and without a trailing slash, never by a redirect."""
        service = StandIn()
        driver = self.connect(service)
        readings = Readings(service.registry)
        for path in ("/v1/page", "/v1/page/", "/v1/page?format=text"):
            answer = driver.request("GET", path)
            assert (answer.status, answer.body) == (200, b"page"), (path, answer)
        head = driver.request("HEAD", "/v1/page")
        assert (head.status, head.body) == (200, b""), head
        assert recorded(readings) == {}

    def test_excluded_paths_are_answered_and_not_recorded(self) -> None:
        """Only the exact path is excluded."""
        service = StandIn(excluded=frozenset({"/ok", "/nowhere"}))
        driver = self.connect(service)
        readings = Readings(service.registry)
        assert driver.request("GET", "/ok").body == b"ok"
        assert driver.request("GET", "/nowhere").status == 404
        assert recorded(readings) == {}
        assert driver.request("GET", "/items/ok").status == 200
        assert recorded(readings) == expected("GET", self.endpoint("item"), 200)

    def test_what_clients_make_up_makes_no_series(self) -> None:
        """Random paths, methods and parameters."""
        service = StandIn()
        driver = self.connect(service)
        readings = Readings(service.registry)
        for number in range(100):
            driver.request(f"M{number}", f"/made/up/{number}")
            driver.request("GET", f"/{number}.php")
            driver.request("GET", f"/items/{number}")
        counted = {key[1:]: value for key, value in recorded(readings).items() if key[0] == "http_requests_total"}
        assert sum(counted.values()) == 300, counted
        assert len(counted) == 3, counted
        assert counted["GET", self.endpoint("item"), "200"] == 100, counted
