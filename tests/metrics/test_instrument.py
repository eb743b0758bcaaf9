"""What all instruments share: registration, declared label values, the limit on series, created series, subclasses, get_or_create."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import prometheus_client
import pytest

from measurand import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Metric,
    Summary,
    disable_created_metrics,
    enable_created_metrics,
    generate_latest,
)
from measurand.errors import DefinitionError, DuplicateTimeseries, LabelError
from measurand.metrics.domains import Domain
from tests.metrics.kit import content, values
from tests.support import StillClock, run_threads

MAKERS: dict[str, Callable[..., Any]] = {
    "counter": lambda registry, **more: Counter("m", "d", registry=registry, **more),
    "gauge": lambda registry, **more: Gauge("m", "d", registry=registry, **more),
    "summary": lambda registry, **more: Summary("m", "d", registry=registry, **more),
    "histogram": lambda registry, **more: Histogram("m", "d", registry=registry, buckets=[1], **more),
    "info": lambda registry, **more: Info("m", "d", registry=registry, **more),
    "stateset": lambda registry, **more: Enum("m", "d", registry=registry, states=["on", "off"], **more),
}
every_type = pytest.mark.parametrize("type_", MAKERS)


# -- definition and registration ---------------------------------------------------------------------------------------------------


@every_type
def test_a_metric_says_what_it_is(registry: CollectorRegistry, type_: str) -> None:
    metric = MAKERS[type_](registry, labelnames=["a"])
    assert metric.definition.type == type_
    assert str(metric) == f"{type_}:m"
    assert repr(metric) == f"measurand.metrics.instruments.{type(metric).__name__}(m)"
    assert metric.describe() == [Metric("m", "d", type_)]
    assert metric.labels("x").definition is metric.definition
    assert registry.collectors() == [metric]


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (lambda r: Counter("c", "d", "method", registry=r), "labelnames of c must be a list of names"),
        (lambda r: Counter("c", "d", ["a", "a"], registry=r), "Duplicate label names of c"),
        (lambda r: Counter("c", "d", registry=r, max_series=0), "max_series of c must be a whole number, at least 1, or None .*; got 0"),
        (lambda r: Counter("c", "d", registry=r, max_series="9"), "max_series of c .*; got '9'"),
        (lambda r: Gauge("g", "d", registry=r, expire_after=0), "expire_after of g must be a number of seconds greater than zero.*; got 0"),
        (lambda r: Gauge("g", "d", registry=r, expire_after="9"), "expire_after of g .*; got '9'"),
        (lambda r: Gauge("g", "d", registry=r, multiprocess_mode="avg"), "Invalid multiprocess mode: avg; it must be one of all, livea"),
        (lambda r: Histogram("h", "d", registry=r, buckets=[2, 1]), "Buckets not in sorted order: h"),
        (lambda r: Histogram("h", "d", registry=r, buckets=[1, 1]), "Buckets of h contain the same bound twice"),
        (lambda r: Histogram("h", "d", registry=r, buckets=["x"]), "Buckets of h must be numbers"),
        (lambda r: Histogram("h", "d", registry=r, buckets=[]), "at least two buckets: h needs a bound besides"),
        (lambda r: Enum("e", "d", registry=r), "No states provided for Enum metric: e; pass states="),
        (lambda r: Enum("e", "d", registry=r, states="on"), "states of e must be a list of different strings"),
        (lambda r: Enum("e", "d", ["e"], registry=r, states=["on"]), "Overlapping labels for Enum metric: e"),
        (lambda r: Enum("e", "d", ["n_e"], namespace="n", registry=r, states=["on"]), "Overlapping labels for Enum metric: e"),
        (lambda r: Enum("e", "d", "abc", registry=r, states=["on"]), "labelnames of e must be a list of names"),
        (lambda r: Counter("c", "d", ["a"], registry=r, label_values={"b": ["x"]}), r"label_values of c .*expected \['a'\], got \['b'\]"),
        (lambda r: Counter("c", "d", ["a"], registry=r, label_values={"a": "xyz"}), "label_values of c: the values of 'a' must be a list"),
        (lambda r: Counter("c", "d", ["a"], registry=r, label_values="xyz"), "label_values of c must be a list, not the string"),
        (lambda r: Counter("c", "d", ["a"], registry=r, label_values=[("x", "y")]), r"label_values of c: \('x', 'y'\) does not fit its"),
        (lambda r: Counter("c", "d", registry=r, label_values=["x"]), r"label_values of c: \('x',\) does not fit its labels \[\]"),
        (lambda r: Info("i", "d", unit="seconds", registry=r), "cannot have a unit: i"),
    ],
)
@pytest.mark.parametrize("owner", [CollectorRegistry, lambda: Domain("other")])
def test_a_bad_definition_says_what_is_wrong_and_leaves_nothing_behind(
    owner: Callable[[], CollectorRegistry], define: Callable[[Any], object], message: str
) -> None:
    registry = owner()
    with pytest.raises(DefinitionError, match=message):
        define(registry)
    assert registry.collectors() == []
    assert list(registry.collect()) == []
    assert registry.find("c") is registry.find("c_total") is registry.find("g") is registry.find("h") is registry.find("e") is None
    Counter("c", "d", registry=registry).inc()  # the name is free


def test_the_documentation_must_be_a_string(registry: CollectorRegistry) -> None:
    with pytest.raises(TypeError, match="documentation of c must be a string, not NoneType"):
        Counter("c", None, registry=registry)  # type: ignore[arg-type]
    assert registry.collectors() == []


def test_label_names_may_come_from_any_iterable(registry: CollectorRegistry) -> None:
    for metric in (Counter("c", "d", iter("ab"), registry=registry), Enum("e", "d", iter("ab"), states=["on"], registry=registry)):
        assert metric.definition.labelnames == ("a", "b")


def test_a_metric_can_be_given_to_a_registry_of_prometheus_client() -> None:
    theirs = prometheus_client.CollectorRegistry()
    hits = Counter("hits_total", "Hits", ["page"], registry=theirs)  # type: ignore[arg-type]
    hits.labels("a").inc(2)
    assert theirs.get_sample_value("hits_total", {"page": "a"}) == 2
    assert b'hits_total{page="a"} 2.0\n' in prometheus_client.generate_latest(theirs)
    with pytest.raises(ValueError, match="Duplicated"):
        prometheus_client.Gauge("hits_total", "d", registry=theirs)


# -- declared label values (P-26) ----------------------------------------------------------------------------------------------------


@every_type
def test_declared_label_values_are_there_before_traffic(registry: CollectorRegistry, type_: str) -> None:
    MAKERS[type_](registry, labelnames=["method", "ok"], label_values={"ok": [True, False], "method": ["GET", "PUT"]})
    shown = {(sample.labels["method"], sample.labels["ok"]) for sample in next(iter(registry.collect())).samples}
    assert shown == {("GET", "True"), ("GET", "False"), ("PUT", "True"), ("PUT", "False")}
    if type_ not in {"info", "stateset"}:
        assert set(values(registry).values()) == {0}


@pytest.mark.parametrize(
    "declared",
    [
        lambda: ["a", "b"],
        lambda: [("a",), ("b",)],
        lambda: [["a"], ["b"]],
        lambda: iter("ab"),
        lambda: {"l": iter("ab")},
    ],
)
def test_label_values_are_given_as_a_list_of_values_or_tuples_or_by_name(registry: CollectorRegistry, declared: Callable[[], Any]) -> None:
    Counter("c", "d", ["l"], registry=registry, label_values=declared())
    assert values(registry) == {'c_total{l="a"}': 0, 'c_total{l="b"}': 0}


def test_tuples_declare_only_the_combinations_that_happen(registry: CollectorRegistry) -> None:
    Counter("c", "d", ["code", "ok"], registry=registry, label_values=[(200, True), (500, False)])
    assert values(registry) == {'c_total{code="200",ok="True"}': 0, 'c_total{code="500",ok="False"}': 0}


# -- the limit on series (P-15) ------------------------------------------------------------------------------------------------------


def test_beyond_the_limit_totals_stay_exact_and_one_warning_names_the_label(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    hits = Counter("hits_total", "d", ["method", "path"], registry=registry, max_series=10)
    sizes = Histogram("size_bytes", "d", ["path"], registry=registry, max_series=10, buckets=[1, 2])
    levels = Gauge("level", "d", ["path"], registry=registry, max_series=10)
    with caplog.at_level(logging.WARNING, "measurand"):
        for number in range(1000):
            hits.labels("GET", f"/{number}").inc(0.5)
            sizes.labels(path=number).observe(number % 3)
            levels.labels(number).inc(2)
    found = values(registry)
    assert sum(value for name, value in found.items() if name.startswith("hits_total")) == 500
    assert sum(value for name, value in found.items() if name.startswith("size_bytes_count")) == 1000
    assert sum(value for name, value in found.items() if name.startswith("size_bytes_sum")) == 999
    assert sum(value for name, value in found.items() if name.startswith("level")) == 2000
    assert found['hits_total{method="__other__",path="__other__"}'] == 495
    for name in ("hits_total{", "size_bytes_sum{", "level{"):
        assert sum(each.startswith(name) for each in found) == 11
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert said[0].startswith("hits has reached its limit of 10 series")
    assert "varies most is 'path' (10 values)" in said[0]


def test_the_limit_holds_between_threads_and_totals_are_exact(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "d", ["path"], registry=registry, max_series=50)

    def record(start: int) -> Callable[[], None]:
        return lambda: [hits.labels(f"/{number % 400}").inc() for number in range(start, start + 2000)] and None

    run_threads(*[record(500 * thread) for thread in range(4)])
    found = values(registry)
    assert sum(found.values()) == 8000
    assert len(found) <= 51 + 4  # the Python twin may pass the limit by the number of threads that race for the last place
    assert found['hits_total{path="__other__"}'] > 0


def test_the_default_limit_is_two_thousand_and_none_means_none(registry: CollectorRegistry) -> None:
    limited, free = Counter("a", "d", ["l"], registry=registry), Counter("b", "d", ["l"], registry=registry, max_series=None)
    for number in range(2100):
        limited.labels(number).inc()
        free.labels(number).inc()
    assert len(limited.collect()[0].samples) == 2001
    assert len(free.collect()[0].samples) == 2100


def test_declared_label_values_count_against_the_limit(registry: CollectorRegistry) -> None:
    Counter("c", "d", ["l"], registry=registry, max_series=2, label_values={"l": ["a", "b", "c"]})
    assert set(values(registry)) == {'c_total{l="a"}', 'c_total{l="b"}', 'c_total{l="__other__"}'}


def test_removing_a_series_makes_room(registry: CollectorRegistry) -> None:
    counter = Counter("c", "d", ["l"], registry=registry, max_series=1)
    counter.labels("a").inc()
    counter.remove("a")
    counter.labels("b").inc()
    assert values(registry) == {'c_total{l="b"}': 1}


# -- created series ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def created_series() -> Iterator[None]:
    enable_created_metrics()
    yield
    disable_created_metrics()


@pytest.mark.usefixtures("created_series")
def test_created_series_tell_when_each_series_started(registry: CollectorRegistry, still_clock: StillClock) -> None:
    start = still_clock.wall()
    counter = Counter("c", "d", ["l"], registry=registry)
    counter.labels("a").inc()
    still_clock.advance(10)
    counter.labels("b").inc()
    Summary("s", "d", registry=registry)
    Histogram("h", "d", registry=registry, buckets=[1])
    Gauge("g", "d", registry=registry)
    found = {name: value for name, value in values(registry).items() if "_created" in name}
    assert found == {'c_created{l="a"}': start, 'c_created{l="b"}': start + 10, "s_created": start + 10, "h_created": start + 10}
    still_clock.advance(10)
    counter.labels("a").reset()
    assert values(registry)['c_created{l="a"}'] == start + 20


def test_created_series_are_off_by_default(registry: CollectorRegistry) -> None:
    Counter("c", "d", registry=registry).inc()
    assert values(registry) == {"c_total": 1}
    assert b"_created" not in generate_latest(registry)


# -- subclasses ----------------------------------------------------------------------------------------------------------------------


class Tenants(Counter):
    """A subclass with a signature and attributes of its own."""

    def __init__(self, tenants: list[str], registry: CollectorRegistry, **more: Any) -> None:
        super().__init__("tenants", "By tenant", ["tenant"], registry=registry, **more)
        self.tenants = tenants
        self.seen: list[float] = []

    def inc(self, amount: float = 1, exemplar: Any = None) -> None:
        self.seen.append(amount)
        super().inc(amount, exemplar)

    def known(self) -> list[str]:
        return self.tenants


def test_a_subclass_has_its_own_signature_and_its_children_its_attributes(registry: CollectorRegistry) -> None:
    metric = Tenants(["a", "b"], registry, label_values={"tenant": ["a"]})
    for child in (metric.labels("a"), metric.labels("b")):
        assert isinstance(child, Tenants)
        assert child.known() is metric.tenants
        child.inc(2)
    assert metric.seen == [2, 2]  # one list, as it is one metric
    assert values(registry) == {'tenants_total{tenant="a"}': 2, 'tenants_total{tenant="b"}': 2}
    assert Tenants(["other"], registry) is metric


def test_what_the_constructor_of_a_repetition_still_does_changes_nothing(registry: CollectorRegistry) -> None:
    class Started(Counter):
        def __init__(self) -> None:
            super().__init__("started", "d", registry=registry)
            self.inc()

    assert Started() is Started()
    assert values(registry) == {"started_total": 1}


def test_a_subclass_may_collect_in_its_own_way(registry: CollectorRegistry) -> None:
    class Doubled(Gauge):
        def collect(self) -> list[Metric]:
            metric = super().collect()[0]
            metric.samples = [sample._replace(value=sample.value * 2) for sample in metric.samples]
            return [metric]

    doubled = Doubled("doubled", "d", ["l"], registry=registry)
    doubled.labels("a").set(4)
    assert values(registry) == {'doubled{l="a"}': 8}
    assert b'doubled{l="a"} 8.0\n' in generate_latest(registry)
    with pytest.raises(DuplicateTimeseries):
        Counter("doubled", "d", registry=registry)


@pytest.mark.parametrize("of_child", [False, True])
def test_a_method_can_be_patched_on_a_metric(registry: CollectorRegistry, of_child: bool) -> None:
    counter = Counter("c", "d", ["l"] if of_child else [], registry=registry)
    series = counter.labels("x") if of_child else counter
    with mock.patch.object(series, "inc") as patched:
        series.inc(5)
    patched.assert_called_once_with(5)
    series.inc(2)
    assert list(values(registry).values()) == [2]


def test_a_method_can_be_patched_on_the_class(registry: CollectorRegistry) -> None:
    counter = Counter("c", "d", registry=registry)
    with mock.patch.object(Counter, "inc") as patched:
        counter.inc(5)
    patched.assert_called_once_with(5)
    counter.inc()
    assert values(registry) == {"c_total": 1}


# -- get_or_create -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [Counter, Gauge, Histogram, Summary, Info])
def test_get_or_create_makes_a_metric_once(registry: CollectorRegistry, cls: Any) -> None:
    made = cls.get_or_create("plugin", "Plugins", ["name"], registry=registry)
    assert cls.get_or_create("plugin", labelnames=["name"], registry=registry) is made
    assert made.definition.documentation == "Plugins"
    assert registry.collectors() == [made]


def test_get_or_create_takes_the_options_of_a_definition(registry: CollectorRegistry) -> None:
    made = Histogram.get_or_create("calls", namespace="n", subsystem="s", unit="seconds", buckets=[1, 2], registry=registry)
    assert made.definition.name == "n_s_calls_seconds"
    assert made.definition.bounds == (1, 2)
    assert Histogram.get_or_create("calls_seconds", namespace="n", subsystem="s", registry=registry) is made
    state = Enum.get_or_create("state", states=["on"], registry=registry)
    assert Enum.get_or_create("state", registry=registry) is state


def test_threads_that_create_the_same_name_get_one_metric(registry: CollectorRegistry) -> None:
    def use() -> None:
        for number in range(100):
            Counter.get_or_create(f"c{number}", "d", ["l"], registry=registry).labels("x").inc()

    run_threads(*[use] * 8)
    assert len(registry.collectors()) == 100
    assert set(values(registry).values()) == {8}


def test_get_or_create_of_what_is_something_else_names_both(registry: CollectorRegistry) -> None:
    Counter("taken", "d", ["a", "b"], registry=registry)
    for ask in (
        lambda: Gauge.get_or_create("taken", registry=registry),
        lambda: Counter.get_or_create("taken", labelnames=["a"], registry=registry),
        lambda: Gauge.get_or_create("taken_total", registry=registry),
    ):
        with pytest.raises(DuplicateTimeseries, match=rf"\['a', 'b'\].*{__file__}:\d+.*{__file__}:\d+"):
            ask()
    assert len(registry.collectors()) == 1


def test_get_or_create_checks_what_a_definition_checks(registry: CollectorRegistry) -> None:
    for ask in (
        lambda: Counter.get_or_create("", registry=registry),
        lambda: Counter.get_or_create("c", labelnames="method", registry=registry),
        lambda: Summary.get_or_create("c", labelnames=["quantile"], registry=registry),
        lambda: Enum.get_or_create("c", registry=registry),
    ):
        with pytest.raises(DefinitionError):
            ask()
    assert registry.collectors() == []


# -- collecting by oneself -------------------------------------------------------------------------------------------------------------


@every_type
def test_a_metric_and_each_series_collect_on_their_own(type_: str) -> None:
    metric = MAKERS[type_](None, labelnames=["a"])
    child = metric.labels("x")
    whole, part = content(metric)[0], content(child)[0]
    assert whole[:4] == part[:4] == ("m", "d", type_, "")
    assert [(name, {**labels, "a": "x"}, *rest) for name, labels, *rest in part[4]] == whole[4]


@every_type
def test_recording_on_a_metric_that_has_labels_says_how_to(type_: str) -> None:
    metric = MAKERS[type_](None, labelnames=["a", "b"])
    record = {"counter": "inc", "gauge": "set", "info": "info", "stateset": "state"}.get(type_, "observe")
    with pytest.raises(LabelError, match=rf"{type_} metric is missing label values: call m.labels\(a, b\) first"):
        getattr(metric, record)(*{"counter": (), "info": ({},), "stateset": ("on",)}.get(type_, (1,)))
