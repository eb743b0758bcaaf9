"""Exporting to OpenTelemetry: a collector, or whatever takes its protocol over HTTP (VictoriaMetrics, Prometheus 3, most vendors).

Source: the OpenTelemetry protocol (OTLP) 1.x, "OTLP/HTTP". What becomes of each metric: :mod:`measurand.encoding.otlp`.

What is tried again, in the next interval, is what the protocol allows: answers 429, 502, 503 and 504, a broken connection, no answer in
time. Totals are then sent anew; differences are put back and added to the next ones. With any other answer, and where the destination says
that it rejected points, they are given up and counted in ``measurand_export_dropped_total``.
"""

from __future__ import annotations

import gzip
import logging
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal, NamedTuple, Self, get_args
from urllib.parse import SplitResult, urlsplit, urlunsplit

from measurand import clock
from measurand.encoding import otlp_json, otlp_protobuf
from measurand.encoding.otlp import Metric, Request, Value, metric_of, requests, resource_of
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import Options
from measurand.exporters.deltas import Change
from measurand.exporters.http import Answer, HttpPeer, bounded
from measurand.exporters.protocol import Snapshot, Temporality
from measurand.exporters.refusals import Refusals
from measurand.exporters.starts import Starts
from measurand.metrics.points import Labels, PointFamily, Series

__all__ = ["OTLP", "Compression", "Protocol"]

LOG = logging.getLogger("measurand")

Protocol = Literal["http/protobuf", "http/json"]
Compression = Literal["gzip"] | None

