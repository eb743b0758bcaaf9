"""A small HTTP server for the metrics page, for programs that have none.

It listens on loopback unless it is told otherwise: what a process counts is nobody's business by default.
"""

from __future__ import annotations

import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from pathlib import Path
from socket import AI_PASSIVE, SOCK_STREAM, getaddrinfo
from socketserver import ThreadingMixIn
from typing import Any, ClassVar
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from measurand.endpoints.page import respond
from measurand.endpoints.wsgi import make_wsgi_app
from measurand.lifecycle.background import renew_after_fork
from measurand.metrics.domains import REGISTRY

__all__ = ["MetricsHandler", "SilentHandler", "ThreadingWSGIServer", "start_http_server", "start_wsgi_server"]

SOCKET_TIMEOUT = 30.0
"""Seconds that a client may be silent before its connection is closed."""


class ThreadingWSGIServer(ThreadingMixIn, WSGIServer):
    """A WSGI server with a thread per connection."""

    daemon_threads = True
    request_queue_size = 128

    def renew(self) -> None:
        """In a new child process, where nobody accepts: hold no copy of the socket, which would keep the port when the parent is gone."""
        self.socket.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no event; anything else is shown as the base class does."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError | ssl.SSLError):
            super().handle_error(request, client_address)


class _TLSServer(ThreadingWSGIServer):
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Secure the connection in its own thread, with the handler's timeout: a silent client must not stop the others."""
        try:
            request.getpeername()
        except OSError:  # gone already; wrapping its socket would fail and leak it
            return
        secured = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        try:
            super().finish_request(secured, client_address)
        finally:
            self.shutdown_request(secured)


class _Writer(BufferedIOBase):
    """Tells wsgiref of clients that went away, or no longer read, in the only form that it does not show as an error of ours."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            return self._stream.write(data)
        except (TimeoutError, ssl.SSLError) as error:
            raise ConnectionAbortedError from error


class SilentHandler(WSGIRequestHandler):
    """A handler that logs no requests and gives up on clients that are silent."""

    timeout = SOCKET_TIMEOUT

    def setup(self) -> None:
        """Prepare the streams of a connection."""
        super().setup()
        self.wfile = _Writer(self.wfile)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not worth a line each."""


def start_wsgi_server(
    port: int,
    addr: str = "127.0.0.1",
    registry: Any = REGISTRY,
    certfile: str | None = None,
    keyfile: str | None = None,
    client_cafile: str | None = None,
    client_capath: str | None = None,
    protocol: int = ssl.PROTOCOL_TLS_SERVER,
    client_auth_required: bool = False,
    tls_min_version: ssl.TLSVersion | None = None,
    tls_max_version: ssl.TLSVersion | None = None,
) -> tuple[WSGIServer, threading.Thread]:
    """Serve the metrics of a registry in a daemon thread.

    Args:
        port: The port; 0 for a free one, found in ``server.server_port``.
        addr: The address to listen on. Loopback by default; pass ``"0.0.0.0"`` (or ``"::"``) to be reachable from other machines.
        registry: A registry, a domain, or anything with ``collect()``.
        certfile: A certificate chain; with ``keyfile``, the server speaks TLS.
        keyfile: The certificate's private key.
        client_cafile: A file of authorities to check clients' certificates against.
        client_capath: A directory of such authorities.
        protocol: The ``ssl`` protocol constant.
        client_auth_required: Refuse clients without a valid certificate.
        tls_min_version: The lowest TLS version to accept.
        tls_max_version: The highest TLS version to accept.

    Returns:
        The server and its thread. ``server.shutdown()`` and ``server.server_close()`` stop it.

    Raises:
        OSError: The address cannot be bound, or a certificate file cannot be read.
        ValueError: Only one of ``certfile`` and ``keyfile`` is given.
    """
    if bool(certfile) != bool(keyfile):
        raise ValueError("certfile and keyfile must be given together: with only one of them the server could not speak TLS")
    family, _, _, _, sockaddr = getaddrinfo(addr, port, type=SOCK_STREAM, flags=AI_PASSIVE)[0]
    base: type[ThreadingWSGIServer] = ThreadingWSGIServer
    content: dict[str, Any] = {"address_family": family}
    if certfile and keyfile:
        context = _tls(certfile, keyfile, protocol, client_cafile, client_capath, client_auth_required, tls_min_version, tls_max_version)
        base = _TLSServer
        content["context"] = context
    server_class = type("MetricsServer", (base,), content)
    server: ThreadingWSGIServer = make_server(str(sockaddr[0]), port, make_wsgi_app(registry), server_class, handler_class=SilentHandler)
    thread = threading.Thread(target=server.serve_forever, name="measurand-server", daemon=True)
    thread.start()
    renew_after_fork(server)
    return server, thread


start_http_server = start_wsgi_server


def _tls(
    certfile: str,
    keyfile: str,
    protocol: int,
    cafile: str | None,
    capath: str | None,
    required: bool,
    lowest: ssl.TLSVersion | None,
    highest: ssl.TLSVersion | None,
) -> ssl.SSLContext:
    for path in (certfile, keyfile, cafile, capath):
        if path is not None and not Path(path).exists():
            raise FileNotFoundError(f"Cannot load {path!r}: there is no such file or directory")
    context = ssl.SSLContext(protocol=protocol)
    if cafile is not None or capath is not None:
        context.load_verify_locations(cafile, capath)
    else:
        context.load_default_certs(purpose=ssl.Purpose.CLIENT_AUTH)
    if required:
        context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certfile=certfile, keyfile=keyfile)
    if lowest is not None:
        context.minimum_version = lowest
    if highest is not None:
        context.maximum_version = highest
    return context


class MetricsHandler(BaseHTTPRequestHandler):
    """A handler for ``http.server`` that gives the metrics of ``registry``; for programs with a server of that kind."""

    registry: ClassVar[Any] = REGISTRY
    timeout = SOCKET_TIMEOUT

    def do_GET(self) -> None:
        """Send the metrics."""
        url = urlsplit(self.path)
        headers = {name.lower(): ",".join(self.headers.get_all(name, ())) for name in self.headers}
        response = respond(self.registry, self.command, url.path, url.query, headers)
        self.send_response(response.status)
        for header in response.headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(response.body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not worth a line each."""

    @classmethod
    def factory(cls, registry: Any) -> type:
        """A handler class for another registry."""
        return type(cls.__name__, (cls,), {"registry": registry})
