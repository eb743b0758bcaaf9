"""The buckets that a histogram is defined with, checked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, isnan

from measurand.errors import DefinitionError

__all__ = ["bounds_of"]


def bounds_of(name: str, buckets: Sequence[float | str]) -> tuple[float, ...]:
    """The upper bounds without +Inf.

    Args:
        name: The metric's name, for messages.
        buckets: Upper bounds as they were given.

    Raises:
        DefinitionError: They are no numbers, do not ascend, or there is none besides +Inf.
    """
    try:
        bounds = [float(bound) for bound in buckets]
    except ValueError as reason:
        raise DefinitionError(f"Buckets of {name} must be numbers: {reason}") from None
    if any(isnan(bound) for bound in bounds) or any(low > high for low, high in pairwise(bounds)):
        raise DefinitionError(f"Buckets not in sorted order: {name} was given {bounds}")
    if any(low == high for low, high in pairwise(bounds)):
        raise DefinitionError(f"Buckets of {name} contain the same bound twice: {bounds}")
    if bounds and bounds[-1] == inf:
        del bounds[-1]
    if not bounds:
        raise DefinitionError(f"Must have at least two buckets: {name} needs a bound besides +Inf")
    return tuple(bounds)
