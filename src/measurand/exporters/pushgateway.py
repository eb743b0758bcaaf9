"""Pushing to a Prometheus Pushgateway.

For jobs that end before anything could scrape them. Source: github.com/prometheus/pushgateway, "API". The functions and their handlers
have the signatures of ``prometheus_client``'s. They block until the gateway has answered; nothing is retried. :class:`Pushgateway` does the
same time and again, as an exporter.
"""

from __future__ import annotations

import base64
import gzip
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.parse import quote_plus, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from measurand.encoding.text import CONTENT_TYPE_PLAIN_0_0_4, encode, generate_latest
from measurand.metrics.collecting import Gathering
from measurand.metrics.domains import REGISTRY

__all__ = [
    "Pushgateway",
    "basic_auth_handler",
    "default_handler",
    "delete_from_gateway",
    "instance_ip_grouping_key",
    "passthrough_redirect_handler",
    "push_to_gateway",
    "pushadd_to_gateway",
    "tls_auth_handler",
]

Headers = list[tuple[str, Any]]
Handler = Callable[..., Callable[[], None]]
Compression = Literal["gzip"] | None

TIMEOUT = 30.0


class Pushgateway:
    """Exports to a Pushgateway: each push replaces the one before.

    Args:
        gateway: The gateway's address: ``host:port``, or a URL with an optional path.
        job: The value of the label ``job``.
        grouping_key: Further labels of the group; instances that run at the same time need different ones.
        interval: Seconds between two pushes.
        timeout: Seconds for the connection and for each answer.
        handler: Performs the request; see :func:`default_handler`.
        compression: ``"gzip"`` or ``None``.
        name: What this exporter is called.

    Raises:
        ValueError: The compression is not known.
    """

    def __init__(
        self,
        gateway: str,
        job: str,
        *,
        grouping_key: Mapping[str, Any] | None = None,
        interval: float = 15.0,
        timeout: float = 5.0,
        handler: Handler | None = None,
        compression: Compression = None,
        name: str = "pushgateway",
    ) -> None:
        _check_compression(compression)
        self.name = name
        self.interval = interval
        self._gateway = gateway
        self._job = job
        self._rest = (grouping_key, timeout, handler, compression)

    def export(self, snapshot: Gathering) -> None:
        """Push the snapshot.

        Raises:
            OSError: The gateway cannot be reached or refuses it; the message holds its answer.
        """
        _send("PUT", self._gateway, self._job, encode(snapshot), *self._rest)


def push_to_gateway(
    gateway: str,
    job: str,
    registry: Any = REGISTRY,
    grouping_key: Mapping[str, Any] | None = None,
    timeout: float | None = TIMEOUT,
    handler: Handler | None = None,
    compression: Compression = None,
) -> None:
    """Replace everything that the gateway holds for this job and grouping key (HTTP PUT).

    Args:
        gateway: The gateway's address: ``host:port``, or a URL with an optional path.
        job: The value of the label ``job``.
        registry: A registry, a domain, or anything with ``collect()``.
        grouping_key: Further labels of the group. Two jobs that run at the same time need different ones, or one overwrites the other.
        timeout: Seconds for the connection and for each answer; ``None`` to wait for ever.
        handler: Performs the request; see :func:`default_handler`.
        compression: ``"gzip"`` or ``None``.

    Raises:
        OSError: The gateway cannot be reached or refuses the metrics; the message holds its answer.
        ValueError: The compression is not known.
    """
    _check_compression(compression)
    _send("PUT", gateway, job, generate_latest(REGISTRY if registry is None else registry), grouping_key, timeout, handler, compression)


def pushadd_to_gateway(
    gateway: str,
    job: str,
    registry: Any = REGISTRY,
    grouping_key: Mapping[str, Any] | None = None,
    timeout: float | None = TIMEOUT,
    handler: Handler | None = None,
    compression: Compression = None,
) -> None:
    """Replace only the metrics of the same names in this job's group (HTTP POST); see :func:`push_to_gateway`."""
    _check_compression(compression)
    _send("POST", gateway, job, generate_latest(REGISTRY if registry is None else registry), grouping_key, timeout, handler, compression)


def delete_from_gateway(
    gateway: str, job: str, grouping_key: Mapping[str, Any] | None = None, timeout: float | None = TIMEOUT, handler: Handler | None = None
) -> None:
    """Delete everything that the gateway holds for this job and grouping key; see :func:`push_to_gateway`."""
    _send("DELETE", gateway, job, b"", grouping_key, timeout, handler, None)


