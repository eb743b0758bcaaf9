"""Time in one place."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from measurand import clock
from tests.support import StillClock

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = clock.use(None)
    yield
    clock.use(before)


def test_the_systems_clocks_serve_unless_told_otherwise() -> None:
    before = time.perf_counter(), time.time()
    read = clock.monotonic(), clock.wall()
    after = time.perf_counter(), time.time()
    assert before[0] <= read[0] <= after[0]
    assert before[1] - 0.001 <= read[1] <= after[1] + 0.001


def test_a_replacement_serves_both_readings_until_it_is_taken_back() -> None:
    still = StillClock()
    assert clock.use(still) is None
    assert (clock.monotonic(), clock.wall()) == (1000.0, 1.7e9)
    still.advance(2.5)
    assert (clock.monotonic(), clock.wall()) == (1002.5, 1.7e9 + 2.5)
    assert clock.use(None) is still
    assert clock.wall() > 1.7e9 + 1000


def test_replacements_nest() -> None:
    outer, inner = StillClock(), StillClock()
    clock.use(outer)
    inner.advance(1)
    before = clock.use(inner)
    assert before is outer
    assert clock.monotonic() == 1001.0
    assert clock.use(before) is inner
    assert clock.monotonic() == 1000.0


def test_the_systems_clock_for_deadlines_is_never_replaced() -> None:
    clock.use(StillClock())
    before = time.monotonic()
    assert before <= clock.system_monotonic() <= time.monotonic()


def test_followers_hear_of_the_clock_in_use_now_and_at_every_change() -> None:
    heard: list[object] = []
    first, second = StillClock(), StillClock()
    clock.use(first)
    clock.subscribe(heard.append)
    assert heard == [first]
    clock.use(second)
    clock.use(None)
    assert heard == [first, second, None]
