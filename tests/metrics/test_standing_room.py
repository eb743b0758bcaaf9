"""What needs more room than a lane has at first, and what there can be no room for; over both twins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metrics.company import Service

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]


@pytest.fixture(params=["c", "python"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service of two processes."""
    running = Service(2, request.param == "python", tmp_path / "families")
    running.everywhere("""
        import logging
        from measurand.catalog.library import LibraryCollector
        said = []
        logging.getLogger("measurand").addFilter(lambda record: said.append(record.getMessage()) or False)
        LibraryCollector()
    """)
    yield running
    running.close()


LANE = "next(place.glob('*/lane-1')).read_bytes()[16:24].hex()"
"""The lane's own number: one that is exchanged for a larger one has another."""


def test_what_is_larger_than_the_smallest_lane_is_shown_by_others(pair: Service) -> None:
    pair.everywhere("""
        I, C = Info("deps", "d"), Counter("asked", "d", ["sql"])
        H = Histogram("wide", "d", buckets=[float(bound) for bound in range(1, 5000)])
        K = Histogram("wide_by", "d", ["k"], buckets=[float(bound) for bound in range(1, 5000)])
    """)
    pair.at(
        1,
        """
        I.info({f"package_{number}": "1.2.3 sha256:" + "a" * 64 for number in range(600)})
        C.labels("x" * 40_000).inc()
        H.observe(3); K.labels("x").observe(3)
    """,
    )
    assert pair.shows("value('asked_total', sql='x' * 40_000)") == 1
    assert pair.shows("(value('wide_count'), value('wide_by_count', k='x'))") == [1, 1]
    assert pair.ask(0, "sum('package_599' in line for line in lines('deps_info'))") == 1
    assert pair.shows("value('measurand_unshared_series')") == 0
    assert pair.ask(1, "said") == []


def test_what_there_can_be_no_room_for_is_counted_and_said_once_and_the_lane_stays(pair: Service) -> None:
    pair.everywhere("I, C = Info('deps', 'd'), Counter('asked', 'd', ['sql'])")
    pair.at(1, "C.labels('before').inc(); LARGE = 'x' * 5_000_000; C.labels(LARGE).inc(); I.info({'text': LARGE})")
    assert pair.ask(0, "value('measurand_unshared_series')") == 2
    lane = pair.ask(1, LANE)
    for _ in range(3):
        pair.at(1, "generate_latest()")
    assert pair.ask(1, LANE) == lane
    assert pair.ask(1, "[len(said), 'not shown to other processes' in said[0]]") == [1, True]
    pair.at(1, "MANY = Counter('many', 'd', ['k'], max_series=None)\nfor number in range(5000): MANY.labels(str(number)).inc()")
    assert pair.ask(1, LANE) != lane
    assert pair.ask(0, "value('measurand_unshared_series')") == 2
    pair.at(1, "I.info({'text': 'short'}); C.remove(LARGE)")
    pair.at(1, "generate_latest()")
    assert pair.ask(0, "value('measurand_unshared_series')") == 0
    assert 'deps_info{text="short"} 1.0' in pair.ask(0, "lines('deps_info')")
