"""The mathematics of native histograms, against the definition of their buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from decimal import Decimal, localcontext
from itertools import pairwise
from math import ceil, inf, ldexp, log2, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from measurand.core import Exemplar
from measurand.errors import DefinitionError
from measurand.metrics.native import DEFAULT_RANGE, NativeScale, growth, index_of, scale_of, upper_bound
from measurand.metrics.quantile import quantile

pytestmark = pytest.mark.once

CLASSIC = (0.005, 0.1, 1.0, 2.5)
SCHEMAS = st.integers(-4, 3)
POSITIVE = st.floats(1e-300, 1e300)
OBSERVED = st.lists(st.one_of(st.floats(2.0**-20, 2.0**20), st.floats(-1e9, 1e9), st.just(inf), st.sampled_from(CLASSIC)), max_size=60)


def made(bounds: tuple[float, ...] = CLASSIC, native_range: tuple[float, float] = DEFAULT_RANGE) -> NativeScale:
    scale = scale_of("x", bounds, True, native_range)
    assert scale is not None
    return scale


def cells_of(scale: NativeScale, values: list[float]) -> tuple[float, ...]:
    counts = Counter(bisect_left(scale.cells, value) for value in values)
    return (*[float(counts[cell]) for cell in range(len(scale.cells) + 1)], sum(values, 0.0))


# -- bounds ------------------------------------------------------------------------------------------------------------------


@given(st.integers(-8000, 8000))
def test_a_bound_is_the_power_of_two_that_the_definition_says_to_the_last_bits(index: int) -> None:
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(2) ** (Decimal(index) / 8)
    ulp = ldexp(1.0, index // 8 - 52)
    assert abs(Decimal(upper_bound(index, 3)) - exact) < 2 * Decimal(ulp)


def test_bounds_are_those_of_prometheus_where_these_are_not_the_nearest_doubles() -> None:
    assert upper_bound(4, 3) == 2 * 0.7071067811865475 != 2**0.5
    assert upper_bound(6, 3) == 2 * 0.8408964152537144 != 2**0.75


@given(st.integers(-500, 500), SCHEMAS)
def test_the_bounds_of_a_lower_schema_are_every_second_one(index: int, schema: int) -> None:
    if abs(index) <= 60 or schema >= 0:  # else there is no such double
        assert upper_bound(index, schema) == upper_bound(index << (3 - schema), 3)
    assert growth(schema) == pytest.approx(growth(3) ** (1 << (3 - schema)))


@given(POSITIVE, SCHEMAS)
@example(1.0, 3)
@example(2.0, -4)
@example(2 * 0.7071067811865475, 3)
def test_every_value_is_in_the_bucket_whose_bounds_are_around_it(value: float, schema: int) -> None:
    index = index_of(value, schema)
    assert upper_bound(index - 1, schema) < value <= upper_bound(index, schema)


@given(st.integers(-8000, 8000))
def test_a_bound_belongs_to_the_bucket_that_it_ends(index: int) -> None:
    assert index_of(upper_bound(index, 3), 3) == index


def test_the_default_buckets_grow_by_less_than_a_tenth() -> None:
    assert growth(3) < 1.1
    assert all(high / low < 1.1 for low, high in pairwise(made(bounds=()).cells))


# -- both views of cells -----------------------------------------------------------------------------------------------------


@given(OBSERVED)
def test_classic_buckets_are_those_of_an_ordinary_histogram(values: list[float]) -> None:
    scale = made()
    expected = Counter(bisect_left(CLASSIC, value) for value in values)
    *counts, total = scale.classic(cells_of(scale, values))
    assert counts == [expected[bucket] for bucket in range(len(CLASSIC) + 1)]
    assert total == sum(values, 0.0)


@given(OBSERVED, st.integers(10, 200))
def test_native_buckets_are_those_of_the_definition_at_the_schema_that_fits(values: list[float], limit: int) -> None:
    scale = made()
    found = scale.buckets(cells_of(scale, values), limit)
    low, high = DEFAULT_RANGE
    expected = Counter(index_of(min(value, high), found.schema) for value in values if value > low)
    assert found.zero_count == sum(value <= low for value in values)
    assert found.zero_threshold == low
    assert {found.offset + at: count for at, count in enumerate(found.counts) if count} == expected
    assert found.count == len(values) == found.zero_count + sum(found.counts)
    assert len(found.counts) <= limit
    if found.counts:
        assert found.counts[0] > 0
        assert found.counts[-1] > 0
    if found.schema < 3:  # not merged without need
        finer = {index_of(min(value, high), found.schema + 1) for value in values if value > low}
        assert max(finer) - min(finer) + 1 > limit


def test_the_whole_default_range_fits_with_a_single_merge() -> None:
    scale = made()
    found = scale.buckets(cells_of(scale, [2.0**-19.99, inf]))
    assert (found.schema, len(found.counts), found.offset) == (2, 160, -79)


def test_what_was_never_observed_is_an_empty_histogram() -> None:
    scale = made()
    assert scale.buckets(cells_of(scale, [])) == (3, 2.0**-20, 0.0, 0, (), 0.0, 0.0)


def test_too_few_buckets_are_refused() -> None:
    scale = made()
    with pytest.raises(ValueError, match="too few"):
        scale.buckets(cells_of(scale, [1e-5, 1e5]), 1)


@given(OBSERVED, OBSERVED)
def test_histograms_add_up_cell_by_cell(some: list[float], more: list[float]) -> None:
    scale = made()
    added = [one + other for one, other in zip(cells_of(scale, some), cells_of(scale, more), strict=True)]
    assert scale.buckets(added)[:-1] == scale.buckets(cells_of(scale, [*some, *more]))[:-1]


@given(st.sets(st.floats(-1e7, 1e7), min_size=1, max_size=10), OBSERVED)
def test_classic_bounds_anywhere_leave_the_native_buckets_as_they_are(bounds: set[float], values: list[float]) -> None:
    scale, plain = made(tuple(sorted(bounds))), made(bounds=())
    assert scale.buckets(cells_of(scale, values)) == plain.buckets(cells_of(plain, values))


@given(st.lists(st.floats(2.0**-20, 2.0**20, exclude_min=True), min_size=1, max_size=80), st.floats(0, 1))
def test_a_quantile_of_the_cells_is_at_most_a_buckets_growth_away(values: list[float], q: float) -> None:
    scale = made()
    *counts, _ = cells_of(scale, values)
    cumulative = [sum(counts[: at + 1]) for at in range(len(counts))]
    estimate = quantile(q, (*scale.cells, inf), cumulative)
    exact = sorted(values)[max(ceil(q * len(values)) - 1, 0)]
    assert abs(estimate - exact) / exact <= growth(3) - 1 + 1e-12


# -- exemplars ---------------------------------------------------------------------------------------------------------------


def test_a_classic_bucket_shows_the_newest_exemplar_of_its_cells() -> None:
    scale = made()
    given_ = {
        bisect_left(scale.cells, value): Exemplar({"v": str(value)}, value, when) for value, when in [(0.2, 3), (0.5, 7), (0.9, 5), (9, 1)]
    }
    assert {bucket: exemplar.value for bucket, exemplar in scale.classic_exemplars(given_).items()} == {2: 0.5, 4: 9}


def test_an_exemplar_without_a_time_gives_way_to_one_that_has_one() -> None:
    scale = made()
    given_ = {bisect_left(scale.cells, value): Exemplar({}, value, when) for value, when in [(0.9, 1.0), (0.2, None)]}
    assert scale.classic_exemplars(given_)[2].value == 0.9


# -- ranges ------------------------------------------------------------------------------------------------------------------


@given(st.floats(1e-290, 1e290), st.floats(1.01, 1e6))
def test_a_range_is_moved_outward_to_bounds_and_no_further(low: float, factor: float) -> None:
    scale = made(native_range=(low, low * factor))
    assert scale.range[0] <= low < upper_bound(index_of(scale.range[0], 3) + 1, 3)
    assert upper_bound(index_of(scale.range[1], 3) - 1, 3) < low * factor <= scale.range[1]
    assert made(native_range=scale.range) == scale


def test_a_range_of_whole_powers_is_taken_as_it_is() -> None:
    assert made(native_range=(0.25, 8.0)).range == (0.25, 8.0)
    assert len(made(bounds=(), native_range=(0.25, 8.0)).cells) == 8 * round(log2(8 / 0.25)) + 1


@pytest.mark.parametrize(
    "wrong", [(0, 1), (-1, 1), (1, 1), (2, 1), (1, inf), (nan, 1), (1,), (1, 2, 3), 5, ("a", "b"), None, (1e-320, 1), (1, 1e308)]
)
def test_a_range_that_is_none_is_refused_and_the_metric_is_named(wrong: tuple[float, float]) -> None:
    with pytest.raises(DefinitionError, match="native_range of the_metric"):
        scale_of("the_metric", CLASSIC, True, wrong)


def test_a_range_without_a_native_histogram_is_refused() -> None:
    assert scale_of("x", CLASSIC, False) is None
    with pytest.raises(DefinitionError, match="add native=True"):
        scale_of("x", CLASSIC, False, (1, 2))
