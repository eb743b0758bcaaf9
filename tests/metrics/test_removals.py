"""What is removed is gone in all processes; the same at one process and at four, over both twins."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path

import pytest

from measurand import clock
from measurand.core.lane_format import Damaged
from measurand.metrics.removals import Removals, Removed, remaining
from tests.metrics.company import Service

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

REMOVED = """
    R = [Counter("{0}_c", "d", ["k", "m"]), Histogram("{0}_h", "d", ["k", "m"], buckets=[1]), Summary("{0}_s", "d", ["k", "m"]),
         Gauge("{0}_put", "d", ["k", "m"]), Gauge("{0}_moved", "d", ["k", "m"]), Gauge("{0}_top", "d", ["k", "m"], multiprocess_mode="max"),
         Info("{0}_i", "d", ["k", "m"]), Enum("{0}_e", "d", ["k", "m"], states=["off", "on"])]
    def record(metrics, *labels):
        c, h, s, put, moved, top, i, e = (metric.labels(*labels) for metric in metrics)
        c.inc(2); h.observe(0.5); s.observe(3); put.set(4); moved.inc(5); top.set(6); i.info({{"v": "1"}}); e.state("on")
"""
ONCE = [
    '{0}_c_total{{k="x",m="1"}} 2.0',
    '{0}_e{{k="x",m="1",{0}_e="off"}} 0.0',
    '{0}_e{{k="x",m="1",{0}_e="on"}} 1.0',
    '{0}_h_bucket{{k="x",le="+Inf",m="1"}} 1.0',
    '{0}_h_bucket{{k="x",le="1.0",m="1"}} 1.0',
    '{0}_h_count{{k="x",m="1"}} 1.0',
    '{0}_h_sum{{k="x",m="1"}} 0.5',
    '{0}_i_info{{k="x",m="1",v="1"}} 1.0',
    '{0}_moved{{k="x",m="1"}} 5.0',
    '{0}_put{{k="x",m="1"}} 4.0',
    '{0}_s_count{{k="x",m="1"}} 1.0',
    '{0}_s_sum{{k="x",m="1"}} 3.0',
    '{0}_top{{k="x",m="1"}} 6.0',
]


def by_labels(lines: list[str]) -> list[str]:
    """The lines with their labels in order."""
    found = []
    for line in lines:
        name, _, rest = line.partition("{")
        labels, _, number = rest.partition("}")
        found.append(f"{name}{{{','.join(sorted(labels.split(',')))}}}{number}")
    return sorted(found)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("rem", "metric.remove('x', 1)"),
        ("bylabels", "metric.remove_by_labels({'k': 'x'})"),
        ("clear", "metric.clear()"),
    ],
)
def test_what_is_removed_is_gone_in_all_processes_and_begins_from_zero(service: Service, name: str, step: str) -> None:
    service.everywhere(REMOVED.format(name))
    for place in range(4):
        service.at(place, f"KEPT_{name} = [metric.labels('x', 1) for metric in R]; record(R, 'x', '1')")
    service.at(2, "record(R, 'y', '1')")
    assert len([line for line in service.lines(f"{name}_") if 'k="x"' in line]) == len(ONCE)
    service.at(1, f"for metric in R: {step}")
    assert [line for line in service.lines(f"{name}_") if 'k="x"' in line] == []
    assert any('k="y"' in line for line in service.lines(f"{name}_")) == (name != "clear")
    service.at(3, "record(R, 'x', '1')")
    assert by_labels([line for line in service.lines(f"{name}_") if 'k="x"' in line]) == by_labels([one.format(name) for one in ONCE])
    service.at(0, f"for metric in R: {step}")
    assert [line for line in service.lines(f"{name}_") if 'k="x"' in line] == []
    service.everywhere(f"[one.inc() for one in KEPT_{name}[:1]]")  # who kept a series goes on without an error


def test_a_gauge_that_is_set_again_to_what_it_was_comes_back(service: Service) -> None:
    service.everywhere("G = [Gauge('again_' + rule, 'd', ['k'], multiprocess_mode=rule) for rule in ('max', 'sum', 'mostrecent')]")
    service.at(1, "for gauge in G: gauge.labels('x').set(4)")
    service.at(2, "for gauge in G: gauge.clear()")
    assert service.lines("again_") == []
    service.at(1, "for gauge in G: gauge.labels('x').set(4)")
    assert service.lines("again_") == ['again_max{k="x"} 4.0', 'again_mostrecent{k="x"} 4.0', 'again_sum{k="x"} 4.0']


def test_a_gauge_that_was_set_and_is_moved_after_its_removal_begins_from_zero(service: Service) -> None:
    service.everywhere("G = Gauge('moved_after', 'd', ['k'])")
    service.at(1, "G.labels('x').set(5); G.labels('x').inc()")
    service.at(2, "G.remove('x')")
    service.at(1, "G.labels('x').inc(2)")
    assert service.lines("moved_after") == ['moved_after{k="x"} 2.0']
    service.at(1, "G.labels('x').set(4); G.labels('x').dec()")
    assert service.lines("moved_after") == ['moved_after{k="x"} 3.0']


def test_a_counter_that_is_reset_begins_from_zero(service: Service) -> None:
    service.everywhere("C, L = Counter('reset_plain', 'd'), Counter('reset_labels', 'd', ['k'])")
    for place in range(4):
        service.at(place, "C.inc(2); L.labels('x').inc(3); L.labels('y').inc()")
    service.at(2, "C.reset(); L.labels('x').reset()")
    assert service.lines("reset_") == ['reset_labels_total{k="x"} 0.0', 'reset_labels_total{k="y"} 4.0', "reset_plain_total 0.0"]
    service.at(1, "C.inc(); L.labels('x').inc()")
    service.at(2, "C.inc(); L.labels('x').inc()")
    assert service.lines("reset_") == ['reset_labels_total{k="x"} 2.0', 'reset_labels_total{k="y"} 4.0', "reset_plain_total 2.0"]
    service.at(1, "C.reset()")
    service.at(2, "C.inc()")
    assert service.lines("reset_plain") == ["reset_plain_total 1.0"]


def test_a_replacement_leaves_no_other_series_whoever_made_them(service: Service) -> None:
    service.everywhere("G = Gauge('replaced', 'd', ['k'])")
    service.at(1, "G.replace({'a': 1, 'b': 2})")
    assert service.lines("replaced") == ['replaced{k="a"} 1.0', 'replaced{k="b"} 2.0']
    service.at(2, "G.replace({'b': 3, 'c': 4})")
    assert service.lines("replaced") == ['replaced{k="b"} 3.0', 'replaced{k="c"} 4.0']
    service.at(1, "G.replace({'a': 1})")
    assert service.lines("replaced") == ['replaced{k="a"} 1.0']


def test_a_forked_child_does_not_bring_a_removed_series_back(service: Service) -> None:
    if service.processes == 1:
        pytest.skip("there is nobody to fork anew")
    service.everywhere("C, E = Counter('unforked', 'd', ['k']), Enum('unforked_e', 'd', ['k'], states=['off', 'on'])")
    service.everywhere("C.labels('x').inc(); E.labels('x').state('on'); KEPT = C.labels('x')")
    service.at(1, "C.clear(); E.clear()")
    service.kill(2)
    service.start(2)
    assert service.lines("unforked") == []
    service.at(2, "KEPT.inc(3); E.labels('x').state('off')")
    assert service.lines("unforked") == [
        'unforked_e{k="x",unforked_e="off"} 1.0',
        'unforked_e{k="x",unforked_e="on"} 0.0',
        'unforked_total{k="x"} 3.0',
    ]


def test_the_share_of_a_process_that_is_gone_goes_too_and_its_successor_begins_from_zero(service: Service) -> None:
    if service.processes == 1:
        pytest.skip("there is nobody to kill")
    service.everywhere("C, H = Counter('gone', 'd', ['k']), Histogram('gone_h', 'd', ['k'], buckets=[1])")
    for place in range(4):
        service.at(place, "C.labels('x').inc(2); H.labels('x').observe(0.5)")
    service.kill(2)
    service.kill(3)
    assert service.ask(1, "value('gone_total', k='x')") == 8
    service.at(1, "C.remove('x'); H.remove('x')")
    assert service.ask(0, "lines('gone')") == service.ask(1, "lines('gone')") == []
    service.start(3)
    service.start(2)
    assert service.lines("gone") == []
    service.at(2, "C.labels('x').inc()")
    service.at(3, "C.labels('x').inc(); H.labels('x').observe(2)")
    assert service.shows("value('gone_total', k='x')") == 2
    assert service.shows("[value('gone_h_count', k='x'), value('gone_h_sum', k='x')]") == [1, 2]


def test_a_removal_holds_while_lanes_are_exchanged_for_larger_ones(service: Service) -> None:
    service.everywhere("C, FILL = Counter('grown', 'd', ['k']), Counter('grown_fill', 'd', ['k'], max_series=None)")
    for place in range(4):
        service.at(place, "C.labels('x').inc(2)")
    service.at(1, "C.remove('x')")
    for place in range(4):
        service.at(place, "for number in range(1500): FILL.labels(f'a long value that fills the index {number}').inc()")
    assert service.lines("grown_total") == []
    service.at(2, "C.labels('x').inc()")
    assert service.lines("grown_total") == ['grown_total{k="x"} 1.0']


# -- notes -------------------------------------------------------------------------------------------------------------------------


def test_what_was_noted_is_read_by_others_and_once_only(tmp_path: Path) -> None:
    one, two = Removals(tmp_path), Removals(tmp_path)
    assert not one.refresh()
    one.add({5.0: [1.0, 2.0], 6.0: [3.0]}, list)
    assert two.refresh()
    assert {state: note.numbers for state, note in two.known.items()} == {5.0: (1.0, 2.0), 6.0: (3.0,)}
    assert not two.refresh()
    two.add({5.0: [4.0, 5.0]}, list)
    assert one.refresh()
    assert one.known[5.0].numbers == (4.0, 5.0)
    assert one.known[6.0].numbers == (3.0,)
    assert abs(one.known[5.0].when - clock.wall()) < 3600


def test_notes_about_nothing_any_more_are_forgotten(tmp_path: Path) -> None:
    removals, asked = Removals(tmp_path), []

    def every() -> range:
        asked.append(1)
        return range(1, 101)

    for first in range(1, 3001, 100):
        removals.add({float(state): [1.0] for state in range(first, first + 100)}, every)
    assert len(asked) >= 1
    assert len(removals.known) < 2000
    assert set(range(1, 101)) <= set(removals.known)


@pytest.mark.parametrize("damage", ["cut", "flipped", "strange"])
def test_a_damaged_file_hides_nothing_and_is_said(tmp_path: Path, damage: str) -> None:
    Removals(tmp_path).add({5.0: [1.0]}, list)
    file = tmp_path / "removed"
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[20] ^= 4
    file.write_bytes(content[:-8] if damage == "cut" else b"nonsense" if damage == "strange" else content)
    removals = Removals(tmp_path)
    with pytest.raises(Damaged):
        removals.refresh()
    assert removals.known == {}
    removals.add({6.0: [1.0]}, list)
    assert Removals(tmp_path).refresh()


def test_a_file_that_cannot_be_written_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    removals = Removals(tmp_path / "not there")
    with pytest.raises(OSError, match="not there"):
        removals.add({5.0: [1.0]}, list)
    assert removals.known == {}


SEEN = {
    5.0: Removed(1.0, (2.0,)),
    6.0: Removed(1.0, (2.0, 1.0, 7.5)),
    7.0: Removed(1.0, (4.0, 10.0, 1.0)),
    8.0: Removed(1.0, (1.0, 3.0)),
    9.0: Removed(1.0, (2.0, 1.0, inf)),
}


@pytest.mark.parametrize(
    ("kind", "state", "numbers", "rest"),
    [
        ("counter", 0.0, [2.0], None),
        ("counter", 4.0, [2.0], [2.0]),
        ("counter", 5.0, [2.0], None),
        ("counter", 5.0, [1.0], None),
        ("counter", 5.0, [3.5], [1.5]),
        ("counter", -4.0, [0.0], None),
        ("counter", -4.0, [1.0], [1.0]),
        ("histogram", 6.0, [2.0, 1.0, 7.5], None),
        ("histogram", 6.0, [2.0, 3.0, 9.5], [0.0, 2.0, 2.0]),
        ("histogram", 9.0, [3.0, 1.0, inf], [1.0, 0.0, 0.0]),  # nobody knows what was added to infinity
        ("gauge", 7.0, [4.0, 10.0, 1.0], None),
        ("gauge", 7.0, [4.0, 11.0, 1.0], [4.0, 11.0, 1.0]),
        ("gauge", 7.0, [5.0, 10.0, 3.0], [1.0, 10.0, 3.0]),
        ("gauge", -4.0, [0.0, 0.0, 0.0], None),
        ("gauge", -4.0, [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]),
        ("stateset", 8.0, [1.0, 3.0], None),
        ("stateset", 8.0, [1.0, 4.0], [1.0, 4.0]),
    ],
)
def test_what_remains_is_what_came_after(kind: str, state: float, numbers: list[float], rest: list[float] | None) -> None:
    assert remaining(kind, state, numbers, SEEN) == rest
