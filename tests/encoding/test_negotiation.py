"""Which format a client gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand import CollectorRegistry, Counter, generate_latest
from measurand.encoding import openmetrics, protobuf
from measurand.encoding.negotiation import (
    CONTENT_TYPE_LATEST,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    choose,
    choose_encoder,
    gzip_accepted,
)
from measurand.metrics.collecting import gather

OPENMETRICS = "application/openmetrics-text"
PROMETHEUS_2 = f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8;q=0.6,{OPENMETRICS};version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
NATIVE_2 = f"{PROTOBUF},{PROMETHEUS_2.replace('version=1.0.0,', 'version=1.0.0;q=0.8,')}"
NATIVE_3 = f"{PROTOBUF};escaping=allow-utf-8;q=0.7,{PROMETHEUS_3}"
VICTORIA_METRICS = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, CONTENT_TYPE_PLAIN_0_0_4),
        ("", CONTENT_TYPE_PLAIN_0_0_4),
        (PROMETHEUS_2, f"{openmetrics.CONTENT_TYPE}; escaping=underscores"),
        (PROMETHEUS_3, f"{openmetrics.CONTENT_TYPE}; escaping=allow-utf-8"),
        (NATIVE_2, f"{protobuf.CONTENT_TYPE}; escaping=underscores"),
        (NATIVE_3, f"{protobuf.CONTENT_TYPE}; escaping=allow-utf-8"),
        (f"{PROTOBUF};q=0.3,text/plain;q=0.5", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{PROTOBUF};q=0", CONTENT_TYPE_PLAIN_0_0_4),
        (f"text/plain;q=0.3,{PROTOBUF};q=0.5;escaping=nonsense", f"{protobuf.CONTENT_TYPE}; escaping=underscores"),
        (PROTOBUF.replace("delimited", "text"), CONTENT_TYPE_PLAIN_0_0_4),
        ("application/vnd.google.protobuf", CONTENT_TYPE_PLAIN_0_0_4),
        (f"application/vnd.google.protobuf;proto=other;encoding=delimited,{OPENMETRICS};q=0.1", openmetrics.CONTENT_TYPE),
        (VICTORIA_METRICS, CONTENT_TYPE_PLAIN_0_0_4),
        (BROWSER, CONTENT_TYPE_PLAIN_0_0_4),
        (OPENMETRICS, openmetrics.CONTENT_TYPE),
        ("Application/OpenMetrics-Text; Version=1.0.0", f"{openmetrics.CONTENT_TYPE}; escaping=underscores"),
        (f"{OPENMETRICS};version=0.0.1", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OPENMETRICS};version=2.0.0", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OPENMETRICS};version=2.0.0,{OPENMETRICS};version=1.0.0;q=0.9", f"{openmetrics.CONTENT_TYPE}; escaping=underscores"),
        (f"{OPENMETRICS};q=0.1,text/plain;q=0.2", CONTENT_TYPE_PLAIN_0_0_4),
        (f"text/plain;q=0.1,{OPENMETRICS};q=0.2", openmetrics.CONTENT_TYPE),
        (f"text/plain,{OPENMETRICS}", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OPENMETRICS};q=0", CONTENT_TYPE_PLAIN_0_0_4),
        (f"{OPENMETRICS};q=nonsense,text/plain;q=0.1", CONTENT_TYPE_PLAIN_0_0_4),
        ("text/plain;version=1.0.0", f"{CONTENT_TYPE_PLAIN_1_0_0}; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=values", f"{CONTENT_TYPE_PLAIN_1_0_0}; escaping=values"),
        ("text/plain;version=1.0.0;escaping=nonsense", f"{CONTENT_TYPE_PLAIN_1_0_0}; escaping=underscores"),
        ("application/json", CONTENT_TYPE_PLAIN_0_0_4),
        (";;,,q=1", CONTENT_TYPE_PLAIN_0_0_4),
    ],
)
def test_a_client_gets_the_best_of_what_it_asks_for(accept: str | None, content_type: str) -> None:
    assert choose(accept).content_type == content_type


@given(st.text() | st.lists(st.sampled_from([*NATIVE_3.split(","), ";", "q=", "=", '"', "*/*;q=x", "\0"])).map(",".join))
def test_no_header_is_too_odd(accept: str) -> None:
    media = choose(accept).content_type.partition(";")[0]
    assert media in {"text/plain", OPENMETRICS, PROTOBUF.partition(";")[0]}
    assert gzip_accepted(accept) in {True, False}


def test_the_chosen_format_writes_what_it_says() -> None:
    registry = CollectorRegistry()
    Counter("jobs_total", "Jobs", registry=registry).inc()
    text, strict = choose("text/plain"), choose(PROMETHEUS_2)
    assert text.encode(gather(registry)) == text.generate(registry) == generate_latest(registry)
    assert strict.encode(gather(registry)) == strict.generate(registry) == openmetrics.generate_latest(registry)
    native = choose(NATIVE_3)
    assert native.encode(gather(registry)) == native.generate(registry) == protobuf.generate_latest(registry)


def test_a_utf8_name_is_written_as_the_client_can_read_it() -> None:
    registry = CollectorRegistry()
    Counter("jobs.done", "Jobs", registry=registry).inc()
    assert b"\njobs_done_total 1.0" in choose(PROMETHEUS_2).generate(registry)
    assert b'\n{"jobs.done_total"} 1.0' in choose(PROMETHEUS_3).generate(registry)


def test_an_encoder_and_its_content_type_are_chosen_together() -> None:
    registry = CollectorRegistry()
    encoder, content_type = choose_encoder(OPENMETRICS)
    assert content_type == openmetrics.CONTENT_TYPE
    assert encoder(registry) == b"# EOF\n"


def test_the_latest_content_type_is_that_of_text() -> None:
    assert CONTENT_TYPE_LATEST == CONTENT_TYPE_PLAIN_1_0_0


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZip;q=0.5, br", True),
        ("gzip;q=0", False),
        ("*", True),
        ("*;q=0", False),
        ("identity, *;q=0.1", True),
        ("gzip;q=0, *", False),
        ("br, deflate", False),
        ("gzip;q=x", False),
    ],
)
def test_gzip_is_used_where_it_is_allowed(accept_encoding: str | None, accepted: bool) -> None:
    assert gzip_accepted(accept_encoding) is accepted
