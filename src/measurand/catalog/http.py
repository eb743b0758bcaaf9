"""HTTP requests as a server sees them: how many, how long, which failed, how many are under way.

One set of metrics for every framework, ASGI or WSGI. A middleware tells it of each request with :meth:`HttpMetrics.start` and
:meth:`HttpMetrics.finish`, which take plain arguments and record on series that are kept at hand; anybody else hands over a finished
:class:`HttpRequest`. What a client can make up is bounded: unknown methods are ``_OTHER``, the Host header is never looked at, route
templates and names of exceptions are limited, and what is kept at hand is, too.

Everything here is safe from any thread and after a fork; no call blocks, except :meth:`HttpMetrics.wait_until_idle`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from measurand import clock, core
from measurand.catalog.limited import Limited
from measurand.core import OVERFLOW_VALUE
from measurand.metrics import shared
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = [
    "AT_HAND",
    "BUCKETS",
    "CANCELLED",
    "INCOMPLETE",
    "METHODS",
    "OTHER",
    "UNMATCHED",
    "Entrance",
    "HttpMetrics",
    "HttpRequest",
    "Series",
    "error_type",
    "exception_name",
]

LOG = logging.getLogger("measurand.http")

METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
"""The methods that are told apart: RFC 9110, section 9, PATCH (RFC 5789) and QUERY."""

OTHER = "_OTHER"
"""The label value of a method outside :data:`METHODS`, and of exceptions beyond the limit."""

UNMATCHED = "__unmatched__"
"""The label value of a request that no route took; never its path."""

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZE_BUCKETS = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)

CANCELLED = "cancelled"
INCOMPLETE = "incomplete_response"

ERROR_TYPES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    429: "rate_limited",
    500: "internal_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}
OWN_ERROR_TYPES = frozenset({*ERROR_TYPES.values(), "client_error", "server_error", CANCELLED, INCOMPLETE})

Series = tuple[Callable[[], None], Callable[[float], None], Callable[[], None] | None]
"""What counts a request, observes its duration, and counts the failure if it is one."""

Entrance = tuple[str, Callable[[], None], Callable[[], None]]
"""A method as it is labelled, what counts a request in, and what counts it out."""

AT_HAND = 4096
"""How many combinations of labels are kept with their series; further ones are looked up each time."""


def error_type(status: int) -> str | None:
    """The kind of failure that a status code says, from a closed list; ``None`` below 400."""
    if status < 400:
        return None
    return ERROR_TYPES.get(status) or ("client_error" if status < 500 else "server_error")


def exception_name(exception: BaseException) -> str:
    """The error type of an unhandled exception: its class name; that of the only member, where a group has just one."""
    while isinstance(exception, BaseExceptionGroup) and len(exception.exceptions) == 1:
        exception = exception.exceptions[0]
    return type(exception).__name__


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request that has been answered, or given up.

    Attributes:
        method: Its method as sent.
        endpoint: The template of the route that took it (``/users/{id}``), or :data:`UNMATCHED`; never a raw path.
        status: The status code.
        duration: Seconds from the request's arrival to the last byte of the response.
        error_type: Why it failed, where the status code does not say: the name of an unhandled exception's class, :data:`CANCELLED`
            or :data:`INCOMPLETE`.
        disconnected: Whether the client went away before it had the whole response; such a request has not failed.
        request_bytes: Size of the request's body as received.
        response_bytes: Size of the response's body as sent.
        first_byte: Seconds to the start of the response.
        background: Seconds that the application went on after the response was complete.
    """

    method: str
    endpoint: str
    status: int
    duration: float
    error_type: str | None = None
    disconnected: bool = False
    request_bytes: float | None = None
    response_bytes: float | None = None
    first_byte: float | None = None
    background: float | None = None


