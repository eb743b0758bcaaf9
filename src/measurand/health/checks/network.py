"""Services that are reached over the network: a port that accepts connections, an HTTP endpoint that answers."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from measurand.errors import ConfigurationError
from measurand.health.check import TIMEOUT, Check, time_allowed
from measurand.health.reasons import Reason

__all__ = ["http_check", "tcp"]


def tcp(
    host: str, port: int, *, name: str = "tcp", criticality: str = "critical", timeout: float = TIMEOUT, interval: float | None = None
) -> Check:
    """A check that a connection can be made; nothing is sent.

    Args:
        host: A name or an address; a name is looked up at each run.
        port: The port.
        name: The check's name.
        criticality: What a failure means: "critical", "degraded" or "info".
        timeout: Seconds that it may take.
        interval: Seconds from one run to the next; ``None`` for the monitor's.

    Raises:
        ConfigurationError: A setting cannot be used.
    """
    if not isinstance(host, str) or not host or isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise ConfigurationError(f"the health check {name!r} needs a host and a port from 1 to 65535, got {host!r} and {port!r}")

    def run() -> None:
        socket.create_connection((host, port), timeout=time_allowed()).close()

    return Check(name, run, criticality=criticality, timeout=timeout, interval=interval)


def http_check(
    url: str,
    *,
    name: str = "http",
    criticality: str = "critical",
    timeout: float = TIMEOUT,
    interval: float | None = None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    statuses: Collection[int] = range(200, 300),
    tls: ssl.SSLContext | None = None,
) -> Check:
    """A check that an HTTP endpoint answers with an expected status. A redirect is not followed: it is a failure of its own kind.

    No proxy is used, and the body is not read.

    Args:
        url: What to ask for; ``http`` or ``https``, without credentials in it.
        name: The check's name.
        criticality: What a failure means: "critical", "degraded" or "info".
        timeout: Seconds that it may take.
        interval: Seconds from one run to the next; ``None`` for the monitor's.
        method: The method.
        headers: Headers to send, for example ``Authorization``.
        statuses: The status codes that pass.
        tls: How certificates are checked; by default against the system's authorities.

    Raises:
        ConfigurationError: The URL or a setting cannot be used.
    """
    host, port, is_encrypted, target = _parts(name, url)
    sent = {"User-Agent": "measurand", "Connection": "close", **(headers or {})}
    context = tls or (ssl.create_default_context() if is_encrypted else None)

    def run() -> Reason | None:
        connection = (
            http.client.HTTPConnection(host, port, timeout=time_allowed())
            if context is None
            else http.client.HTTPSConnection(host, port, timeout=time_allowed(), context=context)
        )
        try:
            connection.request(method, target, headers=sent)
            status = connection.getresponse().status
        finally:
            connection.close()
        if status in statuses:
            return None
        return Reason.REDIRECTED if 300 <= status < 400 else Reason.UNEXPECTED_STATUS

    return Check(name, run, criticality=criticality, timeout=timeout, interval=interval)


def _parts(name: str, url: str) -> tuple[str, int, bool, str]:
    """Host, port, whether it is encrypted, and what to ask the server for."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except (TypeError, ValueError, AttributeError) as reason:
        raise ConfigurationError(f"the health check {name!r} needs a URL, but {reason}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"the health check {name!r} needs a URL such as 'https://host/path', with http or https")
    if parts.username is not None:
        raise ConfigurationError(f"the URL of the health check {name!r} has credentials in it; pass headers={{'Authorization': …}} instead")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_encrypted = parts.scheme == "https"
    return host, port or (443 if is_encrypted else 80), is_encrypted, target
