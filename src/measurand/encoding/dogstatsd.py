"""The line protocol of DogStatsD, StatsD with tags as Datadog's agent reads it.

Source: docs.datadoghq.com, "DogStatsD", "Datagram format and shell usage", protocol versions 1.0 to 1.3. A line is
``name:value|type|#tag:value,…``, with several values of a distribution between colons, and optionally ``|c:`` with the container and ``|T``
with a time. What holds of :mod:`measurand.encoding.statsd` holds here too; the upper bound of a bucket is the tag ``le``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from math import inf, isfinite, nextafter

from measurand.core import format_number
from measurand.encoding.statsd import LONGEST, Memo, Payload, number, packed
from measurand.metrics.points import Labels, PointFamily, Series

__all__ = ["encode"]

MOST_VALUES = 50
"""How many values of a distribution are written out; more of one bucket are one value with a rate."""

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.]")
_NOT_IN_KEYS = re.compile(r"[\s:|@#,]")
_NOT_IN_VALUES = re.compile(r"[\s|,]")


def encode(
    families: Iterable[PointFamily],
    *,
    prefix: str = "",
    tags: Mapping[str, str] | None = None,
    distributions: bool = False,
    container: str = "",
    time: float | None = None,
    size: int = 1432,
    memo: Memo | None = None,
) -> list[Payload]:
    """Differences and gauges as payloads.

    Args:
        families: From a snapshot of differences.
        prefix: Put before each name, with a dot between them.
        tags: Tags of every line.
        distributions: Send histograms as distributions: each observation as the middle of its bucket. Counts are exact, values are not.
        container: The container's id.
        time: Written with counters and gauges, in seconds since the Unix epoch; ``None`` for the moment of arrival. The agent does not
            add up lines with a time.
        size: Bytes of a payload; only a line that needs more makes a larger one.
        memo: That of earlier calls with the same settings.
    """
    front = f"{_NOT_IN_NAMES.sub('_', prefix.rstrip('.'))}." if prefix else ""
    constant = [f"{_key(name)}:{_value(value)}" for name, value in (tags or {}).items()]
    end = f"|c:{container}" if container else ""
    moment = f"{end}|T{int(time)}" if time is not None else end
    memo = Memo() if memo is None else memo
    memo.begin()
    of = memo.of

    def tags_of(labels: Labels) -> str:
        return ",".join([*constant, *_tags(labels)])

    def entries() -> Iterator[tuple[PointFamily, Series, list[str]]]:
        for family in families:
            name = front + _NOT_IN_NAMES.sub("_", family.exposed_name)
            for series in family.series:
                shown = of(series.labels, tags_of)
                if family.type == "histogram" and distributions:
                    lines = _distribution(family, name, series, shown, end)
                else:
                    lines = [f"{line}{moment}" for line in _lines(family, name, series, shown)]
                if lines:
                    yield family, series, lines

    return packed(entries(), size)


def _lines(family: PointFamily, name: str, series: Series, tags: str) -> Iterator[str]:
    numbers = family.classic(series)
    after = f"|#{tags}" if tags else ""
    if family.type == "counter":
        if isfinite(numbers[0]) and numbers[0]:
            yield f"{name}:{number(numbers[0])}|c{after}"
    elif family.type == "gauge":
        if isfinite(numbers[0]):
            yield f"{name}:{number(numbers[0])}|g{after}"
    else:
        if family.type == "histogram":
            for bound, count in zip((*family.bounds, inf), family.classic(series)[:-1], strict=True):
                if count:
                    yield f"{name}.bucket:{number(count)}|c|#{tags}{',' if tags else ''}le:{format_number(bound)}"
        count = sum(numbers[:-1])
        if count:
            yield f"{name}.count:{number(count)}|c{after}"
        if isfinite(numbers[-1]) and numbers[-1]:
            yield f"{name}.sum:{number(numbers[-1])}|c{after}"


def _distribution(family: PointFamily, name: str, series: Series, tags: str, end: str) -> list[str]:
    after = f"|#{tags}{end}" if tags else end
    values: list[str] = []
    lines = []
    for middle, observed in zip(_middles(family.cells), series.numbers[:-1], strict=True):
        count = int(observed)
        if count > MOST_VALUES:
            lines.append(f"{name}:{number(middle)}|d|@{_rate(count)!r}{after}")
        else:
            values += [number(middle)] * count
    lines += [f"{name}:{':'.join(values[at : at + MOST_VALUES])}|d{after}" for at in range(0, len(values), MOST_VALUES)]
    return lines


def _rate(count: int) -> float:
    """The rate of which the reciprocal, cut down to an integer as the agent does, is the count."""
    rate = 1 / count
    return rate if 1 / rate >= count else nextafter(rate, 0.0)


def _middles(bounds: tuple[float, ...]) -> list[float]:
    """A value for each bucket: its middle, or its bound where it has only one; zero where it has none."""
    if not bounds:
        return [0.0]
    first = bounds[0] / 2 if bounds[0] > 0 else bounds[0]
    return [first, *[(low + high) / 2 for low, high in pairwise(bounds)], bounds[-1]]


def _tags(labels: Labels) -> list[str]:
    return [f"{_key(name)}:{_value(value)}" for name, value in labels]


def _key(name: str) -> str:
    return _NOT_IN_KEYS.sub("_", name)


def _value(value: str) -> str:
    return _NOT_IN_VALUES.sub("_", value[:LONGEST])
