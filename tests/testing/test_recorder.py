"""Snapshots kept in memory."""

from __future__ import annotations

from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Gauge, Histogram
from measurand.testing.recorder import Recorder


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry(common_labels={"service": "shop"})


def test_a_recording_holds_what_an_exporter_would_have_got(registry: CollectorRegistry) -> None:
    Counter("hits", "d", ["page"], registry=registry).labels("a").inc(2)
    Histogram("seconds", "d", registry=registry, buckets=[1]).observe(0.5)
    recording = Recorder(registry).record()
    assert recording.types == {"hits": "counter", "seconds": "histogram"}
    assert recording.value("hits_total", page="a", service="shop") == 2
    assert recording.value("hits_total", service="shop", page="a") == 2
    assert recording.value("seconds_bucket", le="1.0", service="shop") == 1
    assert recording.value("hits_total", page="a") is None  # all labels, exactly
    assert recording.value("misses_total") is None


def test_recordings_stay_as_they_were_in_their_order(registry: CollectorRegistry) -> None:
    gauge, recorder = Gauge("g", "d", registry=registry), Recorder(registry)
    for value in (1, 2, 3):
        gauge.set(value)
        recorder.record()
    assert [recording.value("g", service="shop") for recording in recorder.recordings] == [1, 2, 3]


def test_the_difference_is_what_changed_between_the_last_two(registry: CollectorRegistry) -> None:
    hits, level, recorder = Counter("hits", "d", ["page"], registry=registry), Gauge("level", "d", registry=registry), Recorder(registry)
    labels = (("page", "a"), ("service", "shop"))
    assert recorder.difference() == {}
    hits.labels("a").inc(5)
    recorder.record()
    assert recorder.difference() == {("hits_total", labels): 5, ("level", (("service", "shop"),)): 0}  # nothing came before
    hits.labels("a").inc(2)
    level.set(7)
    recorder.record()
    assert recorder.difference() == {("hits_total", labels): 2, ("level", (("service", "shop"),)): 7}
    recorder.record()
    assert recorder.difference() == {}
    hits.clear()
    recorder.record()
    assert recorder.difference() == {("hits_total", labels): -7}


def test_what_is_not_a_number_is_no_change(registry: CollectorRegistry) -> None:
    gauge, recorder = Gauge("g", "d", registry=registry), Recorder(registry)
    gauge.set(float("nan"))
    recorder.record()
    recorder.record()
    assert recorder.difference() == {}


def test_one_collector_that_fails_does_not_spoil_a_recording(registry: CollectorRegistry) -> None:
    class Broken:
        def collect(self) -> Any:
            raise RuntimeError

    registry.register(Broken())
    Counter("hits", "d", registry=registry).inc()
    assert Recorder(registry).record().value("hits_total", service="shop") == 1
