"""Private names of prometheus_client that programs and test suites in the wild lean on.

This suite alone uses private names: they are its subject. Where the real library has the same name, both are held side by side.
"""

# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import prometheus_client
import pytest

from measurand import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from measurand.metrics.domains import Domain
from tests.metrics.kit import Library, both, raised, values

pytestmark = pytest.mark.usefixtures("without_created_series")


def prepared(library: Library) -> dict[str, Any]:
    """One metric of each type, with and without labels, all recorded on."""
    made = {
        "counter": library.define("Counter", "c", namespace="n", subsystem="s", unit="bytes"),
        "counters": library.define("Counter", "cs", ["l", "k"]),
        "gauge": library.define("Gauge", "g", multiprocess_mode="livesum"),
        "gauges": library.define("Gauge", "gs", ["l"]),
        "summary": library.define("Summary", "s"),
        "histogram": library.define("Histogram", "h", buckets=[1, 2]),
        "histograms": library.define("Histogram", "hs", ["l"], buckets=[1, 2]),
        "info": library.define("Info", "i"),
        "enum": library.define("Enum", "e", states=["on", "off"]),
    }
    made["counter"].inc(2)
    made["counters"].labels("x", "y").inc(3)
    made["counters"].labels("x", "z").inc(4)
    made["gauge"].set(-1)
    made["gauges"].labels("x").set(5)
    made["summary"].observe(2.5)
    made["histogram"].observe(0.5)
    made["histogram"].observe(1.5)
    made["histograms"].labels("x").observe(9)
    made["info"].info({"version": "1"})
    made["enum"].state("off")
    return made


READS: dict[str, Callable[[dict[str, Any]], object]] = {
    "the value of a counter": lambda m: m["counter"]._value.get(),
    "the value of a series": lambda m: m["counters"].labels("x", "y")._value.get(),
    "the value of a gauge": lambda m: m["gauge"]._value.get(),
    "the value of a gauge's series": lambda m: m["gauges"].labels(l="x")._value.get(),
    "count and sum of a summary": lambda m: (m["summary"]._count.get(), m["summary"]._sum.get()),
    "sum of a histogram": lambda m: m["histogram"]._sum.get(),
    "sum of a series": lambda m: m["histograms"].labels("x")._sum.get(),
    "buckets": lambda m: [bucket.get() for bucket in m["histogram"]._buckets],
    "buckets of a series": lambda m: [bucket.get() for bucket in m["histograms"].labels("x")._buckets],
    "bounds": lambda m: (m["histogram"]._upper_bounds, m["histograms"]._upper_bounds, m["histograms"].labels("x")._upper_bounds),
    "facts": lambda m: m["info"]._value,
    "the state's position": lambda m: m["enum"]._value,
    "the states": lambda m: list(m["enum"]._states),
    "names": lambda m: [each._name for each in m.values()],
    "a child's name": lambda m: m["gauges"].labels("x")._name,
    "documentation": lambda m: [each._documentation for each in m.values()],
    "types": lambda m: [each._type for each in m.values()],
    "units": lambda m: [each._unit for each in m.values()],
    "label names": lambda m: [each._labelnames for each in m.values()],
    "label values": lambda m: [m["counters"]._labelvalues, m["counters"].labels("x", "y")._labelvalues],
    "the parts of a name": lambda m: (m["counter"]._original_name, m["counter"]._namespace, m["counter"]._subsystem),
    "the mode of a gauge": lambda m: (m["gauge"]._multiprocess_mode, m["gauge"]._kwargs["multiprocess_mode"]),
    "whether it has labels": lambda m: [bool(each._is_parent()) for each in m.values()],
    "whether it can record": lambda m: [bool(each._is_observable()) for each in m.values()],
    "its children": lambda m: sorted(m["counters"]._metrics),
    "the number of its children": lambda m: len(m["counters"]._metrics),
    "a child by its values": lambda m: m["counters"]._metrics["x", "z"]._value.get(),
    "whether there is a child": lambda m: [("x", "y") in m["counters"]._metrics, ("x",) in m["counters"]._metrics],
    "the values of its children": lambda m: sorted(child._value.get() for child in m["counters"]._metrics.values()),
    "a copy of its children": lambda m: sorted(m["counters"]._metrics.copy()),
    "its samples": lambda m: [(s.name, dict(s.labels), s.value) for s in m["counters"]._samples()],
    "a child's samples": lambda m: [(s.name, dict(s.labels), s.value) for s in m["histogram"]._child_samples()],
    "all children's samples": lambda m: [(s.name, dict(s.labels), s.value) for s in m["histograms"]._multi_samples()],
    "the family": lambda m: m["counter"]._get_metric().name,
    "a lock to hold": lambda m: m["counters"]._lock.__enter__ is not None,
    "that a child has no children": lambda m: hasattr(m["counters"].labels("x", "y"), "_metrics"),
    "that a metric without labels has no children": lambda m: hasattr(m["gauge"], "_metrics"),
    "that a metric with labels has no value": lambda m: (hasattr(m["gauges"], "_value"), hasattr(m["histograms"], "_buckets")),
    "the created time": lambda m: isinstance(m["counter"]._created, float),
    "no exemplar": lambda m: m["counter"]._value.get_exemplar(),
}