class HttpMetrics:
    """The metrics of an HTTP server.

    ========================================  =========  ====================================
    ``http_requests_total``                   counter    method, endpoint, status
    ``http_requests_failed_total``            counter    method, endpoint, status, error_type
    ``http_request_duration_seconds``         histogram  method, endpoint
    ``http_requests_in_progress``             gauge      method
    ``http_client_disconnects_total``         counter    endpoint
    ``websocket_connections``                 gauge      endpoint
    ``websocket_connection_duration_seconds`` histogram  endpoint
    ``http_request_body_bytes``               histogram  method, endpoint; with ``body_sizes``
    ``http_response_body_bytes``              histogram  method, endpoint; with ``body_sizes``
    ``http_response_first_byte_seconds``      histogram  endpoint; with ``first_byte``
    ``http_background_seconds``               histogram  endpoint; with ``background``
    ========================================  =========  ====================================

    A request is in progress until the application has returned, which includes background tasks that the framework runs after the
    response: they are what a shutdown waits for. Its duration ends with the last byte of the response.

    Args:
        registry: Where the metrics are registered; a second set in the same registry shares them.
        buckets: Upper bounds of the durations, in seconds.
        max_endpoints: How many route templates get a label value of their own; further ones are ``__other__``, which is said once. Each
            metric has at most twenty times as many series.
        max_exceptions: How many names of exceptions are told apart; further ones are ``_OTHER``.
        body_sizes: Also record the sizes of bodies.
        first_byte: Also record the time to the start of the response.
        background: Also record how long the application goes on after the response is complete.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        buckets: Sequence[float] = BUCKETS,
        max_endpoints: int = 200,
        max_exceptions: int = 50,
        body_sizes: bool = False,
        first_byte: bool = False,
        background: bool = False,
    ) -> None:
        self._registry = registry
        where: dict[str, Any] = {"registry": registry, "max_series": 20 * max_endpoints}
        by_route = ["method", "endpoint"]
        self._requests = Counter("http_requests_total", "Requests answered or given up", [*by_route, "status"], **where)
        self._failed = Counter(
            "http_requests_failed_total",
            "Requests that failed: 4xx, 5xx, unhandled exceptions",
            [*by_route, "status", "error_type"],
            **where,
        )
        self._duration = Histogram(
            "http_request_duration_seconds",
            "Time from the arrival of a request to the last byte of its response",
            by_route,
            buckets=buckets,
            **where,
        )
        self._in_progress = Gauge(
            "http_requests_in_progress", "Requests under way", ["method"], registry=registry, multiprocess_mode="livesum"
        )
        self._disconnects = Counter("http_client_disconnects_total", "Clients gone before they had the response", ["endpoint"], **where)
        self._websockets = Gauge("websocket_connections", "Open websockets", ["endpoint"], multiprocess_mode="livesum", **where)
        self._websocket_duration = Histogram(
            "websocket_connection_duration_seconds",
            "Time that websockets were open",
            ["endpoint"],
            buckets=(0.1, 1, 10, 60, 300, 1800, 3600, 14400, 86400),
            **where,
        )
        self._request_bytes = self._response_bytes = self._first_byte = self._background = None
        if body_sizes:
            sizes: dict[str, Any] = {"buckets": SIZE_BUCKETS, **where}
            self._request_bytes = Histogram("http_request_body_bytes", "Size of request bodies", by_route, **sizes)
            self._response_bytes = Histogram("http_response_body_bytes", "Size of response bodies", by_route, **sizes)
        if first_byte:
            self._first_byte = Histogram(
                "http_response_first_byte_seconds",
                "Time from the arrival of a request to the start of its response",
                ["endpoint"],
                buckets=buckets,
                **where,
            )
        if background:
            self._background = Histogram(
                "http_background_seconds",
                "Time that the application went on after a response was complete",
                ["endpoint"],
                buckets=buckets,
                **where,
            )
        self.has_body_sizes: bool = body_sizes
        """Whether sizes of bodies are recorded; a middleware counts bytes only then."""
        self.has_details: bool = body_sizes or first_byte or background
        """Whether anything is recorded that is off by default."""
        self._active: dict[str, Any] = {}
        self._at_hand: dict[tuple[str, str, int], Series] = {}
        self._endpoints = Limited(max_endpoints, OVERFLOW_VALUE, {UNMATCHED, OVERFLOW_VALUE}, _say_endpoints)
        self._errors = Limited(max_exceptions, OTHER, OWN_ERROR_TYPES | {OTHER})

    # -- for middlewares -------------------------------------------------------------------------------------------------------

    def start(self, method: str) -> str:
        """A request has arrived.

        Returns:
            The method as it is labelled; to be handed to :meth:`finish`, which must be called once for each start.
        """
        series = self._active.get(method)
        if series is None:
            series, method = self._activate(method)
        series.inc()
        return method

    def finish(
        self,
        method: str,
        endpoint: str,
        status: int,
        duration: float,
        error_type: str | None = None,
        disconnected: bool = False,
        request_bytes: float | None = None,
        response_bytes: float | None = None,
        first_byte: float | None = None,
        background: float | None = None,
    ) -> None:
        """The application has returned from a request.

        Args:
            method: What :meth:`start` returned.
            endpoint: This and the others: see :class:`HttpRequest`.
            status: The status code.
            duration: Seconds to the last byte of the response.
            error_type: Why it failed, where the status code does not say.
            disconnected: Whether the client went away.
            request_bytes: Size of the request's body.
            response_bytes: Size of the response's body.
            first_byte: Seconds to the start of the response.
            background: Seconds after the response was complete.
        """
        self._active[method].dec()
        at_hand = self._at_hand.get((method, endpoint, status)) if error_type is None and not disconnected else None
        if at_hand is None:
            self._record(method, endpoint, status, duration, error_type, disconnected)
        else:
            requests, observe, failed = at_hand
            requests()
            observe(duration)
            if failed is not None:
                failed()
        if self.has_details:
            self._record_details(method, endpoint, request_bytes, response_bytes, first_byte, background)

    def entrance(self, method: str) -> Entrance:
        """What counts requests of a method in and out, to be kept: faster than :meth:`start` and :meth:`finish`."""
        series, label = self._activate(method)
        return label, series.inc, series.dec

    def series(self, method: str, endpoint: str, status: int) -> Series:
        """What records requests that end with this status and nothing else to say, to be kept.

        Args:
            method: The method as it is labelled.
            endpoint: The template.
            status: The status code.
        """
        return self._series(method, endpoint, status, error_type(status))

    def websocket_opened(self, endpoint: str) -> Callable[[float], None]:
        """A websocket has been accepted.

        Returns:
            To be called once with the seconds that it was open, when it is closed.
        """
        label = self._endpoints.label(endpoint)
        connections, durations = self._websockets.labels(label), self._websocket_duration.labels(label)
        connections.inc()

        def closed(duration: float) -> None:
            connections.dec()
            durations.observe(duration)

        return closed

    # -- for everybody ---------------------------------------------------------------------------------------------------------

    def record(self, event: HttpRequest) -> None:
        """Record a request, which does not change what is in progress."""
        method = event.method if event.method in METHODS else OTHER
        self._record(method, event.endpoint, event.status, event.duration, event.error_type, event.disconnected)
        if self.has_details:
            self._record_details(method, event.endpoint, event.request_bytes, event.response_bytes, event.first_byte, event.background)

    def in_progress(self) -> int:
        """How many requests are under way in this process."""
        return round(sum(core.read(series)[0] for series in list(self._active.values())))

    def in_progress_in_all(self) -> int:
        """How many requests are under way in all processes of the service."""
        families = next(shared.combined(self._registry, [self._in_progress]))
        return round(sum(sample.value for family in families for sample in family.samples()))

    def wait_until_idle(self, seconds: float) -> bool:
        """Block until no request is under way in this process, for at most ``seconds``.

        Returns:
            Whether it came to that.
        """
        deadline = clock.system_monotonic() + seconds
        pause = threading.Event()
        while self.in_progress() > 0:
            left = deadline - clock.system_monotonic()
            if left <= 0:
                return False
            pause.wait(min(0.02, left))
        return True

    # -- the rest --------------------------------------------------------------------------------------------------------------

    def _activate(self, method: str) -> tuple[Any, str]:
        label = method if method in METHODS else OTHER
        return self._active.setdefault(label, self._in_progress.labels(label)), label

    def _record(self, method: str, endpoint: str, status: int, duration: float, error: str | None, disconnected: bool) -> None:
        if disconnected:
            series = self._series(method, endpoint, status, None)
            self._disconnects.labels(self._endpoints.label(endpoint)).inc()
        elif error is not None:
            series = self._series(method, endpoint, status, error)
        else:
            series = self._series(method, endpoint, status, error_type(status))
            if len(self._at_hand) < AT_HAND:
                self._at_hand[method, endpoint, status] = series
        requests, observe, failed = series
        requests()
        observe(duration)
        if failed is not None:
            failed()

    def _series(self, method: str, endpoint: str, status: int, error: str | None) -> Series:
        label = self._endpoints.label(endpoint)
        failed = None if error is None else self._failed.labels(method, label, status, self._errors.label(error)).inc
        return self._requests.labels(method, label, status).inc, self._duration.labels(method, label).observe, failed

    def _record_details(
        self,
        method: str,
        endpoint: str,
        request_bytes: float | None,
        response_bytes: float | None,
        first_byte: float | None,
        background: float | None,
    ) -> None:
        label = self._endpoints.label(endpoint)
        for metric, value in ((self._request_bytes, request_bytes), (self._response_bytes, response_bytes)):
            if metric is not None and value is not None:
                metric.labels(method, label).observe(value)
        for metric, value in ((self._first_byte, first_byte), (self._background, background)):
            if metric is not None and value is not None:
                metric.labels(label).observe(value)


def _say_endpoints(limit: int, first_beyond: str) -> None:
    LOG.warning(
        "HTTP metrics have %d route templates, the limit; %r and further ones are recorded as endpoint %r. "
        "If the service has so many routes, raise max_endpoints.",
        limit,
        first_beyond[:200],
        OVERFLOW_VALUE,
    )
