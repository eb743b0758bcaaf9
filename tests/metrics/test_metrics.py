"""The instruments beside those of prometheus_client 0.26: the same operations give the same metrics, text and kinds of errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

import measurand
from measurand.errors import MeasurandError
from tests.metrics.kit import Library, both, content, raised, values

pytestmark = pytest.mark.usefixtures("without_created_series")


def agree(here: Library, there: Library) -> None:
    assert content(here.registry) == content(there.registry)
    assert here.text() == there.text()


def same_outcome(here: Callable[[], object], there: Callable[[], object]) -> None:
    """Both succeed, or both raise, ours something that code which catches theirs catches."""
    mine, other = raised(here), raised(there)
    assert (mine is None) == (other is None), f"ours: {mine!r}, theirs: {other!r}"
    if other is not None:
        assert isinstance(mine, builtin(other)), (mine, other)


def builtin(error: BaseException) -> type[BaseException]:
    """The class of the error that a program can name without the library that raised it."""
    return next(each for each in type(error).__mro__ if each.__module__ == "builtins" and issubclass(each, BaseException))


# -- sequences of operations -------------------------------------------------------------------------------------------------------

amounts = st.integers(-10, 2**40) | st.floats(-1e6, 1e6, width=32) | st.sampled_from([0, 0.1, 1e300, 5e-324, float("inf")])
texts = st.text(max_size=3) | st.sampled_from(["a", "b", 'quo"te', "back\\slash", "new\nline", "é", "日本", ""])
clean = texts.filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))
plain_values = st.tuples(clean, clean) | st.tuples(st.integers(0, 3), st.booleans()) | st.tuples(clean, st.none())
exemplars = st.none() | st.dictionaries(st.sampled_from(["trace_id", "span"]), st.text("abc", max_size=70), max_size=2)

LABELS = ("first", "second")


def operations(*of_kind: st.SearchStrategy[tuple[Any, ...]]) -> st.SearchStrategy[list[Any]]:
    """Sequences of ``(label values or None, method, arguments)``; ``None`` calls the method on the metric itself."""
    on_series = st.tuples(plain_values, st.one_of(*of_kind))
    on_metric = st.tuples(
        st.none(),
        st.one_of(
            st.tuples(st.just("remove"), st.tuples(clean, clean) | st.tuples(clean)),
            st.tuples(st.just("remove_by_labels"), st.tuples(st.dictionaries(st.sampled_from([*LABELS, "other"]), clean, max_size=2))),
            st.tuples(st.just("clear"), st.just(())),
            st.tuples(st.just("labels"), st.tuples(clean) | st.tuples(clean, clean, clean) | st.just(())),
            *of_kind,
        ),
    )
    return st.lists(on_series | on_series | on_series | on_metric, max_size=15)


def call(method: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(method), st.tuples(*arguments))


KINDS: dict[str, tuple[dict[str, Any], st.SearchStrategy[list[Any]]]] = {
    "Counter": ({}, operations(call("inc", amounts), call("inc"), call("inc", amounts, exemplars))),
    "Gauge": (
        {},
        operations(
            call("set", amounts | st.just("7.5") | st.just("seven") | st.just(float("nan"))),
            call("inc", amounts),
            call("dec", amounts),
            call("inc"),
            call("dec"),
        ),
    ),
    "Summary": ({}, operations(call("observe", amounts))),
    "Histogram": (
        {"buckets": (-1, 0.1, 1, 2.5, 1000)},
        operations(call("observe", amounts | st.sampled_from([-1, 0.1, 1, 2.5, 1000])), call("observe", amounts, exemplars)),
    ),
    "Info": ({}, operations(call("info", st.dictionaries(st.sampled_from(["version", "commit", "first"]), clean | st.none(), max_size=2)))),
    "Enum": ({"states": ["starting", "running"]}, operations(call("state", st.sampled_from(["starting", "running", "gone"])))),
}


def perform(metric: Any, labelvalues: tuple[Any, ...] | None, method: str, arguments: tuple[Any, ...]) -> Callable[[], object]:
    return lambda: getattr(metric if labelvalues is None else metric.labels(*labelvalues), method)(*arguments)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), labelled=st.booleans())
def test_any_sequence_of_operations_gives_the_same(kind: str, data: st.DataObject, labelled: bool) -> None:
    options, sequences = KINDS[kind]
    labelnames = LABELS if labelled else ()
    here, there = both()
    mine, other = here.define(kind, "some_metric", labelnames, **options), there.define(kind, "some_metric", labelnames, **options)
    for labelvalues, (method, arguments) in data.draw(sequences):
        if labelled and labelvalues is None and method == "info":
            assert isinstance(raised(perform(mine, None, method, arguments)), ValueError)  # theirs: an AttributeError
            continue
        same_outcome(perform(mine, labelvalues, method, arguments), perform(other, labelvalues, method, arguments))
    agree(here, there)
    for name, labels in [(sample.name, dict(sample.labels)) for metric in there.registry.collect() for sample in metric.samples]:
        found, expected = here.registry.get_sample_value(name, labels), there.registry.get_sample_value(name, labels)
        assert found == expected or (found != found and expected != expected)  # NaN is not itself


@given(amount=amounts, other_amount=amounts)
def test_a_child_and_its_metric_collect_the_same_as_theirs(amount: float, other_amount: float) -> None:
    here, there = both()
    children = []
    for library in (here, there):
        gauge = library.define("Gauge", "of_child", ["a"])
        gauge.labels("x").set(amount)
        gauge.labels("y").set(other_amount)
        children.append(gauge.labels("x"))
    assert content(children[0]) == content(children[1])
    assert str(children[0]) == str(children[1])


# -- definitions ---------------------------------------------------------------------------------------------------------------------

name_parts = st.sampled_from(["", "a", "a_total", "total", "seconds", "a_seconds", "a.b", "é", "a b", "1a", "a:b", "_", "a_total_total"])


@given(
    kind=st.sampled_from(sorted(KINDS)),
    name=name_parts,
    namespace=name_parts,
    subsystem=name_parts,
    unit=st.sampled_from(["", "seconds", "total", "b"]),
    labels=st.lists(st.sampled_from(["a", "b_c", "é", "le", "quantile", "__a", "a.b", "_a"]), max_size=2, unique=True),
)
def test_a_definition_gets_the_same_name_or_the_same_kind_of_error(
    kind: str, name: str, namespace: str, subsystem: str, unit: str, labels: list[str]
) -> None:
    options = {**KINDS[kind][0], "namespace": namespace, "subsystem": subsystem, "unit": unit}
    here, there = both()
    same_outcome(lambda: here.define(kind, name, labels, **options), lambda: there.define(kind, name, labels, **options))
    for library in (here, there):
        for metric in list(library.registry.collect()):
            assert metric.unit == unit
    assert content(here.registry) == content(there.registry)


BAD_DEFINITIONS: dict[str, Callable[[Library], object]] = {
    "no name": lambda library: library.define("Counter", ""),
    "a reserved label": lambda library: library.define("Counter", "c", ["__name__"]),
    "le of a histogram": lambda library: library.define("Histogram", "h", ["le"]),
    "quantile of a summary": lambda library: library.define("Summary", "s", ["quantile"]),
    "a unit of an info": lambda library: library.define("Info", "i", unit="seconds"),
    "a unit of an enum": lambda library: library.define("Enum", "e", states=["a"], unit="seconds"),
    "no states": lambda library: library.define("Enum", "e"),
    "an enum's own label": lambda library: library.define("Enum", "e", ["e"], states=["a"]),
    "buckets out of order": lambda library: library.define("Histogram", "h", buckets=(2, 1)),
    "no buckets": lambda library: library.define("Histogram", "h", buckets=()),
    "only the last bucket": lambda library: library.define("Histogram", "h", buckets=(float("inf"),)),
    "buckets of words": lambda library: library.define("Histogram", "h", buckets=("one", "two")),
    "NaN as a bucket": lambda library: library.define("Histogram", "h", buckets=(float("nan"),)),
    "an unknown mode": lambda library: library.define("Gauge", "g", multiprocess_mode="average"),
    "labels that are no names": lambda library: library.define("Counter", "c", [1]),
    "a name that is no text": lambda library: library.define("Counter", 1),
    "a taken name": lambda library: (library.define("Counter", "c"), library.define("Gauge", "c")),
    "a taken series": lambda library: (library.define("Histogram", "h"), library.define("Gauge", "h_count")),
    "a taken series, the other way": lambda library: (library.define("Gauge", "h_count"), library.define("Histogram", "h")),
}


@pytest.mark.parametrize("case", BAD_DEFINITIONS)
def test_a_bad_definition_raises_what_it_always_raised_and_leaves_nothing_behind(case: str) -> None:
    here, there = both()
    mine, other = raised(lambda: BAD_DEFINITIONS[case](here)), raised(lambda: BAD_DEFINITIONS[case](there))
    assert mine is not None
    if case == "NaN as a bucket":
        assert other is None  # theirs takes it, and counts nothing in it
    elif case in {"labels that are no names", "a name that is no text"}:
        assert isinstance(mine, TypeError)
        assert other is not None
    else:
        assert isinstance(mine, ValueError)
        assert isinstance(other, ValueError)
    before = {"a taken name": 1, "a taken series": 1, "a taken series, the other way": 1}.get(case, 0)
    assert len(here.registry.collectors()) == before
    assert len(list(here.registry.collect())) == before


BAD_CALLS: dict[str, Callable[[Library], object]] = {
    "labels() without label names": lambda library: library.define("Counter", "c").labels("a"),
    "labels() of a child": lambda library: library.define("Counter", "c", ["a"]).labels("a").labels("b"),
    "too few values": lambda library: library.define("Counter", "c", ["a", "b"]).labels("a"),
    "no values": lambda library: library.define("Counter", "c", ["a", "b"]).labels(),
    "wrong names": lambda library: library.define("Counter", "c", ["a"]).labels(b="x"),
    "both ways at once": lambda library: library.define("Counter", "c", ["a", "b"]).labels("x", b="y"),
    "recording on the metric": lambda library: library.define("Counter", "c", ["a"]).inc(),
    "observing on the metric": lambda library: library.define("Histogram", "h", ["a"]).observe(1),
    "timing on the metric": lambda library: library.define("Gauge", "g", ["a"]).set(1),
    "a decrement": lambda library: library.define("Counter", "c").inc(-1),
    "remove() without label names": lambda library: library.define("Counter", "c").remove("a"),
    "remove() with too many": lambda library: library.define("Counter", "c", ["a"]).remove("a", "b"),
    "remove_by_labels() without label names": lambda library: library.define("Counter", "c").remove_by_labels({"a": "b"}),
    "remove_by_labels() of an unknown one": lambda library: library.define("Counter", "c", ["a"]).remove_by_labels({"b": "x"}),
    "remove_by_labels() of a list": lambda library: library.define("Counter", "c", ["a"]).remove_by_labels(["a"]),
    "a state of another": lambda library: library.define("Enum", "e", states=["a"]).state("b"),
    "a fact named as a label": lambda library: library.define("Info", "i", ["a"]).labels("x").info({"a": "b"}),
    "a fact without a value": lambda library: library.define("Info", "i").info({"a": None}),
    "inc() of the most recent value": lambda library: library.define("Gauge", "g", multiprocess_mode="mostrecent").inc(),
    "dec() of the most recent value": lambda library: library.define("Gauge", "g", multiprocess_mode="livemostrecent").dec(),
    "a reserved exemplar label": lambda library: library.define("Counter", "c").inc(1, {"__a": "b"}),
    "too long an exemplar": lambda library: library.define("Histogram", "h").observe(1, {"a": "b" * 128}),
    "counting exceptions on the metric": lambda library: library.define("Counter", "c", ["a"]).count_exceptions(),
    "tracking progress on the metric": lambda library: library.define("Gauge", "g", ["a"]).track_inprogress(),
    "a callback on the metric": lambda library: library.define("Gauge", "g", ["a"]).set_function(lambda: 1),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_bad_call_raises_what_it_always_raised_and_says_which_metric(case: str) -> None:
    here, there = both()
    mine, other = raised(lambda: BAD_CALLS[case](here)), raised(lambda: BAD_CALLS[case](there))
    assert other is not None
    assert isinstance(mine, type(other))
    assert isinstance(mine, MeasurandError) or type(mine) in {RuntimeError, TypeError}
    if not case.endswith(("exemplar label", "exemplar", "of a list")):
        name = here.registry.collectors()[0].definition.name
        assert f"{name}." in f"{mine}.".replace(" ", ".").replace(":", ".").replace(",", ".").replace(";", ".")


def test_created_series_stand_where_they_always_stood() -> None:
    here, there = both()
    for library in (here, there):
        library.names.enable_created_metrics()
        library.define("Counter", "c", ["l"]).labels("x").inc()
        library.define("Summary", "s").observe(1)
        library.define("Histogram", "h", buckets=[1]).observe(1)

    def order(library: Any) -> list[tuple[str, dict[str, str]]]:
        return [(sample.name, dict(sample.labels)) for metric in library.registry.collect() for sample in metric.samples]

    try:
        assert order(here) == order(there)
        lines = [[line.rpartition(b" ")[0] for line in library.text().splitlines()] for library in (here, there)]
        assert lines[0] == lines[1]
    finally:
        here.names.disable_created_metrics()
        there.names.disable_created_metrics()


# -- what differs on purpose -----------------------------------------------------------------------------------------------------------

STRICTER: dict[str, Callable[[Library], object]] = {
    "a string for a list of label names": lambda library: library.define("Counter", "c", "method"),
    "a label name twice": lambda library: library.define("Counter", "c", ["a", "a"]),
    "label names that are one when exposed": lambda library: library.define("Counter", "c", ["a.b", "a_b"]),
    "an empty label name": lambda library: library.define("Counter", "c", [""]),
    "a bound twice": lambda library: library.define("Histogram", "h", buckets=(1, 1, 2)),
    "a string for a list of states": lambda library: library.define("Enum", "e", states="abc"),
    "a state twice": lambda library: library.define("Enum", "e", states=["a", "a"]),
    "a NaN that a counter could never leave": lambda library: library.define("Counter", "c").inc(float("nan")),
    "names that are one when exposed": lambda library: (library.define("Gauge", "a.b"), library.define("Gauge", "a_b")),
}


@pytest.mark.parametrize("case", STRICTER)
def test_what_they_take_and_regret_is_refused(case: str) -> None:
    here, there = both()
    assert raised(lambda: STRICTER[case](there)) is None
    assert isinstance(raised(lambda: STRICTER[case](here)), ValueError)


def test_nan_is_left_out_of_a_histogram_which_theirs_never_recovers_from() -> None:
    here, there = both()
    for library in (here, there):
        library.define("Histogram", "h", buckets=(1,)).observe(float("nan"))
        library.define("Summary", "s").observe(float("nan"))
    assert repr(there.registry.get_sample_value("h_sum")) == "nan"
    assert values(here.registry) == {'h_bucket{le="1.0"}': 0, 'h_bucket{le="+Inf"}': 0, "h_count": 0, "h_sum": 0, "s_count": 0, "s_sum": 0}


def test_defining_the_same_again_gives_the_same_where_theirs_fails() -> None:
    here, there = both()
    assert here.define("Counter", "c", ["a"]) is here.define("Counter", "c", ["a"])
    assert isinstance(raised(lambda: [there.define("Counter", "c", ["a"]) for _ in range(2)]), ValueError)


def test_the_shared_names_take_the_same_arguments() -> None:
    for name in ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum", "CollectorRegistry"):
        mine = inspect.signature(getattr(measurand, name).__init__).parameters
        other = inspect.signature(getattr(prometheus_client, name).__init__).parameters
        positional = [each for each, parameter in mine.items() if parameter.kind is not parameter.KEYWORD_ONLY]
        assert [each for each in other if each != "_labelvalues"] == [each for each in positional if each != "_labelvalues"]
        if "_labelvalues" in positional:
            assert positional == list(other)
