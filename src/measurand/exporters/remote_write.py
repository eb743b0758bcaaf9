"""Prometheus remote write, version 2.0 or 1.0: to Prometheus, VictoriaMetrics, Mimir, Thanos and services that take it.

Source: prometheus.io/docs/specs, "Prometheus Remote-Write" 1.0 and 2.0. Totals are sent, each snapshot once: its bytes are made when it is
taken, and sent again unchanged until they have arrived or are given up, the oldest first and one request at a time. So a receiver that got
a request and could not say so takes it a second time as the same samples.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self
from urllib.parse import SplitResult, urlunsplit

from measurand import clock
from measurand.encoding import snappy
from measurand.encoding.escaping import UNDERSCORES
from measurand.encoding.remote_write import MOST_SAMPLES, Encoder, Version
from measurand.encoding.remote_write_fallback import as_version_1
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.http import Answer, HttpPeer, Unreachable, backoff, bounded

if TYPE_CHECKING:
    from measurand.exporters.addresses import Options
    from measurand.exporters.protocol import Snapshot

__all__ = ["RemoteWrite"]

PATH = "/api/v1/write"

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts after failures, unless the receiver asks for more."""

AGAIN = 3600.0
"""Seconds after which version 2.0 is tried again with a receiver that did not take it."""

STEP = 600_000
"""Milliseconds by which the system's clock may be set back without timestamps following it; more than that is a clock that was wrong."""

_HEADERS: dict[Version, dict[str, str]] = {
    "1.0": {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    },
    "2.0": {
        "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "2.0.0",
    },
}
_RESERVED = {"content-encoding", "content-length", "content-type", "host", "user-agent", "x-prometheus-remote-write-version"}
_WRITTEN = ("x-prometheus-remote-write-samples-written", "x-prometheus-remote-write-histograms-written")
_EXEMPLARS_WRITTEN = "x-prometheus-remote-write-exemplars-written"

_CANNOT_WRITE = {301, 302, 303, 307, 308, 401, 403, 404, 405}
"""Answers that say that nothing will ever be written at this address, or with these credentials."""


class _Pending(NamedTuple):
    """A request that has not arrived.

    Attributes:
        version: Of the protocol.
        body: The bytes to send.
        samples: How many there are in it.
    """

    version: Version
    body: bytes
    samples: int


