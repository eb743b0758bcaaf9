"""What a core promises to signal handlers, the garbage collector, finalizers and conversions that come back to it. Both twins."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import logging
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from measurand.core.contract import OVERFLOW_VALUE, Spec
from tests.core.kit import Careless, Kit
from tests.support import SECONDS, for_a_while, wait_until


@contextlib.contextmanager
def interrupted(handler: Callable[[], object]) -> Iterator[None]:
    """Call ``handler`` from a signal handler a thousand times a second, and from the garbage collector whenever it runs."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        handler()

    def on_collection(phase: str, info: dict[str, int]) -> None:
        handler()

    before = signal.signal(signal.SIGALRM, on_signal)
    thresholds = gc.get_threshold()
    gc.set_threshold(20)
    gc.callbacks.append(on_collection)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.callbacks.remove(on_collection)
        gc.set_threshold(*thresholds)


needs_timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")


@needs_timers
def test_these_interruptions_do_lose_updates_where_that_is_possible() -> None:
    careless = Careless()
    attempts: list[None] = []

    def record() -> None:
        attempts.append(None)
        careless.inc()

    def lost() -> int:
        for _ in range(10_000):
            record()
        return len(attempts) - careless.value

    with interrupted(record):
        assert wait_until(lost) > 0


@needs_timers
def test_signal_handlers_and_collections_that_record_lose_nothing_and_never_hang(make: Kit) -> None:
    """P-7."""
    counter, gauge, summary, histogram = make.counter(), make.gauge("a"), make.summary("a"), make.histogram("a", max_series=5)
    expiring = make.gauge("a", expire_after=1e9)
    kept, turns = gauge.labels("kept"), itertools.count()
    interruptions = itertools.count()

    def record() -> None:
        turn = next(turns)
        counter.inc()
        kept.inc(2)
        summary.labels("x").observe(1)
        summary.labels(a=turn % 3).observe(1)
        histogram.labels(turn % 7).observe(turn % 3, {"trace": "x"})
        expiring.labels("x").inc()
        gauge.labels(turn).set(1)
        gauge.remove(turn)
        if turn % 64 == 0:
            with summary.labels("timed").time():
                make.core.freeze(histogram)

    def interrupt() -> None:
        next(interruptions)
        record()

    with interrupted(interrupt):
        for _ in for_a_while():
            record()
    total = next(turns)
    assert next(interruptions) > 100 * SECONDS
    assert make.rows(counter) == {(): (float(total),)}
    assert make.rows(gauge) == {("kept",): (2.0 * total,)}
    rows = make.rows(summary)
    assert rows.pop(("timed",))[0] == (total + 63) // 64
    assert rows.pop(("x",)) == (float(total), float(total))
    assert sum(count for count, _ in rows.values()) == total
    assert sum(cells[-2] for cells in make.rows(histogram).values()) == total
    assert make.rows(expiring) == {("x",): (float(total),)}


class Nosy:
    """A value whose conversions do something else first."""

    def __init__(self, first: Callable[[], object], value: Any = "x") -> None:
        self.first, self.value = first, value

    def __str__(self) -> str:
        self.first()
        return str(self.value)

    def __float__(self) -> float:
        self.first()
        return float(self.value)


def redefine(make: Kit, metric: Any) -> None:
    make.core.define(metric, make.core.spec(metric))


MEDDLING: dict[str, Callable[[Kit, Any], object]] = {
    "record": lambda make, metric: metric.labels("x").inc(0),
    "create": lambda make, metric: [metric.labels(f"new {number}") for number in range(1000)],
    "remove": lambda make, metric: metric.remove("x"),
    "clear": lambda make, metric: metric.clear(),
    "replace": lambda make, metric: metric.replace({"y": 0}),
    "define": redefine,
    "freeze": lambda make, metric: make.core.freeze(metric).rows(),
    "collect": lambda make, metric: gc.collect(),
}


@pytest.mark.parametrize("meddling", MEDDLING)
def test_a_conversion_may_use_the_very_instrument(make: Kit, meddling: str) -> None:
    meddle = MEDDLING[meddling]
    metric = make.gauge("a")
    for name in ("position", "keyword", "remove", "some", "replace"):
        metric.labels("x").set(1)
        nosy = Nosy(lambda: meddle(make, metric))
        if name == "position":
            metric.labels(nosy).set(2)
        elif name == "keyword":
            metric.labels(a=nosy).set(2)
        elif name == "remove":
            metric.remove(nosy)
            metric.labels("x").set(2)
        elif name == "some":
            metric.remove_by_labels({"a": nosy})
            metric.labels("x").set(2)
        else:
            metric.replace({nosy: 2, "other": Nosy(lambda: meddle(make, metric), 3)})
            assert list(make.rows(metric)) == [("x",), ("other",)]
        assert make.rows(metric)[("x",)] == (2.0,)
        assert metric.labels("x") in make.core.children(metric)


