"""What a destination is: every one that an address can name keeps to it."""

from __future__ import annotations

import inspect
import socket
from typing import Any

import pytest

from measurand import exporters
from measurand.exporters.addresses import from_address, schemes
from measurand.exporters.memory import Memory
from measurand.exporters.protocol import Exporter, temporality_of
from measurand.exporters.routing import Route

pytestmark = pytest.mark.once

ADDRESSES = {
    "cloudwatch": "cloudwatch://Shop?region=eu-west-1",
    "console": "console:",
    "dogstatsd": "dogstatsd://127.0.0.1:8125",
    "emf": "emf://stdout?namespace=Shop",
    "otlp": "otlp+http://ada:hunter2@127.0.0.1:4318",
    "pushgateway": "pushgateway+http://ada:hunter2@127.0.0.1:9091?job=shop",
    "remotewrite": "remotewrite+http://ada:hunter2@127.0.0.1:9090/api/v1/write",
    "statsd": "statsd://127.0.0.1:8125",
    "textfile": "textfile:///tmp/shop.prom",
}
"""One of each kind."""

each = pytest.mark.parametrize("scheme", sorted(ADDRESSES))


def made(scheme: str, more: str = "") -> Exporter:
    address = ADDRESSES[scheme]
    return from_address(f"{address}{'&' if '?' in address else '?'}{more}" if more else address)


def test_all_of_them_are_here() -> None:
    assert set(ADDRESSES) == set(schemes())


@each
def test_it_has_a_name_an_interval_and_takes_a_snapshot(scheme: str) -> None:
    exporter = made(scheme)
    assert isinstance(exporter.name, str)
    assert exporter.name
    assert exporter.interval > 0
    assert list(inspect.signature(exporter.export).parameters) == ["snapshot"]
    assert temporality_of(exporter) in {"cumulative", "delta"}


@each
def test_name_and_interval_are_the_users_to_choose(scheme: str) -> None:
    exporter = made(scheme, "name=mine&interval=7.5")
    assert (exporter.name, exporter.interval) == ("mine", 7.5)


@each
def test_what_it_may_have_besides_has_the_form_that_is_called(scheme: str) -> None:
    exporter = made(scheme)
    for name, arguments in (("check", ()), ("end", (1.0,)), ("close", ()), ("identify", ("shop", "test", "1")), ("select", ([],))):
        method: Any = getattr(exporter, name, None)
        if method is not None:
            inspect.signature(method).bind(*arguments)


@each
def test_it_shows_no_password(scheme: str) -> None:
    assert "hunter2" not in repr(made(scheme))


@each
def test_making_it_opens_no_connection_and_looks_up_no_name(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is made, and whether its destination is there, does not matter: that is for the first delivery."""

    def fail(*arguments: object, **settings: object) -> Any:
        raise AssertionError(f"{scheme} opens {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket.socket, "connect", fail)
    made(scheme)


@each
def test_closing_it_is_for_every_process_and_any_number_of_times(scheme: str) -> None:
    close = getattr(made(scheme), "close", None)
    if close is not None:
        close()
        close()


@pytest.mark.parametrize("name", exporters.__all__)
def test_every_name_of_the_package_is_a_class_that_says_what_it_is(name: str) -> None:
    found = getattr(exporters, name)
    assert inspect.isclass(found)
    assert inspect.getdoc(found)
    assert list(inspect.signature(found.export).parameters) == ["self", "snapshot"]


def test_a_destination_gets_totals_unless_it_says_otherwise() -> None:
    class Plain:
        name, interval = "plain", 15.0

        def export(self, snapshot: Any) -> None:
            raise LookupError(snapshot)

    assert temporality_of(Plain()) == "cumulative"
    assert temporality_of(Memory("delta")) == temporality_of(Route(Memory("delta"))) == "delta"


def test_there_is_no_other_name_in_the_package() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Carbon'"):
        exporters.Carbon  # type: ignore[attr-defined]  # noqa: B018
    assert set(exporters.__all__) <= set(dir(exporters))
