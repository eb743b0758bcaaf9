"""What the interpreter knows of itself."""

from __future__ import annotations

import gc
import platform

import prometheus_client
import pytest

from measurand import REGISTRY, CollectorRegistry, GCCollector, PlatformCollector, generate_latest
from measurand.catalog.runtime import GC_COLLECTOR, PLATFORM_COLLECTOR
from measurand.errors import DuplicateTimeseries


def test_garbage_collections_are_counted_by_generation(registry: CollectorRegistry) -> None:
    GCCollector(registry=registry)

    def collections(generation: int) -> float:
        value = registry.get_sample_value("python_gc_collections_total", {"generation": str(generation)})
        assert value is not None
        return value

    before = collections(2)
    gc.collect()
    gc.collect()
    assert collections(2) >= before + 2
    ours = {(metric.name, metric.type, metric.documentation) for metric in registry.collect()}
    theirs = {(metric.name, metric.type, metric.documentation) for metric in prometheus_client.GC_COLLECTOR.collect()}
    assert ours == theirs


def test_what_was_collected_is_counted(registry: CollectorRegistry) -> None:
    GCCollector(registry=registry)

    def collected() -> float:
        return sum(sample.value for metric in registry.collect() for sample in metric.samples if "objects_collected" in sample.name)

    gc.collect()
    before = collected()
    for _ in range(100):
        loop: list[object] = []
        loop.append(loop)
        del loop
    gc.collect()
    assert collected() >= before + 100


def test_the_platform_is_described_as_prometheus_client_does(registry: CollectorRegistry) -> None:
    theirs = prometheus_client.CollectorRegistry()
    PlatformCollector(registry=registry)
    prometheus_client.PlatformCollector(registry=theirs)
    assert generate_latest(registry) == prometheus_client.generate_latest(theirs)
    assert platform.python_version().encode() in generate_latest(registry)


def test_another_platform_can_be_asked(registry: CollectorRegistry) -> None:
    class Other:
        def python_version_tuple(self) -> tuple[str, str, str]:
            return "9", "8", "7rc1"

        def python_version(self) -> str:
            return "9.8.7rc1"

        def python_implementation(self) -> str:
            return "Snake"

    PlatformCollector(registry=registry, platform=Other())
    facts = {"version": "9.8.7rc1", "implementation": "Snake", "major": "9", "minor": "8", "patchlevel": "7rc1"}
    assert registry.get_sample_value("python_info", facts) == 1


def test_names_are_taken_once_registered() -> None:
    for make in (GCCollector, PlatformCollector):
        registry = CollectorRegistry(auto_describe=True)
        make(registry=registry)
        with pytest.raises(DuplicateTimeseries):
            make(registry=registry)


@pytest.mark.parametrize(("collector", "name"), [(GC_COLLECTOR, "python_gc_collections"), (PLATFORM_COLLECTOR, "python_info")])
def test_the_ready_made_ones_are_opt_in_and_can_be_opted_out_of_anyway(collector: object, name: str) -> None:
    assert collector not in REGISTRY.collectors()
    REGISTRY.unregister(collector)  # type: ignore[arg-type]
    REGISTRY.register(collector)  # type: ignore[arg-type]
    assert name in {metric.name for metric in REGISTRY.collect()}
    REGISTRY.unregister(collector)  # type: ignore[arg-type]
    assert collector not in REGISTRY.collectors()
