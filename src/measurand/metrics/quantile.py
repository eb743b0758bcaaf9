"""Quantiles from histogram buckets."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

from measurand.errors import RecordingError

__all__ = ["quantile"]


def quantile(q: float, bounds: Sequence[float], cumulative: Sequence[float]) -> float:
    """Estimate a quantile as Prometheus' ``histogram_quantile`` does: by linear interpolation within the bucket that holds it.

    Args:
        q: The quantile, 0 to 1.
        bounds: The buckets' upper bounds in ascending order, the last one +Inf.
        cumulative: The cumulative counts.

    Returns:
        The estimate; NaN without observations. In the +Inf bucket it is the highest finite bound, in a first bucket with a positive
        bound the interpolation starts at zero. The error is at most the width of the bucket.

    Raises:
        RecordingError: ``q`` is not between 0 and 1.
    """
    if not 0 <= q <= 1:
        raise RecordingError(f"a quantile is a ratio between 0 and 1, not {q!r}; for a percentile divide by 100")
    total = cumulative[-1] if cumulative else 0
    if not total:
        return nan
    rank = q * total
    index = next(i for i, count in enumerate(cumulative) if count >= rank and count > 0)
    upper = bounds[index]
    if upper == inf:
        return bounds[-2] if len(bounds) > 1 else nan
    if index == 0 and upper <= 0:
        return upper
    lower, below = (bounds[index - 1], cumulative[index - 1]) if index else (0.0, 0.0)
    return lower + (upper - lower) * ((rank - below) / (cumulative[index] - below))
