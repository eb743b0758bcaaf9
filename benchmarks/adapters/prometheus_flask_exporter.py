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
        from prometheus_flask_exporter import PrometheusMetrics  # noqa: PLC0415 - imported when it is measured

        PrometheusMetrics(app, group_by="url_rule")
        return app