PATH = "/v1/metrics"
PORT = 4318
TRIED_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Answers after which the same may be sent again; OTLP/HTTP, "Retryable Response Codes"."""


class _Form(NamedTuple):
    content_type: str
    encode: Callable[[Iterable[Metric], Mapping[str, Value], str], bytes]


_FORMS: dict[Protocol, _Form] = {
    "http/protobuf": _Form(otlp_protobuf.CONTENT_TYPE, otlp_protobuf.encode),
    "http/json": _Form(otlp_json.CONTENT_TYPE, otlp_json.encode),
}


class OTLP:
    """Exports to an OpenTelemetry endpoint over HTTP.

    Totals (``"cumulative"``) suit nearly every destination: a delivery that is lost is made good by the next one. Differences (``"delta"``)
    are for those that add up. A delivery of differences to which no answer came in time is sent again, as the protocol wants it, so it may
    count twice if the destination got it all the same; nothing is lost.

    Instances of a service that run beside each other need a resource each (``service.instance.id`` or ``host.name``), or their totals
    overwrite each other; the processes of one service on one machine are one instance.

    Args:
        endpoint: The base URL, to which ``/v1/metrics`` is appended unless it ends so.
        protocol: ``"http/protobuf"`` or ``"http/json"``.
        temporality: ``"cumulative"`` for totals, ``"delta"`` for differences.
        compression: ``"gzip"`` or ``None``.
        headers: Sent with each request.
        resource: What the metrics are about, such as ``{"service.instance.id": "a"}``. What ``measurand.start()`` was told is in
            ``service.name``, ``service.version`` and ``deployment.environment.name`` unless it is said here.
        bearer_token: For bearer authentication. A user and a password in the endpoint become basic authentication.
        tls: For ``https``; the system's authorities by default.
        interval: Seconds between two exports.
        timeout: Seconds for each request.
        max_points_per_request: How many points a request has at most; more go into further ones.
        name: What this exporter is called.

    Raises:
        ConfigurationError: One of these cannot be used.
    """

    def __init__(
        self,
        endpoint: str = f"http://127.0.0.1:{PORT}",
        *,
        protocol: Protocol = "http/protobuf",
        temporality: Temporality = "cumulative",
        compression: Compression = "gzip",
        headers: Mapping[str, str] | None = None,
        resource: Mapping[str, Value] | None = None,
        bearer_token: str | None = None,
        tls: ssl.SSLContext | None = None,
        interval: float = 60.0,
        timeout: float = 10.0,
        max_points_per_request: int = 5000,
        name: str = "otlp",
    ) -> None:
        self.name = name
        self.interval = interval
        self.temporality: Temporality = temporality
        self._peer = HttpPeer(_target(endpoint), headers=headers, bearer_token=bearer_token, tls=tls)
        if protocol not in _FORMS:
            known = "'http/protobuf' or 'http/json' (OTLP over gRPC is not spoken)"
            raise ConfigurationError(f"the protocol of {self!r} must be {known}, not {protocol!r}")
        if temporality not in get_args(Temporality):
            raise ConfigurationError(f"the temporality of {self!r} must be 'cumulative' or 'delta', not {temporality!r}")
        if compression not in {"gzip", None}:
            raise ConfigurationError(f"the compression of {self!r} must be 'gzip' or None, not {compression!r}")
        if isinstance(max_points_per_request, bool) or not isinstance(max_points_per_request, int) or max_points_per_request < 1:
            raise ConfigurationError(f"max_points_per_request of {self!r} must be a number above 0, not {max_points_per_request!r}")
        try:
            self._resource = resource_of(resource or {})
        except ValueError as reason:
            raise ConfigurationError(f"{reason} ({self!r})") from None
        self._service: dict[str, Value] = {"service.name": "unknown_service"}
        self._form = _FORMS[protocol]
        self._compression = compression
        self._timeout = timeout
        self._most = max_points_per_request
        self._starts = Starts()
        self._refusals = Refusals("OpenTelemetry")
        self._warning = ""
        self._arrived: dict[tuple[str, tuple[float, ...], Labels], float] = {}

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        """Make one from an address: ``otlp+http://127.0.0.1:4318?temporality=delta&resource.service.instance.id=a``.

        ``otlp://host`` is ``otlp+http://host:4318``. Options: ``protocol``, ``temporality``, ``compression`` (``gzip`` or ``none``),
        ``header.NAME``, ``resource.NAME``, ``bearer_token``, ``ca_file``, ``max_points_per_request``, ``interval``, ``timeout``, ``name``.
        """
        _, _, transport = url.scheme.partition("+")
        scheme = transport or "http"
        netloc = url.netloc if transport or url.port else f"{url.netloc}:{PORT}"
        if scheme not in {"http", "https"} or not url.hostname:
            raise ConfigurationError(f"{url.scheme}://… is no address of OTLP; give one such as otlp+http://127.0.0.1:{PORT}")
        compression = options.text("compression", "gzip")
        ca_file = options.text("ca_file")
        most = options.number("max_points_per_request", 5000)
        try:
            tls = None if ca_file is None else ssl.create_default_context(cafile=ca_file)
        except (OSError, ValueError) as reason:
            raise ConfigurationError(f"ca_file={ca_file} cannot be read: {reason}") from None
        return cls(
            urlunsplit((scheme, netloc, url.path, "", "")),
            protocol=options.text("protocol", "http/protobuf"),
            temporality=options.text("temporality", "cumulative"),
            compression=None if compression == "none" else compression,
            headers=options.rest("header."),
            resource=options.rest("resource."),
            bearer_token=options.text("bearer_token"),
            tls=tls,
            max_points_per_request=int(most) if most == most // 1 else most,
            **options.common(),
        )

    def __repr__(self) -> str:
        return f"OTLP({self._peer.shown!r})"

    def identify(self, service: str, environment: str, version: str) -> None:
        """Say what the resource is, where that was not said when this exporter was made.

        Args:
            service: Its name.
            environment: Where it runs; may be empty.
            version: Its version; may be empty.
        """
        known = {"service.name": service, "service.version": version, "deployment.environment.name": environment}
        self._service = resource_of({name: value for name, value in known.items() if value not in {"", "unknown"}})

    def check(self) -> None:
        """Ask whether the destination is there.

        Raises:
            ExportFailed: It is not, or refuses who asks.
        """
        answer = self._peer.request(b"", timeout=self._timeout, method="GET")
        if answer.status in {401, 403}:
            raise ExportFailed(f"{self._peer.shown} answered {answer.status} {answer.text}".rstrip())

    def close(self) -> None:
        """Close the connection."""
        self._peer.close()

    def export(self, snapshot: Snapshot) -> None:
        """Deliver a snapshot, in as many requests as it takes.

        Raises:
            ExportFailed: A part has not arrived; see the module for what is tried again and what is given up.
        """
        begun = clock.system_monotonic()
        self._starts.begin(snapshot.time)
        problem, dropped = "", 0
        try:
            for request in requests(self._metrics(snapshot), self._most):
                left = snapshot.seconds - (clock.system_monotonic() - begun)
                if left <= 0:
                    raise ExportFailed(f"there was no time to send all to {self._peer.shown}")
                given_up, said = self._send(request, bounded(self._timeout, left))
                for family, series in request.series:
                    self._acknowledge(snapshot, family, series)
                dropped += given_up
                problem = problem or said
        except ExportFailed as reason:
            reason.dropped += dropped
            raise
        if problem:
            raise ExportFailed(problem, dropped=dropped)
        self._arrived.clear()

    def _metrics(self, snapshot: Snapshot) -> Iterator[tuple[Metric, PointFamily, list[Series]]]:
        is_delta = isinstance(snapshot, Change)
        start = self._starts.of
        if isinstance(snapshot, Change):
            since = self._starts.service if snapshot.start is None else snapshot.start

            def start(family: PointFamily, series: Series) -> float:
                return self._arrived.get(_key(family, series), since)

        for family in snapshot.points():
            metric, series, refused = metric_of(family, snapshot.time, start, is_delta=is_delta)
            if refused:
                self._refusals.count(snapshot, [(metric.name, "it has a count that is no whole number") for _ in refused])
                self._acknowledge(snapshot, family, refused)
            yield metric, family, series

    def _acknowledge(self, snapshot: Snapshot, family: PointFamily, series: Iterable[Series]) -> None:
        """These are delivered, or given up; the next differences of these series begin now."""
        if isinstance(snapshot, Change) and family.type != "gauge":
            snapshot.acknowledge(family, series)
            self._arrived.update({_key(family, one): snapshot.time for one in series})

    def _send(self, request: Request, timeout: float) -> tuple[int, str]:
        """Send a request; how many of its points are given up, and why.

        Raises:
            ExportFailed: It may be sent again.
        """
        body = self._form.encode(request.metrics, {**self._service, **self._resource}, _version())
        headers = {"Content-Type": self._form.content_type}
        if self._compression == "gzip":
            body = gzip.compress(body, 1, mtime=0)  # higher levels make it hardly smaller
            headers["Content-Encoding"] = "gzip"
        answer = self._peer.request(body, headers, timeout=timeout)
        if answer.is_success:
            rejected, message = _reader(answer).read_partial_success(answer.body)
            if rejected:
                return min(rejected, request.size), f"{self._peer.shown} rejected {rejected} of {request.size} points: {message}"
            if message and message != self._warning:
                LOG.warning("%s says: %s. Said once.", self._peer.shown, message)
            self._warning = message or self._warning
            return 0, ""
        said = f"{self._peer.shown} answered {answer.status}: {_reader(answer).read_status(answer.body) or answer.text}"
        if answer.status in TRIED_AGAIN:
            raise ExportFailed(said, retry_after=answer.retry_after)
        return request.size, said


def _key(family: PointFamily, series: Series) -> tuple[str, tuple[float, ...], Labels]:
    return family.name, family.bounds, series.labels


def _target(endpoint: str) -> str:
    """Where metrics are sent to."""
    try:
        parts = urlsplit(endpoint)
    except (ValueError, AttributeError):
        return str(endpoint)  # which is refused
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(PATH) else path + PATH))


def _reader(answer: Answer) -> Any:
    """What reads the answer: some answer in another form than they were asked in."""
    return otlp_json if "json" in answer.headers.get("content-type", "") else otlp_protobuf


@cache
def _version() -> str:
    try:
        return version("measurand")
    except PackageNotFoundError:
        return ""
