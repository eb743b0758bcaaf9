"""Registries: who may register, what is collected, labels and facts of the whole, locks and forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from measurand.catalog.process import PROCESS_COLLECTOR
from measurand.errors import DefinitionError, DuplicateTimeseries
from measurand.metrics.families import CounterMetricFamily, GaugeMetricFamily
from tests.metrics.kit import Library, both, content, in_forked_child, raised, values
from tests.support import eager_switching, in_background, run_threads


class Custom:
    """A custom collector of one family, which counts how often it is asked."""

    def __init__(self, *families: Callable[[], Any]) -> None:
        self.families = families or (lambda: GaugeMetricFamily("custom", "d", 1),)
        self.asked = 0

    def collect(self) -> Iterable[Any]:
        self.asked += 1
        return [family() for family in self.families]


class Described(Custom):
    def describe(self) -> Iterable[Any]:
        return [GaugeMetricFamily("custom", "d")]


# -- registering ---------------------------------------------------------------------------------------------------------------------


def test_what_is_unregistered_is_no_longer_shown_and_its_name_is_free(registry: CollectorRegistry) -> None:
    first = Counter("c", "d", registry=registry)
    first.inc()
    registry.unregister(first)
    assert values(registry) == {}
    assert registry.find("c_total") is None
    first.inc()  # the code that has it goes on
    second = Gauge("c_total", "d", registry=registry)
    assert registry.find("c_total") is second
    registry.unregister(second)
    registry.register(first)
    assert values(registry) == {"c_total": 2}


def test_unregistering_what_is_not_there_raises_but_for_the_collectors_that_are_opt_in(registry: CollectorRegistry) -> None:
    with pytest.raises(KeyError):
        registry.unregister(Counter("c", "d", registry=None))
    registry.unregister(PROCESS_COLLECTOR)
    assert registry.collectors() == []


def test_a_name_belongs_to_one_collector(registry: CollectorRegistry) -> None:
    registry.register(Described())
    for again in (Described, lambda: Gauge("custom", "d", registry=None)):
        with pytest.raises(DuplicateTimeseries) as caught:
            registry.register(again())
        assert caught.value.duplicates == {"custom"}
        assert "Described" in str(caught.value)
    assert len(registry.collectors()) == 1


def test_threads_that_register_at_once_lose_nothing(registry: CollectorRegistry) -> None:
    def register(thread: int) -> Callable[[], None]:
        def body() -> None:
            for number in range(50):
                metric = Gauge(f"g_{thread}_{number}", "d", registry=registry)
                if number % 2:
                    registry.unregister(metric)

        return body

    with eager_switching(), in_background(lambda: list(registry.collect())):
        run_threads(*[register(thread) for thread in range(4)])
    assert len(registry.collectors()) == 100


def test_only_one_of_several_threads_gets_a_name(registry: CollectorRegistry) -> None:
    refused = []

    def register(thread: int) -> Callable[[], None]:
        def body() -> None:
            for number in range(50):
                error = raised(lambda number=number: Gauge(f"g_{number}", "d", [f"l{thread}"], registry=registry))
                if error is not None:
                    assert isinstance(error, DuplicateTimeseries)
                    refused.append(error)

        return body

    with eager_switching():
        run_threads(*[register(thread) for thread in range(4)])
    assert len(registry.collectors()) == 50
    assert len(refused) == 150


def test_a_collector_is_asked_for_its_names_at_most_once(registry: CollectorRegistry) -> None:
    silent, asked, described = Custom(), Custom(), Described()
    registry.register(silent)
    CollectorRegistry(auto_describe=True).register(asked)
    CollectorRegistry(auto_describe=True).register(described)
    assert (silent.asked, asked.asked, described.asked) == (0, 1, 0)


def test_a_collector_that_cannot_be_described_is_not_registered() -> None:
    registry = CollectorRegistry(auto_describe=True)
    with pytest.raises(ZeroDivisionError):
        registry.register(Custom(lambda: 1 / 0))
    assert registry.collectors() == []


# -- beside prometheus_client --------------------------------------------------------------------------------------------------------


def custom(library: Library) -> Any:
    return Custom(
        lambda: library.families.GaugeMetricFamily("g", "d", 1),
        lambda: library.families.CounterMetricFamily("c", "d", 2),
        lambda: library.families.HistogramMetricFamily("h", "d", [("1.0", 1), ("+Inf", 2)], 3),
    )


def define_all(library: Library) -> None:
    library.define("Counter", "requests", ["method"]).labels("GET").inc()
    library.define("Histogram", "seconds", buckets=[1]).observe(0.5)
    library.define("Info", "build").info({"version": "1"})
    library.define("Enum", "state", states=["on", "off"])


@pytest.mark.parametrize("options", [{}, {"auto_describe": True}, {"support_collectors_without_names": True}])
@pytest.mark.parametrize(
    "names",
    [
        ["g"],
        ["c"],
        ["c_total"],
        ["h"],
        ["h_count", "g"],
        ["requests_total"],
        ["requests", "seconds_sum"],
        ["seconds_bucket"],
        ["build_info"],
        ["state"],
        ["target_info"],
        ["target_info", "state"],
        ["nothing"],
        [],
    ],
)
def test_a_restricted_registry_collects_the_same(options: dict[str, bool], names: list[str]) -> None:
    here, there = both(**options, target_info={"env": "test"})
    for library in (here, there):
        define_all(library)
        library.registry.register(custom(library))
    mine, other = (content(library.registry.restricted_registry(names)) for library in (here, there))
    assert sorted(map(repr, mine)) == sorted(map(repr, other))
    texts = [library.names.generate_latest(library.registry.restricted_registry(names)) for library in (here, there)]
    assert sorted(texts[0].splitlines()) == sorted(texts[1].splitlines())


def test_target_info_is_the_same_at_every_step() -> None:
    steps: list[Callable[[Library], object]] = [
        lambda library: library.registry.set_target_info({"a": "b"}),
        lambda library: library.registry.set_target_info({"c": "d"}),
        lambda library: library.define("Info", "target"),
        lambda library: library.registry.set_target_info(None),
        lambda library: library.define("Info", "target"),
        lambda library: library.registry.set_target_info({"e": "f"}),
        lambda library: library.registry.set_target_info({}),
    ]
    here, there = both(target_info={"first": "1"})
    for step in steps:
        mine, other = raised(lambda step=step: step(here)), raised(lambda step=step: step(there))
        assert isinstance(mine, ValueError) == isinstance(other, ValueError)
        assert here.registry.get_target_info() == there.registry.get_target_info()
        assert content(here.registry) == content(there.registry)
        assert here.text() == there.text()
    with pytest.raises(DefinitionError, match="already contains a target_info metric"):
        here.registry.set_target_info({"e": "f"})


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("requests_total", {"method": "GET"}),
        ("requests_total", None),
        ("requests_total", {}),
        ("requests_total", {"method": "PUT"}),
        ("requests", {"method": "GET"}),
        ("seconds_bucket", {"le": "1.0"}),
        ("seconds_bucket", {"le": "1"}),
        ("seconds_sum", None),
        ("build_info", {"version": "1"}),
        ("state", {"state": "on"}),
        ("state", {"state": "off"}),
        ("c_total", {}),
        ("target_info", {"env": "test"}),
        ("missing", None),
    ],
)
def test_get_sample_value_finds_the_same(name: str, labels: dict[str, str] | None) -> None:
    here, there = both(target_info={"env": "test"})
    for library in (here, there):
        define_all(library)
        library.registry.register(custom(library))
    assert here.registry.get_sample_value(name, labels) == there.registry.get_sample_value(name, labels)


# -- common labels -------------------------------------------------------------------------------------------------------------------


def test_common_labels_stand_on_every_series() -> None:
    registry = CollectorRegistry(common_labels={"service": "shop", "shard": 7})  # type: ignore[dict-item]
    Counter("c", "d", ["l"], registry=registry).labels("x").inc()
    Enum("e", "d", states=["on"], registry=registry)
    registry.register(Custom(lambda: CounterMetricFamily("k", "d", 3)))
    expected = {'c_total{l="x",service="shop",shard="7"}', 'e{e="on",service="shop",shard="7"}', 'k_total{service="shop",shard="7"}'}
    assert set(values(registry)) == expected
    lines = {line.rpartition(" ")[0] for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")}
    assert lines == expected
    assert (
        registry.get_sample_value("c_total", {"l": "x"})
        == registry.get_sample_value("c_total", {"l": "x", "service": "shop", "shard": "7"})
        == 1
    )
    assert registry.get_sample_value("c_total", {"l": "x", "service": "other", "shard": "7"}) is None
    registry.set_common_labels({})
    assert registry.common_labels == {}
    assert 'c_total{l="x"} 1.0\n' in generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("define", "label"),
    [
        (lambda registry: Counter("m", "d", ["service"], registry=registry), "service"),
        (lambda registry: Counter("m", "d", ["service.name"], registry=registry), "service_name"),
        (lambda registry: Enum("state", "d", states=["on"], registry=registry), "state"),
    ],
)
def test_a_label_cannot_be_a_metrics_own_and_a_common_one(define: Callable[[Any], Any], label: str) -> None:
    registry = CollectorRegistry(common_labels={label: "x"})
    with pytest.raises(DefinitionError, match=rf"defined at {__file__}:\d+\) has the label '{label}', which is a common label"):
        define(registry)
    assert registry.collectors() == []
    registry = CollectorRegistry()
    define(registry)
    with pytest.raises(DefinitionError, match="is a common label of its registry; rename one of them"):
        registry.set_common_labels({label: "x"})
    assert registry.common_labels == {}


@pytest.mark.parametrize("label", ["le", "quantile", "__name__", "", "a\ud800"])
def test_a_label_that_a_type_or_the_server_uses_cannot_be_common(registry: CollectorRegistry, label: str) -> None:
    with pytest.raises(DefinitionError, match="of the registry's common labels"):
        registry.set_common_labels({label: "x"})
    assert registry.common_labels == {}


# -- locks and forks -----------------------------------------------------------------------------------------------------------------


class SlowToHash(Custom):
    """Its hash is asked while the registry changes its tables, with the lock held; the first time it waits until told."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go = threading.Event(), threading.Event()

    def __hash__(self) -> int:
        self.reached.set()
        self.go.wait(30)
        return 1

    __eq__ = object.__eq__


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_while_another_thread_holds_the_lock_does_not_block_the_child(registry: CollectorRegistry) -> None:
    Counter("before", "d", registry=registry).inc()
    slow = SlowToHash()

    def use() -> None:
        metric = Histogram("in_child", "d", registry=registry)
        metric.observe(1)
        registry.unregister(metric)
        registry.set_common_labels({"child": "yes"})
        assert values(registry) == {'before_total{child="yes"}': 1}
        assert b"before_total" in generate_latest(registry)

    def fork() -> None:
        assert slow.reached.wait(30)
        blocked = threading.Thread(target=lambda: Gauge("blocked", "d", registry=registry))
        blocked.start()
        try:
            in_forked_child(use)
            assert blocked.is_alive()  # the lock was held all the time
        finally:
            slow.go.set()
            blocked.join(30)

    run_threads(lambda: registry.register(slow), fork)
    assert registry.find("blocked") is not None
    assert registry.find("in_child") is None


def test_collecting_needs_no_lock(registry: CollectorRegistry) -> None:
    Summary("s", "d", registry=registry)
    Info("i", "d", registry=registry)
    slow = SlowToHash()

    def scrape() -> None:
        assert slow.reached.wait(30)
        try:
            assert b"s_count 0.0" in generate_latest(registry)
            assert values(registry)["s_count"] == 0
        finally:
            slow.go.set()

    run_threads(lambda: registry.register(slow), scrape)
