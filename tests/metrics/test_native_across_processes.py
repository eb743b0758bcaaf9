"""Native histograms at one process and at four: the same buckets, whichever process is asked; over both twins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.metrics.company import Service

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

HELPERS = """
from measurand.encoding import protobuf
from measurand.metrics.collecting import gather
from tests.encoding.protobuf_peer import canonical

def native(name, registry=REGISTRY):
    '''Classic counts; schema, zero count, index of the first bucket, counts, number and sum.'''
    (family,) = [family for family in gather(registry).points() if family.name == name]
    keys = [series.labels[0][1] if series.labels else "" for series in family.series]
    return {key: [family.classic(series), family.native_buckets(series)] for key, series in zip(keys, family.series)}

def page(name):
    '''The family as protobuf has it.'''
    (family,) = [family for family in canonical(protobuf.generate_latest(REGISTRY)) if family.name == name]
    return family
"""


@pytest.fixture(scope="module")
def service(service: Service) -> Service:
    """The service, its processes knowing the helpers."""
    service.everywhere(HELPERS)
    return service


def test_buckets_add_up(service: Service) -> None:
    service.everywhere("H = Histogram('sum_h', 'd', ['k'], buckets=[1, 2], native=True)")
    for place in range(4):
        service.at(place, f"H.labels('x').observe(2.0 ** {place}); H.labels('x').observe(2.0 ** {place}); H.labels('x').observe(-1)")
    counts = [2.0, *[0.0] * 7] * 3 + [2.0]
    assert service.shows("native('sum_h')") == {"x": [[6, 2, 4, 26], [3, 2.0**-20, 4, 0, counts, 12, 26]]}
    assert service.lines("sum_h_bucket", "sum_h_count") == [
        'sum_h_bucket{k="x",le="+Inf"} 12.0',
        'sum_h_bucket{k="x",le="1.0"} 6.0',
        'sum_h_bucket{k="x",le="2.0"} 8.0',
        'sum_h_count{k="x"} 12.0',
    ]
    assert service.shows("page('sum_h').metric[0].histogram.zero_count") == 4


def test_quantiles_are_those_of_all_cells(service: Service) -> None:
    service.everywhere("Q = Histogram('quantile_h', 'd', ['k'], buckets=[1000], native=True)")
    for place in range(4):
        service.at(place, f"for number in range(25): Q.labels('x').observe({25 * place} + number + 1)")
    assert service.shows("[Q.p50, Q.labels('x').quantile(0.9), Q.p99]") == pytest.approx([50, 90, 99], rel=0.0906)


def test_a_metric_that_only_another_process_knows_is_native_too(service: Service) -> None:
    service.at(3, "ONLY = Histogram('only_h', 'd', ['k'], native=True, native_range=(0.5, 64)); ONLY.labels('x').observe(4)")
    assert service.shows("native('only_h')['x'][1]") == [3, 0.5, 0, 16, [1], 1, 4]


def test_a_bucket_shows_the_newest_exemplar_of_all_processes(service: Service) -> None:
    service.everywhere("X = Histogram('newest_h', 'd', buckets=[1, 10], native=True)")
    for place, value in enumerate([0.2, 0.9, 0.5, 3]):
        service.at(place, f"X.observe({value}, exemplar={{'place': '{place}'}})")
    shown = service.shows("[line.partition(' # ')[2].partition(' ')[0] for line in open_lines('newest_h_bucket')]")
    assert shown == ["", '{place="2"}', '{place="3"}']
    listed = service.shows("[one.label[0].value for one in page('newest_h').metric[0].histogram.exemplars]")
    assert listed == ["0", "1", "2", "3"]


def test_removal_holds_for_all(service: Service) -> None:
    service.everywhere("R = Histogram('removed_h', 'd', ['k'], native=True)")
    for place in range(4):
        service.at(place, "R.labels('x').observe(1); R.labels('y').observe(1)")
    service.at(2, "R.remove('x')")
    assert sorted(service.shows("native('removed_h')")) == ["y"]
    service.at(1, "R.labels('x').observe(8)")
    assert service.shows("native('removed_h')['x'][1]") == [3, 2.0**-20, 0, 24, [1], 1, 8]


def test_what_a_process_that_was_killed_had_counted_stays(service: Service) -> None:
    if service.processes == 1:
        pytest.skip("there is nobody to kill")
    service.everywhere("K = Histogram('killed_h', 'd', native=True)")
    for place in range(4):
        service.at(place, "K.observe(2)")
    service.kill(3)
    service.start(3)
    service.at(3, HELPERS)
    service.at(3, "K.observe(2)")
    assert service.shows("native('killed_h')[''][1]") == [3, 2.0**-20, 0, 8, [5], 5, 10]


def test_times_of_creation_do_not_cost_the_native_buckets(tmp_path: Path) -> None:
    service = Service(4, False, tmp_path / "family", created=True)
    try:
        service.everywhere(HELPERS)
        service.everywhere("import time; START = time.time(); H = Histogram('made_h', 'd', ['k'], native=True)")
        for place in (2, 1, 3, 0):
            service.at(place, "H.labels('x').observe(4)")
        assert service.shows("native('made_h')['x'][1]") == [3, 2.0**-20, 0, 16, [4], 4, 16]
        made = service.shows("(lambda h: [h.created_timestamp.seconds, h.positive_span[0].offset])(page('made_h').metric[0].histogram)")
        assert service.ask(0, "int(START)") <= made[0] <= service.ask(0, "time.time()")
        assert made[1] == 16
    finally:
        service.close()


def test_processes_that_define_it_differently_keep_theirs_apart(tmp_path: Path) -> None:
    service = Service(4, False, tmp_path / "family")
    try:
        service.everywhere(HELPERS)
        service.at(0, "H = Histogram('mixed_h', 'd', native=True); H.observe(4)")
        service.at(1, "H = Histogram('mixed_h', 'd'); H.observe(4)")
        service.at(2, "H = Histogram('mixed_h', 'd', native=True, native_range=(1, 8)); H.observe(4)")
        assert service.ask(0, "native('mixed_h')[''][1]") == [3, 2.0**-20, 0, 16, [1], 1, 4]
        assert service.ask(1, "lines('mixed_h_count')") == ["mixed_h_count 1.0"]
        assert service.ask(2, "native('mixed_h')[''][1]") == [3, 1.0, 0, 16, [1], 1, 4]
        failures = service.ask(0, "lines('measurand_collect_failures_total')")
        assert any('collector="mixed_h"' in line and 'reason="conflict"' in line for line in failures), failures
    finally:
        service.close()
