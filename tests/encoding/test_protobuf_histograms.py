"""Histograms as messages: runs of buckets, whole counts and others, what is valid."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.encoding.protobuf_histograms import Native, Span, histogram, native_of_buckets, native_of_sample
from measurand.metrics.native import NativeBuckets
from measurand.metrics.sample import BucketSpan, NativeHistogram
from tests.encoding.protobuf_peer import message

pytestmark = pytest.mark.once

COUNTS = st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 70.0, 2.0**40]), max_size=30)


def buckets_of(offset: int, counts: list[float]) -> NativeBuckets:
    return NativeBuckets(3, 0.001, 2.0, offset, tuple(counts), 2.0 + sum(counts), 9.5)


def filled(spans: Any, counts: Any) -> dict[int, float]:
    """The buckets by index."""
    found, index, left = {}, 0, list(counts)
    for offset, length in spans:
        index += offset
        for _ in range(length):
            found[index] = left.pop(0)
            index += 1
    assert not left
    return found


@given(st.integers(-300, 300), COUNTS)
def test_runs_have_every_count_in_its_bucket_and_no_long_gaps(offset: int, counts: list[float]) -> None:
    native = native_of_buckets(buckets_of(offset, counts), [])
    spans, listed = native.positive
    found = filled(spans, listed)
    assert {index: count for index, count in found.items() if count} == {offset + at: count for at, count in enumerate(counts) if count}
    assert all(span.offset > 2 for span in spans[1:])
    assert len(spans) <= sum(1 for count in counts if count)


@given(st.integers(-300, 300), COUNTS, st.sampled_from([0.0, 0.5]))
def test_the_bytes_are_those_of_the_official_encoder(offset: int, counts: list[float], more: float) -> None:
    native = native_of_buckets(buckets_of(offset, [count + more for count in counts]), [])
    count = 2.0 + sum(native.positive[1])
    made = histogram(count, 9.5, (1.0, inf), [count, count], {}, b"", native)
    official = message("Histogram")
    official.ParseFromString(made)
    assert official.SerializeToString(deterministic=True) == made
    assert (official.sample_sum, official.schema, official.zero_threshold) == (9.5, 3, 0.001)
    if count.is_integer() and all(each.is_integer() for each in native.positive[1]):
        assert (official.sample_count, official.zero_count, official.sample_count_float) == (count, 2, 0)
        assert not official.positive_count
    else:
        assert (official.sample_count, official.sample_count_float, official.zero_count_float) == (0, count, 2)
        assert list(official.positive_count) == list(native.positive[1])


@pytest.mark.parametrize("count", [2.0**63, -1.0, nan, inf])
def test_a_count_that_no_whole_number_can_say_is_a_double(count: float) -> None:
    official = message("Histogram")
    official.ParseFromString(histogram(count, 0.0, (inf,), [count], {}, b"", None))
    assert official.sample_count == 0
    assert repr(official.sample_count_float) == repr(count)


@given(st.integers(-50, 50), COUNTS, st.integers(-50, 50), COUNTS)
def test_what_is_valid_comes_back_as_it_was(offset: int, positive: list[float], below: int, negative: list[float]) -> None:
    def said(at: int, counts: list[float]) -> tuple[list[BucketSpan], list[int]]:
        whole = list(map(int, counts))
        return [BucketSpan(at, len(counts))] if counts else [], [now - before for now, before in zip(whole, [0, *whole], strict=False)]

    (pos_spans, pos_deltas), (neg_spans, neg_deltas) = said(offset, positive), said(below, negative)
    count = 3 + sum(positive) + sum(negative)
    found = native_of_sample(NativeHistogram(count, 1.0, -4, 0.5, 3, pos_spans, neg_spans, pos_deltas, neg_deltas), lambda one: b"")
    assert found == Native(-4, 0.5, 3.0, (list(map(Span._make, neg_spans)), negative), (list(map(Span._make, pos_spans)), positive), [])


def test_a_native_histogram_without_buckets_is_valid() -> None:
    assert native_of_sample(NativeHistogram(0, 0, 3, 0, 0), lambda one: b"").positive == ([], [])


def test_exemplars_that_are_not_valid_are_left_out() -> None:
    class Moment:
        timestamp = 4.0

    given_ = NativeHistogram(0, 0, 3, 0, 0, nh_exemplars=[Moment(), Moment()])  # type: ignore[list-item]
    made = iter([b"", b"good"])
    assert native_of_sample(given_, lambda one: next(made)).exemplars == [b"good"]
