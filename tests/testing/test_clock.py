"""The clock that moves when told."""

from __future__ import annotations

import pytest

from measurand import Counter, Gauge, Histogram, clock, timed
from measurand.metrics.registry import CollectorRegistry
from measurand.testing.clock import FakeClock


def test_it_stands_still_until_it_is_moved_and_moves_both_clocks() -> None:
    with FakeClock(wall=1000.0) as fake:
        assert (clock.monotonic(), clock.wall()) == (clock.monotonic(), clock.wall()) == (fake.monotonic(), 1000.0)
        fake.advance(2.5)
        fake.advance(0)
        assert (clock.monotonic(), clock.wall()) == (2.5, 1002.5)
        assert (fake.monotonic(), fake.wall()) == (2.5, 1002.5)


def test_it_does_not_go_back() -> None:
    fake = FakeClock()
    with pytest.raises(ValueError, match=r"cannot go back by 1 s; advance\(\) takes 0 or more"):
        fake.advance(-1)
    assert fake.monotonic() == 0


def test_timers_time_stamps_and_expiry_follow_it() -> None:
    registry = CollectorRegistry()
    with FakeClock(wall=5000.0) as fake:
        histogram = Histogram("h", "d", registry=registry, buckets=[1])
        gauge = Gauge("g", "d", registry=registry, expire_after=10)
        now = Gauge("now", "d", registry=registry)
        gauge.set(1)
        with histogram.time(), timed("t", registry=registry):
            fake.advance(0.25)
        now.set_to_current_time()
        assert registry.get_sample_value("h_sum") == 0.25
        assert registry.get_sample_value("t_sum", {"status": "success"}) == 0.25
        assert registry.get_sample_value("now") == 5000.25
        assert registry.get_sample_value("g") == 1
        fake.advance(10)
        assert registry.get_sample_value("g") is None


def test_at_its_end_the_clock_before_is_back() -> None:
    system = clock.monotonic
    with FakeClock() as outer:
        with FakeClock(wall=7.0):
            assert clock.wall() == 7.0
        assert clock.wall() == outer.wall()
    assert clock.monotonic is system
    counter = Counter("c", "d", registry=None)
    counter.inc(exemplar={"a": "b"})
    assert counter.collect()[0].samples[0].exemplar.timestamp > outer.wall()  # type: ignore[union-attr]


def test_an_error_inside_gives_the_clock_back_too() -> None:
    system = clock.wall
    with pytest.raises(KeyError), FakeClock():
        raise KeyError
    assert clock.wall is system
