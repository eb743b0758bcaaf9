"""Exemplars of all processes: the newest of each, over OpenMetrics; the same at one process and at four, over both twins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from measurand.core import Exemplar
from measurand.metrics.exemplars import MOST, Reader, Writer, files_in, merged, path_of
from tests.metrics.company import Service

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]


def test_exemplars_make_the_round_trip_and_are_absent_from_plain_text(service: Service) -> None:
    service.everywhere("C, H = Counter('exemplary', 'd', ['k']), Histogram('exemplary_h', 'd', buckets=[1, 2, 3])")
    for place in range(4):
        service.at(place, f"C.labels('x').inc(1, {{'trace': 'of {place}'}}); H.observe({place} + 0.5, {{'trace': 'of {place}'}})")
    shown = service.shows("open_lines('exemplary')")
    bare = [line.rpartition(" ")[0] for line in shown if "#" in line]
    assert bare == [
        'exemplary_h_bucket{le="+Inf"} 4.0 # {trace="of 3"} 3.5',
        'exemplary_h_bucket{le="1.0"} 1.0 # {trace="of 0"} 0.5',
        'exemplary_h_bucket{le="2.0"} 2.0 # {trace="of 1"} 1.5',
        'exemplary_h_bucket{le="3.0"} 3.0 # {trace="of 2"} 2.5',
        'exemplary_total{k="x"} 4.0 # {trace="of 3"} 1.0',
    ]
    assert not any("#" in line for line in service.lines("exemplary"))
    service.at(1, "H.observe(3.1, {'trace': 'newest'})")
    assert any('{trace="newest"} 3.1' in line for line in service.shows("open_lines('exemplary_h')"))
    service.at(2, "C.remove('x')")
    service.at(3, "C.labels('x').inc()")
    assert service.shows("open_lines('exemplary_total')") == ['exemplary_total{k="x"} 1.0']


def test_exemplars_given_before_there_was_company_and_by_processes_that_are_gone_are_shown(service: Service) -> None:
    if service.processes == 1:
        pytest.skip("there is nobody to kill")
    service.everywhere("C = Counter('outlived', 'd', ['k'])")
    service.at(2, "C.labels('x').inc(1, {'trace': 'of the dead'})")
    service.kill(2)
    assert '{trace="of the dead"}' in service.ask(0, "open_lines('outlived')")[0]
    service.start(2)
    service.at(2, "C.labels('x').inc()")
    assert all('2.0 # {trace="of the dead"} 1.0' in service.ask(place, "open_lines('outlived')")[0] for place in range(4))


# -- the file ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    return tmp_path / "lane-3"


def exemplar(name: str, stamp: float = 1.0, value: float = 0.5) -> Exemplar:
    return Exemplar({"trace": name}, value, stamp)


def test_the_last_exemplar_of_a_cell_is_read(lane: Path) -> None:
    writer = Writer(lane)
    (file,) = files_in(lane.parent)
    reader = Reader(file)
    assert (file, reader.read()) == (path_of(lane), {})
    writer.write(7.0, 0, exemplar("a"))
    writer.write(7.0, 1, exemplar("b é", 2.0))
    writer.write(7.0, 0, Exemplar({}, 3.0, 4.0))
    assert reader.read() == {(7.0, 0): Exemplar({}, 3.0, 4.0), (7.0, 1): exemplar("b é", 2.0)}
    writer.close()
    again = Writer(lane)
    again.write(7.0, 1, exemplar("c", 5.0))
    assert reader.read() == {(7.0, 0): Exemplar({}, 3.0, 4.0), (7.0, 1): exemplar("c", 5.0)}
    again.close()


def test_the_file_does_not_grow_for_ever_and_the_newest_are_kept(lane: Path) -> None:
    writer = Writer(lane)
    for number in range(MOST + 500):
        writer.write(float(number + 1), 0, exemplar(str(number)))
    found = Reader(path_of(lane)).read()
    assert len(found) == MOST
    assert {(float(number + 1), 0) for number in range(MOST, MOST + 500)} <= set(found)
    assert path_of(lane).stat().st_size < 2 << 20
    writer.close()


def test_what_is_too_large_for_a_place_is_left_out(lane: Path) -> None:
    writer = Writer(lane)
    writer.write(7.0, 0, exemplar("\N{GRINNING FACE}" * 128))
    assert Reader(path_of(lane)).read() == {}
    writer.close()


def test_damage_costs_no_more_than_what_is_damaged(lane: Path) -> None:
    writer = Writer(lane)
    for number in range(3):
        writer.write(float(number + 1), 0, exemplar(str(number)))
    writer.close()
    whole = path_of(lane).read_bytes()
    for offset in range(0, len(whole), 97):
        path_of(lane).write_bytes(whole[:offset])
        assert set(Reader(path_of(lane)).read()) <= {(1.0, 0), (2.0, 0), (3.0, 0)}
    for offset in range(8, 8 + 3 * 512, 5):
        path_of(lane).write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x10]) + whole[offset + 1 :])
        assert len(Reader(path_of(lane)).read()) >= 2
    path_of(lane).unlink()
    assert Reader(path_of(lane)).read() == {}


def test_of_two_the_newer_counts_and_none_from_before_a_removal() -> None:
    found = {0: exemplar("old", 1.0), 1: exemplar("new", 9.0)}
    merged(found, {0: exemplar("newer", 2.0), 1: exemplar("older", 3.0), 2: exemplar("other", 4.0)})
    assert found == {0: exemplar("newer", 2.0), 1: exemplar("new", 9.0), 2: exemplar("other", 4.0)}
    merged(found, {3: exemplar("before", 4.0), 4: exemplar("after", 5.0)}, since=5.0)
    assert 3 not in found
    assert found[4] == exemplar("after", 5.0)
