"""The line protocol of StatsD.

Source: github.com/statsd/statsd, "StatsD Metric Types" and "Multi-Metric Packets". A line is ``name:value|type``; lines are joined by line
breaks into payloads that fit a datagram.

Counters are sent as differences and gauges as values; nothing is sampled. The lines of one series are spread over several payloads only
if one cannot hold them, and the last of these has delivered the series. A negative gauge is set to zero first, as a sign makes a difference
of it. Of a histogram the number of new observations is sent for each bucket that has any (``name.bucket.0_25``, by its upper bound; a
native one has its classic buckets here), and their count and sum; timers would have to be made up. What is not finite cannot be written and
is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from math import inf, isfinite, isinf, isnan
from typing import Literal, NamedTuple

from measurand.core import format_number
from measurand.metrics.points import Labels, PointFamily, Series

__all__ = ["Payload", "TagStyle", "encode", "number", "packed", "unwritable"]

TagStyle = Literal["names", "dogstatsd", "graphite", "influx"]

LONGEST = 200
"""Characters of a label value that are kept."""

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]")
_NOT_IN_PARTS = re.compile(r"[^a-zA-Z0-9_-]")
_NOT_IN_TAGS = re.compile(r"[\s:|@#,;=~]")

Write = Callable[[str, Labels, float, str], str]
"""Makes a line of a name, labels, a value and a type."""


class Payload(NamedTuple):
    """What goes out at once.

    Attributes:
        data: The lines.
        content: The series that are delivered with it.
    """

    data: bytes
    content: list[tuple[PointFamily, Series]]


def encode(families: Iterable[PointFamily], *, prefix: str = "", tags: TagStyle = "names", size: int = 1432) -> list[Payload]:
    """Differences and gauges as payloads.

    Args:
        families: From a snapshot of differences.
        prefix: Put before each name, with a dot between them.
        tags: What becomes of labels. ``names``: their values are appended to the name, in the order of the labels' names, as a server
            without tags needs it; otherwise how the server writes tags.
        size: Bytes of a payload; only a line that needs more makes a larger one.
    """
    front = f"{_NOT_IN_NAMES.sub('_', prefix.rstrip('.'))}." if prefix else ""
    write = _WRITERS[tags]
    return packed(_entries(families, lambda name, labels, value, type_: write(front + name, labels, value, type_)), size)


def packed(entries: Iterable[tuple[PointFamily, Series, list[str]]], size: int) -> list[Payload]:
    """The lines of each series, in payloads of at most ``size`` bytes unless one line is longer."""
    payloads: list[Payload] = []
    parts: list[bytes] = []
    content: list[tuple[PointFamily, Series]] = []
    filled = 0
    for family, series, lines in entries:
        data = "\n".join(lines).encode(errors="replace")
        for piece in [data] if len(data) <= size else data.split(b"\n"):
            if parts and filled + 1 + len(piece) > size:
                payloads.append(Payload(b"\n".join(parts), content))
                parts, content, filled = [], [], 0
            filled += len(piece) + (1 if parts else 0)
            parts.append(piece)
        content.append((family, series))
    if parts:
        payloads.append(Payload(b"\n".join(parts), content))
    return payloads


def number(value: float) -> str:
    """A finite number, integers without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def unwritable(families: Iterable[PointFamily]) -> int:
    """How many series have a number that no line can hold; a sum that is not known is none."""
    return sum([_is_unwritable(family, series) for family in families for series in family.series])


def _is_unwritable(family: PointFamily, series: Series) -> bool:
    return isinf(series.numbers[-1]) or (family.type in {"counter", "gauge"} and isnan(series.numbers[0]))


def _entries(families: Iterable[PointFamily], write: Write) -> Iterator[tuple[PointFamily, Series, list[str]]]:
    for family in families:
        name = _NOT_IN_NAMES.sub("_", family.exposed_name)
        for series in family.series:
            lines = list(_lines(family, name, series, write))
            if lines:
                yield family, series, lines


def _lines(family: PointFamily, name: str, series: Series, write: Write) -> Iterator[str]:
    labels, numbers = series.labels, family.classic(series)
    if family.type == "counter":
        if isfinite(numbers[0]) and numbers[0]:
            yield write(name, labels, numbers[0], "c")
    elif family.type == "gauge":
        if isfinite(numbers[0]):
            if numbers[0] < 0:
                yield write(name, labels, 0.0, "g")
            yield write(name, labels, numbers[0], "g")
    else:
        if family.type == "histogram":
            for bound, count in zip((*family.bounds, inf), family.classic(series)[:-1], strict=True):
                if count:
                    yield write(f"{name}.bucket", (*labels, ("le", format_number(bound))), count, "c")
        count = sum(numbers[:-1])
        if count:
            yield write(f"{name}.count", labels, count, "c")
        if isfinite(numbers[-1]) and numbers[-1]:
            yield write(f"{name}.sum", labels, numbers[-1], "c")


def _part(value: str) -> str:
    return _NOT_IN_PARTS.sub("_", value[:LONGEST]) or "_"


def _tag(value: str) -> str:
    return _NOT_IN_TAGS.sub("_", value[:LONGEST]) or "_"


def _with_names(name: str, labels: Labels, value: float, type_: str) -> str:
    return f"{'.'.join([name, *[_part(content) for _, content in labels]])}:{number(value)}|{type_}"


def _with_dogstatsd(name: str, labels: Labels, value: float, type_: str) -> str:
    tags = ",".join([f"{label}:{_tag(content)}" for label, content in labels])
    return f"{name}:{number(value)}|{type_}" + (f"|#{tags}" if tags else "")


def _with_graphite(name: str, labels: Labels, value: float, type_: str) -> str:
    return f"{name}{''.join([f';{label}={_tag(content)}' for label, content in labels])}:{number(value)}|{type_}"


def _with_influx(name: str, labels: Labels, value: float, type_: str) -> str:
    return f"{name}{''.join([f',{label}={_tag(content)}' for label, content in labels])}:{number(value)}|{type_}"


_WRITERS: dict[TagStyle, Write] = {
    "names": _with_names,
    "dogstatsd": _with_dogstatsd,
    "graphite": _with_graphite,
    "influx": _with_influx,
}
