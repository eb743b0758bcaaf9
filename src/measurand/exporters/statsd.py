"""Exporting to StatsD, over UDP, TCP or a unix socket.

The server adds up what it is sent, so it is sent exact differences; what could not be sent is part of the next ones. StatsD acknowledges
nothing: over UDP what is lost on the way is lost, and the first datagram after the server has gone is.
"""

from __future__ import annotations

from typing import Literal, Self, get_args
from urllib.parse import SplitResult, unquote

from measurand import clock
from measurand.encoding.statsd import Memo, Payload, TagStyle, encode, unwritable
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import Options
from measurand.exporters.http import bounded
from measurand.exporters.protocol import Snapshot
from measurand.exporters.sockets import DatagramPeer, StreamPeer, host_and_port

__all__ = ["Line", "StatsD", "Transport"]

Transport = Literal["udp", "tcp", "unix"]

PORT = 8125
SIZES: dict[Transport, int] = {"udp": 1432, "tcp": 16384, "unix": 8192}
"""Bytes of a payload: what fits an Ethernet frame; what is convenient; what agents read at once."""


class Line:
    """Where lines are sent: one of the three transports.

    Args:
        address: ``host:port``, or the path of a unix socket.
        transport: ``udp``, ``tcp`` or ``unix``.
        size: Bytes of a payload at most; ``None`` for what suits the transport.
        timeout: Seconds that a delivery may take.

    Raises:
        ConfigurationError: One of these cannot be used.

    Attributes:
        size: Bytes of a payload.
        shown: The address.
    """

    def __init__(self, address: str, transport: Transport, size: int | None, timeout: float) -> None:
        if transport not in get_args(Transport):
            raise ConfigurationError(f"the transport of {address} must be udp, tcp or unix, not {transport!r}")
        if size is not None and not 100 <= size <= 65_000:
            raise ConfigurationError(f"max_packet_size of {address} must be from 100 to 65000 bytes, not {size!r}")
        if transport == "unix" and not address.startswith(("/", "./", "\0")):
            raise ConfigurationError(f"the address of a unix socket is a path such as /var/run/datadog/dsd.socket, not {address!r}")
        self.size = SIZES[transport] if size is None else size
        self.shown = address
        self._timeout = timeout
        self._stream = StreamPeer(host_and_port(address, PORT)) if transport == "tcp" else None
        self._datagrams = None
        if transport == "udp":
            self._datagrams = DatagramPeer("udp", host_and_port(address, PORT))
        elif transport == "unix":
            self._datagrams = DatagramPeer("unix", address)

    def deliver(self, payloads: list[Payload], snapshot: Snapshot) -> None:
        """Send payloads; what has been sent is acknowledged, in any case.

        Raises:
            ExportFailed: Something could not be sent.
        """
        timeout = bounded(self._timeout, snapshot.seconds)
        if self._stream is not None:
            if payloads:
                self._stream.deliver((payload.data + b"\n" for payload in payloads), timeout)
            return
        assert self._datagrams is not None
        deadline = clock.system_monotonic() + timeout
        for payload in payloads:
            left = deadline - clock.system_monotonic()
            if left <= 0:
                raise ExportFailed(f"{self.shown} takes too long: a part of the numbers is left for the next time")
            self._datagrams.send(payload.data, left)
            for family, series in payload.content:
                snapshot.acknowledge(family, series)

    def check(self) -> None:
        """Whether somebody is there, as far as that can be known.

        Raises:
            ExportFailed: Nobody is.
        """
        if self._stream is not None:
            self._stream.check(self._timeout)
        elif self._datagrams is not None:
            self._datagrams.check()

    def close(self) -> None:
        """Close the socket."""
        if self._datagrams is not None:
            self._datagrams.close()


class StatsD:
    """Exports to a StatsD server.

    Args:
        address: ``host:port`` (the port is 8125 where none is given), or the path of a unix socket.
        prefix: Put before every name.
        transport: ``udp``, ``tcp`` or ``unix``.
        tags: What becomes of labels, see :func:`measurand.encoding.statsd.encode`: ``names``, ``dogstatsd``, ``graphite`` or ``influx``.
        max_packet_size: Bytes of a datagram at most: 1432 on a local network, 8932 with jumbo frames, 512 on the internet.
        interval: Seconds between two exports.
        timeout: Seconds that an export may take.
        name: What this exporter is called.

    Raises:
        ConfigurationError: The address or a setting cannot be used.
    """

    temporality: Literal["delta"] = "delta"

    def __init__(
        self,
        address: str = "127.0.0.1:8125",
        *,
        prefix: str = "",
        transport: Transport = "udp",
        tags: TagStyle = "names",
        max_packet_size: int | None = None,
        interval: float = 10.0,
        timeout: float = 5.0,
        name: str = "statsd",
    ) -> None:
        if tags not in get_args(TagStyle):
            raise ConfigurationError(f"tags of StatsD must be {', '.join(get_args(TagStyle))}, not {tags!r}")
        self.name = name
        self.interval = interval
        self._line = Line(address, transport, max_packet_size, timeout)
        self._prefix, self._tags = prefix, tags
        self._memo = Memo()

    def __repr__(self) -> str:
        return f"StatsD({self._line.shown!r})"

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        """``statsd://host:8125?prefix=shop``, ``statsd+tcp://host:8125`` or ``statsd+unix:///path``.

        Options: ``prefix``, ``tags``, ``max_packet_size``, ``interval``, ``timeout``, ``name``.
        """
        address, transport = line_of(url)
        size = options.number("max_packet_size")
        return cls(
            address,
            transport=transport,
            prefix=options.text("prefix", ""),
            tags=options.text("tags", "names"),
            max_packet_size=None if size is None else int(size),
            **options.common(),
        )

    def export(self, snapshot: Snapshot) -> None:
        """Send the differences.

        Raises:
            ExportFailed: Something could not be sent; what has been is acknowledged.
        """
        families = snapshot.points()
        payloads = encode(families, prefix=self._prefix, tags=self._tags, size=self._line.size, memo=self._memo)
        snapshot.dropped += unwritable(families)
        self._line.deliver(payloads, snapshot)

    def check(self) -> None:
        """Say if nobody is there, as far as that can be known.

        Raises:
            ExportFailed: Nobody is.
        """
        self._line.check()

    def close(self) -> None:
        """Close the socket."""
        self._line.close()


def line_of(url: SplitResult) -> tuple[str, Transport]:
    """Address and transport of a URL such as ``statsd+tcp://host:8125``.

    Raises:
        ConfigurationError: The transport is not known.
    """
    transport = url.scheme.partition("+")[2] or "udp"
    if transport == "unix":
        return unquote(url.path), "unix"
    if transport == "udp":
        return url.netloc.rpartition("@")[2], "udp"
    if transport == "tcp":
        return url.netloc.rpartition("@")[2], "tcp"
    raise ConfigurationError(f"the transport of {url.scheme}:// must be udp, tcp or unix, as in {url.scheme.partition('+')[0]}+tcp://")
