"""The official Prometheus client."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from benchmarks.adapters import RECORDING, Touch
from benchmarks.adapters._prometheus_style import PrometheusStyle
from benchmarks.sinks import Sink


class Library(PrometheusStyle):
    title = "prometheus_client"
    distribution = "prometheus_client"
    order = 10
    groups = (*RECORDING, "deliveries")
    module = "prometheus_client"
    import_statement = "import prometheus_client"
    first_counter = "from prometheus_client import Counter; Counter('requests_total', 'Requests')"
    remarks: ClassVar = {
        "timed_coroutine": "prometheus_client times the making of the coroutine, not what is awaited: less work, wrong figure.",
    }

    def __init__(self) -> None:
        super().__init__()
        self.library.disable_created_metrics()

    def delivery(self, destination: str, sink: Sink) -> tuple[Touch, Callable[[], object]] | None:
        if destination != "pushgateway":
            return None
        push = self.library.push_to_gateway
        return self.counter_series(), lambda: push(sink.http, "benchmark", self.registry)
