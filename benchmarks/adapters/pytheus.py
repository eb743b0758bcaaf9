"""pytheus, with its default in-memory backend."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

from benchmarks.adapters import BUCKETS, LABEL_NAMES, Adapter, Code, Touch


class Library(Adapter):
    title = "pytheus"
    distribution = "pytheus"
    order = 30
    import_statement = "import pytheus.metrics, pytheus.exposition"
    first_counter = "import pytheus.exposition; from pytheus.metrics import Counter; Counter('requests_total', 'Requests')"
    remarks: ClassVar = {
        "labels_positional": "pytheus takes label values by keyword only.",
        "labels_converted": "pytheus: label values go by keyword, and the `int` is made a string by the caller, as its types ask.",
        "labels_many": "pytheus: label values go by keyword.",
    }

    def __init__(self) -> None:
        self.metrics: Any = import_module("pytheus.metrics")
        self.registry: Any = import_module("pytheus.registry").CollectorRegistry()

    def _counter(self) -> Any:
        return self.metrics.Counter("requests_total", "Requests", LABEL_NAMES, registry=self.registry)

    def _histogram(self, labelnames: tuple[str, ...] | None = None) -> Any:
        return self.metrics.Histogram("seconds", "Seconds", labelnames, buckets=BUCKETS, registry=self.registry)

    def inc(self) -> Code:
        return Code("child.inc()", {"child": self._counter().labels(method="GET", endpoint="/api/orders", status="200")})

    def labels_keyword(self) -> Code:
        return Code('counter.labels(method="GET", endpoint="/api/orders", status="200").inc()', {"counter": self._counter()})

    def labels_converted(self) -> Code:
        return Code('counter.labels(method="GET", endpoint="/api/orders", status=str(200)).inc()', {"counter": self._counter()})

    def labels_many(self, keys: list[tuple[str, str, str]]) -> Code:
        statement = "for a, b, c in keys: counter.labels(method=a, endpoint=b, status=c).inc()"
        return Code(statement, {"counter": self._counter(), "keys": keys}, operations=len(keys))

    def observe(self) -> Code:
        return Code("histogram.observe(0.3)", {"histogram": self._histogram()})

    def set(self) -> Code:
        return Code("gauge.set(42.5)", {"gauge": self.metrics.Gauge("level", "Level", registry=self.registry)})

    def time_block(self) -> Code:
        return Code("with histogram.time(): pass", {"histogram": self._histogram()})

    def timed_function(self, function: Callable[[], object]) -> Code:
        return Code("timed()", {"timed": self._histogram()(function)})

    def timed_coroutine(self, function: Callable[[], Any]) -> Code:
        return Code("await timed()", {"timed": self._histogram()(function)}, awaits=True)

    def shared_counter(self) -> tuple[Code, Callable[[], float]]:
        counter = self.metrics.Counter("shared_total", "Shared", registry=self.registry)
        return Code("counter.inc()", {"counter": counter}), lambda: float(next(iter(counter.collect())).value)

    def counter_series(self) -> Touch:
        counter = self._counter()
        return lambda a, b, c, value: counter.labels(method=a, endpoint=b, status=c).inc(value)

    def histogram_series(self) -> Touch:
        histogram = self._histogram(LABEL_NAMES)
        return lambda a, b, c, value: histogram.labels(method=a, endpoint=b, status=c).observe(value)

    def exposition(self) -> Callable[[], bytes]:
        generate = import_module("pytheus.exposition").generate_metrics
        return lambda: bytes(generate(self.registry).encode())
