"""Datadog's client of DogStatsD, as it is by default: each count is a datagram."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

from benchmarks.adapters import Adapter, Code, Touch
from benchmarks.sinks import Sink

TAGS = ["method:GET", "endpoint:/api/orders", "status:200"]


class Library(Adapter):
    title = "datadog"
    distribution = "datadog"
    order = 81
    groups = ("backends", "deliveries")
    remarks: ClassVar = {
        "delivery_dogstatsd": "datadog: buffered, so that many lines share a datagram; the buffer is filled from a dict of the series and "
        "flushed. Its own telemetry is off. Both over a unix socket, as UDP loses what comes too fast."
    }
    settings: ClassVar[dict[str, Any]] = {}

    def counted_for_server(self, sink: Sink, known: bool, until: ExitStack) -> Code:
        from datadog.dogstatsd import DogStatsd  # noqa: PLC0415 - imported when it is measured

        host, _, port = sink.udp.rpartition(":")
        client = DogStatsd(host, int(port), **self.settings)
        until.callback(client.stop)
        names = {"client": client, "tags": TAGS, "method": "GET", "endpoint": "/api/orders", "status": "200"}
        made = '[f"method:{method}", f"endpoint:{endpoint}", f"status:{status}"]'
        return Code(f'client.increment("requests", 1, {"tags" if known else made})', names)

    def delivery(self, destination: str, sink: Sink) -> tuple[Touch, Callable[[], object]] | None:
        if destination != "dogstatsd" or self.settings:
            return None
        from datadog.dogstatsd import DogStatsd  # noqa: PLC0415 - imported when it is measured

        quiet = {"disable_telemetry": True, "origin_detection_enabled": False}
        client = DogStatsd(socket_path=sink.unix, socket_timeout=10, disable_buffering=False, flush_interval=3600, **quiet)
        counts: dict[tuple[str, str, str], float] = {}

        def touch(method: str, endpoint: str, status: str, value: float) -> None:
            counts[method, endpoint, status] = value

        def deliver() -> None:
            for (method, endpoint, status), value in counts.items():
                client.increment("requests", value, [f"method:{method}", f"endpoint:{endpoint}", f"status:{status}"])
            client.flush_buffered_metrics()

        return touch, deliver
