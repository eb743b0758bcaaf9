"""What the layers above read of instruments, and what they tell them: cells, payloads, hooks, definitions. Both twins."""

from __future__ import annotations

import gc
import weakref
from types import ModuleType
from typing import Any

import pytest

from measurand.core.contract import OVERFLOW_VALUE, Spec
from tests.core.kit import Kit
from tests.support import StillClock


def test_a_series_knows_its_root_key_and_specification(make: Kit) -> None:
    core, metric = make.core, make.gauge("a", "b", name="m")
    child = metric.labels(1, 2)
    assert core.root(child) is core.root(metric) is metric
    assert core.spec(child) is core.spec(metric)
    assert core.spec(child).name == "m"
    assert (core.key(metric), core.key(child)) == (None, ("1", "2"))


def test_children_come_in_the_order_of_their_creation(make: Kit) -> None:
    metric = make.counter("n")
    labels = [str(number * 7919 % 1000) for number in range(1000)]
    made = [metric.labels(label) for label in labels]
    assert make.core.children(metric) == made
    assert list(make.rows(metric)) == [(label,) for label in labels]
    metric.remove(labels[3])
    again = metric.labels(labels[3])
    assert make.core.children(metric) == [*made[:3], *made[4:], again]
    assert make.core.children(made[0]) == []
    assert make.core.children(make.counter()) == []


def test_cells_are_read_and_written(make: Kit) -> None:
    core, metric = make.core, make.other("a", width=3)
    child = metric.labels("x")
    assert core.read(metric) == ()
    assert core.read(child) == (0.0, 0.0, 0.0)
    core.write(child, 0, 1)
    core.write(child, -1, 2.5)
    assert core.read(child) == (1.0, 0.0, 2.5)
    for index in (3, -4):
        with pytest.raises(IndexError):
            core.write(child, index, 9)
    for value in ("x", None):
        with pytest.raises((TypeError, ValueError)):
            core.write(child, 1, value)
    assert core.read(child) == (1.0, 0.0, 2.5)


def test_an_object_is_attached_and_detached(make: Kit) -> None:
    core, child = make.core, make.other("a").labels("x")
    attached = {"a": 1}
    assert core.payload(child) is None
    core.set_payload(child, attached)
    assert core.payload(child) is attached
    core.set_payload(child, None)
    assert core.payload(child) is None
    assert core.payload(make.other("a")) is None


def test_a_series_is_stamped_when_it_comes_to_be_and_when_it_is_reset(make: Kit, still_clock: StillClock) -> None:
    core, metric = make.core, make.counter("a")
    still_clock.advance(10)
    child = metric.labels("x")
    still_clock.advance(10)
    assert core.created(child) == 1.7e9 + 10
    assert core.created(metric) == 1.7e9
    child.reset()
    assert core.created(child) == 1.7e9 + 20


def test_the_layer_above_finishes_each_child_before_anybody_sees_it(make: Kit) -> None:
    core = make.core
    adopted: list[tuple[Any, Any, Any, tuple[float, ...]]] = []

    def adopt(child: Any) -> None:
        adopted.append((child, core.key(child), core.root(child), core.read(child)))
        assert child not in core.children(core.root(child))
        child.finished = True

    metric = make.gauge("a", max_series=2, adopt=adopt)
    assert adopted == []
    made = [metric.labels("x"), metric.labels(a="y"), metric.labels("z")]
    assert adopted == [
        (made[0], ("x",), metric, (0.0,)),
        (made[1], ("y",), metric, (0.0,)),
        (made[2], (OVERFLOW_VALUE,), metric, (0.0,)),
    ]
    metric.labels("x")
    metric.replace({"y": 1, "v": 2})
    assert [key for _, key, *_ in adopted[3:]] == [("v",)]
    assert all(child.finished for child in core.children(metric))


def test_a_child_that_the_layer_above_refuses_does_not_come_to_be(make: Kit) -> None:
    def adopt(child: Any) -> None:
        if make.core.key(child) != ("good",):
            raise RuntimeError("refused")

    metric = make.gauge("a", adopt=adopt)
    metric.labels("good").set(1)
    for attempt in (lambda: metric.labels("bad"), lambda: metric.labels(a="bad"), lambda: metric.replace({"good": 5, "bad": 6})):
        with pytest.raises(RuntimeError, match="refused"):
            attempt()
        assert make.rows(metric) == {("good",): (1.0,)}


