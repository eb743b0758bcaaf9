"""aioprometheus."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

from benchmarks.adapters import BUCKETS, Adapter, Code, Touch

LABELS = '{"method": "GET", "endpoint": "/api/orders", "status": "200"}'


class Library(Adapter):
    title = "aioprometheus"
    distribution = "aioprometheus"
    order = 40
    import_statement = "import aioprometheus"
    first_counter = "from aioprometheus import Counter; Counter('requests_total', 'Requests')"
    remarks: ClassVar = {
        "inc": "aioprometheus has no bound children: the caller keeps the dict of labels and passes it in each call.",
        "labels_positional": "aioprometheus takes labels as a dict only.",
        "labels_keyword": "aioprometheus takes labels as a dict, which is made in the call.",
        "labels_converted": "aioprometheus keeps the `int` as a label value of its own kind.",
        "labels_many": "aioprometheus takes labels as a dict, which is made in the call.",
        "time_block": "aioprometheus times functions only.",
        "threads": "aioprometheus is made for one event loop: it has no lock, and loses increments between threads.",
    }

    def __init__(self) -> None:
        self.library: Any = import_module("aioprometheus")
        self.registry: Any = import_module("aioprometheus.collectors").Registry()

    def _counter(self) -> Any:
        return self.library.Counter("requests_total", "Requests", registry=self.registry)

    def _histogram(self) -> Any:
        return self.library.Histogram("seconds", "Seconds", buckets=BUCKETS, registry=self.registry)

    def inc(self) -> Code:
        kept = {"method": "GET", "endpoint": "/api/orders", "status": "200"}
        return Code("counter.inc(kept)", {"counter": self._counter(), "kept": kept})

    def labels_keyword(self) -> Code:
        return Code(f"counter.inc({LABELS})", {"counter": self._counter()})

    def labels_converted(self) -> Code:
        return Code('counter.inc({"method": "GET", "endpoint": "/api/orders", "status": 200})', {"counter": self._counter()})

    def labels_many(self, keys: list[tuple[str, str, str]]) -> Code:
        statement = 'for a, b, c in keys: counter.inc({"method": a, "endpoint": b, "status": c})'
        return Code(statement, {"counter": self._counter(), "keys": keys}, operations=len(keys))

    def observe(self) -> Code:
        return Code("histogram.observe(None, 0.3)", {"histogram": self._histogram()})

    def set(self) -> Code:
        return Code("gauge.set(None, 42.5)", {"gauge": self.library.Gauge("level", "Level", registry=self.registry)})

    def timed_function(self, function: Callable[[], object]) -> Code:
        return Code("timed()", {"timed": self.library.timer(self._histogram())(function)})

    def timed_coroutine(self, function: Callable[[], Any]) -> Code:
        return Code("await timed()", {"timed": self.library.timer(self._histogram())(function)}, awaits=True)

    def shared_counter(self) -> tuple[Code, Callable[[], float]]:
        counter = self.library.Counter("shared_total", "Shared", registry=self.registry)
        return Code("counter.inc(None)", {"counter": counter}), lambda: float(counter.get(None))

    def counter_series(self) -> Touch:
        counter = self._counter()
        return lambda a, b, c, value: counter.add({"method": a, "endpoint": b, "status": c}, value)

    def histogram_series(self) -> Touch:
        histogram = self._histogram()
        return lambda a, b, c, value: histogram.observe({"method": a, "endpoint": b, "status": c}, value)

    def exposition(self) -> Callable[[], bytes]:
        render = import_module("aioprometheus.renderer").render
        return lambda: bytes(render(self.registry, [])[0])
