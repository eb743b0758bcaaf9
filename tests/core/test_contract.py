"""What a core is told of an instrument; what it promises is tested beside, one suite for each promise."""

from __future__ import annotations

import dataclasses

import pytest

from measurand.core.contract import DEFAULT_MAX_SERIES, OVERFLOW_VALUE, Exemplar, Spec


def test_a_specification_is_a_value_and_its_hook_and_history_no_part_of_it() -> None:
    first, second = (Spec("m", "counter", "counter", ("a",), adopt=adopt) for adopt in (None, print))
    assert first == second
    assert hash(first) == hash(second)
    assert first != dataclasses.replace(first, max_series=1)
    assert first.said is not second.said
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.name = "n"  # type: ignore[misc]


def test_unless_told_otherwise_a_metric_is_capped_and_keeps_its_series() -> None:
    spec = Spec("m", "gauge", "gauge")
    assert (spec.max_series, spec.expire_after, spec.additive, spec.width, spec.labelnames) == (DEFAULT_MAX_SERIES, None, True, 1, ())
    assert (DEFAULT_MAX_SERIES, OVERFLOW_VALUE) == (2000, "__other__")
    assert Exemplar({"trace": "1"}, 2.0) == ({"trace": "1"}, 2.0, None)
