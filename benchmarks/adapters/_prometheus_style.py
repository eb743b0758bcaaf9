"""What libraries with prometheus_client's instruments have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar

from benchmarks.adapters import BUCKETS, LABEL_NAMES, Adapter, Code, Touch


class PrometheusStyle(Adapter):
    """An adapter for ``module``, which offers prometheus_client's names; ``unlimited`` goes into the definition of a metric of many
    series."""

    module: ClassVar[str]
    unlimited: ClassVar[Mapping[str, object]] = {}

    def __init__(self) -> None:
        self.library: Any = import_module(self.module)
        self.registry: Any = self.library.CollectorRegistry()

    def _counter(self) -> Any:
        return self.library.Counter("requests_total", "Requests", LABEL_NAMES, registry=self.registry, **self.unlimited)

    def _histogram(self, labelnames: tuple[str, ...] = ()) -> Any:
        return self.library.Histogram("seconds", "Seconds", labelnames, buckets=BUCKETS, registry=self.registry, **self.unlimited)

    def _gauge(self) -> Any:
        return self.library.Gauge("level", "Level", registry=self.registry)

    def inc(self) -> Code:
        return Code("child.inc()", {"child": self._counter().labels("GET", "/api/orders", "200")})

    def labels_positional(self) -> Code:
        return Code('counter.labels("GET", "/api/orders", "200").inc()', {"counter": self._counter()})

    def labels_keyword(self) -> Code:
        return Code('counter.labels(method="GET", endpoint="/api/orders", status="200").inc()', {"counter": self._counter()})

    def labels_converted(self) -> Code:
        return Code('counter.labels("GET", "/api/orders", 200).inc()', {"counter": self._counter()})

    def labels_many(self, keys: list[tuple[str, str, str]]) -> Code:
        return Code("for a, b, c in keys: counter.labels(a, b, c).inc()", {"counter": self._counter(), "keys": keys}, operations=len(keys))

    def observe(self) -> Code:
        return Code("histogram.observe(0.3)", {"histogram": self._histogram()})

    def set(self) -> Code:
        return Code("gauge.set(42.5)", {"gauge": self._gauge()})

    def time_block(self) -> Code:
        return Code("with histogram.time(): pass", {"histogram": self._histogram()})

    def timed_function(self, function: Callable[[], object]) -> Code:
        return Code("timed()", {"timed": self._histogram().time()(function)})

    def timed_coroutine(self, function: Callable[[], Any]) -> Code:
        return Code("await timed()", {"timed": self._histogram().time()(function)}, awaits=True)

    def shared_counter(self) -> tuple[Code, Callable[[], float]]:
        counter = self.library.Counter("shared_total", "Shared", registry=self.registry)
        return Code("counter.inc()", {"counter": counter}), lambda: float(self.registry.get_sample_value("shared_total"))

    def counter_series(self) -> Touch:
        counter = self._counter()
        return lambda a, b, c, value: counter.labels(a, b, c).inc(value)

    def histogram_series(self) -> Touch:
        histogram = self._histogram(LABEL_NAMES)
        return lambda a, b, c, value: histogram.labels(a, b, c).observe(value)

    def exposition(self) -> Callable[[], bytes]:
        generate = self.library.generate_latest
        return lambda: bytes(generate(self.registry))
