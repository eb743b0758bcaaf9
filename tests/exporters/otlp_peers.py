"""Who takes OTLP in tests: a server that answers as it is told, and what a real collector says it has got."""

from __future__ import annotations

import gzip
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

__all__ = ["Answer", "Receiver", "Taken", "metrics_in", "printed"]


class Answer(NamedTuple):
    """How a request is answered; without a status the connection is closed instead."""

    status: int | None = 200
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012 - it is never changed


class Taken(NamedTuple):
    """A request, the port that it came from, and the status that it was answered with."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client: int
    status: int | None

    @property
    def message(self) -> ExportMetricsServiceRequest:
        """What was sent, in protocol buffers."""
        return ExportMetricsServiceRequest.FromString(self.content)

    @property
    def content(self) -> bytes:
        """What was sent, uncompressed."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body


class Receiver:
    """A server on a free loopback port.

    Args:
        answers: How to answer, one after the other; afterwards all is well.
        tls: For ``https``.

    Attributes:
        taken: The requests.
        hold: While it is cleared, no request is answered.
    """

    def __init__(self, answers: Iterable[Answer | int] = (), tls: ssl.SSLContext | None = None) -> None:
        self.taken: list[Taken] = []
        self.hold = threading.Event()
        self.hold.set()
        self._answers = iter([Answer(answer) if isinstance(answer, int) else answer for answer in answers])
        self._server = _Server(("127.0.0.1", 0), _handler(self._answer))
        self._server.tls = tls
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.05), daemon=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.hold.set()
        self._server.shutdown()
        self._thread.join(30)
        self._server.server_close()

    def accepted(self, name: str) -> list[Any]:
        """The points of a metric in the requests that were answered with 200."""
        found: list[Any] = []
        for taken in self.taken:
            if taken.status == 200:
                for metric in metrics_in(taken.message):
                    if metric.name == name:
                        found += getattr(metric, str(metric.WhichOneof("data"))).data_points
        return found

    def _answer(self, *request: Any) -> Answer:
        answer = next(self._answers, Answer())
        self.taken.append(Taken(*request, answer.status))
        self.hold.wait(60)
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Also the handshake is one thread's business."""
        if self.tls is not None:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:  # the client does not trust us
                return
        super().finish_request(request, client_address)
        request.close()


def _handler(answer: Callable[..., Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            given = answer(self.command, self.path, headers, body, self.client_address[1])
            if given.status is None:
                self.close_connection = True
                return
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def metrics_in(message: ExportMetricsServiceRequest) -> list[Metric]:
    """The metrics of a request."""
    return [metric for about in message.resource_metrics for scope in about.scope_metrics for metric in scope.metrics]


# -- what rotel prints -------------------------------------------------------------------------------------------------------

_METRIC = {"Name": "name", "Description": "description", "Unit": "unit", "DataType": "type", "IsMonotonic": "is_monotonic"}
_NUMBERS: dict[str, tuple[str, Callable[[str], float]]] = {
    "StartTimestamp": ("start", int),
    "Timestamp": ("time", int),
    "Value": ("value", float),
    "Count": ("count", int),
    "Sum": ("sum", float),
}


def printed(log: str) -> list[dict[str, Any]]:
    """The points in a collector's log, with what it says of their metrics and resources.

    Texts are under ``resource``, ``name``, ``description``, ``unit``, ``type``, ``is_monotonic``, ``temporality`` and ``attributes``, the
    scope among the resource; numbers under ``start``, ``time``, ``value``, ``count``, ``sum``, ``bounds`` and ``buckets``, which for
    exponential histograms are pairs of an upper bound and a count, without empty ones; ``exemplars`` have ``trace_id``, ``span_id``,
    ``value`` and ``attributes``.
    """
    return list(_points(log.split("\n")[:-1]))  # the last line may still be written


def _points(lines: list[str]) -> Iterator[dict[str, Any]]:
    resource: dict[str, str] = {}
    metric: dict[str, Any] = {}
    point: dict[str, Any] | None = None
    into: dict[str, str] = resource
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if (attribute := re.match(r" +-> (.+?): (Str|Int|Bool|Double)\((.*)", line)) is not None:
            value = attribute[3]
            while not value.endswith(")") and at < len(lines):
                value += "\n" + lines[at]
                at += 1
            into[attribute[1]] = value[:-1]
        elif line.startswith("ResourceMetrics #"):
            resource = into = {}
        elif line.startswith("InstrumentationScope "):
            resource = {**resource, "scope": line.split(" ", 1)[1]}
        elif re.match(r"Metric #\d+$", line):
            if point is not None:
                yield point
            metric, point = {"resource": resource}, None
        elif re.match(r"\w+DataPoints #\d+$", line):
            if point is not None:
                yield point
            point = {**metric, "attributes": {}, "bounds": [], "buckets": [], "exemplars": []}
            into = point["attributes"]
        elif point is None:
            name, _, value = line.lstrip().removeprefix("-> ").partition(": ")
            if name in _METRIC:
                metric[_METRIC[name]] = value
            elif name == "AggregationTemporality":
                metric["temporality"] = value.rpartition("_")[2].lower()
        else:
            into = _read_point(line, point, into)
    if point is not None:
        yield point


def _read_point(line: str, point: dict[str, Any], into: dict[str, str]) -> dict[str, str]:
    """Read a line of a point; returns where attributes that follow belong."""
    name, _, value = line.partition(": ")
    if name in _NUMBERS:
        key, of = _NUMBERS[name]
        point[key] = of(value)
    elif line.startswith("ExplicitBounds #"):
        point["bounds"].append(float(value))
    elif line.startswith("Buckets #"):
        point["buckets"].append(int(value))
    elif (bucket := re.match(r"Bucket [\[(](\S+), (\S+)\], Count: (\d+)$", line)) is not None:
        if bucket[3] != "0":
            point["buckets"].append((float(bucket[2]), int(bucket[3])))
    elif line.startswith("Exemplar #"):
        point["exemplars"].append({"attributes": {}})
        into = point["exemplars"][-1]["attributes"]
    elif (of_exemplar := re.match(r" +-> (Trace ID|Span ID|Value): (\S*)$", line)) is not None and point["exemplars"]:
        key = of_exemplar[1].lower().replace(" ", "_")
        point["exemplars"][-1][key] = float(of_exemplar[2]) if key == "value" else of_exemplar[2]
    return into
