"""The official Prometheus client."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.adapters._prometheus_style import PrometheusStyle


class Library(PrometheusStyle):
    title = "prometheus_client"
    distribution = "prometheus_client"
    order = 10
    module = "prometheus_client"
    import_statement = "import prometheus_client"
    first_counter = "from prometheus_client import Counter; Counter('requests_total', 'Requests')"
    remarks: ClassVar = {
        "timed_coroutine": "prometheus_client times the making of the coroutine, not what is awaited: less work, wrong figure.",
    }

    def __init__(self) -> None:
        super().__init__()
        self.library.disable_created_metrics()
