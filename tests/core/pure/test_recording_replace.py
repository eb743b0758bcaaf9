"""gauge.replace(): all series exchanged in one step, or nothing changed. Both twins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from measurand.core.contract import OVERFLOW_VALUE
from measurand.errors import LabelError
from tests.core.kit import Kit


def test_replace_makes_these_the_only_series_and_keeps_the_children_that_stay(make: Kit) -> None:
    gauge = make.gauge("box", "kind")
    stays, goes = gauge.labels("1", "a"), gauge.labels("2", "a")
    stays.set(1)
    goes.set(2)
    gauge.replace({(3, "a"): 30, ("1", "a"): "10"})
    assert list(make.core.freeze(gauge).rows()) == [(("3", "a"), (30.0,)), (("1", "a"), (10.0,))]
    assert gauge.labels("1", "a") is stays
    stays.inc()
    goes.inc()
    assert make.rows(gauge) == {("3", "a"): (30.0,), ("1", "a"): (11.0,)}
    gauge.replace({})
    assert make.rows(gauge) == {}
    stays.inc()
    assert make.rows(gauge) == {}


def test_replace_takes_bare_values_where_there_is_one_label(make: Kit) -> None:
    gauge = make.gauge("a")
    gauge.replace({"x": 1, 2: 2, None: 3, ("z",): 4, "\udc80": 5})
    assert make.rows(gauge) == {("x",): (1.0,), ("2",): (2.0,), ("None",): (3.0,), ("z",): (4.0,), ("\ufffd",): (5.0,)}
    gauge.replace({2: 1, "2": 7})
    assert make.rows(gauge) == {("2",): (7.0,)}


class Failing(Mapping[Any, float]):
    """A mapping that gives one entry and then fails."""

    def __getitem__(self, key: Any) -> float:
        if key == "good":
            return 1.0
        raise RuntimeError("source is gone")

    def __iter__(self) -> Iterator[Any]:
        yield "good"
        yield "bad"

    def __len__(self) -> int:
        return 2


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("has no text")


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([("x", 1)], TypeError, "g.replace() takes a mapping of label values to numbers, not list"),
        (None, TypeError, "g.replace() takes a mapping of label values to numbers, not NoneType"),
        ({"new": 1, ("a", "b"): 1}, LabelError, "Incorrect label count for g: expected 1 (a), got 2: ('a', 'b')"),
        ({"new": 1, (): 1}, LabelError, "Incorrect label count for g: expected 1 (a), got 0: ()"),
        ({"new": 1, "x": "nonsense"}, ValueError, "could not convert string to float: 'nonsense'"),
        ({"new": 1, "x": None}, TypeError, None),
        ({"new": 1, "x": 10**400}, OverflowError, None),
        ({"new": 1, Unprintable(): 1}, RuntimeError, "has no text"),
        (Failing(), RuntimeError, "source is gone"),
    ],
    ids=["list", "none", "too many", "too few", "text", "no number", "too large", "no text", "failing"],
)
def test_a_replacement_that_fails_changes_nothing(make: Kit, values: Any, error: type[Exception], message: str | None) -> None:
    gauge = make.gauge("a", name="g")
    kept = gauge.labels("x")
    kept.set(5)
    with pytest.raises(error) as caught:
        gauge.replace(values)
    assert message is None or str(caught.value) == message
    kept.inc()
    assert make.rows(gauge) == {("x",): (6.0,)}
    assert make.core.children(gauge) == [kept]


def test_a_replacement_beyond_the_limit_keeps_its_total(make: Kit, caplog: pytest.LogCaptureFixture) -> None:
    gauge = make.gauge("a", max_series=2, name=f"replaced_{make.core.implementation}")
    gauge.labels("old").set(1)
    gauge.replace({number: number for number in range(5)})
    assert make.rows(gauge) == {("0",): (0.0,), ("1",): (1.0,), (OVERFLOW_VALUE,): (9.0,)}
    gauge.replace({"a": 1, "b": 2, OVERFLOW_VALUE: 4, "c": 8})
    assert make.rows(gauge) == {("a",): (1.0,), ("b",): (2.0,), (OVERFLOW_VALUE,): (12.0,)}
    gauge.replace({OVERFLOW_VALUE: 4, "a": 1, "b": 2})
    assert make.rows(gauge) == {(OVERFLOW_VALUE,): (4.0,), ("a",): (1.0,), ("b",): (2.0,)}
    gauge.replace({"x": 1, "y": 2, "z": 3, OVERFLOW_VALUE: 10})
    assert make.rows(gauge) == {("x",): (1.0,), ("y",): (2.0,), (OVERFLOW_VALUE,): (13.0,)}
    (record,) = caplog.records
    assert record.getMessage().startswith(f"replaced_{make.core.implementation} has reached its limit of 2 series;")
    assert "'a' (2 values)" in record.getMessage()


def test_labels_after_a_replacement_respects_the_limit(make: Kit) -> None:
    gauge = make.gauge("a", max_series=2)
    gauge.replace({"x": 1, "y": 2, "z": 3})
    gauge.labels("v").inc()
    assert make.rows(gauge) == {("x",): (1.0,), ("y",): (2.0,), (OVERFLOW_VALUE,): (4.0,)}
    gauge.replace({"x": 1})
    gauge.labels("v").inc()
    gauge.labels("w").inc()
    assert make.rows(gauge) == {("x",): (1.0,), ("v",): (1.0,), (OVERFLOW_VALUE,): (1.0,)}
