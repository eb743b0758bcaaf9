"""The buckets that a histogram is defined with."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.errors import DefinitionError
from measurand.metrics.buckets import bounds_of

pytestmark = pytest.mark.once


@given(st.sets(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.booleans())
def test_ascending_bounds_are_taken_with_and_without_infinity(bounds: set[float], closed: bool) -> None:
    ordered = sorted(bounds)
    assert bounds_of("x", [*ordered, inf] if closed else ordered) == tuple(ordered)


def test_bounds_may_be_text() -> None:
    assert bounds_of("x", ["0.5", 1, "+Inf"]) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("buckets", "says"),
    [
        (["a"], "must be numbers"),
        ([1, nan], "sorted order"),
        ([2, 1], "sorted order"),
        ([1, 1.0], "same bound twice"),
        ([inf], "at least two buckets"),
        ([], "at least two buckets"),
    ],
)
def test_others_are_refused_and_the_metric_is_named(buckets: list[float | str], says: str) -> None:
    with pytest.raises(DefinitionError, match=says) as raised:
        bounds_of("the_metric", buckets)
    assert "the_metric" in str(raised.value)
