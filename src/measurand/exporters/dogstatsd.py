"""Exporting to DogStatsD: Datadog's agent, and others that read its lines, over UDP or a unix socket.

As :mod:`measurand.exporters.statsd`, with labels as tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self
from urllib.parse import SplitResult

from measurand.encoding.dogstatsd import encode
from measurand.encoding.statsd import Memo, unwritable
from measurand.exporters.addresses import Options
from measurand.exporters.protocol import Snapshot
from measurand.exporters.statsd import Line, Transport, line_of

__all__ = ["DogStatsD"]


class DogStatsD:
    """Exports to a DogStatsD server.

    Args:
        address: ``host:port`` (the port is 8125 where none is given), or the path of a unix socket.
        prefix: Put before every name.
        transport: ``udp`` or ``unix``; ``tcp`` for servers that read lines so.
        tags: Tags of every line, besides the labels.
        distributions: Send histograms as distributions: the agent shows percentiles then. Counts are exact; values are the middles of
            buckets.
        container: The container's id, for the agent to add the tags that it knows of it.
        with_time: Write the time of the snapshot. The agent then takes the lines as they are and does not add them up.
        max_packet_size: Bytes of a datagram at most.
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
        tags: Mapping[str, str] | None = None,
        distributions: bool = False,
        container: str = "",
        with_time: bool = False,
        max_packet_size: int | None = None,
        interval: float = 10.0,
        timeout: float = 5.0,
        name: str = "dogstatsd",
    ) -> None:
        self.name = name
        self.interval = interval
        self._line = Line(address, transport, max_packet_size, timeout)
        self._prefix, self._tags = prefix, dict(tags or {})
        self._distributions, self._container, self._with_time = distributions, container, with_time
        self._memo = Memo()

    def __repr__(self) -> str:
        return f"DogStatsD({self._line.shown!r})"

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        """``dogstatsd://host:8125?tag.team=parts`` or ``dogstatsd+unix:///var/run/datadog/dsd.socket``.

        Options: ``prefix``, ``tag.…``, ``distributions``, ``container``, ``with_time``, ``max_packet_size``, ``interval``, ``timeout``,
        ``name``.
        """
        address, transport = line_of(url)
        size = options.number("max_packet_size")
        return cls(
            address,
            transport=transport,
            prefix=options.text("prefix", ""),
            tags=options.rest("tag."),
            distributions=options.flag("distributions", False),
            container=options.text("container", ""),
            with_time=options.flag("with_time", False),
            max_packet_size=None if size is None else int(size),
            **options.common(),
        )

    def export(self, snapshot: Snapshot) -> None:
        """Send the differences.

        Raises:
            ExportFailed: Something could not be sent; what has been is acknowledged.
        """
        families = snapshot.points()
        payloads = encode(
            families,
            prefix=self._prefix,
            tags=self._tags,
            distributions=self._distributions,
            container=self._container,
            time=snapshot.time if self._with_time else None,
            size=self._line.size,
            memo=self._memo,
        )
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
