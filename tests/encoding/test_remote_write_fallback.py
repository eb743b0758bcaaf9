"""Requests of version 2.0 made into ones of 1.0."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from measurand import CollectorRegistry, Histogram
from measurand.encoding.remote_write import Encoder
from measurand.encoding.remote_write_fallback import as_version_1
from measurand.metrics.collecting import gather
from measurand.metrics.points import PointFamily
from tests.encoding.remote_write_peer import FAMILIES, NOW

pytestmark = pytest.mark.once


def both(families: list[PointFamily], most: int = 3) -> tuple[list[bytes], list[bytes]]:
    """What 2.0 becomes, and what 1.0 would have been; twice in a row, as the second time not all is new."""
    made, direct = [], []
    newer, older = Encoder({"job": "shop"}, most_samples=most), Encoder({"job": "shop"}, most_samples=most)
    for moment in (NOW, NOW + 15_000):
        made += [as_version_1(request.body) for request in newer.encode(families, "2.0", moment)]
        direct += [request.body for request in older.encode(families, "1.0", moment)]
    return made, direct


@settings(max_examples=40)
@given(FAMILIES)
def test_it_is_what_would_have_been_written_at_first(families: list[PointFamily]) -> None:
    made, direct = both(families)
    assert made == direct


def test_native_histograms_and_what_is_no_more_are_kept() -> None:
    registry = CollectorRegistry()
    durations = Histogram("seconds", "Durations", ["route"], native=True, registry=registry)
    durations.labels("/").observe(0.3, exemplar={"trace_id": "abc"})
    newer, older = Encoder(), Encoder()
    for moment in (NOW, NOW + 1):
        points = gather(registry).points()
        (request,), (direct,) = newer.encode(points, "2.0", moment), older.encode(points, "1.0", moment)
        assert as_version_1(request.body) == direct.body
        durations.remove("/")


def test_nothing_is_nothing() -> None:
    assert as_version_1(b"\x22\x00") == b""