class RemoteWrite:
    """Exports by remote write.

    Args:
        url: Where to write: the whole URL, such as ``http://127.0.0.1:9090/api/v1/write``.
        version: ``"2.0"``, ``"1.0"``, or ``"auto"``: 2.0, and 1.0 if the receiver turns out not to take it.
        headers: Sent with each request, such as ``X-Scope-OrgID``.
        username: For basic authentication; it may stand in the URL, too.
        password: For basic authentication.
        bearer_token: For bearer authentication.
        tls: For ``https``; the system's authorities by default.
        labels: Labels of every series that does not have them itself. By default ``job`` is the service's name and ``instance`` this
            host's, once the exporter is part of a service; none otherwise. Services that write the same series need different ones.
        escaping: What becomes of names outside the classic set: ``"underscores"``, ``"allow-utf-8"``, ``"dots"`` or ``"values"``.
        native_histograms: Whether histograms that are declared native are sent so; otherwise as classic ones, as they are too when the
            receiver has said that it does not take them.
        interval: Seconds between two exports.
        timeout: Seconds that a request may take.
        max_samples: Samples in one request; a snapshot of more is sent in several.
        max_pending_bytes: How much may wait to be sent after a failure. Beyond it the oldest is given up, and counted.
        name: What this exporter is called.

    Raises:
        ConfigurationError: A setting cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        version: Literal["auto", "2.0", "1.0"] = "auto",
        headers: Mapping[str, str] | None = None,
        username: str | None = None,
        password: str | None = None,
        bearer_token: str | None = None,
        tls: ssl.SSLContext | None = None,
        labels: Mapping[str, str] | None = None,
        escaping: str = UNDERSCORES,
        native_histograms: bool = True,
        interval: float = 15.0,
        timeout: float = 10.0,
        max_samples: int = MOST_SAMPLES,
        max_pending_bytes: int = 16 * 1024 * 1024,
        name: str = "remote_write",
    ) -> None:
        if version not in {"auto", "2.0", "1.0"}:
            raise ConfigurationError(f"the version of remote write must be 'auto', '2.0' or '1.0', not {version!r}")
        for what, number in (("timeout", timeout), ("max_samples", max_samples), ("max_pending_bytes", max_pending_bytes)):
            if not 0 < number < inf:
                raise ConfigurationError(f"{what} of remote write must be a number above 0, not {number!r}")
        if taken := sorted({known for known in headers or {} if known.lower() in _RESERVED}):
            raise ConfigurationError(f"the header {taken[0]!r} is remote write's own; leave it out")
        authentication: dict[str, Any] = {"username": username, "password": password, "bearer_token": bearer_token, "tls": tls}
        self._new_peer: Callable[[], HttpPeer] = lambda: HttpPeer(url, headers=headers, **authentication)
        self._peer = self._new_peer()
        self.name = name
        self.interval = interval
        self._version = version
        self._timeout = timeout
        self._most_bytes = max_pending_bytes
        self._labels = None if labels is None else _checked(labels)
        self._settings: dict[str, Any] = {"escaping": escaping, "native": native_histograms, "most_samples": int(max_samples)}
        self._encoder = self._new_encoder()
        self._pending: deque[_Pending] = deque()
        self._waiting_bytes = 0
        self._refused_at: float | None = None  # when the receiver last turned out not to take 2.0
        self._is_confirmed = False  # whether it has said that it has written 2.0
        self._failures = 0
        self._not_before = -inf
        self._last = 0
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"RemoteWrite({self._peer.shown!r})"

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        """The exporter that an address such as ``remotewrite+https://user:password@host/api/v1/write?label.job=shop`` stands for.

        The path is ``/api/v1/write`` if none is given. Options are named like the arguments; labels are ``label.NAME=value``, headers
        ``header.NAME=value``.

        Raises:
            ConfigurationError: It cannot be used.
        """
        transport = url.scheme.partition("+")[2]
        if transport not in {"http", "https"}:
            raise ConfigurationError(
                f"a remote write's address begins with remotewrite+http:// or remotewrite+https://, not {url.scheme}://"
            )
        settings: dict[str, Any] = {
            "version": options.text("version"),
            "bearer_token": options.text("bearer_token"),
            "escaping": options.text("escaping"),
            "native_histograms": options.flag("native_histograms"),
            "max_samples": options.number("max_samples"),
            "max_pending_bytes": options.number("max_pending_bytes"),
            "labels": options.rest("label.") or None,
            "headers": options.rest("header.") or None,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        return cls(urlunsplit((transport, url.netloc, url.path or PATH, "", "")), **given, **options.common())

    def identify(self, service: str, environment: str, version: str) -> None:
        """Know which service this is: its series are told apart by it unless labels were given."""
        if self._labels is None:
            self._labels = {"job": service, "instance": socket.gethostname()}
            self._encoder = self._new_encoder()

    def check(self) -> None:
        """Send a request without samples, over a connection of its own.

        Raises:
            ExportFailed: The receiver is not there, or there is none at this address.
        """
        peer = self._new_peer()
        try:
            version: Version = "1.0" if self._version == "1.0" else "2.0"
            empty = b"" if version == "1.0" else b"\x22\x00"  # the table of texts, which has to be there
            answer = peer.request(snappy.compress(empty), _HEADERS[version], timeout=self._timeout)
        finally:
            peer.close()
        if answer.status in _CANNOT_WRITE:
            raise ExportFailed(f"{peer.shown} answered {answer.status} {answer.text}".rstrip())

    def export(self, snapshot: Snapshot) -> None:
        """Send what is waiting, then the snapshot.

        With ``snapshot.seconds`` given this is tried at once and in that time; else not before a pause after failures is over, and for no
        longer than the timeout, after which the rest waits for the next time.

        Raises:
            ExportFailed: Something waits, or was given up.
        """
        self._renew_after_fork()
        lacking = "" if getattr(snapshot, "is_whole", True) else "what other processes have recorded cannot be read now, and is not sent"
        if not lacking:
            self._take(snapshot)
        problem, dropped = self._send(snapshot.seconds)
        dropped += self._give_up()
        problems = "; ".join(filter(None, [lacking, problem]))
        if problems or dropped:
            raise ExportFailed(problems or "the oldest of what is waiting was given up", dropped=dropped)

    def close(self) -> None:
        """Close the connection."""
        self._peer.close()

    # -- what is sent --------------------------------------------------------------------------------------------------------

    def _new_encoder(self) -> Encoder:
        try:
            return Encoder(self._labels, **self._settings)
        except ValueError as reason:
            raise ConfigurationError(f"remote write: {reason}") from None

    def _take(self, snapshot: Snapshot) -> None:
        """Make the bytes of a snapshot."""
        now = round(snapshot.time * 1000)
        if now <= self._last <= now + STEP:
            now = self._last + 1  # a receiver takes a series' samples in the order of their times only, and one for each
        self._last = now
        compress = _compression()[0]
        for request in self._encoder.encode(snapshot.points(), self._wanted(), now):
            self._put(_Pending(request.version, compress(request.body), request.samples))
        snapshot.dropped += self._encoder.left_out

    def _put(self, pending: _Pending) -> None:
        self._pending.append(pending)
        self._waiting_bytes += len(pending.body)

    def _done(self) -> _Pending:
        pending = self._pending.popleft()
        self._waiting_bytes -= len(pending.body)
        return pending

    def _wanted(self) -> Version:
        if self._version != "auto":
            return self._version
        is_refused = self._refused_at is not None and clock.monotonic() - self._refused_at < AGAIN
        return "1.0" if is_refused else "2.0"

    def _give_up(self) -> int:
        """Keep to the bound; how many samples were given up."""
        dropped = 0
        while self._waiting_bytes > self._most_bytes:
            dropped += self._done().samples
        return dropped

    def _renew_after_fork(self) -> None:
        """In a new child process: leave what waits, and the connection, to the parent."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._pending.clear()
            self._waiting_bytes = 0
            self._peer.close()

    # -- sending it ----------------------------------------------------------------------------------------------------------

    def _send(self, seconds: float) -> tuple[str, int]:
        """Send what waits until something stands in the way; what that was, and how many samples were given up."""
        is_bounded = seconds < inf
        if not is_bounded and clock.monotonic() < self._not_before:
            return f"{self._peer.shown} is left alone for a while after {self._failures} failures; {self._waits()}", 0
        begun = clock.system_monotonic()
        allowed = seconds if is_bounded else min(self._timeout, self.interval)
        problems: dict[str, None] = {}
        dropped = 0
        is_first = True
        while self._pending:
            left = allowed - (clock.system_monotonic() - begun)
            if left <= 0 and not is_first:
                problems[f"there was no time for more; {self._waits()}"] = None
                break
            is_first = False
            if self._pending[0].version == "2.0" and self._wanted() == "1.0":
                self._rewrite()
            pending = self._pending[0]
            try:
                answer = self._peer.request(
                    pending.body, _HEADERS[pending.version], timeout=bounded(self._timeout, left if is_bounded else inf)
                )
            except Unreachable as reason:
                self._pause(None)
                problems[f"{reason}; {self._waits()}"] = None
                break
            if (answer.status == 429 or answer.status >= 500) and not _is_without_native_histograms(answer):
                self._pause(answer.retry_after)
                problems[f"{self._said(answer)}; {self._waits()}"] = None
                break
            self._failures, self._not_before = 0, -inf
            if self._is_not_taken(pending, answer):
                continue
            lost = _lost(pending, answer)
            self._done()
            dropped += lost
            if _is_without_native_histograms(answer):
                self._settings["native"] = False
                self._encoder = self._new_encoder()
            if lost or not answer.is_success:
                problems[f"{self._said(answer)}; samples were given up"] = None
        return "; ".join(problems), dropped

    def _is_not_taken(self, pending: _Pending, answer: Answer) -> bool:
        """Whether the answer to 2.0 means that the same has to be sent as 1.0."""
        if pending.version != "2.0":
            return False
        if _is_confirmed(answer):
            self._is_confirmed = True
            return False
        is_not_known = answer.status == 415 or answer.is_success or (answer.status == 400 and not self._is_confirmed)
        if self._version != "auto" or not is_not_known:
            return False
        self._refused_at, self._is_confirmed = clock.monotonic(), False
        return True

    def _rewrite(self) -> None:
        """Make the oldest of what waits one of 1.0."""
        pending = self._pending[0]
        compress, decompress = _compression()
        body = compress(as_version_1(decompress(pending.body)))
        self._pending[0] = _Pending("1.0", body, pending.samples)
        self._waiting_bytes += len(body) - len(pending.body)

    def _pause(self, retry_after: float | None) -> None:
        """Leave the receiver alone: longer with each failure, and as long as it asks for, not all senders for the same time."""
        self._failures += 1
        asked = 0.0 if retry_after is None else retry_after * (1 + random.random() / 10)
        self._not_before = clock.monotonic() + max(backoff(self._failures, SHORTEST_PAUSE, LONGEST_PAUSE), asked)

    def _waits(self) -> str:
        return f"{sum(pending.samples for pending in self._pending)} samples wait"

    def _said(self, answer: Answer) -> str:
        return f"{self._peer.shown} answered {answer.status} {_meaning(answer)}".rstrip()


