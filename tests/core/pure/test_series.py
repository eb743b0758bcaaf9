"""Roots, their tables of series, and how children come and go. Both twins."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from measurand.core.contract import Exemplar, Spec
from measurand.errors import LabelError
from tests.core.kit import Kit


class Colour(enum.StrEnum):
    RED = "red"


class Mixed(str, enum.Enum):  # noqa: UP042 - whose str() is another
    RED = "red"


class Shouted(str):
    def __str__(self) -> str:
        return self.upper()


class Dressed:
    def __str__(self) -> str:
        return Shouted("dressed")

    def __repr__(self) -> str:
        return "Dressed()"


# -- labels() ----------------------------------------------------------------------------------------------------------------


def test_the_same_labels_give_the_same_child_by_position_by_keyword_and_in_any_order(make: Kit) -> None:
    metric = make.counter("method", "code", "route")
    child = metric.labels("GET", "200", "/")
    assert metric.labels("GET", 200, "/") is child
    assert metric.labels(method="GET", code="200", route="/") is child
    assert metric.labels(route="/", code=200, method="GET") is child
    assert metric.labels(**{"".join(["co", "de"]): "200", Shouted("route"): "/", "method": "GET"}) is child
    assert metric.labels("GET", "200", "/x") is not child
    assert metric.labels("200", "GET", "/") is not child


def test_series_of_different_metrics_share_the_strings_of_equal_label_values(make: Kit) -> None:
    first, second = make.counter("route", "method"), make.gauge("method")
    route, method = "/orders", b"LIST"
    keys = [make.core.key(first.labels(route, method.decode())), make.core.key(first.labels("/boxes", method.decode()))]
    second.replace({method.decode(): 1.0, "GET": 2.0})
    keys += [make.core.key(child) for child in make.core.children(second)]
    assert keys == [("/orders", "LIST"), ("/boxes", "LIST"), ("LIST",), ("GET",)]
    assert keys[0][1] is keys[1][1] is keys[2][0]
    assert first.labels(route, method.decode()) is first.labels(method=method.decode(), route="/orders")


@pytest.mark.parametrize("name", ["self", "instrument", "labelvalues", "args"])
def test_a_label_may_have_any_name(make: Kit, name: str) -> None:
    metric = make.summary(name, "other")
    child = metric.labels(**{name: 1, "other": 2})
    assert metric.labels(1, 2) is child
    with metric.time() as timer:
        timer.labels(**{name: 1, "other": 2})
    assert make.core.read(child)[0] == 1


def test_concatenated_values_do_not_collide(make: Kit) -> None:
    metric = make.counter("a", "b")
    children = [metric.labels("x", "yz"), metric.labels("xy", "z"), metric.labels("", "xyz"), metric.labels("xyz", "")]
    assert len(set(map(id, children))) == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        (200, "200"),
        (-1, "-1"),
        (10**30, "1" + "0" * 30),
        (1.5, "1.5"),
        (None, "None"),
        (True, "True"),
        (Colour.RED, "red"),
        (Mixed.RED, str(Mixed.RED)),
        (Shouted("loud"), "LOUD"),
        (Dressed(), "dressed"),
        ("null\0inside", "null\0inside"),
        ("\U0001f600", "\U0001f600"),
        ("\ufeffbom", "\ufeffbom"),
        ("\udc80", "\ufffd"),
        ("a\ud800", "a\ufffd"),
        ("a\udcffb\udc01", "a\ufffdb\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
    ids=repr,
)
def test_a_label_value_is_kept_as_its_encodable_text(make: Kit, value: object, text: str) -> None:
    metric = make.counter("value", "other")
    child = metric.labels(value, "")
    assert metric.labels(text, "") is child
    assert metric.labels(value, "") is child
    assert metric.labels(other="", value=value) is child
    kept = make.core.key(child)
    assert kept == (text, "")
    assert type(kept[0]) is str


def test_children_are_of_the_roots_class_with_a_dictionary_of_their_own_and_no_constructor_call(make: Kit) -> None:
    class Detailed(make.Counter):  # type: ignore[name-defined,misc]
        def __init__(self, detail: str) -> None:
            self.detail = detail

    root = Detailed("root")
    make.core.define(root, Spec(name="detailed_total", type="counter", kind="counter", labelnames=("a",)))
    child = root.labels("x")
    assert type(child) is Detailed
    assert not hasattr(child, "detail")
    child.detail = "child"
    assert root.detail == "root"
    assert root.labels("x").detail == "child"


def test_wrong_labels_say_what_was_expected(make: Kit) -> None:
    metric = make.counter("method", "code", name="requests_total")
    cases = [
        (lambda: metric.labels("GET"), "Incorrect label count for requests_total: expected 2 (method, code), got 1: ('GET',)"),
        (metric.labels, "Incorrect label count for requests_total: expected 2 (method, code), got 0: ()"),
        (lambda: metric.labels(1, None, "c"), "Incorrect label count for requests_total: expected 2 (method, code), got 3: (1, None, 'c')"),
        (lambda: metric.labels(method="GET"), "Incorrect label names for requests_total: expected ['code', 'method'], got ['method']"),
        (
            lambda: metric.labels(method="GET", status=1),
            "Incorrect label names for requests_total: expected ['code', 'method'], got ['method', 'status']",
        ),
        (
            lambda: metric.labels(method="GET", code=1, x=1),
            "Incorrect label names for requests_total: expected ['code', 'method'], got ['code', 'method', 'x']",
        ),
        (
            lambda: metric.labels("GET", code=1),
            "Can't pass both *args and **kwargs to requests_total.labels(): give all values by position or all by keyword",
        ),
    ]
    for call, message in cases:
        with pytest.raises(LabelError) as caught:
            call()
        assert str(caught.value) == message
    assert make.rows(metric) == {}


@pytest.mark.parametrize(
    "call",
    [
        lambda series: series.labels("x"),
        lambda series: series.labels(a="x"),
        lambda series: series.labels(),
        lambda series: series.remove("x"),
        lambda series: series.remove_by_labels({"a": "x"}),
        lambda series: series.clear(),
        lambda series: series.replace({"x": 1}),
    ],
)
def test_a_child_has_no_children(make: Kit, call: Any) -> None:
    child = make.gauge("a", name="depth").labels("1")
    with pytest.raises(LabelError) as caught:
        call(child)
    assert str(caught.value) == (
        "gauge:depth already has labels set ({'a': '1'}); can not chain calls to .labels(): give all labels in one call"
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda metric: metric.labels("x"),
        lambda metric: metric.labels(a="x"),
        lambda metric: metric.labels(),
        lambda metric: metric.remove("x"),
        lambda metric: metric.remove_by_labels({}),
        lambda metric: metric.replace({}),
    ],
)
def test_a_metric_without_label_names_takes_none(make: Kit, call: Any) -> None:
    metric = make.gauge(name="depth")
    with pytest.raises(LabelError) as caught:
        call(metric)
    assert str(caught.value) == "No label names were set when constructing gauge:depth; pass labelnames to its definition to use labels"


def test_recording_without_labels_on_a_metric_that_has_them_says_so(make: Kit) -> None:
    counter, gauge = make.counter("a", "b", name="c"), make.gauge("a", "b", name="c")
    summary, histogram = make.summary("a", "b", name="c"), make.histogram("a", "b", name="c")
    other = make.other("a", "b", name="c")
    calls = {
        "counter": [counter.inc, lambda: counter.inc(2), lambda: counter.inc(-1), lambda: counter.inc(1, {"trace": "1"}), counter.reset],
        "gauge": [gauge.inc, gauge.dec, lambda: gauge.set(1), gauge.set_to_current_time, lambda: gauge.set_function(int)],
        "summary": [lambda: summary.observe(1), lambda: summary.observe(float("nan"))],
        "histogram": [lambda: histogram.observe(1), lambda: histogram.observe(1, {"trace": "1"})],
        "stateset": [lambda: make.core.write(other, 0, 1), lambda: make.core.set_payload(other, object())],
    }
    for kind, attempts in calls.items():
        for attempt in attempts:
            with pytest.raises(LabelError) as caught:
                attempt()
            assert str(caught.value) == f"{kind} metric is missing label values: call c.labels(a, b) first and record on what it returns"


# -- remove(), remove_by_labels(), clear() -----------------------------------------------------------------------------------


def test_a_removed_series_is_gone_and_what_was_kept_of_it_records_unseen(make: Kit) -> None:
    metric = make.counter("code")
    kept = metric.labels("200")
    kept.inc(3)
    metric.labels("404").inc()
    metric.remove(200)
    assert make.rows(metric) == {("404",): (1.0,)}
    kept.inc()
    assert make.core.read(kept) == (4.0,)
    assert make.core.key(kept) == ("200",)
    assert make.core.root(kept) is metric
    assert make.rows(metric) == {("404",): (1.0,)}
    again = metric.labels("200")
    assert again is not kept
    assert make.core.read(again) == (0.0,)


def test_removing_what_is_not_there_does_nothing_and_wrong_counts_are_refused(make: Kit) -> None:
    metric = make.counter("a", "b", name="m")
    metric.labels("1", "2")
    metric.remove("2", "1")
    with pytest.raises(LabelError, match=r"^Incorrect label count for m: expected 2 \(a, b\), got 1: \('1',\)$"):
        metric.remove("1")
    assert make.rows(metric) == {("1", "2"): (0.0,)}


def test_remove_by_labels_drops_every_series_that_matches_all_of_them(make: Kit) -> None:
    metric = make.counter("a", "b", "c", name="m")
    for a in (1, 2):
        for b in (1, 2):
            metric.labels(a, b, "x")
    metric.remove_by_labels({})
    metric.remove_by_labels({"a": 1, "c": "y"})
    assert len(make.rows(metric)) == 4
    metric.remove_by_labels({"c": "x", "a": 1, "b": 2})
    assert sorted(make.rows(metric)) == [("1", "1", "x"), ("2", "1", "x"), ("2", "2", "x")]
    metric.remove_by_labels({"b": 1})
    assert sorted(make.rows(metric)) == [("2", "2", "x")]
    with pytest.raises(LabelError) as caught:
        metric.remove_by_labels({"a": 2, "z": 2})
    assert str(caught.value) == "Unknown label names for m: ['z']; expected ('a', 'b', 'c')"
    with pytest.raises(TypeError, match="labels must be a dict"):
        metric.remove_by_labels([("a", 2)])
    assert len(make.rows(metric)) == 1


def test_clear_drops_every_series_and_a_metric_without_labels_keeps_its_own(make: Kit) -> None:
    metric = make.counter("a")
    kept = metric.labels("x")
    metric.labels("y").inc()
    metric.clear()
    kept.inc()
    assert make.rows(metric) == {}
    assert make.core.children(metric) == []
    assert metric.labels("x") is not kept
    single = make.counter()
    single.inc(2)
    single.clear()
    assert make.rows(single) == {(): (2.0,)}


def test_exemplars_can_be_given(make: Kit) -> None:
    counter = make.counter("a")
    counter.labels("x").inc(1, {"trace": "1"})
    given = {0: Exemplar({"trace": "2"}, 5.0)}
    make.core.set_exemplars(counter.labels("x"), given)
    given.clear()
    assert make.core.exemplars(counter.labels("x")) == {0: Exemplar({"trace": "2"}, 5.0)}
    counter.labels("x").inc(1, {"trace": "3"})
    assert make.core.exemplars(counter.labels("x"))[0].labels == {"trace": "3"}
    make.core.set_exemplars(counter.labels("x"), {})
    assert make.core.exemplars(counter.labels("x")) == {}