@pytest.mark.parametrize("case", READS)
def test_a_private_name_reads_the_same(case: str) -> None:
    here, there = both()
    assert READS[case](prepared(here)) == READS[case](prepared(there))


WRITES: dict[str, Callable[[dict[str, Any]], object]] = {
    "setting a counter": lambda m: m["counter"]._value.set(7),
    "setting a series": lambda m: m["counters"].labels("x", "y")._value.set(0),
    "setting a gauge": lambda m: m["gauge"]._value.set(1.5),
    "adding": lambda m: m["gauge"]._value.inc(2),
    "setting a summary": lambda m: (m["summary"]._count.set(0), m["summary"]._sum.set(0)),
    "emptying a histogram": lambda m: [cell.set(0) for cell in (*m["histogram"]._buckets, m["histogram"]._sum)],
    "one bucket": lambda m: m["histogram"]._buckets[0].inc(5),
    "clearing the children": lambda m: m["counters"]._metrics.clear(),
    "deleting a child": lambda m: m["counters"]._metrics.__delitem__(("x", "y")),
    "popping a child": lambda m: m["counters"]._metrics.pop(("x", "y")),
    "popping what is not there": lambda m: m["counters"]._metrics.pop(("no", "one"), None),
    "deleting what is not there": lambda m: m["counters"]._metrics.__delitem__(("no", "one")),
    "starting anew": lambda m: [m[name]._metric_init() for name in ("counter", "gauge", "summary", "histogram")],
    "starting a series anew": lambda m: m["histograms"].labels("x")._metric_init(),
}


@pytest.mark.parametrize("case", WRITES)
def test_a_private_name_writes_the_same(case: str) -> None:
    here, there = both()
    mine, other = prepared(here), prepared(there)
    errors = raised(lambda: WRITES[case](mine)), raised(lambda: WRITES[case](other))
    assert type(errors[0]) is type(errors[1])
    assert here.text() == there.text()
    for metrics in (mine, other):  # and all goes on from there
        metrics["counter"].inc()
        metrics["counters"].labels("x", "y").inc()
        metrics["histogram"].observe(1)
    assert here.text() == there.text()


def test_children_are_made_by_labels_only() -> None:
    counter = Counter("c", "d", ["l"], registry=None)
    with pytest.raises(TypeError, match=r"series are made by labels\(\)"):
        counter._metrics["x",] = counter


# -- registries ----------------------------------------------------------------------------------------------------------------------


def empty_by_unregistering(registry: Any) -> None:
    for collector in list(registry._collector_to_names):
        registry.unregister(collector)


def empty_by_clearing(registry: Any) -> None:
    registry._collector_to_names.clear()
    registry._names_to_collectors.clear()


def empty_by_names(registry: Any) -> None:
    for collector in set(registry._names_to_collectors.values()):
        registry.unregister(collector)


