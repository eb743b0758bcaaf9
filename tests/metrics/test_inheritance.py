"""What a process goes on with in the lane of one that is gone, and what it begins anew; over both twins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metrics.company import Service

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]


@pytest.fixture(params=["c", "python"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service of two processes, the second of which may have successors."""
    running = Service(2, request.param == "python", tmp_path / "families")
    yield running
    running.close()


def succeed(service: Service, code: str = "") -> None:
    """Kill the second process, and let its successor do something."""
    service.kill(1)
    service.start(1)
    service.at(1, code)  # it has its lane by then


MANY = "MANY = Counter('many', 'd', ['k'], max_series=None)\nfor number in range(5000): MANY.labels(str(number)).inc()"


# -- counters ----------------------------------------------------------------------------------------------------------------------


def test_a_counter_counts_on_however_often_its_documentation_changes(pair: Service) -> None:
    for place, (text, amount) in enumerate([("A", 1), ("B", 10), ("C", 100), ("A", 1000)]):
        if place:
            succeed(pair)
        pair.at(1, f"C = Counter('jobs', {text!r}, ['k']); C.labels('x').inc({amount})")
        expected = int("1" * (place + 1))
        assert pair.shows("lines('jobs_total')") == [f'jobs_total{{k="x"}} {expected}.0']
        pair.at(1, MANY)  # the lane is exchanged for a larger one
        assert pair.shows("lines('jobs_total')") == [f'jobs_total{{k="x"}} {expected}.0']


def test_what_was_counted_under_another_definition_stays_and_counts_on_once_that_is_back(pair: Service) -> None:
    pair.at(1, "H = Histogram('took', 'd', buckets=[1, 2]); H.observe(1)")
    for buckets, amount, own in (("[1, 2, 3]", 10, 10), ("[1, 2]", 100, 101), ("[1]", 5, 5), ("[1, 2, 3]", 10, 20), ("[1, 2]", 1000, 1101)):
        succeed(pair, f"H = Histogram('took', 'd', buckets={buckets})\nfor _ in range({amount}): H.observe(1)")
        assert pair.ask(1, "value('took_count')") == own
        pair.at(1, MANY)
        assert pair.ask(1, "value('took_count')") == own
        assert pair.ask(0, "value('took_count')") in (1, 101, 1101)  # it has not defined it: what was there first
    assert pair.ask(0, "value('took_count')") == 1101


def test_a_metric_that_is_registered_again_goes_on_in_a_lane_that_was_taken_over(pair: Service) -> None:
    pair.at(1, "C = Counter('again', 'd', ['k']); C.labels('x').inc(5)")
    succeed(pair, "C = Counter('again', 'd', ['k']); C.labels('y').inc(); REGISTRY.unregister(C)")
    assert pair.ask(0, "lines('again')") == ['again_total{k="x"} 5.0']
    pair.at(1, "C = Counter('again', 'd', ['k']); C.labels('x').inc(); C.labels('y').inc(2)")
    assert pair.shows("lines('again')") == ['again_total{k="x"} 6.0', 'again_total{k="y"} 2.0']


def test_a_series_that_is_new_in_a_lane_that_was_taken_over_was_made_when_it_was_made(pair: Service) -> None:
    pair.everywhere("enable_created_metrics()")
    pair.everywhere("C = Counter('made', 'd', ['k'])")
    pair.at(1, "C.labels('x').inc()")
    succeed(pair, "C.labels('x').inc(); C.labels('y').inc()")
    assert pair.ask(0, "lines('made_created{k=\"y\"')") == pair.ask(1, "lines('made_created{k=\"y\"')")
    before = pair.ask(0, "lines('made_created')")
    pair.at(1, MANY)
    assert pair.ask(0, "lines('made_created')") == before


# -- gauges and facts --------------------------------------------------------------------------------------------------------------


def test_a_gauge_begins_anew_beside_what_it_was_when_its_process_ended(pair: Service) -> None:
    pair.everywhere("""
        G = Gauge('g', 'd')
        TOP, LOW, LAST = [Gauge('g_' + rule, 'd', ['k'], multiprocess_mode=rule) for rule in ('max', 'min', 'mostrecent')]
    """)
    pair.at(1, "G.set(10); TOP.labels('x').set(20); LOW.labels('x').set(-20); LAST.labels('x').set(5)")
    shown = ["g 10.0", 'g_max{k="x"} 20.0', 'g_min{k="x"} -20.0', 'g_mostrecent{k="x"} 5.0']
    assert pair.shows("lines('g')") == shown
    succeed(pair)
    assert pair.shows("lines('g')") == shown
    pair.at(1, "G.inc(); TOP.labels('x').inc(); LOW.labels('x').dec(); LAST.labels('x').set(1)")
    later = ["g 1.0", *shown[1:3], 'g_mostrecent{k="x"} 1.0']
    assert pair.shows("lines('g')") == later
    pair.at(1, MANY)
    assert pair.shows("lines('g')") == later


