"""Google's protobuf library, which is what a service encodes remote write with where no client does it: there is none for Python."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any, ClassVar

from benchmarks.adapters import LABEL_NAMES, Adapter, Touch
from benchmarks.sinks import Sink

STRING, DOUBLE, INT64, MESSAGE = 9, 1, 3, 11
ONE, MANY = 1, 3

MESSAGES = {  # prometheus/prometheus, prompb/types.proto and remote.proto: name, number, kind, message
    "Label": [("name", 1, STRING, ""), ("value", 2, STRING, "")],
    "Sample": [("value", 1, DOUBLE, ""), ("timestamp", 2, INT64, "")],
    "TimeSeries": [("labels", 1, MESSAGE, "Label"), ("samples", 2, MESSAGE, "Sample")],
    "WriteRequest": [("timeseries", 1, MESSAGE, "TimeSeries")],
}


class Library(Adapter):
    title = "protobuf"
    distribution = "protobuf"
    order = 90
    groups = ("deliveries",)
    remarks: ClassVar = {
        "delivery_remote_write": "prometheus_client does not speak remote write. protobuf: Google's library fills the same request "
        "(version 1.0, without metadata) from a dict of the series, compressed by the same snappy, sent by the standard library."
    }

    def delivery(self, destination: str, sink: Sink) -> tuple[Touch, Callable[[], object]] | None:
        if destination != "remote_write":
            return None
        import cramjam  # noqa: PLC0415 - imported when it is measured

        make = _write_request()
        series: dict[tuple[str, str, str], float] = {}
        connection = http.client.HTTPConnection(sink.http)
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"}

        def touch(method: str, endpoint: str, status: str, value: float) -> None:
            known = (method, endpoint, status)
            series[known] = series.get(known, 0.0) + value

        def deliver() -> None:
            request = make()
            for values, value in series.items():
                one = request.timeseries.add()
                for name, label in sorted([("__name__", "requests_total"), *zip(LABEL_NAMES, values, strict=True)]):
                    one.labels.add(name=name, value=label)
                one.samples.add(value=value, timestamp=1_700_000_000_000)
            connection.request("POST", "/api/v1/write", bytes(cramjam.snappy.compress_raw(request.SerializeToString())), headers)
            connection.getresponse().read()

        return touch, deliver


def _write_request() -> Any:
    """The class of the request, from the names and numbers of its fields."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415 - imported when it is measured

    file = descriptor_pb2.FileDescriptorProto(name="benchmark.proto", package="benchmark", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            made = message.field.add(name=field, number=number, type=kind, label=MANY if kind == MESSAGE else ONE)
            if of:
                made.type_name = f".benchmark.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("benchmark.WriteRequest"))
