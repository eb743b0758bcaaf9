"""What the suites of servers share: certificates, and a client that says exactly what it is told."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from measurand import start_http_server
from tests.support import wait_until


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Certificates(NamedTuple):
    """Files of one authority and of two certificates by it: one for a server at 127.0.0.1, one for a client."""

    authority: Path
    certificate: Path
    key: Path
    client_certificate: Path
    client_key: Path

    def trusting(self) -> ssl.SSLContext:
        """A client's settings, without a certificate of its own."""
        return ssl.create_default_context(cafile=str(self.authority))

    def presenting(self) -> ssl.SSLContext:
        """A client's settings, with its certificate."""
        context = self.trusting()
        context.load_cert_chain(self.client_certificate, self.client_key)
        return context


def make_certificates(folder: Path) -> Certificates:
    """Make them with the openssl command; without it the test is skipped."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not there")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    authority = ("-subj", "/CN=Test authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # from 3.13 on a client insists
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", *authority)
    for name, use in (("server", "serverAuth"), ("client", "clientAuth")):
        openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={use}\nauthorityKeyIdentifier=keyid\n")
        signed_by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed_by)
    return Certificates(*(folder / name for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")))


@contextmanager
def serving(registry: Any, **settings: Any) -> Iterator[int]:
    """The standalone server on a free port, stopped at the end."""
    server, thread = start_http_server(0, registry=registry, **settings)
    try:
        yield server.server_port
    finally:
        stopping = threading.Thread(target=server.shutdown)
        stopping.start()
        socket.create_connection(server.server_address[:2]).close()  # it looks up twice a second, or when somebody comes
        stopping.join(10)
        server.server_close()
        thread.join(10)
        wait_until(lambda: not connections())


def connections() -> list[threading.Thread]:
    """The threads that serve a connection."""
    return [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]


def fetch(
    port: int,
    method: str = "GET",
    target: str = "/metrics",
    *headers: tuple[str, str],
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One request, its headers as they stand; an answer takes no more than ten seconds."""
    if tls is None:
        connection = http.client.HTTPConnection(host, port, timeout=10)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=10, context=tls)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for header in headers:
            connection.putheader(*header)
        connection.endheaders()
        response = connection.getresponse()
        assert len(dict(response.getheaders())) == len(response.getheaders())
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def reset(connection: socket.socket) -> None:
    """Close a connection the hard way: what is under way is lost, and the other side learns it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()