@pytest.mark.parametrize("meddling", MEDDLING)
def test_an_amount_may_use_the_very_instrument(make: Kit, meddling: str) -> None:
    meddle = MEDDLING[meddling]
    metric = make.gauge("a")
    for record in ("inc", "dec", "set"):
        kept = metric.labels("x")
        before = make.core.read(kept)[0]
        getattr(kept, record)(Nosy(lambda: meddle(make, metric), 3))
        assert make.core.read(kept) == ({"inc": before + 3, "dec": before - 3, "set": 3}[record],)


def test_an_amount_may_define_its_own_instrument_again(make: Kit) -> None:
    counter, gauge, summary, histogram = make.counter(), make.gauge(), make.summary(), make.histogram()
    wider = Spec("w", "histogram", "histogram", bounds=tuple(map(float, range(100))), width=102)
    for record in (counter.inc, gauge.inc, gauge.set, summary.observe, histogram.observe):
        metric = record.__self__
        record(Nosy(lambda metric=metric: redefine(make, metric), 2))
        assert make.core.read(metric)[-1] == 2.0
    histogram.observe(Nosy(lambda: make.core.define(histogram, wider), 50))
    assert make.core.read(histogram)[50] == 1.0
    make.core.write(histogram, 0, Nosy(lambda: redefine(make, histogram), 9))
    assert make.core.read(histogram)[0] == 9.0
    labelled = Spec("w", "histogram", "histogram", labelnames=("a",), bounds=(1.0,), width=3)
    with pytest.raises(ValueError, match="missing label values"):
        histogram.observe(Nosy(lambda: make.core.define(histogram, labelled), 1))


def test_a_finalizer_may_record_on_the_instrument_that_drops_it(make: Kit) -> None:
    calls = itertools.count(1)

    class Gone:
        def __del__(self) -> None:
            next(calls)
            metric.labels("finalized").inc()
            make.core.freeze(metric)

    metric = make.gauge("a")
    series = [metric.labels(label) for label in "abcdefg"]
    for child in series:
        child.note = Gone()
    make.core.set_payload(metric.labels("payload"), Gone())
    make.core.set_payload(metric.labels("payload"), None)
    series.clear()
    del child
    metric.remove("a")
    metric.remove_by_labels({"a": "b"})
    metric.replace({"c": 1, "finalized": 0})
    metric.labels("c").set_function(functools.partial(float, Gone()))
    metric.replace({"finalized": 0})
    gc.collect()
    metric.labels("z").note = Gone()
    metric.clear()
    gc.collect()
    metric.labels("z").note = Gone()
    redefine(make, metric)
    gc.collect()
    assert next(calls) == 12
    assert set(make.rows(metric)) <= {("finalized",)}


def test_a_hook_for_new_children_may_use_the_instrument(make: Kit) -> None:
    def adopt(child: Any) -> None:
        (label,) = make.core.key(child)
        if label == "grow":
            for number in range(1000):
                metric.labels(number)
        elif label == "same" and next(depth) == 0:
            metric.labels("same").set(7)
        elif label == "clear":
            metric.clear()

    depth = itertools.count()
    metric = make.gauge("a", adopt=adopt)
    metric.labels("grow").set(1)
    assert len(make.rows(metric)) == 1001
    metric.labels("same").inc()
    assert make.rows(metric)[("same",)] == (8.0,)
    metric.labels("clear").set(3)
    assert metric.labels("clear") in make.core.children(metric)
    assert make.rows(metric) == {("clear",): (3.0,)}


def test_counting_log_records_with_the_metric_that_logs_them_is_no_trap(make: Kit) -> None:
    counter, summary = make.counter("message", max_series=1), make.summary("a")

    class Counting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            counter.labels(record.getMessage()).inc()
            summary.labels("x").observe(float("nan"))

    handler = Counting()
    log = logging.getLogger("measurand")
    log.addHandler(handler)
    try:
        counter.labels("first").inc()
        counter.labels("second").inc()
        summary.labels("x").observe(float("nan"))
    finally:
        log.removeHandler(handler)
    assert make.rows(counter) == {("first",): (1.0,), (OVERFLOW_VALUE,): (3.0,)}
    assert make.rows(summary) == {("x",): (0.0, 0.0)}
