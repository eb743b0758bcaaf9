"""Families of custom collectors, beside prometheus_client's: a collector written for it works unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import prometheus_client.core
import pytest

import measurand.metrics.families
from measurand.errors import DefinitionError
from tests.metrics.kit import both, content, raised

FAMILIES = {
    "gauge": ("GaugeMetricFamily", {"value": 7}, [(["x"], 1.5), (["y"], 2, 123.5)]),
    "gauge with a unit": ("GaugeMetricFamily", {"value": 7, "unit": "seconds"}, [(["x"], 1.5)]),
    "unknown": ("UnknownMetricFamily", {"value": 7}, [(["x"], 1.5), (["y"], 2, 123.5)]),
    "untyped": ("UntypedMetricFamily", {"value": 7}, [(["x"], 1.5)]),
    "counter": ("CounterMetricFamily", {"value": 7, "created": 99}, [(["x"], 1.5), (["y"], 2, 98), (["z"], 2, None, 97)]),
    "summary": ("SummaryMetricFamily", {"count_value": 7, "sum_value": 2.5}, [(["x"], 3, 4.5), (["y"], 3, 4.5, 97)]),
    "histogram": (
        "HistogramMetricFamily",
        {"buckets": [("1.0", 2), ("+Inf", 3)], "sum_value": 2.5},
        [(["x"], [("1.0", 2), ("+Inf", 3)], 2.5), (["y"], [("-1.0", 2), ("+Inf", 3)], 2.5), (["z"], [("1.0", 2), ("+Inf", 3)], None, 97)],
    ),
    "gauge histogram": (
        "GaugeHistogramMetricFamily",
        {"buckets": [("1.0", 2), ("+Inf", 3)], "gsum_value": 2.5},
        [(["x"], [("1.0", 2), ("+Inf", 3)], 2.5), (["y"], [("1.0", 2), ("+Inf", 3)], 2.5, 97)],
    ),
    "info": ("InfoMetricFamily", {"value": {"version": "1"}}, [(["x"], {"version": "1"}), (["y"], {}, 97)]),
    "states": ("StateSetMetricFamily", {"value": {"on": True, "off": False}}, [(["x"], {"b": True, "a": False}), (["y"], {"c": True}, 97)]),
}


@pytest.mark.parametrize("case", FAMILIES)
def test_a_family_holds_the_same_samples_and_is_written_the_same(case: str) -> None:
    name, single, rows = FAMILIES[case]

    def collect(library: Any) -> list[Any]:
        made = getattr(library.families, name)
        whole = made("single_total", "One", **single)
        labelled = made("labelled", "Many", labels=["l"])
        for row in rows:
            labelled.add_metric(*row)
        return [whole, labelled]

    class Collector:
        def __init__(self, library: Any) -> None:
            self.library = library

        def collect(self) -> list[Any]:
            return collect(self.library)

    here, there = both()
    here.registry.register(Collector(here))
    there.registry.register(Collector(there))
    assert content(Collector(here)) == content(here.registry) == content(there.registry)
    assert here.text() == there.text()
    for mine, other in zip(collect(here), collect(there), strict=True):
        assert repr(mine) == repr(other)
        assert str(mine) == str(other)
    assert collect(here) == collect(here)


def test_an_exemplar_travels_with_a_bucket_and_a_counter() -> None:
    def collect(library: Any) -> list[Any]:
        exemplar = library.families.Exemplar({"trace": "1"}, 0.5, 12) if hasattr(library.families, "Exemplar") else None
        histogram = library.families.HistogramMetricFamily("h", "d", labels=["l"])
        histogram.add_metric(["x"], [("1.0", 2, exemplar), ("+Inf", 3, None)], 2.5)
        return [histogram, library.families.CounterMetricFamily("c", "d", value=1, exemplar=exemplar)]

    here, there = both()
    for mine, other in zip(collect(here), collect(there), strict=True):
        assert [tuple(sample) for sample in mine.samples] == [tuple(sample) for sample in other.samples]


BAD: dict[str, Callable[[Any], object]] = {
    "a value and labels": lambda families: families.GaugeMetricFamily("g", "d", value=1, labels=["a"]),
    "a counter's value and labels": lambda families: families.CounterMetricFamily("g", "d", value=1, labels=["a"]),
    "buckets and labels": lambda families: families.HistogramMetricFamily("h", "d", buckets=[("+Inf", 1)], labels=["a"]),
    "gauge buckets and labels": lambda families: families.GaugeHistogramMetricFamily("h", "d", buckets=[("+Inf", 1)], labels=["a"]),
    "facts and labels": lambda families: families.InfoMetricFamily("i", "d", value={}, labels=["a"]),
    "states and labels": lambda families: families.StateSetMetricFamily("s", "d", value={}, labels=["a"]),
    "a sum without buckets": lambda families: families.HistogramMetricFamily("h", "d", sum_value=1),
    "a count without a sum": lambda families: families.SummaryMetricFamily("s", "d", count_value=1),
    "a sum without a count": lambda families: families.SummaryMetricFamily("s", "d", sum_value=1),
    "a summary's values and labels": lambda families: families.SummaryMetricFamily("s", "d", 1, 1, labels=["a"]),
    "an unknown type": lambda families: families.Metric("m", "d", "average"),
    "no name": lambda families: families.Metric("", "d", "gauge"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_a_family_is_refused(case: str) -> None:
    assert isinstance(raised(lambda: BAD[case](prometheus_client.core)), ValueError)
    assert isinstance(raised(lambda: BAD[case](measurand.metrics.families)), DefinitionError)


def test_untyped_is_another_word_for_unknown() -> None:
    assert measurand.metrics.families.Metric("m", "d", "untyped").type == "unknown"
    assert measurand.metrics.families.UntypedMetricFamily is measurand.metrics.families.UnknownMetricFamily


def test_a_unit_that_the_name_lacks_is_appended() -> None:
    assert measurand.metrics.families.Metric("m", "d", "gauge", "bytes").name == "m_bytes"
    assert measurand.metrics.families.Metric("m_bytes", "d", "gauge", "bytes").name == "m_bytes"


def test_families_are_equal_when_all_of_them_is_and_are_no_keys() -> None:
    def family(**changed: Any) -> Any:
        made = measurand.metrics.families.Metric(**{"name": "m", "documentation": "d", "typ": "gauge", **changed})
        made.add_sample("m", {"a": "b"}, 1)
        return made

    assert family() == family()
    for changed in ({"name": "n"}, {"documentation": "e"}, {"typ": "counter"}, {"unit": "s"}):
        assert family() != family(**changed)
    assert family() != "m"
    with pytest.raises(TypeError, match="unhashable"):
        hash(family())
