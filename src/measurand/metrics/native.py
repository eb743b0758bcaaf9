"""The buckets of native histograms: how they follow from a value, how they are told from cells, how they are merged.

A native histogram's buckets grow by a fixed factor: with schema *s*, bucket *i* covers the values above 2^((i-1)·2^-s) up to and including
2^(i·2^-s). Source: Prometheus, "Native histograms" (data model; schemas -4 to 8), whose table of bounds stands here, so that a value at a
bound is counted where Prometheus says it belongs.

A metric keeps its native histogram in ordinary cells: those of a histogram whose bounds are all bounds of schema 3 within a range, and its
classic bounds between them. So both views are exact sums of cells. Pure functions; safe from any thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import frexp, isfinite, ldexp
from typing import NamedTuple

from measurand.core import Exemplar
from measurand.errors import DefinitionError

__all__ = ["DEFAULT_RANGE", "MAX_BUCKETS", "SCHEMA", "NativeBuckets", "NativeScale", "growth", "index_of", "scale_of", "upper_bound"]

SCHEMA = 3
"""The schema of the cells."""

LOWEST_SCHEMA = -4

DEFAULT_RANGE = (2.0**-20, 2.0**20)
"""From about a microsecond to about twelve days, in seconds; from a millionth to a million of anything."""

MAX_BUCKETS = 160
"""How many buckets a native histogram is sent with at most; see :meth:`NativeScale.buckets`."""

_FRACTIONS = (
    0.5,
    0.5452538663326288,
    0.5946035575013605,
    0.6484197773255048,
    0.7071067811865475,
    0.7711054127039704,
    0.8408964152537144,
    0.9170040432046711,
)
_LEAST, _MOST = -1020 * 8, 1020 * 8


class NativeBuckets(NamedTuple):
    """One native histogram.

    Attributes:
        schema: The schema, 3 or lower.
        zero_threshold: The upper bound of the zero bucket.
        zero_count: How many values were not above it, negative ones included.
        offset: The index of the first bucket.
        counts: How many values each bucket has, from the first that has any to the last that has; empty if none has.
        count: How many values there are.
        sum: What they add up to.
    """

    schema: int
    zero_threshold: float
    zero_count: float
    offset: int
    counts: tuple[float, ...]
    count: float  # type: ignore[assignment]  # a tuple's method of this name is no use here
    sum: float


@dataclass(frozen=True, slots=True)
class NativeScale:
    """How the cells of a metric are a native histogram. Made by :func:`scale_of`.

    Attributes:
        low: The index, in schema 3, of the bucket that ends at the range's low end: what is not above it is in the zero bucket.
        high: The index of the last bucket: what is above the range is there.
        cells: The cells' upper bounds in ascending order, without +Inf.
        indices: For each cell, that of +Inf included, the index of its bucket; ``low`` for the zero bucket.
        ends: For each classic bucket, that of +Inf included, its last cell.
    """

    low: int
    high: int
    cells: tuple[float, ...]
    indices: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def zero_threshold(self) -> float:
        """The range's low end."""
        return upper_bound(self.low, SCHEMA)

    @property
    def range(self) -> tuple[float, float]:
        """The range, as wide as the buckets make it."""
        return upper_bound(self.low, SCHEMA), upper_bound(self.high, SCHEMA)

    def classic(self, numbers: Sequence[float]) -> tuple[float, ...]:
        """A series' cells (not cumulative) and its sum as counts of the classic buckets, then the sum."""
        totals = list(accumulate(numbers[:-1]))
        counts = [totals[end] for end in self.ends]
        return (counts[0], *[above - below for below, above in pairwise(counts)], numbers[-1])

    def classic_exemplars(self, exemplars: Mapping[int, Exemplar]) -> dict[int, Exemplar]:
        """The newest exemplar of each classic bucket, from those of cells."""
        found: dict[int, Exemplar] = {}
        for cell, exemplar in exemplars.items():
            bucket = bisect_left(self.ends, cell)
            known = found.get(bucket)
            if known is None or _stamp(exemplar) >= _stamp(known):
                found[bucket] = exemplar
        return found

    def buckets(self, numbers: Sequence[float], max_buckets: int = MAX_BUCKETS) -> NativeBuckets:
        """A series as a native histogram.

        Args:
            numbers: Its cells (not cumulative), then its sum.
            max_buckets: How many buckets there may be from the first to the last; with more, two and two are merged, which lowers the
                schema by one and squares the growth, until it is enough.

        Raises:
            ValueError: Not even the lowest schema, -4, is enough.
        """
        indices, low = self.indices, self.low
        zero = 0.0
        filled: dict[int, float] = {}
        for cell, count in enumerate(numbers[:-1]):
            if count:
                index = indices[cell]
                if index == low:
                    zero += count
                else:
                    filled[index] = filled.get(index, 0.0) + count
        schema = SCHEMA
        if not filled:
            return NativeBuckets(schema, self.zero_threshold, zero, 0, (), zero, numbers[-1])
        while max(filled) - min(filled) >= max_buckets:
            if schema == LOWEST_SCHEMA:
                raise ValueError(f"{max_buckets} buckets are too few for what was observed, even at schema {schema}")
            schema -= 1
            merged: dict[int, float] = {}
            for index, count in filled.items():
                at = (index + 1) >> 1
                merged[at] = merged.get(at, 0.0) + count
            filled = merged
        first = min(filled)
        counts = [0.0] * (max(filled) - first + 1)
        for index, count in filled.items():
            counts[index - first] = count
        return NativeBuckets(schema, self.zero_threshold, zero, first, tuple(counts), zero + sum(counts), numbers[-1])


