"""Exemplars: kept, checked, and no obstacle to counting. Both twins."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Any

import pytest

from measurand.core.contract import Exemplar
from measurand.errors import RecordingError
from tests.core.kit import Kit
from tests.support import StillClock


def test_a_counter_keeps_its_latest_exemplar(make: Kit, still_clock: StillClock) -> None:
    counter = make.counter("a")
    child = counter.labels("x")
    child.inc(2, {"trace": "1"})
    still_clock.advance(3)
    child.inc(Decimal("0.5"), exemplar={"trace": "2", "span": ""})
    child.inc(9)
    child.inc(9, {})
    kept = make.core.exemplars(child)
    assert kept == {0: Exemplar({"trace": "2", "span": ""}, 0.5, 1.7e9 + 3)}
    assert type(kept[0].value) is float
    assert make.core.exemplars(counter.labels("y")) == {}
    assert make.core.freeze(counter).exemplars() == [(0, kept)]


def test_a_histogram_keeps_the_latest_exemplar_of_each_bucket(make: Kit, still_clock: StillClock) -> None:
    histogram = make.histogram(bounds=(1.0, 2.0))
    histogram.observe(0.5, {"trace": "1"})
    histogram.observe(9, {"trace": "2"})
    histogram.observe(1, exemplar={"trace": "3"})
    histogram.observe(nan, {"trace": "4"})
    stamp = 1.7e9
    assert make.core.exemplars(histogram) == {0: Exemplar({"trace": "3"}, 1.0, stamp), 2: Exemplar({"trace": "2"}, 9.0, stamp)}


def test_what_was_read_of_the_exemplars_is_a_copy(make: Kit) -> None:
    counter = make.counter()
    given_labels = {"trace": "1"}
    counter.inc(1, given_labels)
    given_labels["trace"] = "changed"
    make.core.exemplars(counter).clear()
    assert make.core.exemplars(counter)[0].labels == {"trace": "1"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": "x" * 128}, "Exemplar labels have 129 UTF-8 characters, exceeding the limit of 128"),
        ({"__a": "x"}, "Reserved label metric name: '__a'; exemplar labels must not be empty or start with '__'"),
        ({"": "x"}, "Reserved label metric name: ''; exemplar labels must not be empty or start with '__'"),
        ({"a": 1}, "Exemplar labels must be strings, got 'a': 1"),
        ({1: "a"}, "Exemplar labels must be strings, got 1: 'a'"),
    ],
    ids=["long", "reserved", "empty", "value", "name"],
)
def test_an_invalid_exemplar_is_refused_and_the_amount_still_counts(make: Kit, labels: Any, message: str) -> None:
    counter, histogram = make.counter(), make.histogram()
    for record, metric in ((counter.inc, counter), (histogram.observe, histogram)):
        record(1, {"good": "y" * 124})
        with pytest.raises(RecordingError) as caught:
            record(1, labels)
        assert str(caught.value) == message
        assert make.rows(metric)[()][-1] == 2.0
        assert [exemplar.labels for exemplar in make.core.exemplars(metric).values()] == [{"good": "y" * 124}]


def test_what_an_exemplar_says_can_be_encoded(make: Kit) -> None:
    counter = make.counter()
    counter.inc(1, {"a\udc80": "b\ud800"})
    assert make.core.exemplars(counter)[0].labels == {"a\ufffd": "b\ufffd"}
