"""Real collections, those that things go wrong in included."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from measurand import CollectorRegistry
from measurand.catalog.gc import GCMetrics
from measurand.integrations.gc import instrument
from measurand.integrations.handle import Handle
from measurand.testing.clock import FakeClock
from tests.support import eager_switching, run_threads


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def handle(registry: CollectorRegistry) -> Iterator[Handle]:
    with instrument(registry=registry) as handle:
        yield handle


def value(registry: CollectorRegistry, kind: str, generation: int = 2) -> float:
    found = registry.get_sample_value(f"python_gc_pause_seconds_{kind}", {"generation": str(generation)})
    assert found is not None
    return found


@pytest.mark.usefixtures("handle")
def test_each_collection_is_recorded_by_its_generation(registry: CollectorRegistry) -> None:
    before = value(registry, "count")
    gc.collect(2)
    gc.collect(2)
    assert value(registry, "count") >= before + 2
    assert value(registry, "sum") > 0
    before = value(registry, "count", 0)
    gc.collect(0)
    assert value(registry, "count", 0) >= before + 1


class Chore:
    """Does something when it is collected, and only then."""

    def __init__(self, do: Any) -> None:
        self.do = do
        self.me = self

    def __del__(self) -> None:
        self.do()


@pytest.mark.usefixtures("handle")
def test_the_pause_has_all_that_happens_in_it(registry: CollectorRegistry, metrics_clock: FakeClock) -> None:
    def sums() -> float:
        return sum(value(registry, "sum", generation) for generation in range(3))

    before = sums()
    Chore(lambda: metrics_clock.advance(3.0))
    gc.collect()  # or one that the interpreter has begun by itself meanwhile
    assert sums() == pytest.approx(before + 3.0)


@pytest.mark.usefixtures("handle")
def test_what_finalizers_do_within_a_collection_does_no_harm(registry: CollectorRegistry) -> None:
    done: list[str] = []

    def everything() -> None:
        gc.collect()
        GCMetrics(registry).observers[2](0.0)
        registry.get_sample_value("python_gc_pause_seconds_count", {"generation": "2"})
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join(60)
        done.append("all")

    Chore(everything)
    before = value(registry, "count")
    gc.collect()
    assert done == ["all"]
    assert value(registry, "count") >= before + 2  # the collection and what was observed by hand


def test_recording_may_begin_and_end_within_a_collection(registry: CollectorRegistry) -> None:
    handles: list[Handle] = []
    callbacks = list(gc.callbacks)
    Chore(lambda: handles.append(instrument(registry=registry)))
    gc.collect()
    (handle,) = handles
    gc.collect()
    assert value(registry, "count") >= 1
    Chore(handle.uninstrument)
    gc.collect()
    assert not handle.is_active
    assert gc.callbacks == callbacks


@pytest.mark.usefixtures("handle")
def test_collections_come_upon_any_thread_and_are_all_recorded(registry: CollectorRegistry) -> None:
    counted: list[dict[str, int]] = []

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            counted.append(info)

    gc.callbacks.append(count)
    gc.disable()  # none comes between the looks
    gc.collect()
    gc.freeze()  # so that they are quick
    try:
        before, begun = sum(value(registry, "count", number) for number in range(3)), len(counted)
        with eager_switching():
            run_threads(*[lambda: [gc.collect(number % 3) for number in range(30)]] * 4)
        assert sum(value(registry, "count", number) for number in range(3)) - before == len(counted) - begun > 0
    finally:
        gc.unfreeze()
        gc.enable()
        gc.callbacks.remove(count)


@pytest.mark.once
def test_it_is_hooked_in_once_and_taken_out() -> None:
    callbacks = list(gc.callbacks)
    handle = instrument(registry=CollectorRegistry())
    assert instrument() is handle
    assert instrument(gc) is handle
    assert len(gc.callbacks) == len(callbacks) + 1
    handle.uninstrument()
    assert gc.callbacks == callbacks
    second = instrument(registry=CollectorRegistry())
    gc.callbacks[:] = callbacks
    second.uninstrument()
    assert (gc.callbacks, second.is_active) == (callbacks, False)


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.usefixtures("handle")
def test_a_child_process_goes_on(registry: CollectorRegistry) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            before = value(registry, "count")
            gc.collect()
            code = 0 if value(registry, "count") >= before + 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
