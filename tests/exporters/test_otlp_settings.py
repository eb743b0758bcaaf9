"""How OTLP is set up, by arguments and by address, and what is told at once."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import from_address
from measurand.exporters.delivery import Delivery
from measurand.exporters.otlp import OTLP
from measurand.metrics.instruments import Counter
from measurand.metrics.registry import CollectorRegistry
from tests.endpoints.kit import make_certificates
from tests.exporters.otlp_peers import Receiver, Taken

pytestmark = pytest.mark.once


def delivered(exporter: Any, receiver: Receiver) -> Taken:
    """What an exporter sends of a counter."""
    registry = CollectorRegistry()
    Counter("orders_total", "Orders", registry=registry).inc(3)
    Delivery(exporter, registry).deliver(30.0)
    exporter.close()
    return receiver.taken.pop()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"endpoint": "127.0.0.1:4318"}, "no address to send to"),
        ({"endpoint": "grpc://127.0.0.1:4317"}, "no address to send to"),
        ({"endpoint": "http://"}, "no address to send to"),
        ({"endpoint": "http://127.0.0.1:port"}, "no address to send to"),
        ({"protocol": "grpc"}, r"gRPC is not spoken\), not 'grpc'"),
        ({"temporality": "both"}, "must be 'cumulative' or 'delta', not 'both'"),
        ({"compression": "br"}, "must be 'gzip' or None, not 'br'"),
        ({"max_points_per_request": 0}, "must be a number above 0, not 0"),
        ({"max_points_per_request": 2.5}, "must be a number above 0, not 2.5"),
        ({"resource": {"tags": ["a"]}}, "the resource's attribute 'tags' must be a text"),
        ({"endpoint": "http://ada:pass@127.0.0.1", "bearer_token": "x"}, "choose one"),
    ],
)
def test_what_cannot_be_used_is_told_at_once(settings: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        OTLP(**settings)


def test_it_shows_where_it_sends_to_and_no_secrets() -> None:
    exporter = OTLP("http://ada:pass@127.0.0.1:4318/x?token=y", headers={"Authorization": "z"})
    assert repr(exporter) == "OTLP('http://127.0.0.1:4318/x/v1/metrics')"
    assert (exporter.name, exporter.interval, exporter.temporality) == ("otlp", 60.0, "cumulative")


def test_an_address_says_all_that_arguments_can() -> None:
    with Receiver() as receiver:
        address = (
            f"otlp+{receiver.url}/base?protocol=http/json&temporality=delta&compression=none&header.X-Scope-OrgID=tenant&name=mine&interval=7"
            "&resource.service.instance.id=a&bearer_token=secret&timeout=20&max_points_per_request=2"
        )
        exporter: Any = from_address(address)
        taken = delivered(exporter, receiver)
    assert (exporter.name, exporter.interval, exporter.temporality) == ("mine", 7.0, "delta")
    assert (taken.path, taken.headers["x-scope-orgid"], taken.headers["authorization"]) == ("/base/v1/metrics", "tenant", "Bearer secret")
    assert b'"service.instance.id","value":{"stringValue":"a"}' in taken.body
    assert b'"aggregationTemporality":1' in taken.body


def test_a_user_in_an_address_is_basic_authentication() -> None:
    with Receiver() as receiver:
        exporter = from_address(f"otlp+{receiver.url.replace('//', '//ada:pass@')}")
        assert delivered(exporter, receiver).headers["authorization"] == "Basic YWRhOnBhc3M="


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("otlp://collector", "OTLP('http://collector:4318/v1/metrics')"),
        ("otlp://collector:80", "OTLP('http://collector:80/v1/metrics')"),
        ("otlp+http://collector", "OTLP('http://collector/v1/metrics')"),
        ("otlp+https://collector/otlp", "OTLP('https://collector/otlp/v1/metrics')"),
        ("otlp://[::1]", "OTLP('http://[::1]:4318/v1/metrics')"),
    ],
)
def test_without_a_transport_an_address_means_the_usual_port(address: str, shown: str) -> None:
    assert repr(from_address(address)) == shown


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("otlp+grpc://127.0.0.1:4317", r"otlp\+grpc://… is no address of OTLP; give one such as otlp\+http://127.0.0.1:4318"),
        ("otlp:", "is no address of OTLP"),
        ("otlp://127.0.0.1:port", "cannot be read"),
        ("otlp://127.0.0.1?compresion=none", "is 'compression' meant"),
        ("otlp://127.0.0.1?max_points_per_request=1.5", "must be a number above 0, not 1.5"),
        ("otlp+https://127.0.0.1?ca_file=/nowhere.pem", "ca_file=/nowhere.pem cannot be read"),
        ("otlp://127.0.0.1?max_points_per_request=inf", "must be a number, not .inf."),
    ],
)
def test_an_address_that_cannot_be_used_is_told_at_once(address: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        from_address(address)


def test_an_authority_of_ones_own_is_trusted(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with Receiver(tls=context) as receiver:
        assert delivered(from_address(f"otlp+{receiver.url}?ca_file={made.authority}"), receiver).status == 200
        assert delivered(OTLP(receiver.url, tls=made.trusting()), receiver).status == 200
        with pytest.raises(ExportFailed, match="certificate"):
            OTLP(receiver.url).check()


@pytest.mark.parametrize(("status", "fails"), [(200, False), (404, False), (405, False), (401, True), (403, True)])
def test_a_destination_that_answers_is_there_unless_it_refuses_who_asks(status: int, fails: bool) -> None:
    with Receiver([status]) as receiver:
        exporter = OTLP(receiver.url)
        if fails:
            with pytest.raises(ExportFailed, match=f"answered {status}"):
                exporter.check()
        else:
            exporter.check()
        exporter.close()
        assert [(taken.method, taken.body) for taken in receiver.taken] == [("GET", b"")]


def test_a_destination_that_is_not_there_is_found_missing() -> None:
    with pytest.raises(ExportFailed, match=r"http://127\.0\.0\.1:1/v1/metrics cannot be reached"):
        OTLP("http://127.0.0.1:1").check()
