"""Samples and timestamps, beside prometheus_client's."""

from __future__ import annotations

import itertools
import operator

import prometheus_client.samples
import pytest

from measurand.metrics.sample import BucketSpan, Exemplar, NativeHistogram, Sample, Timestamp

pytestmark = pytest.mark.once

MOMENTS = [(1.0, 0), (1, 5), (1, 999_999_999), (0, 1), (-1, 500_000_000), (-1, 0), (2, 0)]


@pytest.mark.parametrize(("sec", "nsec"), MOMENTS)
def test_a_timestamp_says_the_same(sec: float, nsec: float) -> None:
    mine, other = Timestamp(sec, nsec), prometheus_client.samples.Timestamp(sec, nsec)
    assert (str(mine), repr(mine), float(mine)) == (str(other), repr(other), float(other))
    assert (mine.sec, mine.nsec) == (other.sec, other.nsec)


@pytest.mark.parametrize("compare", [operator.eq, operator.ne, operator.lt, operator.gt])
def test_timestamps_compare_the_same(compare: object) -> None:
    for first, second in itertools.product(MOMENTS, MOMENTS):
        theirs = compare(prometheus_client.samples.Timestamp(*first), prometheus_client.samples.Timestamp(*second))  # type: ignore[operator]
        assert compare(Timestamp(*first), Timestamp(*second)) == theirs  # type: ignore[operator]


def test_equal_timestamps_are_one_key() -> None:
    assert len({Timestamp(1, 5), Timestamp(1.0, 5), Timestamp(1, 6)}) == 2
    assert Timestamp(1, 5) != 1.000000005


@pytest.mark.parametrize("nsec", [-1, 1_000_000_000])
def test_nanoseconds_are_less_than_a_second(nsec: int) -> None:
    with pytest.raises(ValueError, match=f"Invalid value for nanoseconds in Timestamp: {nsec}"):
        Timestamp(1, nsec)


def test_the_fields_are_those_that_programs_unpack() -> None:
    for mine, other in (
        (Sample, prometheus_client.samples.Sample),
        (Exemplar, prometheus_client.samples.Exemplar),
        (NativeHistogram, prometheus_client.samples.NativeHistogram),
        (BucketSpan, prometheus_client.samples.BucketSpan),
    ):
        assert mine._fields == other._fields  # type: ignore[attr-defined]
        assert mine._field_defaults == other._field_defaults  # type: ignore[attr-defined]
