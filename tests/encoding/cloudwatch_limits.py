"""What CloudWatch documents that PutMetricData takes, checked apart from the encoder: nothing of it is imported from there.

Source: Amazon CloudWatch API Reference, "PutMetricData", "MetricDatum", "Dimension", "StatisticSet".
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

__all__ = ["complaints"]

UNITS = {
    *("Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"),
    *("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Percent", "Count", "None"),
}
FIELDS = {"MetricName", "Dimensions", "Timestamp", "Value", "StatisticValues", "Values", "Counts", "Unit", "StorageResolution"}


def complaints(namespace: Any, data: list[dict[str, Any]], now: float) -> Iterator[str]:
    """What is wrong with a request.

    Args:
        namespace: Its namespace.
        data: Its data; time stamps are seconds since the Unix epoch.
        now: The time, in the same unit.
    """
    yield from _text("namespace", namespace, 255)
    if not 0 < len(data) <= 1000:
        yield f"{len(data)} data"
    seen: dict[Any, int] = {}
    for at, datum in enumerate(data, 1):
        yield from (f"datum {at}: {said}" for said in _datum(datum, now))
        key = (datum.get("MetricName"), *sorted((each["Name"], each["Value"]) for each in datum.get("Dimensions", ())))
        seen[key] = seen.get(key, 0) + len(datum.get("Values", ()))
    yield from (f"{count} values of one metric" for count in seen.values() if count > 150)


def _datum(datum: dict[str, Any], now: float) -> Iterator[str]:
    if strange := datum.keys() - FIELDS:
        yield f"unknown fields {strange}"
    yield from _text("name", datum.get("MetricName"), 255)
    dimensions = datum.get("Dimensions", [])
    if len(dimensions) > 30:
        yield f"{len(dimensions)} dimensions"
    if len({dimension["Name"] for dimension in dimensions}) != len(dimensions):
        yield "a dimension twice"
    for dimension in dimensions:
        yield from _text("dimension", dimension.get("Name"), 255)
        yield from _text("dimension's value", dimension.get("Value"), 1024, colon=True)
    if not now - 14 * 86400 <= datum.get("Timestamp", now) <= now + 2 * 3600:
        yield f"time stamp {datum['Timestamp'] - now} s from now"
    if datum.get("StorageResolution", 60) not in (1, 60):
        yield "storage resolution"
    if datum.get("Unit", "None") not in UNITS:
        yield f"unit {datum['Unit']}"
    yield from _numbers(datum)


def _numbers(datum: dict[str, Any]) -> Iterator[str]:
    if len(datum.keys() & {"Value", "Values", "StatisticValues"}) != 1:
        yield "not one of Value, Values and StatisticValues"
    values, counts = datum.get("Values", []), datum.get("Counts", [])
    if "Values" in datum and not 0 < len(values) == len(counts) <= 150:
        yield f"{len(values)} values and {len(counts)} counts"
    if len(set(values)) != len(values):
        yield "a value twice"
    statistics = datum.get("StatisticValues", {})
    if statistics and (statistics.keys() != {"SampleCount", "Sum", "Minimum", "Maximum"} or statistics["SampleCount"] <= 0):
        yield "statistics"
    for number in (datum.get("Value", 0.0), *values, *counts, *statistics.values()):
        if isinstance(number, bool) or not isinstance(number, int | float) or not isfinite(number) or abs(number) > 2**360:
            yield f"number {number!r}"
        elif number and abs(number) < 2.0**-360:
            yield f"number {number!r} is too small"
    if any(count <= 0 for count in counts):
        yield "a count that is not above 0"


def _text(what: str, text: Any, longest: int, *, colon: bool = False) -> Iterator[str]:
    if not isinstance(text, str) or not 1 <= len(text) <= longest:
        yield f"{what} {text!r}"
    elif not text.isascii() or not text.isprintable() or text.isspace():
        yield f"{what} {text!r} has characters that it may not have"
    elif text.startswith(":") and not colon:
        yield f"{what} {text!r} begins with a colon"
