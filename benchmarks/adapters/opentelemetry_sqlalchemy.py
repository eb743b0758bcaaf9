"""opentelemetry-instrumentation-sqlalchemy on a tracer and a meter of the SDK, with the settings that it has by default."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

from benchmarks.adapters import Adapter


class Library(Adapter):
    title = "opentelemetry-instrumentation-sqlalchemy"
    distribution = "opentelemetry-instrumentation-sqlalchemy"
    order = 75
    groups = ("queries",)
    remarks: ClassVar = {
        "query": "opentelemetry-instrumentation-sqlalchemy makes a span of each statement, which is handed to nobody here, and counts "
        "connections; it does not count or time statements as metrics. It is told not to mind that this SQLAlchemy is newer than those it "
        "names.",
    }

    def sqlalchemy(self, engine: Any) -> Callable[[], object]:
        instrumentation: Any = import_module("opentelemetry.instrumentation.sqlalchemy")
        metrics: Any = import_module("opentelemetry.sdk.metrics")
        reader: Any = import_module("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
        traces: Any = import_module("opentelemetry.sdk.trace")
        instrumentor = instrumentation.SQLAlchemyInstrumentor()
        instrumentor.instrument(
            engine=engine,
            tracer_provider=traces.TracerProvider(shutdown_on_exit=False),
            meter_provider=metrics.MeterProvider([reader], shutdown_on_exit=False),
            skip_dep_check=True,
        )
        return instrumentor.uninstrument
