"""prometheus-fastapi-instrumentator, with its default metrics."""

from __future__ import annotations

from typing import Any

from benchmarks.adapters import Adapter


class Library(Adapter):
    title = "prometheus-fastapi-instrumentator"
    distribution = "prometheus-fastapi-instrumentator"
    order = 70
    groups = ("http",)

    def fastapi(self, app: Any) -> Any:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - imported when it is measured
        from prometheus_fastapi_instrumentator import Instrumentator  # noqa: PLC0415

        Instrumentator(registry=CollectorRegistry()).instrument(app)
        return app
