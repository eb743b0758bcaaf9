"""How remote write is set up, by arguments and by address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from measurand import CollectorRegistry, Gauge
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import from_address
from measurand.exporters.delivery import Delivery
from measurand.exporters.remote_write import RemoteWrite
from measurand.exporters.routing import Route
from tests.exporters.receiver import Receiver, Shop, receiving, written
from tests.servers.process import free_port

pytestmark = pytest.mark.once


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def shop(receiver: Receiver) -> Iterator[Shop]:
    one = Shop(receiver)
    yield one
    one.exporter.close()


def test_a_service_gives_its_name_and_host_to_its_series(receiver: Receiver, shop: Shop) -> None:
    Route(shop.exporter).identify("shop", "test", "1.0")
    shop.send(1)
    labels = dict(receiver.requests[0].written.order[0])
    assert labels["job"] == "shop"
    assert labels["instance"]


@pytest.mark.parametrize("labels", [{}, {"job": "mine"}])
def test_labels_that_were_given_are_all_there_are(receiver: Receiver, labels: dict[str, str]) -> None:
    shop = Shop(receiver, labels=labels)
    shop.exporter.identify("shop", "test", "1.0")
    shop.send(1)
    shop.exporter.close()
    assert dict(receiver.requests[0].written.order[0]) == {**labels, "__name__": "depth"}


def test_an_address_stands_for_an_exporter(receiver: Receiver) -> None:
    exporter = from_address(
        f"remotewrite+http://ada:secret@127.0.0.1:{receiver.port}?version=1.0&label.job=shop&header.X-Tenant=a&interval=5&name=backup"
        "&escaping=allow-utf-8&max_samples=10&max_pending_bytes=1000&native_histograms=no&timeout=3"
    )
    assert isinstance(exporter, RemoteWrite)
    assert (exporter.name, exporter.interval) == ("backup", 5.0)
    assert "secret" not in repr(exporter)
    registry = CollectorRegistry()
    Gauge("lag.ms", "Lag", registry=registry).set(1)
    Delivery(exporter, registry).deliver(20.0)
    exporter.close()
    (request,) = receiver.requests
    assert (request.path, request.version, request.headers["x-tenant"]) == ("/api/v1/write", "1.0", "a")
    assert request.headers["authorization"].startswith("Basic ")
    assert request.written.order == [[("__name__", "lag.ms"), ("job", "shop")]]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("remotewrite://127.0.0.1:9090", r"remotewrite\+http"),
        ("remotewrite+ftp://127.0.0.1:9090", r"remotewrite\+http"),
        ("remotewrite+http://127.0.0.1:9090?version=3", "version"),
        ("remotewrite+http://127.0.0.1:9090?escaping=no", "escaping"),
        ("remotewrite+http://127.0.0.1:9090?labels.job=a", "no option"),
        ("remotewrite+http://:9090", "no address"),
    ],
)
def test_an_address_that_cannot_be_used_is_an_error(address: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        from_address(address)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"headers": {"content-encoding": "gzip"}}, "content-encoding"),
        ({"labels": {"__name__": "x"}}, "__name__"),
        ({"labels": {"job": 5}}, "job"),
        ({"timeout": 0}, "timeout"),
        ({"max_samples": 0}, "max_samples"),
        ({"max_pending_bytes": -1}, "max_pending_bytes"),
        ({"version": "1"}, "version"),
        ({"username": "ada", "bearer_token": "x"}, "choose one"),
    ],
)
def test_settings_that_cannot_be_used_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RemoteWrite("http://127.0.0.1:9090/api/v1/write", **settings)


@pytest.mark.parametrize("version", ["auto", "1.0"])
def test_the_check_sends_a_request_without_samples(receiver: Receiver, version: Any) -> None:
    RemoteWrite(receiver.url, version=version).check()
    (request,) = receiver.requests
    assert request.written.order == []


@pytest.mark.parametrize("status", [401, 404])
def test_the_check_finds_an_address_where_nothing_can_be_written(receiver: Receiver, status: int) -> None:
    receiver.answer(status, body="not here")
    with pytest.raises(ExportFailed, match=f"{status} not here"):
        RemoteWrite(receiver.url).check()


def test_the_check_finds_that_nobody_is_there() -> None:
    with pytest.raises(ExportFailed, match="reached"):
        RemoteWrite(f"http://127.0.0.1:{free_port()}/", timeout=5.0).check()


def test_the_receiver_of_these_tests_counts_what_it_got(receiver: Receiver, shop: Shop) -> None:
    shop.send(1)
    assert written(receiver.requests[0], fewer=1)["X-Prometheus-Remote-Write-Samples-Written"] == "0"
