"""Pushing to a real Pushgateway."""

from __future__ import annotations

import functools
import gzip
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from measurand import CollectorRegistry, Counter, delete_from_gateway, instance_ip_grouping_key, push_to_gateway, pushadd_to_gateway
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import from_address
from measurand.exporters.pushgateway import Pushgateway as Exporter
from measurand.exporters.pushgateway import basic_auth_handler, default_handler, passthrough_redirect_handler
from measurand.metrics.collecting import gather
from measurand.testing.exporters import ExporterConformance
from tests.servers import Pushgateway
from tests.support import CLOSINGS, wait_until

HOSTILE = 'a/b c"\\\n\N{SNOWMAN}'


def registry_with(**counts: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    for name, count in counts.items():
        Counter(name, f"Number of {name}", registry=registry).inc(count)
    return registry


def holds(gateway: Pushgateway, *lines: str) -> None:
    """Wait until the gateway shows these and nothing else: a deletion is answered before it is done, a push after."""
    wait_until(lambda: gateway.metrics() == list(lines), what=lambda: f"{list(lines)}; it holds {gateway.metrics()}")


def test_a_push_replaces_the_group(pushgateway: Pushgateway) -> None:
    push_to_gateway(pushgateway.address, "nightly", registry_with(rows_total=3, errors_total=1))
    push_to_gateway(pushgateway.address, "nightly", registry_with(rows_total=4))
    assert pushgateway.metrics() == ['rows_total{instance="",job="nightly"} 4']


def test_an_addition_replaces_only_the_names_it_has(pushgateway: Pushgateway) -> None:
    push_to_gateway(pushgateway.address, "nightly", registry_with(rows_total=3, errors_total=1))
    pushadd_to_gateway(pushgateway.address, "nightly", registry_with(rows_total=4))
    assert sorted(pushgateway.metrics()) == ['errors_total{instance="",job="nightly"} 1', 'rows_total{instance="",job="nightly"} 4']


def test_a_deletion_takes_away_the_one_group(pushgateway: Pushgateway) -> None:
    for shard in ("1", "2"):
        push_to_gateway(pushgateway.address, "nightly", registry_with(rows_total=3), {"shard": shard})
    delete_from_gateway(pushgateway.address, "nightly", {"shard": "1"})
    holds(pushgateway, 'rows_total{instance="",job="nightly",shard="2"} 3')


@pytest.mark.parametrize("value", ["plain", "", "with space", "a/b", HOSTILE], ids=ascii)
def test_any_grouping_value_arrives(pushgateway: Pushgateway, value: str) -> None:
    push_to_gateway(pushgateway.address, "nightly", registry_with(rows_total=3), {"path": value})
    shown = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert pushgateway.metrics() == [f'rows_total{{instance="",job="nightly",path="{shown}"}} 3']


def test_a_compressed_push_arrives(pushgateway: Pushgateway) -> None:
    push_to_gateway(f"http://{pushgateway.address}/", "nightly", registry_with(rows_total=3), compression="gzip")
    assert pushgateway.metrics() == ['rows_total{instance="",job="nightly"} 3']


def test_the_hosts_address_makes_a_grouping_key(pushgateway: Pushgateway) -> None:
    push_to_gateway(pushgateway.address, "nightly", registry_with(rows_total=3), instance_ip_grouping_key())
    assert pushgateway.metrics() == ['rows_total{instance="127.0.0.1",job="nightly"} 3']


def test_what_the_gateway_says_is_in_the_error(pushgateway: Pushgateway) -> None:
    registry = CollectorRegistry()
    Counter("rows_total", "Rows", ["job"], registry=registry).labels("mine").inc()
    push_to_gateway(pushgateway.address, "nightly", registry)  # the gateway's own job label wins
    with pytest.raises(OSError, match="404"):
        push_to_gateway(f"{pushgateway.address}/nowhere", "nightly", registry)


def test_a_gateway_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(OSError, match="refused"):
        push_to_gateway("127.0.0.1:1", "nightly", CollectorRegistry(), timeout=1)


def test_an_unknown_compression_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="gzip"):
        push_to_gateway("127.0.0.1:1", "nightly", CollectorRegistry(), compression="brotli")  # type: ignore[arg-type]


