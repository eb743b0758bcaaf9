"""prometheus_flask_exporter, with templates instead of paths."""

from __future__ import annotations

from typing import Any

from benchmarks.adapters import Adapter


class Library(Adapter):
    title = "prometheus_flask_exporter"
    distribution = "prometheus_flask_exporter"
    order = 72
    groups = ("http",)

    def flask(self, app: Any) -> Any:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - imported when it is measured
        from prometheus_flask_exporter import PrometheusMetrics  # noqa: PLC0415

        PrometheusMetrics(app, group_by="url_rule", registry=CollectorRegistry())
        return app
