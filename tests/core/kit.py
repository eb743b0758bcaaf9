"""Instruments of one twin, made as the layers above make them: subclasses with a ``__dict__``, each defined under a new name."""

from __future__ import annotations

import importlib
import itertools
from types import ModuleType
from typing import Any

from measurand.core.contract import Spec

_numbers = itertools.count()


class Careless:
    """A counter that a thread or a signal handler can interrupt between reading and writing."""

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        value = self.value
        self.pause()
        self.value = value + 1

    def pause(self) -> None:
        pass


class Kit:
    """What makes instruments of one twin."""

    def __init__(self, core: ModuleType) -> None:
        self.core = core

        class Counter(core.CounterBase):
            """A counter as users see it."""

        class Gauge(core.GaugeBase):
            """A gauge as users see it."""

        class Summary(core.SummaryBase):
            """A summary as users see it."""

        class Histogram(core.HistogramBase):
            """A histogram as users see it."""

        class Other(core.Instrument):
            """An instrument whose cells the layer above gives a meaning."""

        self.Counter, self.Gauge, self.Summary, self.Histogram, self.Other = Counter, Gauge, Summary, Histogram, Other

    def counter(self, *labelnames: str, **spec: Any) -> Any:
        return self.make(self.Counter, "counter", labelnames, **spec)

    def gauge(self, *labelnames: str, **spec: Any) -> Any:
        return self.make(self.Gauge, "gauge", labelnames, **spec)

    def summary(self, *labelnames: str, **spec: Any) -> Any:
        return self.make(self.Summary, "summary", labelnames, width=2, **spec)

    def histogram(self, *labelnames: str, bounds: tuple[float, ...] = (1.0, 2.0, 5.0), **spec: Any) -> Any:
        return self.make(self.Histogram, "histogram", labelnames, bounds=bounds, width=len(bounds) + 2, **spec)

    def other(self, *labelnames: str, width: int = 3, **spec: Any) -> Any:
        return self.make(self.Other, "stateset", labelnames, kind="other", width=width, **spec)

    def make(self, cls: Any, type: str, labelnames: tuple[str, ...], *, kind: Any = None, name: str | None = None, **spec: Any) -> Any:
        instrument = cls()
        name = name or f"kit_{type}_{next(_numbers)}"
        self.core.define(instrument, Spec(name=name, type=type, kind=kind or type, labelnames=labelnames, **spec))
        return instrument

    def rows(self, instrument: Any) -> dict[tuple[str, ...], tuple[float, ...]]:
        """What a scrape would see."""
        rows = self.core.freeze(instrument).rows()
        assert len(rows) == len(dict(rows)), "a key stands in two rows"
        return dict(rows)


class MovedKit(Kit):
    """The same, but all cells are moved into memory apart, as into a lane, before anything is recorded."""

    def make(self, *args: Any, **spec: Any) -> Any:
        instrument = super().make(*args, **spec)

        def move(series: Any) -> None:
            memory = memoryview(bytearray(8 * (self.core.spec(series).width + 2))).cast("d")
            self.core.move(series, memory, 0, "keep")

        if self.core.spec(instrument).labelnames:
            self.core.watch(instrument, move)
        elif self.core.spec(instrument).width:
            move(instrument)
        return instrument


def exercise(module: str) -> None:
    """Use everything of a twin once; what a child process does to show that it can."""
    make = Kit(importlib.import_module(module))
    counter, gauge, histogram = make.counter("a", max_series=1), make.gauge("a"), make.histogram()
    for label in "xyz":
        counter.labels(label).inc()
        gauge.labels(a=label).set(1)
    gauge.replace({"v": 2})
    gauge.remove("x")
    with histogram.time():
        histogram.observe(3, {"trace": "1"})
    assert make.rows(counter) == {("x",): (1.0,), ("__other__",): (2.0,)}
    assert make.rows(gauge) == {("v",): (2.0,)}
    assert make.rows(histogram)[()][-2] == 2
    assert make.core.Layout([], 0, [(b"h", None, 3, 2)]).render(make.core.freeze(histogram), lambda _: b" # {}") == b"h 2.0 # {}\n"