@contextmanager
def listening(redirect_to: str | None = None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that keeps what it is sent; what a Pushgateway never does, it does: redirect."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received.append({"path": self.path, "method": self.command, "body": body, **dict(self.headers.items())})
            self.send_response(302 if redirect_to else 200)
            if redirect_to:
                self.send_header("Location", redirect_to)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def test_basic_authentication_goes_along() -> None:
    with listening() as (address, received):
        handler = functools.partial(basic_auth_handler, username="ada", password="pass:word")
        push_to_gateway(address, "nightly", registry_with(rows_total=3), handler=handler, compression="gzip")
    assert received[0]["Authorization"] == "Basic YWRhOnBhc3M6d29yZA=="
    assert b"rows_total 3.0" in gzip.decompress(received[0]["body"])


def test_a_redirect_is_followed_with_the_body_only_by_the_handler_that_says_so() -> None:
    with listening() as (end, arrived), listening(f"http://{end}/moved") as (start, _):
        with pytest.raises(OSError, match="302"):
            push_to_gateway(start, "nightly", registry_with(rows_total=3), handler=default_handler)
        assert arrived == []
        push_to_gateway(start, "nightly", registry_with(rows_total=3), handler=passthrough_redirect_handler)
    assert [(request["method"], request["path"]) for request in arrived] == [("PUT", "/moved")]
    assert b"rows_total 3.0" in arrived[0]["body"]


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_an_exporter_pushes_time_and_again(pushgateway: Pushgateway, compression: Any) -> None:
    exporter = Exporter(pushgateway.address, "shop", grouping_key={"instance": "a"}, compression=compression)
    for count in (3, 4):
        exporter.export(gather(registry_with(rows_total=count)))
        assert pushgateway.metrics() == [f'rows_total{{instance="a",job="shop"}} {count}']
    exporter.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"compression": "br"}, "Unsupported compression type: br; use 'gzip' or None"),
        ({"method": "put"}, "the method of a Pushgateway must be 'push' or 'pushadd', not 'put'"),
        ({"job": ""}, "a Pushgateway needs the name of a job: job='…'"),
        ({"grouping_key": {"job": "b"}}, "the grouping key of a Pushgateway cannot have a label 'job'"),
        ({"grouping_key": {"": "a"}}, "the grouping key of a Pushgateway has labels such as 'instance', not ''"),
        ({"grouping_key": {"a/b": "a"}}, "the grouping key of a Pushgateway has labels such as 'instance', not 'a/b'"),
        ({"gateway": "http://ada:secret@"}, "is no address to send to"),
    ],
)
def test_an_exporter_that_cannot_be_is_refused_at_once(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        Exporter(**{"gateway": "127.0.0.1:9091", "job": "shop", **settings})
    assert "secret" not in str(caught.value)


class TestExporter(ExporterConformance):
    closings = CLOSINGS

    @pytest.fixture(autouse=True)
    def _gateway(self, pushgateway: Pushgateway) -> None:
        self.gateway = pushgateway
        self.peer = pushgateway.address

    def exporter(self, address: str | None, timeout: float) -> Exporter:
        return Exporter(str(address), "shop", timeout=timeout, compression="gzip")

    def shown(self, name: str, labels: dict[str, str]) -> float | None:
        start = f'{name}{{instance="",job="shop",run="{labels["run"]}"}} '
        return next((float(line.removeprefix(start)) for line in self.gateway.metrics() if line.startswith(start)), None)

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return self.shown(f"{name}_total", labels)

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        return self.shown(name, labels)

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        return self.shown(f"{name}_count", labels), self.shown(f"{name}_sum", labels)


def test_what_is_added_leaves_other_metrics_of_the_group_and_the_end_deletes_it(pushgateway: Pushgateway) -> None:
    with (
        closing(Exporter(pushgateway.address, "shop")) as kept,
        closing(Exporter(pushgateway.address, "shop", method="pushadd", delete_at_end=True)) as adding,
    ):
        kept.export(gather(registry_with(rows_total=3)))
        adding.export(gather(registry_with(others_total=4)))
        assert len(pushgateway.metrics()) == 2
        adding.end(5.0)
        holds(pushgateway)
        kept.export(gather(registry_with(rows_total=3)))
        kept.end(5.0)
        adding.export(gather(registry_with(others_total=4)))  # the gateway takes it after a deletion, had one been asked for
        assert len(pushgateway.metrics()) == 2


def test_what_a_gateway_refuses_is_in_the_error_and_credentials_are_not(pushgateway: Pushgateway) -> None:
    exporter = Exporter(f"http://ada:secret@{pushgateway.address}/nowhere", "shop")
    with pytest.raises(ExportFailed, match=f"^http://{pushgateway.address}/nowhere answers 404: ") as caught:
        exporter.export(gather(registry_with(rows_total=3)))
    assert "secret" not in str(caught.value) + repr(exporter)
    exporter.close()


def test_credentials_go_along_from_arguments_and_from_the_address() -> None:
    for make in (
        lambda address: Exporter(address, "shop", username="ada", password="pass:word"),
        lambda address: Exporter(f"http://ada:pass%3Aword@{address}", "shop"),
        lambda address: from_address(f"pushgateway+http://ada:pass%3Aword@{address}?job=shop&timeout=5"),
    ):
        with listening() as (address, received):
            exporter = make(address)
            exporter.export(gather(registry_with(rows_total=3)))
            exporter.close()
        assert received[0]["Authorization"] == "Basic YWRhOnBhc3M6d29yZA=="


def test_an_address_says_all_of_it(pushgateway: Pushgateway) -> None:
    exporter: Any = from_address(
        f"pushgateway+http://{pushgateway.address}?job=shop&grouping.zone=eu&method=pushadd&compression=gzip&delete_at_end=yes&name=mine"
    )
    assert (exporter.name, repr(exporter)) == ("mine", f"Pushgateway('http://{pushgateway.address}')")
    exporter.check()
    exporter.export(gather(registry_with(rows_total=3)))
    assert pushgateway.metrics() == ['rows_total{instance="",job="shop",zone="eu"} 3']
    exporter.close()
    with pytest.raises(ConfigurationError, match="a Pushgateway needs the name of a job"):
        from_address("pushgateway://127.0.0.1:9091")


def test_a_gateway_that_is_not_there_is_said() -> None:
    with pytest.raises(ExportFailed, match=r"^http://127\.0\.0\.1:1 cannot be reached: "):
        Exporter("127.0.0.1:1", "shop").check()
