"""Telling a repetition from a conflict: reloads, scripts that are also imported, application factories, two owners of a name."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from measurand import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Summary
from measurand.errors import DuplicateTimeseries
from measurand.metrics.definition import calling_source, definition_of, is_plain
from tests.support import eager_switching, run_threads

Program = Callable[..., ModuleType]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """Writes a module and imports it; what it registers in the default registry goes at the end."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = REGISTRY.collectors()
    written = []

    def write(name: str, source: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        written.append(name)
        return importlib.import_module(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)
    for collector in REGISTRY.collectors():
        if collector not in before:
            REGISTRY.unregister(collector)


# -- repetitions -----------------------------------------------------------------------------------------------------------------


def test_a_module_can_be_reloaded_a_hundred_times(program: Program) -> None:
    module = program(
        "reloaded",
        """
        from measurand import Counter, Enum, Gauge, Histogram, Info, Summary

        EVENTS = Counter("reloaded_events_total", "Events", ["kind"], label_values={"kind": ["a", "b"]})
        LEVEL = Gauge("reloaded_level", "Level", expire_after=60)
        LATENCY = Histogram("reloaded_seconds", "Latency", buckets=[0.1, 1], unit="seconds")
        SIZE = Summary("reloaded_bytes", "Size")
        BUILD = Info("reloaded_build", "Build")
        STATE = Enum("reloaded_state", "State", states=["on", "off"])
        DYNAMIC = Counter.get_or_create("reloaded_dynamic_total", "Dynamic", ["a"])
        EVENTS.labels("a").inc()
        """,
    )
    first = {name: value for name, value in vars(module).items() if name.isupper()}
    registered = REGISTRY.collectors()
    for _ in range(100):
        importlib.reload(module)
    assert {name: value for name, value in vars(module).items() if name.isupper()} == first
    assert REGISTRY.collectors() == registered
    assert REGISTRY.get_sample_value("reloaded_events_total", {"kind": "a"}) == 101


def test_a_subclass_in_a_reloaded_module_is_the_same_metric(program: Program) -> None:
    module = program(
        "reloaded_class",
        """
        from measurand import Counter

        class Tagged(Counter):
            def __init__(self, name, tag):
                super().__init__(name, "Tagged", ["kind"])
                self.tag = tag
                self.labels("known").inc()

        EVENTS = Tagged("reloaded_class_events_total", "blue")
        """,
    )
    first = module.EVENTS
    for _ in range(3):
        importlib.reload(module)
    assert module.EVENTS is first
    assert first.labels("known").tag == "blue"
    assert REGISTRY.get_sample_value("reloaded_class_events_total", {"kind": "known"}) == 1  # the constructor worked once


def test_get_or_create_of_a_subclass_survives_a_reload(program: Program) -> None:
    module = program(
        "reloaded_creator",
        """
        from measurand import Counter

        class Tagged(Counter):
            pass

        EVENTS = Tagged.get_or_create("reloaded_creator_events_total", "Events")
        """,
    )
    first = module.EVENTS
    assert importlib.reload(module).EVENTS is first


def test_a_script_may_also_be_imported(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        textwrap.dedent(
            """
            from measurand import Counter, Histogram, generate_latest

            HITS = Counter("hits_total", "Hits", ["page"])
            SECONDS = Histogram("seconds", "Seconds")

            if __name__ == "__main__":
                HITS.labels("a").inc()
                import helper

                helper.count()
                print(generate_latest().decode())
            """
        )
    )
    (tmp_path / "helper.py").write_text("import app\ndef count(): app.HITS.labels('a').inc()\n")
    done = subprocess.run([sys.executable, "app.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert 'hits_total{page="a"} 2.0\n' in done.stdout


def test_fifty_application_factories_share_their_metrics(registry: CollectorRegistry) -> None:
    def create_app() -> dict[str, Any]:
        return {
            "requests": Counter("requests_total", "Requests", ["method"], registry=registry),
            "latency": Histogram("latency_seconds", "Latency", ["method"], registry=registry, buckets=[1, 2, float("inf")]),
        }

    apps = [create_app() for _ in range(50)]
    for app in apps:
        app["requests"].labels("GET").inc()
    assert all(app == apps[0] for app in apps)
    assert registry.get_sample_value("requests_total", {"method": "GET"}) == 50


def test_threads_that_define_the_same_at_once_get_one_metric(registry: CollectorRegistry) -> None:
    made: list[list[Counter]] = [[] for _ in range(300)]

    def define() -> None:
        for number, found in enumerate(made):
            found.append(Counter(f"raced_{number}_total", "Raced", ["a"], registry=registry, label_values={"a": ["x"]}))

    with eager_switching():
        run_threads(*[define] * 4)
    assert all(len(found) == 4 and len(set(found)) == 1 for found in made)
    assert len(registry.collectors()) == 300


def test_the_same_name_built_of_other_parts_is_the_same_metric(registry: CollectorRegistry) -> None:
    whole = Gauge("shop_queue_bytes", "Queue", registry=registry, unit="bytes")
    assert Gauge("queue", "Queue", namespace="shop", unit="bytes", registry=registry) is whole


def test_a_reload_after_an_edit_may_change_the_documentation(program: Program, tmp_path: Path) -> None:
    module = program("edited", 'from measurand import Counter\nEVENTS = Counter("edited_events_total", "Evnets")\n')
    first = module.EVENTS
    (tmp_path / "edited.py").write_text('from measurand import Counter\nEVENTS = Counter("edited_events_total", "Events, spelt right")\n')
    assert importlib.reload(module).EVENTS is first


def test_more_label_values_in_a_repetition_are_added(registry: CollectorRegistry) -> None:
    first = Counter("c", "d", ["a"], registry=registry, label_values={"a": ["x"]})
    assert Counter("c", "d", ["a"], registry=registry, label_values={"a": ["x", "y"]}) is first
    assert [sample.labels for sample in first.collect()[0].samples] == [{"a": "x"}, {"a": "y"}]


def test_no_registry_means_a_metric_of_its_own_each_time(registry: CollectorRegistry) -> None:
    assert Counter("c", "d", registry=None) is not Counter("c", "d", registry=None)
    assert registry.collectors() == []


# -- conflicts -------------------------------------------------------------------------------------------------------------------


def test_a_conflict_names_both_lines_both_label_sets_and_what_to_do(program: Program, tmp_path: Path) -> None:
    program("first_owner", 'from measurand import Counter\n\nORDERS = Counter("conflicting_orders_total", "Orders", ["channel", "shop"])\n')
    with pytest.raises(DuplicateTimeseries) as caught:
        program("second_owner", 'from measurand import Counter\n\n\nORDERS = Counter("conflicting_orders_total", "Orders", ["channel"])\n')
    message = str(caught.value)
    assert f"{tmp_path}/first_owner.py:3" in message
    assert f"{tmp_path}/second_owner.py:4" in message
    assert "['channel', 'shop']" in message
    assert "['channel']" in message
    assert "Rename one of them, or make both definitions the same." in message
    assert caught.value.duplicates == {"conflicting_orders"}
    assert REGISTRY.find("conflicting_orders").definition.labelnames == ("channel", "shop")


def test_two_files_must_agree_on_the_documentation(program: Program) -> None:
    program("one_file", 'from measurand import Counter\nA = Counter("documented_total", "Orders placed")\n')
    with pytest.raises(DuplicateTimeseries, match="documentation 'Orders placed' / 'Orders paid'"):
        program("another_file", 'from measurand import Counter\nA = Counter("documented_total", "Orders paid")\n')


class Special(Counter):
    pass


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        (lambda r: Counter("m", "d", registry=r), lambda r: Gauge("m", "d", registry=r), "type counter / gauge"),
        (lambda r: Counter("m", "d", ["a"], registry=r), lambda r: Counter("m", "d", ["b"], registry=r), r"labels \['a'\] / \['b'\]"),
        (lambda r: Gauge("m_s", "d", registry=r), lambda r: Gauge("m", "d", unit="s", registry=r), "unit '' / 's'"),
        (
            lambda r: Histogram("m", "d", buckets=[1], registry=r),
            lambda r: Histogram("m", "d", buckets=[1, 2], registry=r),
            r"buckets \(1.0,\) / \(1.0, 2.0\)",
        ),
        (lambda r: Counter("m", "d", registry=r), lambda r: Counter("m", "d", registry=r, max_series=5), "max_series 2000 / 5"),
        (lambda r: Gauge("m", "d", registry=r), lambda r: Gauge("m", "d", registry=r, expire_after=5), "expire_after None / 5"),
        (
            lambda r: Gauge("m", "d", registry=r),
            lambda r: Gauge("m", "d", registry=r, multiprocess_mode="sum"),
            "multiprocess_mode 'all' / 'sum'",
        ),
        (lambda r: Counter("m", "d", registry=r), lambda r: Special("m", "d", registry=r), r"class measurand.*Counter / .*Special"),
        (lambda r: Counter("m", "d", registry=r), lambda r: Gauge("m_total", "d", registry=r), "counter m with labels"),
        (lambda r: Summary("m", "d", registry=r), lambda r: Counter("m_count", "d", registry=r), "summary m with labels"),
        (lambda r: Gauge("m.n", "d", registry=r), lambda r: Gauge("m_n", "d", registry=r), r"gauge m\.n with labels"),
    ],
)
def test_another_metric_of_the_name_is_refused_with_what_differs(
    registry: CollectorRegistry, first: Callable[[Any], Any], second: Callable[[Any], Any], difference: str
) -> None:
    first(registry)
    before = registry.collectors()
    with pytest.raises(DuplicateTimeseries, match=f"Duplicated timeseries in CollectorRegistry.*{difference}") as caught:
        second(registry)
    assert str(caught.value).count(f"{__file__}:") == 2
    assert registry.collectors() == before
    first(registry)


def test_a_name_of_a_custom_collector_is_taken_too(registry: CollectorRegistry) -> None:
    class Queue:
        def describe(self) -> list[Any]:
            return Gauge("queue", "d", registry=None).describe()

        def collect(self) -> list[Any]:
            return []

    registry.register(Queue())
    with pytest.raises(DuplicateTimeseries, match=r"gauge queue with labels \[\], defined at .*Queue"):
        Gauge("queue", "d", registry=registry)
    with pytest.raises(DuplicateTimeseries, match="the name belongs to a custom collector"):
        Gauge.get_or_create("queue", registry=registry)


# -- sources ---------------------------------------------------------------------------------------------------------------------


def test_a_definition_knows_its_line_through_subclasses_and_get_or_create(registry: CollectorRegistry) -> None:
    here = calling_source()
    plain = Gauge("plain", "d", registry=registry)
    dynamic = Gauge.get_or_create("dynamic", registry=registry)
    assert plain.definition.source.file == here.file == __file__
    assert (plain.definition.source.line, dynamic.definition.source.line) == (here.line + 1, here.line + 2)
    assert str(plain.definition.source) == f"{__file__}:{here.line + 1}"


def test_only_an_instrument_has_a_definition(registry: CollectorRegistry) -> None:
    class Pretender:
        definition = "mine"
        is_plain = "of course"

        def collect(self) -> list[Any]:
            return []

    assert definition_of(Gauge("g", "d", registry=registry)) is not None
    assert is_plain(Gauge("g", "d", registry=registry))
    assert definition_of(Pretender()) is None
    assert not is_plain(Pretender())
