"""A native histogram as an instrument: what it shows as a classic one, what it has besides, how it is defined."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from math import ceil, inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import CollectorRegistry, Histogram, disable_created_metrics, enable_created_metrics, generate_latest
from measurand.encoding import openmetrics
from measurand.errors import DefinitionError, DuplicateTimeseries
from measurand.exporters.deltas import Deltas
from measurand.exporters.memory import Memory
from measurand.exporters.routing import Route
from measurand.metrics.collecting import gather
from measurand.metrics.native import growth, index_of
from measurand.metrics.points import PointFamily, points_of

VALUES = st.lists(st.floats(-10, 2.0**21) | st.sampled_from([0.005, 1.0, 10.0, inf]), max_size=40)


@pytest.fixture
def created() -> Iterator[None]:
    """Times of creation are shown."""
    enable_created_metrics()
    yield
    disable_created_metrics()


def family_of(registry: CollectorRegistry) -> PointFamily:
    (family,) = gather(registry).points()
    return family


# -- a classic histogram -----------------------------------------------------------------------------------------------------


@given(VALUES, VALUES, st.sampled_from([Histogram.DEFAULT_BUCKETS, (-1.0, 0.0, 3.0), (2.0**-20, 1.0, 2.0**20), (5e-324, 1e300)]))
def test_texts_show_what_an_ordinary_histogram_shows(some: list[float], more: list[float], buckets: tuple[float, ...]) -> None:
    pages = []
    for native in (False, True):
        registry = CollectorRegistry(common_labels={"service": "shop"})
        histogram = Histogram("x_seconds", "d", ["l", "z"], buckets=buckets, native=native, registry=registry)
        for labels, values in {"a": some, "b": more}.items():
            for value in values:
                histogram.labels(labels, "z").observe(value)
        pages.append((generate_latest(registry), openmetrics.generate_latest(registry)))
    assert pages[0] == pages[1]


def test_openmetrics_shows_the_newest_exemplar_of_each_bucket_and_series(registry: CollectorRegistry) -> None:
    histogram = Histogram("x", "d", ["l"], buckets=[1, 10], native=True, registry=registry)
    for series, value in [("a", 0.2), ("a", 0.9), ("a", 0.3), ("b", 5), ("b", 50), ("c", 2)]:
        histogram.labels(series).observe(value, None if series == "c" else {"value": f"{value}"})
    found = [line.split(" # ") for line in openmetrics.generate_latest(registry).decode().splitlines() if "_bucket" in line]
    shown = {line[0].rpartition(" ")[0]: line[1].rpartition(" ")[0] for line in found if len(line) > 1}
    assert shown == {
        'x_bucket{l="a",le="1.0"}': '{value="0.3"} 0.3',
        'x_bucket{l="b",le="10.0"}': '{value="5"} 5.0',
        'x_bucket{l="b",le="+Inf"}': '{value="50"} 50.0',
    }
    buckets = [sample for metric in histogram.labels("a").collect() for sample in metric.samples if sample.name == "x_bucket"]
    assert [sample.exemplar and sample.exemplar.value for sample in buckets] == [0.3, None, None]
    assert [sample.value for sample in buckets] == [3, 3, 3]


def test_times_of_creation_are_shown(registry: CollectorRegistry, created: None) -> None:
    Histogram("x", "d", native=True, registry=registry)
    assert b"\nx_created " in generate_latest(registry)


def test_a_block_is_timed(registry: CollectorRegistry) -> None:
    histogram = Histogram("x", "d", native=True, registry=registry)
    with histogram.time():
        pass
    assert registry.get_sample_value("x_count") == 1


def test_nan_is_left_out(registry: CollectorRegistry) -> None:
    histogram = Histogram("x", "d", native=True, registry=registry)
    histogram.observe(nan)
    assert registry.get_sample_value("x_count") == 0


# -- quantiles ---------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40), st.floats(0, 1))
def test_a_quantile_is_within_the_stated_bound(values: list[float], q: float) -> None:
    histogram = Histogram("x", "d", ["l"], native=True, registry=CollectorRegistry())
    for number, value in enumerate(values):
        histogram.labels(str(number % 3)).observe(value)
    exact = sorted(values)[max(ceil(q * len(values)) - 1, 0)]
    assert abs(histogram.quantile(q) / exact - 1) <= growth(3) - 1 + 1e-12


def test_a_quantile_of_nothing_is_no_number() -> None:
    assert isnan(Histogram("x", "d", native=True, registry=None).p95)


# -- points ------------------------------------------------------------------------------------------------------------------


def test_points_have_all_three_forms(registry: CollectorRegistry) -> None:
    histogram = Histogram("x", "d", buckets=[1, 10], native=True, registry=registry)
    for value in (0.0, 0.3, 1.0, 4.0, 1e5):
        histogram.observe(value, {"value": str(value)})
    family = family_of(registry)
    (series,) = family.series
    assert family.bounds == (1.0, 10.0)
    assert len(series.numbers) == len(family.cells) + 2
    assert family.classic(series) == (3.0, 1.0, 1.0, 100005.3)
    buckets = family.native_buckets(series)
    assert (buckets.schema, buckets.zero_count, buckets.count, buckets.sum) == (3, 1.0, 5.0, 100005.3)
    assert {buckets.offset + at for at, count in enumerate(buckets.counts) if count} == {index_of(0.3, 3), 0, 16, index_of(1e5, 3)}
    assert {bucket: one.value for bucket, one in family.classic_exemplars(series).items()} == {0: 1.0, 1: 4.0, 2: 1e5}
    assert all(bisect_left(family.cells, one.value) == cell for cell, one in series.exemplars.items())


def test_points_of_an_ordinary_histogram_are_its_buckets(registry: CollectorRegistry) -> None:
    Histogram("x", "d", buckets=[1, 10], registry=registry).observe(4, {"a": "b"})
    family = family_of(registry)
    (series,) = family.series
    assert family.native is None
    assert family.cells == family.bounds
    assert family.classic(series) == series.numbers == (0.0, 1.0, 0.0, 4.0)
    assert family.classic_exemplars(series) == series.exemplars
    with pytest.raises(ValueError, match="x is no native histogram"):
        family.native_buckets(series)


def test_differences_are_taken_cell_by_cell(registry: CollectorRegistry) -> None:
    histogram = Histogram("x", "d", buckets=[1], native=True, registry=registry)
    histogram.observe(0.5)
    deltas = Deltas()
    deltas.change(gather(registry).points(), 1.0).acknowledge_all()
    histogram.observe(3.0)
    (family,) = deltas.change(gather(registry).points(), 2.0).points()
    (series,) = family.series
    assert family.classic(series) == (0.0, 1.0, 3.0)
    assert family.native_buckets(series)[3:6] == (index_of(3.0, 3), (1.0,), 1.0)


def test_a_renamed_native_histogram_stays_one(registry: CollectorRegistry) -> None:
    Histogram("x_seconds", "d", native=True, registry=registry).observe(1)
    route = Route(Memory(), prefix="shop_")
    (family,) = points_of(route.select(gather(registry).families))
    assert family.name == "shop_x_seconds"
    assert family.native_buckets(family.series[0]).counts == (1.0,)


# -- definitions -------------------------------------------------------------------------------------------------------------


def test_a_series_takes_as_many_cells_as_the_documentation_says(registry: CollectorRegistry) -> None:
    cells = Histogram("x", "d", native=True, registry=registry).definition.cells
    assert 8 * (len(cells) + 2) == 2672  # bytes
    assert all(low < high for low, high in pairwise(cells))


def test_a_repeated_definition_is_the_metric_that_exists(registry: CollectorRegistry) -> None:
    first = Histogram("x", "d", native=True, registry=registry)
    assert Histogram("x", "d", native=True, registry=registry) is first
    assert Histogram.get_or_create("x", registry=registry) is first
    narrow = Histogram("y", "d", native=True, native_range=(0.001, 10), registry=registry)
    assert Histogram("y", "d", native=True, native_range=(0.00099, 9.9), registry=registry) is narrow  # the same buckets
    assert Histogram.get_or_create("z", "d", native=True, registry=registry).definition.native is not None


@pytest.mark.parametrize("other", [{}, {"native": True, "native_range": (0.001, 10.0)}])
def test_another_definition_conflicts_and_both_places_are_named(registry: CollectorRegistry, other: dict[str, object]) -> None:
    Histogram("x", "d", native=True, registry=registry)
    with pytest.raises(DuplicateTimeseries, match="native_range") as raised:
        Histogram("x", "d", registry=registry, **other)  # type: ignore[arg-type]
    assert str(raised.value).count(__file__) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"native": True, "native_range": (0, 1)}, "greater than zero in ascending order"),
        ({"native": True, "native_range": (2, 1)}, "greater than zero in ascending order"),
        ({"native": True, "native_range": 5}, "pair of numbers"),
        ({"native_range": (1, 2)}, "add native=True"),
    ],
)
def test_a_wrong_range_is_refused_and_nothing_is_registered(registry: CollectorRegistry, options: dict[str, object], says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        Histogram("x", "d", registry=registry, **options)  # type: ignore[arg-type]
    assert registry.find("x") is None


def test_a_removed_series_is_gone(registry: CollectorRegistry) -> None:
    histogram = Histogram("x", "d", ["l"], native=True, registry=registry)
    histogram.labels("a").observe(1)
    histogram.labels("b").observe(1)
    histogram.remove("a")
    assert [dict(series.labels) for series in family_of(registry).series] == [{"l": "b"}]
    histogram.clear()
    assert family_of(registry).series == []


def test_beyond_the_limit_on_series_the_total_is_exact(registry: CollectorRegistry) -> None:
    histogram = Histogram("x", "d", ["l"], native=True, max_series=2, registry=registry)
    for number in range(5):
        histogram.labels(str(number)).observe(number + 1)
    family = family_of(registry)
    assert sum(family.native_buckets(series).count for series in family.series) == 5
    assert histogram.quantile(1) == pytest.approx(5, rel=growth(3) - 1)
