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

__all__ = ["Memo", "Payload", "TagStyle", "encode", "number", "packed", "unwritable"]

TagStyle = Literal["names", "dogstatsd", "graphite", "influx"]

LONGEST = 200
"""Characters of a label value that are kept."""

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]")
_NOT_IN_PARTS = re.compile(r"[^a-zA-Z0-9_-]")
_NOT_IN_TAGS = re.compile(r"[\s:|@#,;=~]")


class _Style(NamedTuple):
    """How a server is told of labels.

    Attributes:
        labels: Makes what stands for labels.
        line: Makes a line of a name, what stands for labels, a value and a type.
    """

    labels: Callable[[Labels], str]
    line: Callable[[str, str, float, str], str]


class Memo:
    """What labels are written as, put together once for a series that is in each delivery. For one set of settings, in one thread."""

    def __init__(self) -> None:
        self._now: dict[Labels, str] = {}
        self._before: dict[Labels, str] = {}

    def begin(self) -> None:
        """A delivery begins: what was not in the one before is forgotten."""
        self._now, self._before = {}, self._now

    def of(self, labels: Labels, write: Callable[[Labels], str]) -> str:
        """What these labels are written as by ``write``."""
        shown = self._now.get(labels)
        if shown is None:
            shown = self._before.get(labels)
            if shown is None:
                shown = write(labels)
            self._now[labels] = shown
        return shown


class Payload(NamedTuple):
    """What goes out at once.

    Attributes:
        data: The lines.
        content: The series that are delivered with it, by family.
    """

    data: bytes
    content: list[tuple[PointFamily, list[Series]]]


def encode(
    families: Iterable[PointFamily], *, prefix: str = "", tags: TagStyle = "names", size: int = 1432, memo: Memo | None = None
) -> list[Payload]:
    """Differences and gauges as payloads.

    Args:
        families: From a snapshot of differences.
        prefix: Put before each name, with a dot between them.
        tags: What becomes of labels. ``names``: their values are appended to the name, in the order of the labels' names, as a server
            without tags needs it; otherwise how the server writes tags.
        size: Bytes of a payload; only a line that needs more makes a larger one.
        memo: That of earlier calls with the same settings.
    """
    front = f"{_NOT_IN_NAMES.sub('_', prefix.rstrip('.'))}." if prefix else ""
    memo = Memo() if memo is None else memo
    memo.begin()
    return packed(_entries(families, front, _STYLES[tags], memo), size)


def packed(entries: Iterable[tuple[PointFamily, Series, list[str]]], size: int) -> list[Payload]:
    """The lines of each series, in payloads of at most ``size`` bytes unless one line is longer."""
    payloads: list[Payload] = []
    parts: list[bytes] = []
    content: list[tuple[PointFamily, list[Series]]] = []
    filled = 0
    latest: PointFamily | None = None
    for family, series, lines in entries:
        data = (lines[0] if len(lines) == 1 else "\n".join(lines)).encode(errors="replace")
        for piece in (data,) if len(data) <= size else data.split(b"\n"):
            if parts and filled + 1 + len(piece) > size:
                payloads.append(Payload(b"\n".join(parts), content))
                parts, content, filled, latest = [], [], 0, None
            filled += len(piece) + (1 if parts else 0)
            parts.append(piece)
        if family is latest:
            content[-1][1].append(series)
        else:
            content.append((family, [series]))
            latest = family
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


def _entries(
    families: Iterable[PointFamily], front: str, style: _Style, memo: Memo
) -> Iterator[tuple[PointFamily, Series, list[str]]]:
    for family in families:
        name = front + _NOT_IN_NAMES.sub("_", family.exposed_name)
        lines_of = _single if family.type in {"counter", "gauge"} else _several
        for series in family.series:
            lines = lines_of(family, name, series, style, memo)
            if lines:
                yield family, series, lines


def _single(family: PointFamily, name: str, series: Series, style: _Style, memo: Memo) -> list[str]:
    value = series.numbers[0]
    if not isfinite(value):
        return []
    shown = memo.of(series.labels, style.labels)
    if family.type == "counter":
        return [style.line(name, shown, value, "c")] if value else []
    line = style.line(name, shown, value, "g")
    return [style.line(name, shown, 0.0, "g"), line] if value < 0 else [line]


def _several(family: PointFamily, name: str, series: Series, style: _Style, memo: Memo) -> list[str]:
    lines = []
    labels, numbers = series.labels, family.classic(series)
    if family.type == "histogram":
        for bound, count in zip((*family.bounds, inf), numbers[:-1], strict=True):
            if count:
                shown = memo.of((*labels, ("le", format_number(bound))), style.labels)
                lines.append(style.line(f"{name}.bucket", shown, count, "c"))
    shown, count = memo.of(labels, style.labels), sum(numbers[:-1])
    if count:
        lines.append(style.line(f"{name}.count", shown, count, "c"))
    if isfinite(numbers[-1]) and numbers[-1]:
        lines.append(style.line(f"{name}.sum", shown, numbers[-1], "c"))
    return lines


def _part(value: str) -> str:
    return _NOT_IN_PARTS.sub("_", value[:LONGEST]) or "_"


def _tag(value: str) -> str:
    return _NOT_IN_TAGS.sub("_", value[:LONGEST]) or "_"


def _path(labels: Labels) -> str:
    return "".join([f".{_part(content)}" for _, content in labels])


def _dogstatsd_tags(labels: Labels) -> str:
    return f"|#{','.join([f'{label}:{_tag(content)}' for label, content in labels])}" if labels else ""


def _graphite_tags(labels: Labels) -> str:
    return "".join([f";{label}={_tag(content)}" for label, content in labels])


def _influx_tags(labels: Labels) -> str:
    return "".join([f",{label}={_tag(content)}" for label, content in labels])


def _after_the_name(name: str, shown: str, value: float, type_: str) -> str:
    return f"{name}{shown}:{number(value)}|{type_}"


def _at_the_end(name: str, shown: str, value: float, type_: str) -> str:
    return f"{name}:{number(value)}|{type_}{shown}"


_STYLES: dict[TagStyle, _Style] = {
    "names": _Style(_path, _after_the_name),
    "dogstatsd": _Style(_dogstatsd_tags, _at_the_end),
    "graphite": _Style(_graphite_tags, _after_the_name),
    "influx": _Style(_influx_tags, _after_the_name),
}
