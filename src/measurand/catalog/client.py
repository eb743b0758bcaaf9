"""HTTP requests as a client sees them: how many, how long, which failed, how many are under way.

One set of metrics for every client library. One request is what goes to one server once: a redirect, and a step of an authentication, is
a request of its own. A hook calls :meth:`HttpClientMetrics.start` and then says to the :class:`Exchange` that it got how it went on;
anybody else hands over a finished :class:`HttpClientRequest`.

What a program can make up is bounded: hosts come from a list that the user gives, unknown methods are ``_OTHER``, names of exceptions are
limited, and paths are never looked at. Everything here is safe from any thread and after a fork; no call blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from measurand import clock
from measurand.catalog.failure import failure_name
from measurand.catalog.http import METHODS, OTHER, OWN_ERROR_TYPES, error_type
from measurand.catalog.limited import Limited
from measurand.errors import ConfigurationError
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instruments import Counter, Gauge, Histogram
from measurand.metrics.registry import CollectorRegistry

__all__ = ["BUCKETS", "UNANSWERED", "Exchange", "HttpClientMetrics", "HttpClientRequest"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

_HOST = re.compile(r"(\*\.)?[^\s/:@*]+|[0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*")
"""A name, all names that end so, or an address of either version."""

UNANSWERED = "none"
"""The label value of the status of a request that got no response."""


@dataclass(frozen=True, slots=True)
class HttpClientRequest:
    """One request that has been answered, or given up.

    Attributes:
        method: Its method.
        host: The host that it went to, without port; never an address with a path.
        status: The response's status code; ``None`` if there was no response.
        duration: Seconds from the beginning to the last byte of the response, or to the failure.
        error_type: Why it failed, where the status code does not say: the name of an exception's class, or ``cancelled``.
    """

    method: str
    host: str
    status: int | None
    duration: float
    error_type: str | None = None


class HttpClientMetrics:
    """The metrics of an HTTP client.

    =======================================  =========  ====================
    ``http_client_requests_total``           counter    method, host, status
    ``http_client_request_duration_seconds`` histogram  method, host
    ``http_client_errors_total``             counter    host, error_type
    ``http_client_requests_in_progress``     gauge      host
    =======================================  =========  ====================

    Errors are requests without a response, responses that broke off, and those whose status code is 400 or more.

    Args:
        registry: Where the metrics are registered; a second set in the same registry shares them.
        hosts: The hosts that get a label value of their own, such as ``"api.example.com"``; ``"*.example.com"`` stands for all that end so,
            and is their label value. All others are ``_OTHER``.
        buckets: Upper bounds of the durations, in seconds.
        max_exceptions: How many names of exceptions are told apart; further ones are ``_OTHER``.

    Raises:
        ConfigurationError: Something among the hosts is none.
        TypeError: ``hosts`` is one name and no list.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        hosts: Iterable[str] = (),
        buckets: Sequence[float] = BUCKETS,
        max_exceptions: int = 50,
    ) -> None:
        self._hosts: dict[str, str] = {}
        self._domains: dict[str, str] = {}
        self.know(hosts)
        self._requests = Counter(
            "http_client_requests_total", "Requests sent, by status or none", ["method", "host", "status"], registry=registry
        )
        self._duration = Histogram(
            "http_client_request_duration_seconds",
            "Time from the beginning of a request to the last byte of its response",
            ["method", "host"],
            buckets=buckets,
            registry=registry,
        )
        self._errors = Counter(
            "http_client_errors_total",
            "Requests that failed: no response, a broken one, 4xx, 5xx",
            ["host", "error_type"],
            registry=registry,
        )
        self._in_progress = Gauge(
            "http_client_requests_in_progress", "Requests under way", ["host"], registry=registry, multiprocess_mode="livesum"
        )
        self._error_types = Limited(max_exceptions, OTHER, OWN_ERROR_TYPES | {OTHER})

    # -- for hooks -------------------------------------------------------------------------------------------------------------

    def start(self, method: str, host: str) -> Exchange:
        """A request begins."""
        return Exchange(self, method if method in METHODS else OTHER, self.host(host))

    # -- for everybody ---------------------------------------------------------------------------------------------------------

    def record(self, event: HttpClientRequest) -> None:
        """Record a request, which does not change what is in progress."""
        method = event.method if event.method in METHODS else OTHER
        self._record(method, self.host(event.host), event.status, event.duration, event.error_type)

    def know(self, hosts: Iterable[str]) -> None:
        """Tell these hosts apart as well from now on.

        Args:
            hosts: As those that the set was made with.

        Raises:
            ConfigurationError: Something among them is no host; none of them is told apart then.
            TypeError: It is one name and no list.
        """
        if isinstance(hosts, str):
            raise TypeError(f"hosts is a list of names, not one: [{hosts!r}]")
        names = [host.lower().rstrip(".") for host in hosts]
        for name in names:
            if not _HOST.fullmatch(name):
                raise ConfigurationError(
                    f"{name!r} is no host to tell apart: a host is api.example.com or *.example.com, without scheme, port or path"
                )
        for name in names:
            if name.startswith("*."):
                self._domains[name[1:]] = name
            else:
                self._hosts[name] = name

    def host(self, name: str) -> str:
        """The label value of a host."""
        name = name.lower().rstrip(".")
        found = self._hosts.get(name)
        if found is None and self._domains:
            place = name.find(".")
            while found is None and place >= 0:
                found = self._domains.get(name[place:])
                place = name.find(".", place + 1)
        return found or OTHER

    # -- the rest --------------------------------------------------------------------------------------------------------------

    def _record(self, method: str, host: str, status: int | None, duration: float, error: str | None) -> None:
        self._requests.labels(method, host, UNANSWERED if status is None else status).inc()
        self._duration.labels(method, host).observe(duration)
        if error is None and status is not None:
            error = error_type(status)
        if error is not None:
            self._errors.labels(host, self._error_types.label(error)).inc()


class Exchange:
    """A request under way; from :meth:`HttpClientMetrics.start`.

    It ends once: with :meth:`end`, or when nobody has it any more, so that a response which is forgotten does not stay in progress.
    """

    __slots__ = ("_host", "_method", "_metrics", "_open", "_since", "_status")

    def __init__(self, metrics: HttpClientMetrics, method: str, host: str) -> None:
        self._open: list[Callable[[], None]] = []
        self._metrics = metrics
        self._method = method
        self._host = host
        self._status: int | None = None
        series: Any = metrics._in_progress.labels(host)
        series.inc()
        self._open.append(series.dec)
        self._since = clock.monotonic()

    def answered(self, status: int) -> None:
        """A response has begun."""
        self._status = status

    def end(self, error: BaseException | None = None) -> None:
        """The last byte of the response is there, or the response was closed before, or something went wrong. Again: does nothing."""
        try:
            leave = self._open.pop()
        except IndexError:
            return
        duration = clock.monotonic() - self._since
        leave()
        self._metrics._record(self._method, self._host, self._status, duration, None if error is None else failure_name(error))

    def __del__(self) -> None:
        self.end()