def _is_confirmed(answer: Answer) -> bool:
    """Whether the receiver has understood version 2.0: it says then how much it has written, also if that is nothing."""
    return any(header in answer.headers for header in (*_WRITTEN, _EXEMPLARS_WRITTEN))


def _lost(pending: _Pending, answer: Answer) -> int:
    """How many samples of a request that was answered were not written."""
    if pending.version == "1.0":
        return 0 if answer.is_success else pending.samples
    counts = [answer.headers.get(header, "0").strip() for header in _WRITTEN]
    written = sum(int(count) for count in counts if count.isascii() and count.isdigit())
    return max(pending.samples - written, 0)


def _is_without_native_histograms(answer: Answer) -> bool:
    """Whether Prometheus says, with a status that asks to try again, that it does not take native histograms at all."""
    said = answer.text.lower()
    return answer.status == 500 and "native histogram" in said and "disabled" in said


def _meaning(answer: Answer) -> str:
    if _is_without_native_histograms(answer):
        return f"{answer.text}; they are sent as classic ones from now on"
    if answer.is_success:
        return "and did not say that it has written all; it may not take this version of remote write"
    return answer.text


def _checked(labels: Mapping[str, str]) -> dict[str, str]:
    for name, value in labels.items():
        if not isinstance(name, str) or not name or name.startswith("__") or not isinstance(value, str):
            raise ConfigurationError(f"labels of remote write must be names and texts, not {name!r}: {value!r}")
    return {name: value for name, value in labels.items() if value}


def _compression() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """How to compress and decompress: with the library if it is installed."""
    try:
        from cramjam import snappy as library  # noqa: PLC0415 - optional
    except ImportError:
        return snappy.compress, snappy.decompress
    return lambda data: bytes(library.compress_raw(data)), lambda data: bytes(library.decompress_raw(data))