def scale_of(name: str, bounds: Sequence[float], native: bool, native_range: Sequence[float] | None = DEFAULT_RANGE) -> NativeScale | None:
    """The scale of a metric; ``None`` if it is not a native histogram.

    Args:
        name: The metric's name, for messages.
        bounds: Its classic bounds in ascending order, without +Inf.
        native: Whether it is a native histogram.
        native_range: The smallest and the largest value that are told apart, in the metric's unit; each is moved outward to the next bound
            of schema 3. ``None`` only if it is not native.

    Raises:
        DefinitionError: The range is none of two ascending positive numbers, or there is one and the histogram is not native.
    """
    if not native:
        if native_range is not None and tuple(native_range) != DEFAULT_RANGE:
            raise DefinitionError(f"{name} was given a native_range and is not a native histogram; add native=True")
        return None
    try:
        least, most = map(float, native_range)  # type: ignore[arg-type]  # None is a TypeError
    except (TypeError, ValueError):
        raise DefinitionError(
            f"native_range of {name} must be a pair of numbers, the low end and the high end; got {native_range!r}"
        ) from None
    if not (isfinite(least) and isfinite(most) and 0 < least < most):
        raise DefinitionError(
            f"native_range of {name} must be two finite numbers greater than zero in ascending order; got {native_range!r}. "
            "What is not above the low end, negative values included, is counted in the zero bucket"
        )
    low, high = index_of(least, SCHEMA), index_of(most, SCHEMA)
    if upper_bound(low, SCHEMA) > least:
        low -= 1
    if low < _LEAST or high > _MOST:
        raise DefinitionError(f"native_range of {name} must lie between 2**-1020 and 2**1020; got {native_range!r}")
    cells = sorted({*bounds, *(upper_bound(index, SCHEMA) for index in range(low, high + 1))})
    indices = [min(max(index_of(bound, SCHEMA), low), high) if bound > 0 else low for bound in cells]
    ends = [bisect_left(cells, bound) for bound in bounds]
    return NativeScale(low, high, tuple(cells), (*indices, high), (*ends, len(cells)))


def upper_bound(index: int, schema: int) -> float:
    """The upper bound of a bucket, for schemas up to 3; the same double as in Prometheus.

    Raises:
        OverflowError: It is above the largest double.
    """
    eighths = index << (SCHEMA - schema)
    return ldexp(_FRACTIONS[eighths & 7], (eighths >> 3) + 1)


def index_of(value: float, schema: int) -> int:
    """The index of the bucket that a finite value greater than zero belongs to, for schemas up to 3."""
    fraction, exponent = frexp(value)
    eighths = bisect_left(_FRACTIONS, fraction) + (exponent - 1) * 8
    return ((eighths - 1) >> (SCHEMA - schema)) + 1


def growth(schema: int) -> float:
    """How much a bucket's upper bound is above its lower one, as a ratio."""
    return float(2.0 ** (2.0**-schema))


def _stamp(exemplar: Exemplar) -> float:
    return 0.0 if exemplar.timestamp is None else float(exemplar.timestamp)
