"""What both twins say and accept when a call is not the plain, correct one."""

from __future__ import annotations

import logging
from decimal import Decimal
from math import nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.core import support
from measurand.core.contract import OVERFLOW_VALUE, Exemplar, Spec
from measurand.errors import LabelError, RecordingError
from tests.support import StillClock

any_text = st.text(st.characters(codec=None, exclude_categories=()))


def spec(*labelnames: str, **changes: Any) -> Spec:
    return Spec(name="depth", type="gauge", kind="gauge", labelnames=labelnames, **changes)


@given(value=any_text)
def test_text_is_kept_as_it_is_if_it_can_be_encoded_and_made_encodable_if_not(value: str) -> None:
    kept = support.text(value)
    assert type(kept) is str
    kept.encode()
    try:
        value.encode()
    except UnicodeEncodeError:
        assert kept == value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        assert support.text(kept) == kept
    else:
        assert kept == value


@given(values=st.lists(any_text | st.integers() | st.none() | st.floats(), min_size=1, max_size=4))
def test_a_key_is_the_same_by_position_and_by_keyword(values: list[Any]) -> None:
    names = [f"label_{number}" for number in range(len(values))]
    by_position = support.by_position(spec(*names), tuple(values))
    by_keyword = support.by_keyword(spec(*names), (), dict(reversed(list(zip(names, values, strict=True)))))
    assert by_position == by_keyword == tuple(map(support.text, values))


@given(key=st.lists(st.text(max_size=3), max_size=4).map(tuple))
def test_a_shared_key_is_equal_and_has_the_strings_that_were_there_first(key: tuple[str, ...]) -> None:
    copies = [tuple([(value + "x")[:-1] for value in key]) for _ in range(2)]
    first, second = map(support.shared, copies)
    assert first == second == key
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_what_is_kept_to_be_shared_is_bounded() -> None:
    alive = [support.shared((f"value_{number}", "y" * 200 + str(number))) for number in range(3 * support.MOST_SHARED)]
    first = [support.shared((f"value_{number}", "y" * 200 + str(number))) for number in range(3 * support.MOST_SHARED)]
    same = [one[0] is other[0] for one, other in zip(alive, first, strict=True)]
    assert not any(same)  # each had to make room for later ones
    assert not any(one[1] is other[1] for one, other in zip(alive, first, strict=True))  # too long to be kept at all


def test_a_partial_match_needs_every_label_and_at_least_one() -> None:
    matches = support.partial_match(spec("a", "b"), {"b": 2})
    assert matches(("1", "2"))
    assert not matches(("2", "1"))
    assert not support.partial_match(spec("a", "b"), {})(("1", "2"))
    with pytest.raises(LabelError, match=r"^Unknown label names for depth: \['c'\]; expected \('a', 'b'\)$"):
        support.partial_match(spec("a", "b"), {"a": 1, "c": 1})
    with pytest.raises(LabelError, match=r"^No label names were set"):
        support.partial_match(spec(), {})
    with pytest.raises(TypeError, match=r"^labels must be a dict of {label_name: label_value}$"):
        support.partial_match(spec("a"), "a")  # type: ignore[arg-type]


@given(
    values=st.dictionaries(st.integers(0, 20) | st.sampled_from([OVERFLOW_VALUE, "01", "x"]), st.integers(-1000, 1000)),
    limit=st.none() | st.integers(0, 10),
)
def test_a_replacement_keeps_the_order_the_limit_and_the_total(values: dict[Any, int], limit: int | None) -> None:
    distinct = {str(label): number for label, number in values.items()}
    result = support.replacement(spec("a", max_series=limit), distinct)
    own = [key for key in result if key != (OVERFLOW_VALUE,)]
    assert limit is None or len(own) <= limit
    assert sum(result.values()) == sum(distinct.values())
    assert own == [(label,) for label in distinct if label != OVERFLOW_VALUE][:limit]
    assert all(result[key] == distinct[key[0]] for key in own)
    assert all(type(number) is float for number in result.values())


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_label_that_varies_most_is_named_once(caplog: pytest.LogCaptureFixture, limit: int) -> None:
    full = spec("a", "b", "c", max_series=limit)
    keys = [("x", str(number), "12"[number % 2]) for number in range(3)]
    support.overflowed(full, keys)
    support.overflowed(full, keys)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"depth has reached its limit of {limit} series; further label sets are recorded together under b='__other__'. "
        "The label that varies most is 'b' (3 values): give it a bounded set of values, or raise max_series in the definition."
    )


def test_a_limit_of_nothing_is_reached_without_any_series(caplog: pytest.LogCaptureFixture) -> None:
    support.overflowed(spec("a", "b", max_series=0), [])
    assert "depth has reached its limit of 0 series" in caplog.text


@pytest.mark.parametrize(("value", "number"), [(Decimal("0.5"), 0.5), (2, 2.0), (True, 1.0)])
def test_a_real_number_is_a_float(value: Any, number: float) -> None:
    assert support.real(value) == number
    assert type(support.real(value)) is float


@pytest.mark.parametrize("value", ["1", b"1", None, 1j, []])
def test_what_is_no_real_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        support.real(value)


def test_nan_is_said_once_per_definition(caplog: pytest.LogCaptureFixture) -> None:
    first, second = spec(), spec()
    for one in (first, first, second, second):
        support.ignore_nan(one)
    assert len(caplog.records) == 2


@pytest.mark.parametrize("amount", [nan, -1.0])
def test_a_refused_increment_is_a_recording_error(amount: float) -> None:
    with pytest.raises(RecordingError, match="non-negative amounts: depth"):
        support.refuse_increment(spec(), amount)


def test_an_exemplar_is_stamped_and_may_be_as_long_as_the_format_allows(still_clock: StillClock) -> None:
    labels = {"a": "x" * 63, "b": "\U0001f600" * 63}
    assert support.exemplar(labels, 2.0) == Exemplar(labels, 2.0, 1.7e9)
    with pytest.raises(RecordingError, match="have 129 UTF-8 characters, exceeding the limit of 128"):
        support.exemplar({**labels, "c": ""}, 2.0)


def test_the_layer_above_is_asked_only_if_it_wants_to(core: Any) -> None:
    asked: list[Any] = []
    series = core.CounterBase()
    support.adopt(series, spec())
    support.adopt(series, spec(adopt=asked.append))
    assert asked == [series]


def test_labels_of_an_exemplar_are_checked_without_telling_those_who_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(support, "exemplar_watchers", [lambda *seen: told.append(seen)])
    support.check_exemplar({"trace": "1"})
    with pytest.raises(RecordingError, match="Reserved label"):
        support.check_exemplar({"__trace": "1"})
    assert told == []
    support.exemplar({"trace": "1"}, 2.0)
    assert len(told) == 1
