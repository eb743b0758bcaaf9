"""starlette_exporter, with templates instead of paths."""

from __future__ import annotations

from typing import Any

from benchmarks.adapters import Adapter


class Library(Adapter):
    title = "starlette_exporter"
    distribution = "starlette_exporter"
    order = 71
    groups = ("http",)

    def fastapi(self, app: Any) -> Any:
        from starlette_exporter import PrometheusMiddleware  # noqa: PLC0415 - imported when it is measured

        app.add_middleware(PrometheusMiddleware, group_paths=True)
        return app
