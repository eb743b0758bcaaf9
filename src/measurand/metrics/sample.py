"""The values that travel from collectors to encoders: samples and what can be attached to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from measurand.core import Exemplar

__all__ = ["BucketSpan", "Exemplar", "NativeHistogram", "Sample", "Timestamp"]

NANOSECONDS = 1_000_000_000


class Timestamp:
    """A point in time with nanosecond resolution.

    Args:
        sec: Seconds since the Unix epoch.
        nsec: Nanoseconds on top, 0 or more and less than a second; they count away from the epoch.

    Raises:
        ValueError: ``nsec`` is out of range.
    """

    __slots__ = ("nsec", "sec")

    def __init__(self, sec: float, nsec: float) -> None:
        if not 0 <= nsec < NANOSECONDS:
            raise ValueError(f"Invalid value for nanoseconds in Timestamp: {nsec}; it must be at least 0 and less than 1e9")
        self.sec = int(sec)
        self.nsec = int(-nsec if sec < 0 else nsec)

    def __str__(self) -> str:
        return f"{self.sec}.{self.nsec:09d}"

    def __repr__(self) -> str:
        return f"Timestamp({self.sec}, {self.nsec})"

    def __float__(self) -> float:
        return self.sec + self.nsec / 1e9

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and (self.sec, self.nsec) == (other.sec, other.nsec)

    def __hash__(self) -> int:
        return hash((self.sec, self.nsec))

    def __lt__(self, other: Timestamp) -> bool:
        return (self.sec, self.nsec) < (other.sec, other.nsec)

    def __gt__(self, other: Timestamp) -> bool:
        return other < self


class BucketSpan(NamedTuple):
    """A run of consecutive native-histogram buckets: the gap before it, and how many there are."""

    offset: int
    length: int


class NativeHistogram(NamedTuple):
    """A native histogram, laid out as in Prometheus' data model (schema -4 to 8, delta-encoded bucket counts)."""

    count_value: float
    sum_value: float
    schema: int
    zero_threshold: float
    zero_count: float
    pos_spans: Sequence[BucketSpan] | None = None
    neg_spans: Sequence[BucketSpan] | None = None
    pos_deltas: Sequence[int] | None = None
    neg_deltas: Sequence[int] | None = None
    nh_exemplars: Sequence[Exemplar] | None = None


class Sample(NamedTuple):
    """One number of one series.

    Attributes:
        name: The series' name, for example ``http_requests_total``.
        labels: Label names to values.
        value: The number.
        timestamp: When it was true, in seconds since the Unix epoch; ``None`` for now.
        exemplar: An event that stands for it.
        native_histogram: A native histogram in place of the number.
    """

    name: str
    labels: Mapping[str, str]
    value: float
    timestamp: float | Timestamp | None = None
    exemplar: Exemplar | None = None
    native_histogram: NativeHistogram | None = None
