"""Requests in protocol buffers: the bytes of the official encoder, whatever the content; and answers of any content."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service

from measurand.encoding import wire
from measurand.encoding.otlp import Metric, Value, resource_of
from measurand.encoding.otlp_protobuf import encode, read_partial_success, read_status
from measurand.metrics.collecting import gather
from measurand.metrics.instruments import Histogram
from measurand.metrics.points import PointFamily
from measurand.metrics.registry import CollectorRegistry
from tests.encoding.otlp_peer import families, metrics_of, request_of, resources

pytestmark = pytest.mark.once


def official(metrics: list[Metric], resource: dict[str, Value]) -> bytes:
    return request_of(metrics, resource, "1.2").SerializeToString()


@given(st.lists(families(), max_size=4), resources, st.booleans())
def test_the_bytes_are_those_of_the_official_encoder(found: list[PointFamily], resource: dict[str, Value], is_delta: bool) -> None:
    metrics, about = metrics_of(found, is_delta=is_delta), resource_of(resource)
    assert encode(metrics, about, "1.2") == official(metrics, about)


@given(st.lists(st.floats(0, 1e7) | st.floats(allow_nan=False, allow_infinity=False), max_size=40), st.booleans())
def test_a_native_histogram_has_the_bytes_of_the_official_encoder(amounts: list[float], is_delta: bool) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("native_seconds", "Native", ["k"], native=True, registry=registry).labels("v")
    for amount in amounts:
        histogram.observe(amount)
    metrics = metrics_of(gather(registry).points(), is_delta=is_delta)
    assert [metric.kind for metric in metrics] == ["exponential"]
    assert encode(metrics, {}, "1.2") == official(metrics, {})


@given(st.integers(0, 2**63 - 1), st.text())
def test_what_was_rejected_is_read(rejected: int, message: str) -> None:
    answer = service.ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = rejected
    answer.partial_success.error_message = message
    assert read_partial_success(answer.SerializeToString()) == (rejected, message)


def test_an_answer_without_content_says_that_all_is_well() -> None:
    assert read_partial_success(service.ExportMetricsServiceResponse().SerializeToString()) == (0, "")


def test_fields_that_are_not_known_are_passed_over() -> None:
    unknown = wire.double(7, 1.5) + wire.uint(8, 300) + wire.string(9, "new") + b"\x55abcd"
    known = wire.message(1, unknown + wire.uint(1, 3) + wire.string(2, "too old"))
    assert read_partial_success(unknown + known) == (3, "too old")


def test_the_reason_of_a_refusal_is_read() -> None:
    assert read_status(wire.uint(1, 3) + wire.string(2, "no such tenant")) == "no such tenant"
    assert read_status(b"") == ""


@given(st.binary())
def test_answers_of_any_content_are_read(answer: bytes) -> None:
    rejected, message = read_partial_success(answer)
    assert rejected >= 0
    assert isinstance(message, str)
    assert isinstance(read_status(answer), str)


@given(st.binary(max_size=60))
def test_what_the_official_decoder_reads_is_read_alike(answer: bytes) -> None:
    try:
        official: Message = service.ExportMetricsServiceResponse.FromString(answer)
    except Exception:
        return
    rejected = official.partial_success.rejected_data_points
    assert read_partial_success(answer) == (max(rejected, 0), official.partial_success.error_message)
