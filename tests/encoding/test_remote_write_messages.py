"""The bytes of remote write beside the official library's."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measurand.encoding.escaping import ALLOW_UTF8
from measurand.encoding.remote_write import Encoder, Version
from measurand.encoding.remote_write_messages import Entry, Form1, Form2, Meta, native, native_stale, write
from measurand.metrics.native import NativeBuckets
from measurand.metrics.points import PointFamily, Series
from measurand.metrics.snapshot import bound_text
from tests.encoding.remote_write_peer import FAMILIES, NOW, Written, bits, decoded

pytestmark = pytest.mark.once

FEWER = settings(max_examples=25)
VERSIONS = pytest.mark.parametrize("version", ["1.0", "2.0"])
NAN = bytes.fromhex("010000000000f87f")


def expected(families: list[PointFamily]) -> dict[Any, tuple[bytes, int]]:
    """What is to be written, found by other means; the first of two equal series counts."""
    found: dict[Any, tuple[bytes, int]] = {}

    def put(name: str, one: Series, value: float, **own: str) -> None:
        moment = NOW if one.timestamp is None else round(one.timestamp * 1000)
        labels = {name: text for name, text in one.labels if text} | own | {"__name__": name}
        found.setdefault(frozenset(labels.items()), (NAN if math.isnan(value) else bits(value), moment))

    for is_timed in (False, True):
        for family in families:
            for one in family.series:
                if (one.timestamp is not None) is not is_timed:
                    continue
                if family.type == "histogram":
                    *counts, total = one.numbers
                    for bound, count in zip([*family.bounds, math.inf], accumulate(counts), strict=True):
                        put(f"{family.name}_bucket", one, count, le=bound_text(bound))
                    put(f"{family.name}_count", one, sum(counts))
                    if family.bounds[0] >= 0:
                        put(f"{family.name}_sum", one, total)
                elif family.type == "summary":
                    put(f"{family.name}_count", one, one.numbers[0])
                    put(f"{family.name}_sum", one, one.numbers[1])
                else:
                    put(family.exposed_name, one, one.numbers[0])
    return found


def of_one_kind(families: list[PointFamily]) -> list[PointFamily]:
    """Without what a registry would not let in: names that two families share."""
    seen: set[str] = set()
    kept = []
    for family in families:
        names = {family.name, *(f"{family.name}_{suffix}" for suffix in ("total", "bucket", "count", "sum"))}
        if not names & seen:
            seen |= names
            kept.append(family)
    return kept


@VERSIONS
@FEWER
@given(FAMILIES.map(of_one_kind))
def test_every_number_is_written_once_as_the_official_library_would(version: Version, families: list[PointFamily]) -> None:
    written = Written(version, *(request.body for request in Encoder(escaping=ALLOW_UTF8).encode(families, version, NOW)))
    assert written.samples == expected(families)
    assert all(labels == sorted(labels) for labels in written.order)


@VERSIONS
@FEWER
@given(FAMILIES.map(of_one_kind), st.integers(1, 7))
def test_requests_hold_no_more_than_they_may(version: Version, families: list[PointFamily], most: int) -> None:
    requests = Encoder(escaping=ALLOW_UTF8, most_samples=most).encode(families, version, NOW)
    assert all(0 < request.samples <= most for request in requests)
    written = [Written(version, request.body) for request in requests]
    assert [len(one.order) for one in written] == [request.samples for request in requests]
    assert {key for one in written for key in one.samples} == expected(families).keys()


@VERSIONS
@FEWER
@given(FAMILIES.map(of_one_kind), FAMILIES.map(of_one_kind))
def test_what_is_kept_from_the_snapshot_before_changes_no_number(
    version: Version, before: list[PointFamily], families: list[PointFamily]
) -> None:
    encoder = Encoder(most_samples=3)
    for each in (before, before, families):
        encoder.encode(each, version, NOW - 60_000)
    again = Written(version, *(request.body for request in encoder.encode(families, version, NOW)))
    fresh = Written(version, *(request.body for request in Encoder().encode(families, version, NOW)))
    assert (again.samples, again.metadata) == (fresh.samples, fresh.metadata)


COUNTS = st.lists(st.one_of(st.just(0.0), st.integers(0, 2**50).map(float)), max_size=40)


@given(st.integers(-4, 3), st.integers(-500, 500), COUNTS, st.integers(0, 2**50), st.floats(), st.floats(1e-9, 1.0))
def test_a_native_histogram_is_written_as_the_official_library_would(
    schema: int, offset: int, counts: list[float], zero: int, total: float, threshold: float
) -> None:
    count = zero + sum(counts)
    point = NativeBuckets(schema, threshold, float(zero), offset, tuple(counts), count, total)
    for version, form in (("1.0", Form1()), ("2.0", Form2())):
        body = form.finish([write(form, ENTRY, b"", native(point, NOW))])
        (histogram,) = Written(version, body).histograms.values()
        assert (histogram.schema, histogram.zero_threshold, histogram.timestamp) == (schema, threshold, NOW)
        assert (histogram.count_int, histogram.zero_count_int) == (count, zero)
        assert bits(histogram.sum) == (NAN if math.isnan(total) else bits(total))
        assert buckets(histogram, list(accumulate(histogram.positive_deltas))) == filled(point)


@given(st.lists(st.floats(0.0, 1e9), min_size=1, max_size=20), st.integers(-50, 50))
def test_counts_that_are_no_integers_are_written_as_they_are(counts: list[float], offset: int) -> None:
    point = NativeBuckets(0, 1e-6, 0.5, offset, tuple(counts), 0.5 + sum(counts), 1.0)
    form = Form2()
    (histogram,) = Written("2.0", form.finish([write(form, ENTRY, b"", native(point, NOW))])).histograms.values()
    assert (histogram.count_float, histogram.zero_count_float) == (point.count, 0.5)
    assert buckets(histogram, histogram.positive_counts) == filled(point)


def test_an_empty_native_histogram_has_a_count_all_the_same() -> None:
    form = Form2()
    point = NativeBuckets(3, 0.25, 0.0, 0, (), 0.0, 0.0)
    (histogram,) = Written("2.0", form.finish([write(form, ENTRY, b"", native(point, NOW))])).histograms.values()
    assert (histogram.WhichOneof("count"), histogram.WhichOneof("zero_count")) == ("count_int", "zero_count_int")
    assert not histogram.positive_spans


def test_a_native_histogram_that_is_no_more_says_so_in_its_sum() -> None:
    form = Form2()
    (histogram,) = Written("2.0", form.finish([write(form, ENTRY, b"", native_stale(NOW))])).histograms.values()
    assert bits(histogram.sum) == bytes.fromhex("020000000000f07f")
    assert (histogram.WhichOneof("count"), histogram.timestamp) == ("count_int", NOW)


def test_text_that_cannot_be_encoded_is_replaced() -> None:
    meta = Meta("depth", 2, "a \ud800 help", "")
    for version, form in (("1.0", Form1()), ("2.0", Form2())):
        body = form.finish([write(form, Entry(("__name__", "depth", "what", "\udcff"), meta, 0), b"\x10\x01", b"")])
        message = decoded(version, body)
        assert "\ufffd" in str(message.timeseries[0].labels[1].value if version == "1.0" else list(message.symbols))


ENTRY = Entry(("__name__", "seconds"), Meta("seconds", 3, "Durations", "", is_native=True), 0)


def buckets(histogram: Any, counts: Any) -> dict[int, float]:
    """What is in each bucket that is not empty, by index."""
    found = {}
    at, given_counts = 0, iter(counts)
    for span in histogram.positive_spans:
        at += span.offset
        for _ in range(span.length):
            found[at] = next(given_counts)
            at += 1
    assert list(given_counts) == []
    return {index: count for index, count in found.items() if count}


def filled(point: NativeBuckets) -> dict[int, float]:
    return {point.offset + index: count for index, count in enumerate(point.counts) if count}