@pytest.mark.parametrize(("rule", "shown"), [("max", "9.0"), ("min", "2.0"), ("mostrecent", "4.0"), ("", "4.0")])
def test_many_successors_of_a_gauge_leave_one_value(pair: Service, rule: str, shown: str) -> None:
    option = f", multiprocess_mode={rule!r}" if rule else ""
    pair.everywhere(f"G = Gauge('g', 'd', ['k']{option})")
    for value in (7, 9, 2, 4):
        pair.at(1, f"G.labels('x').set({value})")
        succeed(pair)
    assert pair.shows("lines('g')") == [f'g{{k="x"}} {shown}']
    size = next(pair.place.glob("*/lane-1")).stat().st_size
    for _ in range(20):
        succeed(pair, "G.labels('x').set(4)")
    assert pair.shows("lines('g')") == [f'g{{k="x"}} {shown}']
    assert next(pair.place.glob("*/lane-1")).stat().st_size == size


def test_a_gauge_that_was_removed_hides_none_of_what_came_after_it(pair: Service) -> None:
    pair.everywhere("TOP, G = Gauge('g_max', 'd', ['k'], multiprocess_mode='max'), Gauge('g', 'd', ['k'])")
    pair.at(1, "TOP.labels('x').set(20); G.labels('x').set(20)")
    succeed(pair)
    pair.at(0, "TOP.remove('x'); G.remove('x')")
    assert pair.shows("lines('g')") == []
    succeed(pair)
    assert pair.shows("lines('g')") == []
    pair.at(1, "TOP.labels('x').set(5); G.labels('x').set(5)")
    succeed(pair)
    assert pair.shows("lines('g')") == ['g_max{k="x"} 5.0', 'g{k="x"} 5.0']


def test_a_successor_states_none_of_the_facts_of_the_one_before(pair: Service) -> None:
    pair.everywhere("I = Info('leader', 'd')")
    pair.at(1, "I.info({'node': 'A'})")
    assert 'leader_info{node="A"} 1.0' in pair.ask(0, "lines('leader')")
    succeed(pair)
    assert pair.shows("lines('leader')") == ["leader_info 1.0"]
    pair.at(1, "I.info({'node': 'B'})")
    assert [line for line in pair.ask(0, "lines('leader')") if "node" in line] == ['leader_info{node="B"} 1.0']


# -- damage ------------------------------------------------------------------------------------------------------------------------


def test_of_a_damaged_lane_a_successor_goes_on_with_what_is_sound(pair: Service) -> None:
    pair.everywhere("A, B = Counter('a', 'd'), Counter('b', 'd', ['k'])")
    pair.at(1, "A.inc(10); B.labels('before').inc(3); B.labels('needle').inc(5)")
    pair.kill(1)
    lane = next(pair.place.glob("*/lane-1"))
    lane.write_bytes(lane.read_bytes().replace(b"needle", b"Needle"))
    sound = ["a_total 10.0", 'b_total{k="before"} 3.0']
    assert pair.ask(0, "lines('a_', 'b_')") == sound
    pair.start(1)
    assert pair.shows("lines('a_', 'b_')") == sound
    pair.at(1, "A.inc(); B.labels('before').inc(); B.labels('needle').inc()")
    assert pair.shows("lines('a_', 'b_')") == ["a_total 11.0", 'b_total{k="before"} 4.0', 'b_total{k="needle"} 1.0']
    assert (lane.with_name("damaged-1")).exists()


def test_a_lane_of_which_nothing_can_be_read_is_set_aside(pair: Service) -> None:
    pair.everywhere("A = Counter('a', 'd')")
    pair.at(1, "A.inc(10)")
    pair.kill(1)
    lane = next(pair.place.glob("*/lane-1"))
    lane.write_bytes(b"no lane at all")
    pair.start(1)
    pair.at(1, "A.inc()")
    assert pair.shows("lines('a_')") == ["a_total 1.0"]
    assert (lane.with_name("damaged-1")).read_bytes() == b"no lane at all"
