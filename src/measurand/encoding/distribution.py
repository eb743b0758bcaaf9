"""A histogram as values, each with how often it was seen: for destinations that take values and not buckets.

Buckets tell the values only roughly, and the sum exactly. :func:`representatives` chooses one value in each bucket (in one of them two),
all at the same height between the bucket's ends, so that they add up to the sum. So counts, sum and mean are those of the histogram, and a
quantile is wrong by no more than the width of its bucket and a thousandth of it.

Sums of doubles are rounded. The values are multiples of one small power of two, and so is the sum: adding them up, in any order, rounds
nothing, and what a receiver gets is the sum, bit for bit, if no value is negative. A sum of few binary places is made of values of few
places, so that several histograms of such sums can be added up without rounding, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, frexp, fsum, inf, isfinite, ldexp, ulp
from typing import NamedTuple

__all__ = ["Value", "representatives"]


class Value(NamedTuple):
    """A value, and how often it was seen.

    Attributes:
        value: The value.
        times: How often.
    """

    value: float
    times: float


class _Bucket(NamedTuple):
    low: float
    high: float
    times: float


def representatives(bounds: Sequence[float], numbers: Sequence[float], most: int) -> list[Value]:
    """The values that stand for what was observed.

    Args:
        bounds: The buckets' upper bounds in ascending order, without +Inf.
        numbers: A count for each bucket, not cumulative, the last one that of +Inf; then the sum, in any unit, or NaN if it is not known:
            the values are then the middles of the buckets.
        most: How many values there may be, at least 2; neighbouring buckets are taken together until it is enough.

    Returns:
        The values in ascending order, each once; none if nothing was observed.

    Raises:
        ValueError: A count is negative or no number.
    """
    counts, total = numbers[:-1], numbers[-1]
    if not all(0 <= count < inf for count in counts):
        raise ValueError("a bucket's count must be a number of at least 0")
    found = _merged(_filled(bounds, counts), most - 1)
    if not found:
        return []
    if not isfinite(total):
        return _distinct([Value(*each) for each in zip(_heights(found, None), (bucket.times for bucket in found), strict=True)])
    return _adding_up(_heights(found, total), found, total)


def _filled(bounds: Sequence[float], counts: Sequence[float]) -> list[_Bucket]:
    """The buckets that have observations. The first begins at zero if it may, and +Inf at the last bound, where it ends too if all fits."""
    edges = [min(0.0, bounds[0]) if bounds else 0.0, *bounds, bounds[-1] if bounds else 0.0]
    return [_Bucket(edges[at], edges[at + 1], count) for at, count in enumerate(counts) if count]


def _merged(buckets: list[_Bucket], most: int) -> list[_Bucket]:
    """Neighbours taken together, as many as it takes."""
    together = -(-len(buckets) // max(most, 1))
    if together <= 1:
        return buckets
    groups = [buckets[at : at + together] for at in range(0, len(buckets), together)]
    return [_Bucket(group[0].low, group[-1].high, fsum(bucket.times for bucket in group)) for group in groups]


def _heights(buckets: list[_Bucket], total: float | None) -> list[float]:
    """A value in each bucket. What the buckets leave over or lack is the last one's, or the first one's, which have no end in fact."""
    lowest = fsum(bucket.low * bucket.times for bucket in buckets)
    highest = fsum(bucket.high * bucket.times for bucket in buckets)
    if total is None:
        return [(bucket.low + bucket.high) / 2 for bucket in buckets]
    if total > highest:
        values = [bucket.high for bucket in buckets]
        values[-1] += (total - highest) / buckets[-1].times
        return values
    if total < lowest:
        values = [bucket.low for bucket in buckets]
        values[0] -= (lowest - total) / buckets[0].times
        return values
    part = (total - lowest) / (highest - lowest) if highest > lowest else 0.0
    return [bucket.low + part * (bucket.high - bucket.low) for bucket in buckets]


def _adding_up(values: list[float], buckets: list[_Bucket], total: float) -> list[Value]:
    """The values moved by a step or two, so that they add up to the sum; those of one bucket in part."""
    counts = [bucket.times for bucket in buckets]
    largest = abs(total)
    if min(values) < 0:
        largest = max(largest, fsum(abs(value) * count for value, count in zip(values, counts, strict=True)))
    if not isfinite(largest) or largest == 0 or not all(float(count).is_integer() for count in counts):
        return _distinct([Value(*each) for each in zip(values, counts, strict=True)])
    step = max(min(_last_place(total), _fine(values, buckets)), ulp(largest))
    whole = [int(count) for count in counts]
    steps = [floor(value / step) for value in values]
    lacking = round(total / step) - sum(each * count for each, count in zip(steps, whole, strict=True))
    every, lacking = divmod(lacking, sum(whole))
    moved: list[tuple[int, int]] = []
    for each, count in zip(reversed(steps), reversed(whole), strict=True):
        more = min(lacking, count)
        lacking -= more
        moved += [(each + every + 1, more), (each + every, count - more)]
    return _distinct([Value(each * step, float(count)) for each, count in moved if count])


def _last_place(number: float) -> float:
    """The power of two that is the lowest one in a number."""
    numerator, denominator = number.as_integer_ratio()
    return (numerator & -numerator) / denominator if numerator else inf


def _fine(values: list[float], buckets: list[_Bucket]) -> float:
    """A power of two that is little beside the width of every bucket, or beside the value of one that has no width."""
    widths = [bucket.high - bucket.low or abs(value) for value, bucket in zip(values, buckets, strict=True)]
    return ldexp(1.0, frexp(min(filter(None, widths), default=1.0))[1] - 11)


def _distinct(values: list[Value]) -> list[Value]:
    counts: dict[float, float] = {}
    for value, count in values:
        counts[value] = counts.get(value, 0.0) + count
    return [Value(value, counts[value]) for value in sorted(counts)]
