"""Exporting in CloudWatch's embedded metric format: to the program's log, or to CloudWatch's agent.

On Lambda, ECS and wherever else a log goes to CloudWatch, the numbers come out of its lines; no credentials are needed. The agent takes the
lines on a socket.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Literal, Self, TextIO
from urllib.parse import SplitResult, urlsplit

from measurand import clock
from measurand.encoding.cloudwatch import checked_dimensions, checked_namespace
from measurand.encoding.emf import LARGEST, Document, encode
from measurand.errors import ConfigurationError, ExportFailed
from measurand.exporters.addresses import Options
from measurand.exporters.http import bounded
from measurand.exporters.protocol import Snapshot
from measurand.exporters.refusals import Refusals
from measurand.exporters.sockets import DatagramPeer, StreamPeer, host_and_port

__all__ = ["EMF"]

PORT = 25888
LARGEST_DATAGRAM = 60_000
"""Bytes of a document that goes over UDP."""

LARGEST_LINE = 4095
"""Bytes of a document that goes to a stream: with its end it is what a pipe takes in one piece, whoever else writes to it."""


class EMF:
    """Exports documents of metrics, one in each line.

    Args:
        namespace: CloudWatch's namespace.
        destination: ``"stdout"``, a stream of text, or the agent's socket: ``"tcp://127.0.0.1:25888"``, ``"udp://127.0.0.1:25888"``.
        dimensions: Dimensions of every series, besides its labels.
        interval: Seconds between two exports.
        timeout: Seconds that an export to the agent may take.
        name: What this exporter is called.

    Raises:
        ConfigurationError: One of these cannot be used.
    """

    temporality: Literal["delta"] = "delta"

    def __init__(
        self,
        namespace: str,
        *,
        destination: str | TextIO = "stdout",
        dimensions: Mapping[str, str] | None = None,
        interval: float = 60.0,
        timeout: float = 5.0,
        name: str = "emf",
    ) -> None:
        self.name = name
        self.interval = interval
        self._namespace = checked_namespace(namespace)
        self._dimensions = checked_dimensions(dimensions)
        self._timeout = timeout
        self._largest = LARGEST_LINE
        self._refusals = Refusals("CloudWatch")
        self._stream: TextIO | None = None
        self._agent: StreamPeer | None = None
        self._datagrams: DatagramPeer | None = None
        self._shown = "a stream"
        if not isinstance(destination, str):
            self._stream = destination
            return
        url = urlsplit(destination)
        self._shown = destination
        if url.scheme == "tcp":
            self._agent = StreamPeer(host_and_port(url.netloc, PORT))
            self._largest = LARGEST
        elif url.scheme == "udp":
            self._datagrams = DatagramPeer("udp", host_and_port(url.netloc, PORT))
            self._largest = LARGEST_DATAGRAM
        elif destination != "stdout":
            raise ConfigurationError(f"EMF goes to stdout, tcp://host:{PORT} or udp://host:{PORT}, not to {destination!r}")

    def __repr__(self) -> str:
        return f"EMF({self._namespace!r}, destination={self._shown!r})"

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        """``emf://stdout?namespace=Shop&dimension.team=parts``, ``emf+tcp://127.0.0.1:25888?namespace=Shop`` or ``emf+udp://…``.

        Options: ``namespace``, ``dimension.…``, ``interval``, ``timeout``, ``name``.
        """
        transport = url.scheme.partition("+")[2]
        destination = f"{transport}://{url.netloc}" if transport else url.netloc or "stdout"
        return cls(options.text("namespace", ""), destination=destination, dimensions=options.rest("dimension."), **options.common())

    def export(self, snapshot: Snapshot) -> None:
        """Write the documents.

        Raises:
            OSError: They could not be written; those that have been sent are acknowledged.
        """
        documents, refusals = encode(snapshot.points(), self._namespace, snapshot.time, dimensions=self._dimensions, largest=self._largest)
        self._refusals.count(snapshot, refusals)
        if not documents:
            return
        timeout = bounded(self._timeout, snapshot.seconds)
        if self._agent is not None:
            self._agent.deliver((document.data + b"\n" for document in documents), timeout)
        elif self._datagrams is not None:
            self._send(self._datagrams, documents, snapshot, timeout)
        else:
            self._write(documents, snapshot)

    def check(self) -> None:
        """Say if no agent is there.

        Raises:
            ExportFailed: There is none.
        """
        if self._agent is not None:
            self._agent.check(self._timeout)
        elif self._datagrams is not None:
            self._datagrams.check()

    def close(self) -> None:
        """Close the socket."""
        if self._datagrams is not None:
            self._datagrams.close()

    def _write(self, documents: list[Document], snapshot: Snapshot) -> None:
        stream = self._stream if self._stream is not None else sys.stdout
        if stream is None:
            raise ExportFailed("the program has no standard output to write metrics to")
        for document in documents:
            stream.write(document.data.decode() + "\n")  # a line in one piece
            stream.flush()
            _acknowledge(snapshot, document)

    def _send(self, peer: DatagramPeer, documents: list[Document], snapshot: Snapshot, timeout: float) -> None:
        deadline = clock.system_monotonic() + timeout
        for document in documents:
            left = deadline - clock.system_monotonic()
            if left <= 0:
                raise ExportFailed(f"{peer.shown} takes too long: a part of the numbers is left for the next time")
            peer.send(document.data + b"\n", left)
            _acknowledge(snapshot, document)


def _acknowledge(snapshot: Snapshot, document: Document) -> None:
    for family, series in document.content:
        snapshot.acknowledge(family, (series,))
