"""What encoders read: copies that stay as they are, with the registry's labels."""

from __future__ import annotations

from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import CellFamily, SampleFamily, bound_text, restricted
from tests.metrics.kit import series


def shown(family: Any) -> dict[str, float]:
    return {series(sample): sample.value for sample in family.samples()}


def test_a_snapshot_stays_as_it_was() -> None:
    counter = Counter("c", "Counts", ["l"], registry=None, unit="bytes")
    counter.labels("a").inc()
    family = counter.snapshot({"service": "shop"})
    counter.labels("a").inc()
    counter.labels("b").inc()
    counter.remove("a")
    assert shown(family) == {'c_bytes_total{l="a",service="shop"}': 1}
    assert (family.name, family.documentation, family.type, family.unit) == ("c_bytes", "Counts", "counter", "bytes")


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (lambda: Counter("m", "d", registry=None), {'m_total{s="x"}': 0}),
        (lambda: Gauge("m", "d", registry=None), {'m{s="x"}': 0}),
        (lambda: Summary("m", "d", registry=None), {'m_count{s="x"}': 0, 'm_sum{s="x"}': 0}),
        (
            lambda: Histogram("m", "d", registry=None, buckets=[0.5]),
            {'m_bucket{le="0.5",s="x"}': 0, 'm_bucket{le="+Inf",s="x"}': 0, 'm_count{s="x"}': 0, 'm_sum{s="x"}': 0},
        ),
        (lambda: Info("m", "d", registry=None), {'m_info{s="x"}': 1}),
        (lambda: Enum("m", "d", registry=None, states=["on"]), {'m{m="on",s="x"}': 1}),
    ],
)
def test_every_type_carries_the_common_labels(metric: Any, expected: dict[str, float]) -> None:
    assert shown(metric().snapshot({"s": "x"})) == expected


def test_a_histogram_with_negative_bounds_shows_no_sum() -> None:
    histogram = Histogram("h", "d", registry=None, buckets=[-1, 1])
    histogram.observe(-5)
    assert shown(histogram.snapshot({})) == {'h_bucket{le="-1.0"}': 1, 'h_bucket{le="1.0"}': 1, 'h_bucket{le="+Inf"}': 1, "h_count": 1}


def test_resolving_asks_the_functions_and_lets_their_errors_through() -> None:
    gauge = Gauge("g", "d", ["l"], registry=None)
    gauge.labels("a").set_function(lambda: 7)
    family = gauge.snapshot({})
    assert isinstance(family, CellFamily)
    assert shown(family.resolve()) == {'g{l="a"}': 7}
    gauge.labels("b").set_function(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gauge.snapshot({}).resolve()  # type: ignore[union-attr]


def test_a_samples_own_label_wins_over_a_common_one() -> None:
    family = SampleFamily("m", "d", "gauge", "", [Sample("m", {"a": "own"}, 1), Sample("m", {}, 2)])
    assert shown(family.with_labels({"a": "common", "b": "x"})) == {'m{a="own",b="x"}': 1, 'm{a="common",b="x"}': 2}
    assert family.with_labels({}) is family


def test_a_restricted_family_has_only_the_samples_asked_for() -> None:
    summary = Summary("s", "d", registry=None).snapshot({})
    only = restricted(summary, frozenset({"s_sum", "other"}))
    assert only is not None
    assert shown(only) == {"s_sum": 0}
    assert (only.name, only.type) == ("s", "summary")
    assert restricted(summary, frozenset({"s"})) is None


@pytest.mark.parametrize(("bound", "text"), [(1, "1.0"), (0.005, "0.005"), (float("inf"), "+Inf"), (2.5e6, "2.5e+06"), (-1, "-1.0")])
def test_a_bound_is_written_as_prometheus_writes_it(bound: float, text: str) -> None:
    assert bound_text(bound) == text


def test_series_of_one_registry_have_its_labels_at_once(registry: CollectorRegistry) -> None:
    Counter("c", "d", registry=registry)
    registry.set_common_labels({"service": "shop"})
    assert [shown(family) for collector in registry.collectors() for family in registry.families(collector)] == [
        {'c_total{service="shop"}': 0}
    ]