@pytest.mark.parametrize("empty", [empty_by_unregistering, empty_by_clearing, empty_by_names])
@pytest.mark.parametrize("make", [CollectorRegistry, lambda: Domain("d"), prometheus_client.CollectorRegistry])
def test_after_emptying_a_registry_metrics_go_on_and_can_be_defined_anew(make: Callable[[], Any], empty: Callable[[Any], None]) -> None:
    registry = make()
    library = prometheus_client if isinstance(registry, prometheus_client.CollectorRegistry) else __import__("measurand")
    old = library.Counter("c", "d", ["l"], registry=registry)
    old.labels("x").inc(5)
    empty(registry)
    assert list(registry.collect()) == []
    old.labels("x").inc()
    assert old.labels("x")._value.get() == 6
    new = library.Counter("c", "d", ["l"], registry=registry)
    assert new is not old
    new.labels("x").inc()
    assert registry.get_sample_value("c_total", {"l": "x"}) == 1
    assert old.labels("x")._value.get() == 6


def test_after_clearing_only_the_names_they_can_be_defined_anew(registry: CollectorRegistry) -> None:
    old = Gauge("g", "d", registry=registry)
    registry._names_to_collectors.clear()
    new = Gauge("g", "d", registry=registry)
    assert new is not old
    registry.unregister(old)
    new.set(3)
    assert values(registry) == {"g": 3}
    assert registry._names_to_collectors["g"] is new


@pytest.mark.parametrize(
    "read",
    [
        lambda registry, metric: sorted(registry._names_to_collectors),
        lambda registry, metric: sorted(registry._collector_to_names[metric]),
        lambda registry, metric: registry._names_to_collectors["h_count"] is metric,
        lambda registry, metric: sorted(registry._get_names(metric)),
        lambda registry, metric: registry._collectors_without_names,
        lambda registry, metric: registry._target_info,
        lambda registry, metric: registry._lock.__exit__ is not None,
    ],
)
def test_the_tables_of_a_registry_read_the_same(read: Callable[[Any, Any], object]) -> None:
    answers = []
    for library in both():
        metric = library.define("Histogram", "h")
        answers.append(read(library.registry, metric))
    assert answers[0] == answers[1]


def test_the_default_registry_has_them_too() -> None:
    gauge = Gauge("legacy_gauge", "d")
    assert gauge in REGISTRY._collector_to_names
    assert REGISTRY._names_to_collectors["legacy_gauge"] is gauge
    with REGISTRY._lock:
        REGISTRY.unregister(gauge)
    assert gauge not in REGISTRY._collector_to_names


def test_an_exemplar_can_be_read() -> None:
    histogram = Histogram("h", "d", registry=None, buckets=[1])
    histogram.observe(0.5, {"trace": "1"})
    assert histogram._buckets[0].get_exemplar().labels == {"trace": "1"}
    assert histogram._buckets[1].get_exemplar() is None


def test_a_native_histogram_has_its_classic_buckets() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "d", buckets=[1, 2], native=True, registry=registry)
    for value, trace in [(0.2, "1"), (0.5, "2"), (0.3, "3"), (1.5, "4"), (1.2, "5"), (1.9, "6"), (9, "7")]:
        histogram.observe(value, exemplar={"trace": trace})
    first, second, last = histogram._buckets
    assert [first.get(), second.get(), last.get()] == [3, 3, 1]
    assert [bucket.get_exemplar().labels["trace"] for bucket in (first, second, last)] == ["3", "6", "7"]
    first.inc(2)
    second.set(1)
    last.set(0)
    assert [bucket.get() for bucket in histogram._buckets] == [5, 1, 0]
    assert registry.get_sample_value("h_bucket", {"le": "1.0"}) == 5
    assert registry.get_sample_value("h_bucket", {"le": "2.0"}) == 6
    assert registry.get_sample_value("h_count") == 6
    assert Histogram("unused", "d", native=True, registry=registry)._buckets[0].get_exemplar() is None


def test_what_is_set_is_exposed(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "d", ["l"], registry=registry)
    gauge.labels("x")._value.set(42)
    assert b'g{l="x"} 42.0\n' in generate_latest(registry)
