r"""Differences as the data of CloudWatch's PutMetricData.

Source: Amazon CloudWatch API Reference, "PutMetricData", "MetricDatum", "Dimension", "StatisticSet" (API version 2010-08-01), whose limits
stand here. One series is one datum, whatever its type:

=========  ==============================================================================================================
counter    ``Value``: the difference
gauge      ``Value``: the value
histogram  ``Values`` and ``Counts``: count, sum and mean are exact, quantiles to the width of a bucket; see
           :mod:`measurand.encoding.distribution`
summary    ``StatisticValues``: count and sum are exact; smallest and largest are not known, the mean stands for both
=========  ==============================================================================================================

Labels are dimensions. A label without a value is none. Dimensions are printable ASCII: any other character is written as ``\xe9``,
``\u2713`` or ``\U0001f600``, and a text that is too long is cut and ends with a hash of the whole, so that no two become one.

Pure functions; safe from any thread.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, NamedTuple

from measurand.encoding.distribution import Value, representatives
from measurand.errors import ConfigurationError
from measurand.metrics.points import Labels, PointFamily, Series

__all__ = [
    "LARGEST_REQUEST",
    "MOST_DATA",
    "MOST_DIMENSIONS",
    "MOST_VALUES",
    "Entry",
    "Refusal",
    "checked_dimensions",
    "checked_namespace",
    "dimensions_of",
    "encode",
    "fitting",
    "moment_of",
    "name_of",
    "printable",
    "requests",
    "unit_of",
    "values_of",
]

MOST_DATA = 1000
"""Data in a request."""

LARGEST_REQUEST = 1_000_000
"""Bytes of a request's body as it is sent."""

MOST_VALUES = 150
"""Values of a datum."""

MOST_DIMENSIONS = 30
"""Dimensions of a datum."""

LONGEST_NAME = 255
LONGEST_VALUE = 1024

LARGEST_NUMBER = 2.0**360
SMALLEST_NUMBER = 2.0**-360

OLDEST = 14 * 86400.0 - 600
NEWEST = 2 * 3600.0 - 600
"""Seconds into the past and the future, with ten minutes for clocks that differ."""

PLANNED_REQUEST = 900_000
"""Bytes of a request by which it is planned, before compression."""

_UNITS = {
    unit.lower(): unit
    for unit in (
        *("Seconds", "Microseconds", "Milliseconds", "Percent", "Count"),
        *("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes", "Bits", "Kilobits", "Megabits", "Gigabits", "Terabits"),
    )
}

Datum = dict[str, Any]


class Entry(NamedTuple):
    """One series as it is sent.

    Attributes:
        family: Whose series it is.
        series: The series.
        datum: A ``MetricDatum``, as boto3 takes it.
        size: How many bytes it takes in JSON, the form in which boto3 sends it.
    """

    family: PointFamily
    series: Series
    datum: Datum
    size: int


class Refusal(NamedTuple):
    """A series that CloudWatch cannot have.

    Attributes:
        name: The metric's name.
        reason: Why, in a few words.
    """

    name: str
    reason: str


def encode(
    families: Iterable[PointFamily], now: float, *, dimensions: Mapping[str, str] | None = None, storage_resolution: int = 60
) -> tuple[list[Entry], list[Refusal]]:
    """The data of a delivery, and what cannot be sent.

    Args:
        families: Differences of counters, summaries and histograms; values of gauges.
        now: When the numbers were true, in seconds since the Unix epoch.
        dimensions: Dimensions that every datum has besides its labels; a label of the same name goes before.
        storage_resolution: 60 for minutes, 1 for seconds (in seconds).

    Returns:
        An entry for each series that has something to say, and a refusal for each that cannot say it here.
    """
    entries: list[Entry] = []
    refusals: list[Refusal] = []
    for family in families:
        common: Datum = {"MetricName": name_of(family)}
        if (unit := unit_of(family)) is not None:
            common["Unit"] = unit
        if storage_resolution != 60:
            common["StorageResolution"] = storage_resolution
        for series in family.series:
            try:
                entry = _entry(family, series, common, now, dimensions or {})
            except ValueError as reason:
                refusals.append(Refusal(family.exposed_name, str(reason)))
            else:
                entries += entry
    return entries, refusals


def requests(entries: Iterable[Entry], most: int = MOST_DATA, largest: int = PLANNED_REQUEST) -> Iterator[list[Entry]]:
    """The entries as they go together, in their order.

    Args:
        entries: From :func:`encode`.
        most: Entries in a request.
        largest: Bytes of a request, by the entries' sizes; one that is larger goes alone.
    """
    together: list[Entry] = []
    size = 0
    for entry in entries:
        if together and (len(together) >= most or size + entry.size > largest):
            yield together
            together, size = [], 0
        together.append(entry)
        size += entry.size
    if together:
        yield together


def _entry(family: PointFamily, series: Series, common: Datum, now: float, constant: Mapping[str, str]) -> list[Entry]:
    """The datum of a series; none if nothing was observed. ``ValueError`` says why it cannot be had."""
    numbers = _numbers(family, series)
    if not numbers:
        return []
    moment = moment_of(series, now)
    named = dimensions_of(series.labels, constant)
    datum = common | {"Timestamp": datetime.fromtimestamp(moment, UTC)} | numbers
    if named:
        datum["Dimensions"] = [{"Name": name, "Value": value} for name, value in named.items()]
    return [Entry(family, series, datum, len(json.dumps(datum, default=str)) + 2)]


