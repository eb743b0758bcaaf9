"""How the numbers of several processes become one metric's."""

from __future__ import annotations

from typing import Any

import pytest

from measurand import core
from measurand.metrics.combining import Entry, Mirror, Mirrors, added, by_rule, combined, combined_samples, entries_of
from measurand.metrics.definition import Definition
from measurand.metrics.sharing import Other
from tests.support import StillClock

SET, ADDED = 1, 2


class Lane:
    """What a lane shows of one metric: series by label values, each with its numbers, all of them shown."""

    def __init__(self, series: dict[tuple[str, ...], list[float]], content: dict[str, Any] | None = None) -> None:
        self.values: list[float] = []
        self.series, self.notes, self.content = {}, {}, content or {}
        self.width = 1
        for key, numbers in series.items():
            self.width = len(numbers)
            self.series[key] = len(self.values) + 1
            self.values += [1.0, *numbers]


def other(series: dict[tuple[str, ...], list[float]], alive: bool = True, writer: int = 7, content: dict[str, Any] | None = None) -> Other:
    lane = Lane(series, content)
    return Other(lane, lane.values, alive, writer)  # type: ignore[arg-type]


def definition(type: str, *labelnames: str, **rest: Any) -> Definition:
    return Definition(name="m", type=type, documentation="d", labelnames=labelnames, **rest)


# -- counters, histograms, summaries -----------------------------------------------------------------------------------------------


def test_counts_of_all_processes_add_up_those_that_are_gone_included() -> None:
    rows = {("x",): [1.0], ("mine",): [5.0]}
    added(rows, [other({("x",): [2.0], ("theirs",): [3.0]}), other({("x",): [4.0]}, alive=False)], 1)
    assert rows == {("x",): [7.0], ("mine",): [5.0], ("theirs",): [3.0]}


def test_a_removed_series_adds_nothing() -> None:
    gone = other({("x",): [2.0], ("y",): [3.0]})
    gone.values[gone.metric.series["x",] - 1] = 0.0
    rows: dict[tuple[str, ...], list[float]] = {}
    added(rows, [gone], 1)
    assert rows == {("y",): [3.0]}


def test_a_histograms_count_is_the_sum_of_its_buckets() -> None:
    shape = definition("histogram", "a", bounds=(1.0, 2.0))
    mine = Mirror(shape).freeze({("x",): [1.0, 0.0, 2.0, 9.5]})
    theirs = [other({("x",): [0.0, 1.0, 1.0, 4.5], ("y",): [1.0, 0.0, 0.0, 0.5]})]
    _, frozen = combined(shape, {"width": 4}, mine, {}, theirs, Mirrors())
    assert frozen.rows() == [(("x",), (1.0, 2.0, 5.0, 14.0)), (("y",), (1.0, 1.0, 1.0, 0.5))]


# -- gauges ----------------------------------------------------------------------------------------------------------------------


LIVE_5 = Entry(5.0, 10.0, SET, True, 1)
LIVE_3 = Entry(3.0, 30.0, SET, True, 2)
DEAD_9 = Entry(9.0, 20.0, SET, False, 3)
DEAD_1 = Entry(1.0, 40.0, SET, False, 4)
UNWRITTEN = Entry(0.0, 0.0, 0, True, 5)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("sum", 8.0),
        ("livesum", 8.0),
        ("max", 9.0),
        ("livemax", 5.0),
        ("min", 1.0),
        ("livemin", 3.0),
        ("mostrecent", 1.0),
        ("livemostrecent", 3.0),
        ("auto", 1.0),
    ],
)
def test_a_gauge_goes_by_its_rule(rule: str, value: float) -> None:
    assert by_rule(rule, {("x",): [LIVE_5, DEAD_9, LIVE_3, DEAD_1, UNWRITTEN]}) == {("x",): [value]}


@pytest.mark.parametrize("rule", ["all", "liveall"])
def test_under_all_each_living_process_has_a_series(rule: str) -> None:
    assert by_rule(rule, {("x",): [LIVE_5, DEAD_9, LIVE_3, UNWRITTEN]}) == {("x", "1"): [5.0], ("x", "2"): [3.0]}