# -- define() ----------------------------------------------------------------------------------------------------------------


def test_an_instrument_that_is_defined_again_starts_from_nothing(make: Kit) -> None:
    core, metric = make.core, make.counter("a", name="m", max_series=1)
    old = metric.labels("x")
    old.inc()
    metric.labels("y").inc()
    core.define(metric, Spec(name="m", type="counter", kind="counter", labelnames=("a", "b")))
    assert make.rows(metric) == {}
    assert core.dropped(metric) == 0
    assert core.spec(metric).labelnames == ("a", "b")
    old.inc()
    assert core.read(old) == (2.0,)
    assert core.key(old) == ("x",)
    assert metric.labels(b=2, a=1) is metric.labels("1", "2")
    core.define(metric, Spec(name="m", type="counter", kind="counter"))
    metric.inc(3)
    assert make.rows(metric) == {(): (3.0,)}
    core.define(metric, Spec(name="m", type="counter", kind="counter"))
    assert make.rows(metric) == {(): (0.0,)}


def test_an_instrument_that_was_never_defined_raises_and_does_no_harm(make: Kit) -> None:
    core = make.core
    calls: list[Any] = [
        lambda: make.Counter().inc(),
        lambda: make.Counter().inc(-1),
        lambda: make.Counter().reset(),
        lambda: make.Gauge().inc(),
        lambda: make.Gauge().dec(),
        lambda: make.Gauge().set(1),
        lambda: make.Gauge().set_function(int),
        lambda: make.Gauge().replace({"a": 1}),
        lambda: make.Summary().observe(1),
        lambda: make.Histogram().observe(1),
        lambda: make.Other().labels("x"),
        lambda: make.Other().labels(a="x"),
        lambda: make.Other().remove("x"),
        lambda: make.Other().remove_by_labels({}),
        lambda: make.Other().clear(),
        lambda: core.freeze(make.Other()),
        lambda: core.children(make.Other()),
        lambda: core.dropped(make.Other()),
        lambda: core.read(make.Other()),
        lambda: core.write(make.Other(), 0, 1),
        lambda: core.spec(make.Other()),
        lambda: core.root(make.Other()),
        lambda: core.set_payload(make.Other(), 1),
    ]
    for call in calls:
        with pytest.raises(AttributeError):
            call()


# -- memory ------------------------------------------------------------------------------------------------------------------


def test_what_nobody_holds_is_collected_with_its_series_callbacks_and_hooks(make: Kit) -> None:
    class Marker:
        pass

    def build() -> list[weakref.ref[Any]]:
        markers = [Marker() for _ in range(4)]
        metric = make.gauge("a", adopt=lambda child, held=markers[0]: None)
        child = metric.labels("x")
        child.set_function(lambda: (metric, child, markers[1]))
        metric.note = (metric, markers[2])
        child.note = (metric, markers[3])
        layout = make.core.Layout([(b"", 0)], 1, [(b"m", None, 0, -1)])
        frozen = make.core.freeze(metric)
        layout.render(frozen)
        metric.frozen = frozen
        return [weakref.ref(marker) for marker in markers]

    references = build()
    gc.collect()
    assert [reference() for reference in references] == [None] * 4


def test_a_series_keeps_its_root_alive_and_a_removed_one_is_let_go(make: Kit) -> None:
    child = make.counter("a", name="m").labels("x")
    gc.collect()
    child.inc()
    assert make.core.spec(child).name == "m"
    assert make.core.children(make.core.root(child)) == [child]
    metric = make.counter("a")
    reference = weakref.ref(metric.labels("x"))
    metric.remove("x")
    gc.collect()
    assert reference() is None


def test_the_twin_names_itself(core: ModuleType) -> None:
    assert core.implementation == {"measurand.core.pure": "python", "measurand.core._native": "c"}[core.__name__]
