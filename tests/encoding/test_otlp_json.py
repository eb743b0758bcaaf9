"""Requests in JSON: the official decoder reads from them what it reads from the official bytes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from measurand.encoding.otlp import Value, resource_of
from measurand.encoding.otlp_json import encode, read_partial_success, read_status
from measurand.metrics.collecting import gather
from measurand.metrics.instruments import Counter, Histogram
from measurand.metrics.points import PointFamily
from measurand.metrics.registry import CollectorRegistry
from tests.encoding.otlp_peer import families, metrics_of, request_of, resources

pytestmark = pytest.mark.once

WHOLE = {"startTimeUnixNano", "timeUnixNano", "count", "zeroCount", "intValue"}


def with_base64(content: Any) -> Any:
    """The ids as protobuf's own mapping has them, which OTLP's differs from there."""
    if isinstance(content, list):
        return [with_base64(each) for each in content]
    if not isinstance(content, dict):
        return content
    ids = {name: base64.b64encode(bytes.fromhex(content[name])).decode() for name in ("spanId", "traceId") if name in content}
    return {name: ids.get(name) or with_base64(each) for name, each in content.items()}


def decoded(data: bytes) -> ExportMetricsServiceRequest:
    return json_format.ParseDict(with_base64(json.loads(data)), ExportMetricsServiceRequest())


@given(st.lists(families(), max_size=4), resources, st.booleans())
def test_the_official_decoder_reads_what_was_meant(found: list[PointFamily], resource: dict[str, Value], is_delta: bool) -> None:
    metrics, about = metrics_of(found, is_delta=is_delta), resource_of(resource)
    read = decoded(encode(metrics, about, "1.2"))
    assert json_format.MessageToJson(read) == json_format.MessageToJson(request_of(metrics, about, "1.2"))  # in messages NaN is not itself


@given(st.lists(families(), min_size=1, max_size=3))
def test_whole_numbers_of_64_bits_are_texts_and_enumerations_numbers(found: list[PointFamily]) -> None:
    def look(content: Any) -> None:
        if isinstance(content, list):
            for each in content:
                look(each)
        elif isinstance(content, dict):
            for name, each in content.items():
                if name in WHOLE:
                    assert isinstance(each, str)
                    assert each.lstrip("-").isdigit()
                if name == "bucketCounts":
                    assert all(isinstance(number, str) for number in each)
                if name == "aggregationTemporality":
                    assert each in (1, 2)
                look(each)

    look(json.loads(encode(metrics_of(found, is_delta=False), {"whole": 7}, "1.2")))


def test_a_native_histogram_is_read_as_it_was_meant() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("native_seconds", "Native", native=True, registry=registry)
    for amount in (-1, 0, 0.001, 0.5, 0.51, 3, 1e9):
        histogram.observe(amount)
    metrics = metrics_of(gather(registry).points(), is_delta=False)
    read = decoded(encode(metrics, {}, "1.2"))
    assert read == request_of(metrics, {}, "1.2")
    assert read.resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram.data_points[0].count == 7


def test_ids_are_hexadecimal() -> None:
    registry = CollectorRegistry()
    counter = Counter("orders_total", "Orders", registry=registry)
    trace, span = "0AF7651916CD43DD8448EB211C80319C", "b7ad6b7169203331"
    counter.inc(2, exemplar={"trace_id": trace, "span_id": span, "user": "ada"})
    request = json.loads(encode(metrics_of(gather(registry).points(), is_delta=False), {}, "1.2"))
    exemplar = request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0]["exemplars"][0]
    assert (exemplar["traceId"], exemplar["spanId"]) == (trace.lower(), span)
    assert exemplar["filteredAttributes"] == [{"key": "user", "value": {"stringValue": "ada"}}]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"{}", (0, "")),
        (b'{"partialSuccess":null}', (0, "")),
        (b'{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old"}}', (3, "too old")),
        (b'{"partialSuccess":{"rejectedDataPoints":3}}', (3, "")),
        (b'{"partialSuccess":{"errorMessage":"soon to be gone"}}', (0, "soon to be gone")),
        (b'{"partialSuccess":{"rejectedDataPoints":"many"}}', (0, "")),
        (b'{"partialSuccess":{"rejectedDataPoints":-1}}', (0, "")),
        (b'{"partialSuccess":7}', (0, "")),
        (b"[]", (0, "")),
        (b"<html>", (0, "")),
        (b"\xff", (0, "")),
        (b"[" * 5000, (0, "")),
    ],
)
def test_answers_are_read(answer: bytes, expected: tuple[int, str]) -> None:
    assert read_partial_success(answer) == expected


def test_the_reason_of_a_refusal_is_read() -> None:
    assert read_status(b'{"code":3,"message":"no such tenant"}') == "no such tenant"
    assert read_status(b"no JSON") == ""