def _numbers(family: PointFamily, series: Series) -> Datum:
    if family.type == "histogram":
        values = values_of(family, series, MOST_VALUES)
        return {"Values": [each.value for each in values], "Counts": [each.times for each in values]} if values else {}
    if family.type == "summary":
        count, total = map(fitting, series.numbers)
        if not count:
            return {}
        if count < 0:
            raise ValueError("it has fewer than no observations")
        mean = fitting(total / count)
        return {"StatisticValues": {"SampleCount": count, "Sum": total, "Minimum": mean, "Maximum": mean}}
    return {"Value": fitting(series.numbers[0])}


def values_of(family: PointFamily, series: Series, most: int) -> list[Value]:
    """What a histogram's difference holds, as values; none if nothing was observed.

    Args:
        family: The histogram.
        series: One of its series.
        most: How many values there may be.

    Raises:
        ValueError: A number is one that CloudWatch does not take.
    """
    try:
        found = representatives(family.cells, series.numbers, most)
    except OverflowError:
        raise ValueError("its value is beyond 2**360") from None
    counts: dict[float, float] = {}
    for value, count in found:  # values that are too close to zero are the same
        if times := fitting(count):
            counts[fitting(value)] = counts.get(fitting(value), 0.0) + times
    return [Value(value, fitting(times)) for value, times in counts.items()]


def moment_of(series: Series, now: float) -> float:
    """When a series' numbers were true, in seconds since the Unix epoch.

    Args:
        series: The series.
        now: When the snapshot was taken, in the same unit.

    Raises:
        ValueError: CloudWatch takes nothing of that time.
    """
    moment = now if series.timestamp is None else series.timestamp
    if not -OLDEST <= moment - now <= NEWEST:
        raise ValueError("its time stamp is older than two weeks, or more than two hours ahead")
    return moment


def fitting(number: float) -> float:
    """A number as CloudWatch takes it: what is closer to zero than 2**-360 is zero.

    Raises:
        ValueError: It is further from zero than 2**360, infinite, or no number.
    """
    if not isfinite(number):
        raise ValueError("its value is infinite or no number")
    if abs(number) > LARGEST_NUMBER:
        raise ValueError("its value is beyond 2**360")
    return number if abs(number) >= SMALLEST_NUMBER else 0.0


def name_of(family: PointFamily) -> str:
    """What a metric is called in CloudWatch: as in Prometheus' text format."""
    return _named(family.exposed_name)


def unit_of(family: PointFamily) -> str | None:
    """The unit by CloudWatch's name, from the metric's unit or the end of its name; ``None`` if CloudWatch has none for it."""
    return _UNITS.get(family.unit or family.name.rpartition("_")[2])


def dimensions_of(labels: Labels, constant: Mapping[str, str]) -> dict[str, str]:
    """The dimensions of a series.

    Args:
        labels: Its labels.
        constant: Dimensions besides; a label of the same name goes before.

    Raises:
        ValueError: There are too many.
    """
    named = {name: value for name, value in {**constant, **dict(labels)}.items() if value}
    if len(named) > MOST_DIMENSIONS:
        raise ValueError(f"it has more than {MOST_DIMENSIONS} dimensions")
    return {_named(name): printable(value, LONGEST_VALUE) for name, value in named.items()}


def _named(name: str) -> str:
    return printable("\\x3a" + name[1:] if name.startswith(":") else name, LONGEST_NAME)


def printable(text: str, longest: int) -> str:
    """A text in printable ASCII, with something in it that is no blank.

    Args:
        text: Any text that is not empty.
        longest: How many characters it may have.
    """
    shown = text if text.isascii() and text.isprintable() else "".join(map(_shown, text))
    if shown.isspace():
        shown = shown.replace(" ", "\\x20")
    if len(shown) <= longest:
        return shown
    return f"{shown[: longest - 17]}~{hashlib.sha256(shown.encode()).hexdigest()[:16]}"


def _shown(letter: str) -> str:
    if " " <= letter <= "~":
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def checked_namespace(namespace: str) -> str:
    """A namespace that CloudWatch takes.

    Raises:
        ConfigurationError: It takes no such namespace.
    """
    is_text = isinstance(namespace, str) and namespace.isascii() and namespace.isprintable() and bool(namespace.strip())
    if not is_text or len(namespace) > 255 or namespace.startswith((":", "AWS/")):
        raise ConfigurationError(
            "a namespace of CloudWatch has 1 to 255 printable ASCII characters and begins with neither ':' nor 'AWS/';"
            f" {namespace!r} is none"
        )
    return namespace


def checked_dimensions(dimensions: Mapping[str, str] | None) -> dict[str, str]:
    """Dimensions that CloudWatch takes.

    Raises:
        ConfigurationError: There are too many, or one is empty.
    """
    found = {str(name): str(value) for name, value in (dimensions or {}).items()}
    if len(found) > MOST_DIMENSIONS:
        raise ConfigurationError(f"CloudWatch has at most {MOST_DIMENSIONS} dimensions, and {len(found)} are given")
    for name, value in found.items():
        if not name or not value:
            raise ConfigurationError(f"a dimension of CloudWatch has a name and a value; {name!r} is given as {value!r}")
    return found
