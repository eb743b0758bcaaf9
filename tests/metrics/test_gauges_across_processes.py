"""A gauge's rule across processes, one test per rule: with processes that live, that were killed, and that were started in their place."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from measurand import Gauge
from measurand.errors import DefinitionError
from tests.metrics.company import Service

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]


@pytest.fixture(scope="module", params=["c", "python"])
def four(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of four processes."""
    running = Service(4, request.param == "python", tmp_path_factory.mktemp("service") / "families")
    yield running
    running.close()


def numbers(service: Service, name: str) -> list[float]:
    """What the series with this name are, as the first two processes see it."""
    one, two = (service.ask(place, f"lines({name!r})") for place in (0, 1))
    assert one == two
    assert not any("pid" in line for line in one)
    return sorted(float(line.split()[-1]) for line in one)


# what is shown after 1 has set 5, 2 has set 9 and 3 has set 3 (in this order), then after 2 and 3 were killed, then after successors of
# theirs have come, and after one of these has set 4
RULES = {
    "sum": (17, 5, 5, 9),
    "livesum": (17, 5, 5, 9),
    "max": (9, 9, 9, 9),
    "livemax": (9, 5, 5, 5),
    "min": (3, 3, 3, 3),
    "livemin": (3, 5, 5, 4),
    "mostrecent": (3, 3, 3, 4),
    "livemostrecent": (3, 5, 5, 4),
    "": (3, 3, 3, 4),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds_for_living_dead_and_restarted_processes(four: Service, rule: str) -> None:
    name = f"ruled_{rule or 'not'}"
    option = f", multiprocess_mode={rule!r}" if rule else ""
    four.everywhere(f"G = Gauge({name!r}, 'd', ['k']{option})")
    for place, value in ((1, 5), (2, 9), (3, 3)):
        four.at(place, f"G.labels('x').set({value})")
    living, dead, restarted, later = RULES[rule]
    assert numbers(four, name) == [living]
    four.kill(2)
    four.kill(3)
    assert numbers(four, name) == [dead]
    four.start(2)
    four.start(3)
    assert numbers(four, name) == [restarted]
    four.at(3, "G.labels('x').set(4)")
    assert numbers(four, name) in ([later], [later if rule not in {"max", "min"} else {"max": 5, "min": 4}[rule]])


def test_a_gauge_that_is_moved_is_the_sum_over_those_that_live(four: Service) -> None:
    four.everywhere("G = Gauge('moved', 'd')")
    for place in range(4):
        four.at(place, f"G.inc({place + 1})")
    assert numbers(four, "moved") == [10]
    four.kill(3)
    assert numbers(four, "moved") == [6]
    four.start(3)
    assert numbers(four, "moved") == [6]
    four.at(3, "G.inc(); G.dec(3)")
    assert numbers(four, "moved") == [4]


@pytest.mark.parametrize("rule", ["all", "liveall"])
def test_each_living_process_is_shown_with_its_id_only_if_that_is_asked_for(four: Service, rule: str) -> None:
    four.everywhere(f"G = Gauge('each_{rule}', 'd', ['k'], multiprocess_mode={rule!r})")
    pids = [four.ask(place, "os.getpid()") for place in range(4)]
    for place in range(4):
        four.at(place, f"G.labels('x').set({place})")
    shown = {pid: f'each_{rule}{{k="x",pid="{pid}"}} {place}.0' for place, pid in enumerate(pids)}
    assert four.lines(f"each_{rule}") == sorted(shown.values())
    four.kill(2)
    del shown[pids[2]]
    assert four.ask(0, f"lines('each_{rule}')") == four.ask(3, f"lines('each_{rule}')") == sorted(shown.values())
    pid = four.start(2)
    four.at(2, "G.labels('x').set(7)")
    assert four.lines(f"each_{rule}") == sorted([*shown.values(), f'each_{rule}{{k="x",pid="{pid}"}} 7.0'])


@pytest.mark.parametrize("rule", ["all", "liveall"])
def test_the_id_is_shown_whichever_process_is_asked_also_if_only_one_has_set_the_gauge(four: Service, rule: str) -> None:
    four.everywhere(f"G = Gauge('only_{rule}', 'd', ['k'], multiprocess_mode={rule!r})")
    four.at(1, "G.labels('x').set(2)")
    assert four.lines(f"only_{rule}") == [f'only_{rule}{{k="x",pid="{four.ask(1, "os.getpid()")}"}} 2.0']


@pytest.mark.parametrize("rule", ["all", "liveall"])
def test_a_label_for_the_id_is_refused_where_each_process_is_shown(rule: str) -> None:
    with pytest.raises(DefinitionError, match="'pid' of with_id"):
        Gauge("with_id", "d", ["pid"], registry=None, multiprocess_mode=rule)
    for other in ({}, {"multiprocess_mode": "livesum"}):
        Gauge("with_id", "d", ["pid"], registry=None, **other).labels("7").set(1)


def test_what_a_callback_said_last_is_shown_by_others_until_its_process_is_gone(four: Service) -> None:
    four.everywhere("G = Gauge('called', 'd', multiprocess_mode='livesum')")
    for place in range(4):
        four.at(place, f"G.set_function(lambda: {place + 1}); lines('called')")
    assert four.lines("called") == ["called 10.0"]
    four.kill(3)
    assert numbers(four, "called") == [6]
    four.start(3)


def test_a_process_that_ends_as_it_should_counts_as_gone(four: Service) -> None:
    four.everywhere("G, C = Gauge('ended', 'd', multiprocess_mode='livesum'), Counter('ended_c', 'd')")
    for place in range(4):
        four.at(place, "G.set(1); C.inc()")
    assert four.lines("ended") == ["ended 4.0", "ended_c_total 4.0"]
    four.end(3)
    assert numbers(four, "ended") == [3, 4]
    four.start(3)
    assert numbers(four, "ended_c") == [4]
