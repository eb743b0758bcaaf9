"""Amazon CloudWatch, by PutMetricData.

Source: Amazon CloudWatch API Reference, "PutMetricData"; what is sent is in :mod:`measurand.encoding.cloudwatch`.

CloudWatch adds up what it is sent, so it is sent differences. A request that is refused for now (throttled, or the service has a failure)
is no part of any sum, and its series go with the next delivery. A request without an answer may have been taken or not, which is why boto3
is told to repeat nothing by itself, and there is a choice: see ``delivery``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import count
from math import inf
from typing import Any, Literal, Self, get_args
from urllib.parse import SplitResult, unquote

from measurand import clock
from measurand.encoding.cloudwatch import Entry, checked_dimensions, checked_namespace, encode, requests
from measurand.errors import ConfigurationError, ExportFailed, MissingExtra
from measurand.exporters.addresses import Options
from measurand.exporters.http import SHORTEST, backoff
from measurand.exporters.protocol import Snapshot, Temporality
from measurand.exporters.putting import Invalid, NotNow, Putter, Unanswered
from measurand.exporters.refusals import Refusals

__all__ = ["CloudWatch", "Promise"]

Promise = Literal["at-most-once", "at-least-once"]

LONGEST_PAUSE = 600.0
"""Seconds between two deliveries at most, after failures in a row."""


class CloudWatch:
    """Exports to CloudWatch.

    Each series that has changed, and each gauge, is one datum; up to 1000 of them go in a call, or what fits 1 MB. So there are as many
    calls in an interval as there are thousands of series, and never more than ``max_calls``.

    Args:
        namespace: The namespace of the metrics.
        region: The region; by default what boto3 finds.
        client: A client of boto3 to use, in place of one made from what boto3 finds; its own retries have to be off, and its timeouts
            are its own.
        endpoint_url: Where to send, in place of the region's public address.
        dimensions: Dimensions that every metric has besides its labels.
        delivery: What becomes of a request without an answer. ``"at-most-once"``: it counts as arrived, so that nothing is counted twice,
            and its series as dropped. ``"at-least-once"``: it is sent again, so that nothing is lost.
        compress: Whether requests of 10 kB and more are compressed with gzip.
        interval: Seconds between two deliveries.
        timeout: Seconds that a call may take: half of them for the connection, half for the answer.
        storage_resolution: For how many seconds CloudWatch keeps a value of its own: 60, or 1, which costs more.
        max_calls: Calls in a delivery at most; what is left goes first in the next one.
        name: What this exporter is called.

    Raises:
        ConfigurationError: A value cannot be used.
        MissingExtra: boto3 is not installed.
    """

    temporality: Temporality = "delta"

    def __init__(
        self,
        namespace: str,
        *,
        region: str | None = None,
        client: Any = None,
        endpoint_url: str | None = None,
        dimensions: Mapping[str, str] | None = None,
        delivery: Promise = "at-most-once",
        compress: bool = True,
        interval: float = 60.0,
        timeout: float = 20.0,
        storage_resolution: int = 60,
        max_calls: int = 100,
        name: str = "cloudwatch",
    ) -> None:
        self.name = name
        self.interval = interval
        self._namespace = checked_namespace(namespace)
        self._dimensions = checked_dimensions(dimensions)
        if delivery not in get_args(Promise):
            raise ConfigurationError(f"delivery of CloudWatch must be {' or '.join(map(repr, get_args(Promise)))}, not {delivery!r}")
        if storage_resolution not in (1, 60):
            raise ConfigurationError(f"storage_resolution of CloudWatch must be 1 or 60 seconds, not {storage_resolution!r}")
        if not 0 < timeout < inf:
            raise ConfigurationError(f"timeout of CloudWatch must be a number of seconds above 0, not {timeout!r}")
        if max_calls < 1:
            raise ConfigurationError(f"max_calls of CloudWatch must be at least 1, not {max_calls!r}")
        if client is None and find_spec("boto3") is None:
            raise MissingExtra("boto3", "cloudwatch")
        self._repeats = delivery == "at-least-once"
        self._resolution = int(storage_resolution)
        self._max_calls = int(max_calls)
        self._putter = Putter(client, region=region, endpoint_url=endpoint_url, compress=compress, timeout=timeout)
        self._refusals = Refusals(name)
        self._failures = 0
        self._next: tuple[str, Any] | None = None

    def __repr__(self) -> str:
        return f"CloudWatch({self._namespace!r})"

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        """``cloudwatch://Shop?region=eu-west-1``; a dimension that all have is ``dimension.Stage=live``.

        The other options are ``delivery``, ``compress``, ``endpoint_url``, ``storage_resolution``, ``max_calls``, ``interval``, ``timeout``
        and ``name``.
        """
        chosen: dict[str, Any] = {
            "region": options.text("region"),
            "endpoint_url": options.text("endpoint_url"),
            "delivery": options.text("delivery"),
            "compress": options.flag("compress"),
            "storage_resolution": options.number("storage_resolution"),
            "max_calls": options.number("max_calls"),
            "dimensions": options.rest("dimension."),
            **options.common(),
        }
        return cls(unquote(url.netloc + url.path), **{name: value for name, value in chosen.items() if value is not None})

    def check(self) -> None:
        """Find a region and credentials; nothing is sent to CloudWatch.

        Raises:
            ConfigurationError: There is none.
        """
        self._putter.check()

    def close(self) -> None:
        """Close the connections."""
        self._putter.close()

    def export(self, snapshot: Snapshot) -> None:
        """Send what has changed.

        Raises:
            ExportFailed: Some of it has not arrived.
        """
        deadline = clock.system_monotonic() + snapshot.seconds
        entries, refusals = encode(snapshot.points(), snapshot.time, dimensions=self._dimensions, storage_resolution=self._resolution)
        self._refusals.count(snapshot, refusals)
        waiting = deque(requests(self._in_turn(entries)))
        for call in count():
            if not waiting:
                break
            left = deadline - clock.system_monotonic()
            if left < SHORTEST or call >= self._max_calls:
                self._next = _key(waiting[0][0])
                why = "there was no more time" if left < SHORTEST else f"max_calls is {self._max_calls}"
                raise ExportFailed(f"{sum(map(len, waiting))} series are left for the next delivery to CloudWatch: {why}")
            together = waiting.popleft()
            try:
                self._putter.put(self._namespace, [entry.datum for entry in together], left)
            except Invalid as reason:
                if len(together) > 1:
                    middle = len(together) // 2
                    waiting.extendleft((together[middle:], together[:middle]))
                    continue
                self._refusals.count(snapshot, [(together[0].family.exposed_name, str(reason))])
            except Unanswered as reason:
                raise self._unanswered(snapshot, together, reason) from None
            except NotNow as reason:
                raise self._failed(str(reason)) from None
            _acknowledge(snapshot, together)
        self._failures = 0

    def _in_turn(self, entries: list[Entry]) -> list[Entry]:
        """What was left the last time goes first."""
        first, self._next = self._next, None
        at = next((at for at, entry in enumerate(entries) if _key(entry) == first), 0) if first is not None else 0
        return entries[at:] + entries[:at]

    def _unanswered(self, snapshot: Snapshot, together: list[Entry], reason: Unanswered) -> ExportFailed:
        if self._repeats:
            return self._failed(f"{reason}; {len(together)} series are sent again, and may count twice")
        _acknowledge(snapshot, together)
        return self._failed(f"{reason}; {len(together)} series are given up, as they may have arrived", len(together))

    def _failed(self, message: str, dropped: int = 0) -> ExportFailed:
        self._failures += 1
        return ExportFailed(message, dropped=dropped, retry_after=backoff(self._failures, self.interval, LONGEST_PAUSE))


def _key(entry: Entry) -> tuple[str, Any]:
    return entry.family.name, entry.series.labels


def _acknowledge(snapshot: Snapshot, entries: list[Entry]) -> None:
    for entry in entries:
        snapshot.acknowledge(entry.family, (entry.series,))
