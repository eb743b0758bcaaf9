"""Values that stand for a histogram."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import inf, nan, ulp
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.encoding.distribution import Value, representatives

pytestmark = pytest.mark.once


def numbers_of(bounds: list[float], observed: list[float]) -> list[float]:
    """A histogram's numbers after these observations, summed up as a histogram does."""
    counts = [0.0] * (len(bounds) + 1)
    total = 0.0
    for value in observed:
        counts[bisect_left(bounds, value)] += 1
        total += value
    return [*counts, total]


def total(values: list[Value], chance: Random) -> float:
    """What a receiver has that adds up one observation after the other, in any order."""
    each = [value.value for value in values for _ in range(int(value.times))]
    chance.shuffle(each)
    found = 0.0
    for value in each:
        found += value
    return found


amounts = st.floats(0, 1e9, allow_subnormal=False)
bounds_of = st.lists(amounts, min_size=1, max_size=12, unique=True).map(sorted)


@given(bounds_of, st.lists(amounts, min_size=1, max_size=60), st.randoms(use_true_random=False), st.integers(2, 20))
def test_what_is_not_negative_adds_up_bit_for_bit(bounds: list[float], observed: list[float], chance: Random, most: int) -> None:
    numbers = numbers_of(bounds, observed)
    values = representatives(bounds, numbers, most)
    assert sum(value.times for value in values) == len(observed)
    assert total(values, chance) == numbers[-1]
    assert sum(value.value * value.times for value in values) == numbers[-1]
    assert len(values) <= most
    assert all(low.value < high.value for low, high in pairwise(values))


@given(bounds_of, st.lists(amounts, min_size=1, max_size=60))
def test_every_value_is_in_the_bucket_of_those_that_it_stands_for(bounds: list[float], observed: list[float]) -> None:
    numbers = numbers_of(bounds, observed)
    stood_for = [value.value for value in representatives(bounds, numbers, 150) for _ in range(int(value.times))]
    edges = [0.0, *bounds, inf]
    for value, real in zip(stood_for, sorted(observed), strict=True):
        low, high = edges[bisect_left(bounds, real)], edges[bisect_left(bounds, real) + 1]
        tolerance = 2 * len(observed) * ulp(numbers[-1]) + (min(high, 1e9) - low) / 1000
        assert low - tolerance <= value <= high + tolerance


@given(bounds_of.map(lambda bounds: [bound - 5e8 for bound in bounds]), st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_negative_values_add_up_as_well_as_doubles_can(bounds: list[float], observed: list[float]) -> None:
    numbers = numbers_of(sorted(set(bounds)), observed)
    values = representatives(sorted(set(bounds)), numbers, 150)
    largest = max(map(abs, [*bounds, *observed])) * len(observed)  # differences between such numbers are rounded
    assert sum(value.times for value in values) == len(observed)
    assert abs(sum(value.value * value.times for value in values) - numbers[-1]) <= 4 * len(values) * ulp(largest)


def test_all_values_are_at_the_same_height_of_their_buckets() -> None:
    assert representatives((1.0, 2.0, 4.0), (0.0, 4.0, 2.0, 0.0, 11.0), 150) == [(1.375, 4.0), (2.75, 2.0)]


def test_what_is_above_the_last_bound_has_the_rest_of_the_sum() -> None:
    assert representatives((1.0, 2.0), (1.0, 0.0, 2.0, 21.0), 150) == [(1.0, 1.0), (10.0, 2.0)]


def test_what_is_below_zero_has_the_rest_of_the_sum() -> None:
    assert representatives((1.0, 2.0), (2.0, 1.0, 0.0, -5.0), 150) == [(-3.0, 2.0), (1.0, 1.0)]


def test_one_bucket_holds_two_values_where_one_does_not_add_up() -> None:
    values = representatives((1.0,), (3.0, 0.0, 1.0), 150)
    assert len(values) == 2
    assert values[1].value - values[0].value == 2.0**-10
    assert [value.times for value in values] in ([1.0, 2.0], [2.0, 1.0])


def test_sums_of_few_places_can_be_added_up_without_rounding() -> None:
    chance = Random(5)
    bounds = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    deliveries = [[chance.randrange(160) / 8 for _ in range(chance.randrange(1, 40))] for _ in range(100)]
    found = 0.0
    for observed in deliveries:
        for value, times in representatives(bounds, numbers_of(list(bounds), observed), 150):
            found += value * times
    assert found == sum(map(sum, deliveries))


def test_many_observations_cost_no_precision() -> None:
    bounds = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    counts = [1e9 * (at + 1) for at in range(12)]
    values = representatives(bounds, [*counts, 300_000_000_000.345], 150)
    assert sum(value.value * value.times for value in values) == 300_000_000_000.345
    assert len(values) == 13


def test_neighbours_are_taken_together_where_there_are_too_many() -> None:
    bounds = [float(bound) for bound in range(1, 1001)]
    values = representatives(bounds, [*[1.0] * 1000, 0.0, 500_000.0], 150)
    assert 100 < len(values) <= 150
    assert sum(value.value * value.times for value in values) == 500_000
    assert all(value.times <= 14 for value in values)


@pytest.mark.parametrize("unknown", [nan, inf, -inf])
def test_without_a_sum_the_middles_stand_for_the_buckets(unknown: float) -> None:
    assert representatives((1.0, 2.0), (2.0, 3.0, 1.0, unknown), 150) == [(0.5, 2.0), (1.5, 3.0), (2.0, 1.0)]


def test_counts_that_are_not_whole_are_kept() -> None:
    values = representatives((1.0, 2.0), (0.5, 1.25, 0.0, 2.0), 150)
    assert sum(value.times for value in values) == 1.75
    assert sum(value.value * value.times for value in values) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("bounds", "numbers", "found"),
    [
        ((1.0,), (0.0, 0.0, 0.0), []),
        ((1.0,), (0.0, 0.0, 5e-17), []),
        ((), (2.0, 6.0), [(3.0, 2.0)]),
        ((0.0,), (3.0, 0.0, 0.0), [(0.0, 3.0)]),
        ((-1.0, 1.0), (1.0, 0.0, 0.0, -7.0), [(-7.0, 1.0)]),
    ],
)
def test_odd_histograms(bounds: Any, numbers: Any, found: Any) -> None:
    assert representatives(bounds, numbers, 150) == found


@pytest.mark.parametrize("count", [-1.0, nan, inf])
def test_a_count_that_is_none_is_refused(count: float) -> None:
    with pytest.raises(ValueError, match="a bucket's count must be a number of at least 0"):
        representatives((1.0,), (count, 0.0, 1.0), 150)