def test_a_gauge_moved_up_and_down_anywhere_is_summed_over_those_that_live() -> None:
    moved = Entry(2.0, 0.0, ADDED, True, 1)
    assert by_rule("auto", {("x",): [moved, LIVE_3, DEAD_9], ("y",): [LIVE_5, DEAD_1]}) == {("x",): [5.0], ("y",): [5.0]}


def test_where_nobody_has_written_yet_a_series_is_zero_and_where_nobody_lives_it_is_gone() -> None:
    assert by_rule("min", {(): [UNWRITTEN, UNWRITTEN]}) == {(): [0.0]}
    assert by_rule("livesum", {("x",): [DEAD_9]}) == {}


def test_what_another_process_has_not_written_to_in_time_has_expired(still_clock: StillClock) -> None:
    theirs = [other({("old",): [1.0, still_clock.elapsed - 11, SET], ("new",): [2.0, still_clock.elapsed - 9, SET]})]
    assert list(entries_of(theirs, 10.0)) == [("new",)]
    assert list(entries_of(theirs, None)) == [("old",), ("new",)]


# -- infos and enumerations --------------------------------------------------------------------------------------------------------


def test_an_info_shows_each_fact_of_those_that_live_once() -> None:
    one, same, gone = other({(): [0.0]}), other({(): [0.0]}), other({(): [0.0]}, alive=False)
    for each, version in ((one, "1"), (same, "1"), (gone, "2")):
        each.metric.notes[()] = {"version": version}
    family = combined_samples(definition("info"), None, {"service": "s"}, [one, same, gone])
    assert [(sample.labels, sample.value) for sample in family.samples()] == [({"service": "s", "version": "1"}, 1.0)]


def test_an_enumeration_shows_every_state_that_a_living_process_is_in() -> None:
    content = {"states": ["off", "on", "broken"]}
    theirs = [other({(): [1.0]}, content=content), other({(): [0.0]}, content=content), other({(): [2.0]}, alive=False, content=content)]
    family = combined_samples(definition("stateset"), None, {}, theirs)
    assert {sample.labels["m"]: sample.value for sample in family.samples()} == {"off": 1, "on": 1, "broken": 0}


# -- mirrors -----------------------------------------------------------------------------------------------------------------------


def test_a_mirror_shows_the_rows_it_is_given_each_time() -> None:
    mirror = Mirror(definition("summary", "a"))
    steps: list[dict[tuple[str, ...], list[float]]] = [
        {("x",): [1.0, 2.0]},
        {("x",): [3.0, 4.0], ("y",): [5.0, 6.0]},
        {("y",): [7.0, 8.0]},
        {},
        {("z",): [9.0, 10.0], ("y",): [1.0, 1.0]},
    ]
    kept = []
    for rows in steps:
        kept.append(mirror.freeze(rows))
        assert dict(kept[-1].rows()) == {key: tuple(numbers) for key, numbers in rows.items()}
    assert dict(kept[0].rows()) == {("x",): (1.0, 2.0)}


def test_a_mirror_without_labels_has_one_row_or_none() -> None:
    mirror = Mirror(definition("counter"))
    assert mirror.freeze({(): [4.0]}).rows() == [((), (4.0,))]
    assert mirror.freeze({}).rows() == []
    assert mirror.freeze({(): [5.0]}).rows() == [((), (5.0,))]


def test_encoders_find_what_they_keep_with_a_series_from_one_snapshot_to_the_next() -> None:
    mirror = Mirror(definition("counter", "a"))
    layout = core.Layout([(b'a="', 0)], 1, [(b"m", None, 0, -1)])
    assert layout.render(mirror.freeze({("x",): [1.0]})) == b'm{a="x"} 1.0\n'
    assert layout.render(mirror.freeze({("x",): [2.0], ("y",): [3.0]})) == b'm{a="x"} 2.0\nm{a="y"} 3.0\n'


def test_exemplars_of_this_process_are_shown_and_go_when_it_has_none() -> None:
    mirror = Mirror(definition("counter", "a"))
    exemplar = core.Exemplar({"trace": "1"}, 1.0)
    rows = {("x",): [1.0], ("y",): [2.0]}
    assert mirror.freeze(rows, {("y",): {0: exemplar}}).exemplars() == [(1, {0: exemplar})]
    assert mirror.freeze(rows).exemplars() == []
