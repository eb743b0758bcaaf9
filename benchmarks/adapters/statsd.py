"""The Python client of StatsD. A label is a part of the name; nothing is kept in the process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

from benchmarks.adapters import Adapter, Code, Touch
from benchmarks.sinks import Sink


class Library(Adapter):
    title = "statsd"
    distribution = "statsd"
    order = 80
    groups = ("backends", "deliveries")
    remarks: ClassVar = {
        "delivery_statsd": "statsd: a pipeline, which is filled from a dict of the series and sent; over TCP, as UDP loses what comes "
        "too fast."
    }

    def counted_for_server(self, sink: Sink, known: bool, until: ExitStack) -> Code:
        from statsd import StatsClient  # noqa: PLC0415 - imported when it is measured

        host, _, port = sink.udp.rpartition(":")
        names = {"client": StatsClient(host, int(port)), "method": "GET", "endpoint": "api_orders", "status": "200"}
        name = '"requests.GET.api_orders.200"' if known else 'f"requests.{method}.{endpoint}.{status}"'
        return Code(f"client.incr({name})", names)

    def delivery(self, destination: str, sink: Sink) -> tuple[Touch, Callable[[], object]] | None:
        if destination != "statsd":
            return None
        from statsd import TCPStatsClient  # noqa: PLC0415 - imported when it is measured

        host, _, port = sink.tcp.rpartition(":")
        client: Any = TCPStatsClient(host, int(port))
        counts: dict[tuple[str, str, str], float] = {}

        def touch(method: str, endpoint: str, status: str, value: float) -> None:
            counts[method, endpoint, status] = value

        def deliver() -> None:
            with client.pipeline() as pipeline:
                for (method, endpoint, status), value in counts.items():
                    pipeline.incr(f"requests.{method}.{endpoint.replace('/', '_')}.{status}", value)

        return touch, deliver
