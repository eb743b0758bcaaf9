"""The standalone server with TLS."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from measurand import CollectorRegistry, start_http_server
from measurand.metrics.families import GaugeMetricFamily
from tests.endpoints.kit import Certificates, connections, fetch, make_certificates, reset, serving
from tests.support import wait_until


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls(certificates: Certificates) -> dict[str, str]:
    return {"certfile": str(certificates.certificate), "keyfile": str(certificates.key)}


def test_it_speaks_tls(registry: CollectorRegistry, certificates: Certificates, tls: dict[str, str]) -> None:
    with serving(registry, **tls) as port:
        assert b"\norders_total 3.0\n" in fetch(port, tls=certificates.trusting()).body
        with pytest.raises((http.client.HTTPException, OSError)):
            fetch(port)  # not in the clear
        with pytest.raises(ssl.SSLCertVerificationError):
            fetch(port, tls=ssl.create_default_context())  # it is really this certificate


def test_a_client_certificate_can_be_required(registry: CollectorRegistry, certificates: Certificates, tls: dict[str, str]) -> None:
    with serving(registry, **tls, client_cafile=str(certificates.authority), client_auth_required=True) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            fetch(port, tls=certificates.trusting())
        assert b"\norders_total 3.0\n" in fetch(port, tls=certificates.presenting()).body


def test_a_client_certificate_of_another_authority_is_refused(
    registry: CollectorRegistry, certificates: Certificates, tls: dict[str, str], tmp_path: Path
) -> None:
    other = make_certificates(tmp_path)
    with (
        serving(registry, **tls, client_cafile=str(other.authority), client_auth_required=True) as port,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        fetch(port, tls=certificates.presenting())


def test_old_versions_of_tls_can_be_refused(registry: CollectorRegistry, certificates: Certificates, tls: dict[str, str]) -> None:
    old = certificates.trusting()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(registry, **tls, tls_min_version=ssl.TLSVersion.TLSv1_3) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            fetch(port, tls=old)
        assert fetch(port, tls=certificates.trusting()).status == 200
    with serving(registry, **tls, tls_max_version=ssl.TLSVersion.TLSv1_2) as port:
        assert fetch(port, tls=old).status == 200


def test_a_silent_tls_client_does_not_stop_the_others(registry: CollectorRegistry, certificates: Certificates, tls: dict[str, str]) -> None:
    with serving(registry, **tls) as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        assert fetch(port, tls=certificates.trusting()).status == 200
        for client in silent:
            client.close()


def test_tls_clients_that_go_away_leave_no_trace(
    registry: CollectorRegistry, certificates: Certificates, tls: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(registry, **tls) as port:
        for said in (b"", b"GET /metrics HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(said)
            reset(client)
        wait_until(lambda: not connections())
        assert fetch(port, tls=certificates.trusting()).status == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("close", [reset, socket.socket.close])
def test_a_tls_client_that_goes_away_before_the_answer_leaves_no_trace(
    registry: CollectorRegistry,
    certificates: Certificates,
    tls: dict[str, str],
    capfd: pytest.CaptureFixture[str],
    close: Callable[[socket.socket], None],
) -> None:
    asked, gone = threading.Event(), threading.Event()

    class Waiting:
        def collect(self) -> Iterable[Any]:
            asked.set()
            gone.wait(10)
            large = GaugeMetricFamily("large", "x" * 1_000_000, value=1)
            return [large] * 10

    registry.register(Waiting())
    with serving(registry, **tls) as port:
        raw = socket.create_connection(("127.0.0.1", port))
        secured = certificates.trusting().wrap_socket(raw, server_hostname="127.0.0.1")
        secured.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert asked.wait(10)
        close(secured)
        gone.set()
        wait_until(lambda: not connections())
        assert fetch(port, tls=certificates.trusting()).status == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("missing", ["certfile", "keyfile", "client_cafile", "client_capath"])
def test_a_missing_file_is_named_and_nothing_listens(registry: CollectorRegistry, tls: dict[str, str], missing: str) -> None:
    threads = threading.active_count()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pem"):
        start_http_server(0, registry=registry, **{**tls, missing: "/nowhere.pem"})
    assert threading.active_count() == threads


def test_a_key_of_another_certificate_is_refused(registry: CollectorRegistry, certificates: Certificates) -> None:
    with pytest.raises(ssl.SSLError):
        start_http_server(0, registry=registry, certfile=str(certificates.certificate), keyfile=str(certificates.client_key))


@pytest.mark.parametrize("half", [{"certfile": "cert.pem"}, {"keyfile": "key.pem"}], ids=["certificate", "key"])
def test_half_a_certificate_is_refused_rather_than_served_in_the_clear(half: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="certfile and keyfile"):
        start_http_server(0, **half)
