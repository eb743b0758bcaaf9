"""Pushing to a Prometheus Pushgateway.

For jobs that end before anything could scrape them. Source: github.com/prometheus/pushgateway, "API". The functions and their handlers
have the signatures of ``prometheus_client``'s. They block until the gateway has answered; nothing is retried. :class:`Pushgateway` does the
same time and again, as an exporter.
"""

from __future__ import annotations

import base64
import gzip
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self
from urllib.error import HTTPError
from urllib.parse import SplitResult, quote_plus, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from measurand.encoding.text import CONTENT_TYPE_PLAIN_0_0_4, encode, generate_latest
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import Options
from measurand.exporters.http import HttpPeer, bounded
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

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Pushgateway:
    """Exports to a Pushgateway: the group of this job holds the numbers of the last push.

    Args:
        gateway: The gateway's address: ``host:port``, or a URL with an optional path; a user and a password in it become basic
            authentication.
        job: The value of the label ``job``.
        grouping_key: Further labels of the group; instances that run at the same time need different ones.
        method: ``push`` replaces everything in the group; ``pushadd`` only the metrics of the same names.
        delete_at_end: Whether the group is deleted when the service ends.
        interval: Seconds between two pushes.
        timeout: Seconds for a push, all of it.
        username: For basic authentication.
        password: For basic authentication.
        handler: Performs the request in place of all that; see :func:`default_handler`.
        compression: ``"gzip"`` or ``None``.
        name: What this exporter is called.

    Raises:
        ConfigurationError: One of these cannot be used.
    """

    def __init__(
        self,
        gateway: str,
        job: str,
        *,
        grouping_key: Mapping[str, Any] | None = None,
        method: Literal["push", "pushadd"] = "push",
        delete_at_end: bool = False,
        interval: float = 15.0,
        timeout: float = 5.0,
        username: str | None = None,
        password: str | None = None,
        handler: Handler | None = None,
        compression: Compression = None,
        name: str = "pushgateway",
    ) -> None:
        if compression not in {None, "gzip"}:
            raise ConfigurationError(f"Unsupported compression type: {compression}; use 'gzip' or None")
        if method not in {"push", "pushadd"}:
            raise ConfigurationError(f"the method of a Pushgateway must be 'push' or 'pushadd', not {method!r}")
        if not job:
            raise ConfigurationError("a Pushgateway needs the name of a job: job='…'")
        if "job" in (grouping_key or {}):
            raise ConfigurationError("the grouping key of a Pushgateway cannot have a label 'job'; it is given as job='…'")
        for label in grouping_key or {}:
            if not _LABEL.fullmatch(label):
                raise ConfigurationError(f"the grouping key of a Pushgateway has labels such as 'instance', not {label!r}")
        self.name = name
        self.interval = interval
        self._peer = HttpPeer(_based(gateway), username=username, password=password)
        self._root = urlsplit(_based(gateway)).path.rstrip("/")
        self._path = _path(job, grouping_key)
        self._method = "PUT" if method == "push" else "POST"
        self._deletes = delete_at_end
        self._timeout = timeout
        self._handler, self._compression = handler, compression

    def __repr__(self) -> str:
        return f"Pushgateway({self._peer.shown!r})"

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        """``pushgateway+http://gateway:9091?job=shop&grouping.instance=a``.

        Options: ``job``, ``grouping.…``, ``method``, ``delete_at_end``, ``compression``, ``interval``, ``timeout``, ``name``.

        Raises:
            ConfigurationError: A part of it cannot be used.
        """
        scheme = url.scheme.partition("+")[2] or "http"
        if scheme not in {"http", "https"}:
            raise ConfigurationError(f"a Pushgateway is spoken to by http or https, not {scheme!r}: pushgateway+http://…")
        return cls(
            f"{scheme}://{url.netloc}{url.path}",
            options.text("job", ""),
            grouping_key=options.rest("grouping."),
            method=options.text("method", "push"),
            delete_at_end=options.flag("delete_at_end", False),
            compression=options.text("compression"),
            **options.common(),
        )

    def export(self, snapshot: Gathering) -> None:
        """Push the snapshot.

        Raises:
            ExportFailed: The gateway cannot be reached or refuses it; the message holds its answer.
            OSError: A handler of one's own says so.
        """
        self._send(self._method, encode(snapshot), bounded(self._timeout, snapshot.seconds))

    def check(self) -> None:
        """Say if no gateway is there.

        Raises:
            ExportFailed: There is none.
        """
        answer = self._peer.request(b"", timeout=self._timeout, method="GET", target=f"{self._root}/-/ready")
        if answer.status not in {200, 404}:  # whatever stands before it may show nothing but the pushes
            raise ExportFailed(f"{self._peer.shown} answers {answer.status}: {answer.text}")

    def end(self, seconds: float) -> None:
        """The last numbers have been pushed: delete the group, if that was asked for.

        Args:
            seconds: How long it may take.

        Raises:
            ExportFailed: The gateway cannot be reached or refuses it.
        """
        if self._deletes:
            self._send("DELETE", b"", bounded(self._timeout, seconds))

    def close(self) -> None:
        """Close the connection."""
        self._peer.close()

    def _send(self, method: str, data: bytes, timeout: float) -> None:
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        if self._compression == "gzip" and data:
            data = gzip.compress(data, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if self._handler is not None:
            url = self._peer.shown.rstrip("/") + self._path
            self._handler(url=url, method=method, timeout=timeout, headers=list(headers.items()), data=data)()
            return
        answer = self._peer.request(data, headers, timeout=timeout, method=method, target=self._root + self._path)
        if not answer.is_success:
            raise ExportFailed(f"{self._peer.shown} answers {answer.status}: {answer.text}", retry_after=answer.retry_after)


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
    """Delete everything that the gateway holds for this job and grouping key; see :func:`push_to_gateway`.

    The gateway answers before it deletes: a scrape in the same moment may still find the group. Later pushes come after the deletion.
    """
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
    url = _based(gateway).rstrip("/") + _path(job, grouping_key)
    headers: Headers = [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)]
    if compression == "gzip":
        data = gzip.compress(data, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    (handler or default_handler)(url=url, method=method, timeout=timeout, headers=headers, data=data)()


def _based(gateway: str) -> str:
    return gateway if urlsplit(gateway).scheme in {"http", "https"} else f"http://{gateway}"


def _path(job: str, grouping_key: Mapping[str, Any] | None) -> str:
    groups = [("job", job), *sorted((str(name), str(value)) for name, value in (grouping_key or {}).items())]
    return "/metrics" + "".join(_segment(name, value) for name, value in groups)


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
        with error:
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
