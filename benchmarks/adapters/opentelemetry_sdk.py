"""The OpenTelemetry SDK with an in-memory reader, which holds the same numbers and has no text format."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

from benchmarks.adapters import BUCKETS, RECORDING, Adapter, Code, Touch
from benchmarks.sinks import Sink

NO_TEXT = "opentelemetry-sdk has no text format of its own (its Prometheus exporter hands the work to prometheus_client)."


class Library(Adapter):
    title = "opentelemetry-sdk"
    distribution = "opentelemetry-sdk"
    order = 20
    groups = (*RECORDING, "deliveries")
    import_statement = "import opentelemetry.sdk.metrics, opentelemetry.sdk.metrics.export"
    first_counter = (
        "from opentelemetry.sdk.metrics import MeterProvider; from opentelemetry.sdk.metrics.export import InMemoryMetricReader; "
        "MeterProvider([InMemoryMetricReader()]).get_meter('shop').create_counter('requests')"
    )
    remarks: ClassVar = {
        "inc": "opentelemetry-sdk has no bound children: the caller keeps the dict of attributes and passes it in each call.",
        "labels_positional": "opentelemetry-sdk takes attributes as a dict only.",
        "labels_keyword": "opentelemetry-sdk takes attributes as a dict, which is made in the call.",
        "labels_converted": "opentelemetry-sdk keeps the `int` as an attribute value of its own kind.",
        "labels_many": "opentelemetry-sdk takes attributes as a dict, which is made in the call.",
        "time_block": "opentelemetry-sdk times nothing by itself.",
        "counters_10k": NO_TEXT,
        "stall_thread": NO_TEXT,
        "memory": "opentelemetry-sdk's in-memory reader renders no text, so there is nothing to be measured after a scrape.",
        "delivery_otlp": "opentelemetry-sdk: a periodic reader that is told to flush, with opentelemetry-exporter-otlp-proto-http. Neither "
        "side compresses.",
    }

    def __init__(self) -> None:
        self.reader = _reader("InMemoryMetricReader")
        self.meter = _meter(self.reader)

    def _histogram(self) -> Any:
        return self.meter.create_histogram("seconds", explicit_bucket_boundaries_advisory=BUCKETS)

    def inc(self) -> Code:
        kept = {"method": "GET", "endpoint": "/api/orders", "status": "200"}
        return Code("counter.add(1, kept)", {"counter": self.meter.create_counter("requests"), "kept": kept})

    def labels_keyword(self) -> Code:
        statement = 'counter.add(1, {"method": "GET", "endpoint": "/api/orders", "status": "200"})'
        return Code(statement, {"counter": self.meter.create_counter("requests")})

    def labels_converted(self) -> Code:
        statement = 'counter.add(1, {"method": "GET", "endpoint": "/api/orders", "status": 200})'
        return Code(statement, {"counter": self.meter.create_counter("requests")})

    def labels_many(self, keys: list[tuple[str, str, str]]) -> Code:
        statement = 'for a, b, c in keys: counter.add(1, {"method": a, "endpoint": b, "status": c})'
        return Code(statement, {"counter": self.meter.create_counter("requests"), "keys": keys}, operations=len(keys))

    def observe(self) -> Code:
        return Code("histogram.record(0.3)", {"histogram": self._histogram()})

    def set(self) -> Code:
        return Code("gauge.set(42.5)", {"gauge": self.meter.create_gauge("level")})

    def shared_counter(self) -> tuple[Code, Callable[[], float]]:
        counter = self.meter.create_counter("shared")
        return Code("counter.add(1)", {"counter": counter}), lambda: float(self._points()[0].value)

    def _points(self) -> Any:
        return self.reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points

    def counter_series(self) -> Touch:
        counter = self.meter.create_counter("requests")
        return lambda a, b, c, value: counter.add(value, {"method": a, "endpoint": b, "status": c})

    def delivery(self, destination: str, sink: Sink) -> tuple[Touch, Callable[[], object]] | None:
        if destination != "otlp":
            return None
        exporting: Any = import_module("opentelemetry.exporter.otlp.proto.http.metric_exporter")
        exporter = exporting.OTLPMetricExporter(endpoint=f"http://{sink.http}/v1/metrics")
        reader = _reader("PeriodicExportingMetricReader", exporter, export_interval_millis=3_600_000)
        self.meter = _meter(reader)
        return self.counter_series(), reader.force_flush


def _reader(name: str, *arguments: Any, **settings: Any) -> Any:
    """A reader without a limit on series."""
    make: Any = getattr(import_module("opentelemetry.sdk.metrics.export"), name)
    if "cardinality_limits" in inspect.signature(make).parameters:  # older releases know no limit
        settings["cardinality_limits"] = {import_module("opentelemetry.sdk.metrics").Counter: 10_000_000}
    return make(*arguments, **settings)


def _meter(reader: Any) -> Any:
    provider: Any = import_module("opentelemetry.sdk.metrics").MeterProvider([reader], shutdown_on_exit=False)
    return provider.get_meter("benchmarks")