def instance_ip_grouping_key() -> dict[str, str]:
    """A grouping key with this host's address under ``instance``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("localhost", 1))  # a datagram socket: this sends nothing
        return {"instance": probe.getsockname()[0]}


def default_handler(url: str, method: str, timeout: float | None, headers: Headers, data: bytes) -> Callable[[], None]:
    """Perform the request over HTTP or HTTPS; what other handlers build on.

    Returns:
        A function that sends the request when called.
    """
    return lambda: _open(url, method, timeout, headers, data)


def passthrough_redirect_handler(url: str, method: str, timeout: float | None, headers: Headers, data: bytes) -> Callable[[], None]:
    """Like :func:`default_handler`, and repeats the whole request where a redirect points to; only for gateways that you trust."""
    return lambda: _open(url, method, timeout, headers, data, _FollowWithBody())


def basic_auth_handler(
    url: str,
    method: str,
    timeout: float | None,
    headers: Headers,
    data: bytes,
    username: str | None = None,
    password: str | None = None,
) -> Callable[[], None]:
    """Like :func:`default_handler`, with HTTP basic authentication; bind the credentials with ``functools.partial`` or a lambda."""
    if username is None or password is None:
        return default_handler(url, method, timeout, headers, data)
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return default_handler(url, method, timeout, [*headers, ("Authorization", f"Basic {token}")], data)


def tls_auth_handler(
    url: str,
    method: str,
    timeout: float | None,
    headers: Headers,
    data: bytes,
    certfile: str,
    keyfile: str,
    cafile: str | None = None,
    protocol: int = ssl.PROTOCOL_TLS_CLIENT,
    insecure_skip_verify: bool = False,
) -> Callable[[], None]:
    """Like :func:`default_handler`, over HTTPS with a client certificate.

    Args:
        url: Where to send.
        method: The HTTP method.
        timeout: Seconds.
        headers: Headers.
        data: The body.
        certfile: The client's certificate chain.
        keyfile: Its private key.
        cafile: Authorities to check the gateway against; the system's by default.
        protocol: The ``ssl`` protocol constant.
        insecure_skip_verify: Do not check who the gateway is.
    """
    context = ssl.SSLContext(protocol=protocol)
    if cafile is not None:
        context.load_verify_locations(cafile)
    else:
        context.load_default_certs()
    if insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certfile=certfile, keyfile=keyfile)
    return lambda: _open(url, method, timeout, headers, data, HTTPSHandler(context=context))


def _send(
    method: str,
    gateway: str,
    job: str,
    data: bytes,
    grouping_key: Mapping[str, Any] | None,
    timeout: float | None,
    handler: Handler | None,
    compression: Compression,
) -> None:
    base = gateway if urlsplit(gateway).scheme in {"http", "https"} else f"http://{gateway}"
    groups = [("job", job), *sorted((str(name), str(value)) for name, value in (grouping_key or {}).items())]
    url = base.rstrip("/") + "/metrics" + "".join(_segment(name, value) for name, value in groups)
    headers: Headers = [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)]
    if compression == "gzip":
        data = gzip.compress(data, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    (handler or default_handler)(url=url, method=method, timeout=timeout, headers=headers, data=data)()


def _check_compression(compression: Any) -> None:
    if compression not in {None, "gzip"}:
        raise ValueError(f"Unsupported compression type: {compression}; use 'gzip' or None")


def _segment(name: str, value: str) -> str:
    """A label as a part of the path; base64 for what a path cannot hold."""
    if not value:
        return f"/{name}@base64/="
    if "/" in value or " " in value:
        return f"/{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode()}"
    return f"/{name}/{quote_plus(value)}"


def _open(url: str, method: str, timeout: float | None, headers: Sequence[tuple[str, Any]], data: bytes, *handlers: Any) -> None:
    request = Request(url, data=data, headers=dict(headers), method=method)
    try:
        with build_opener(*handlers).open(request, timeout=timeout) as response:
            response.read()
    except HTTPError as error:
        answer = error.read(500).decode("utf-8", "replace").strip()
        raise OSError(f"error talking to pushgateway: {error.code} {error.reason}: {answer}") from error


class _FollowWithBody(HTTPRedirectHandler):
    """Repeats PUT, POST and DELETE with their bodies."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request:
        return Request(
            newurl,
            data=req.data,
            headers=dict(req.headers),
            origin_req_host=req.origin_req_host,
            unverifiable=True,
            method=req.get_method(),
        )
