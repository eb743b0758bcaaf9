"""Differences in CloudWatch's embedded metric format: a JSON document in each line of a log.

Source: Amazon CloudWatch User Guide, "Specification: Embedded metric format", whose limits stand here; a document over a limit is dropped
without a word. Series of the same labels share documents. A counter is its difference, a gauge its value; a histogram is the object that
OpenTelemetry's exporter for this format writes, ``{"Values": […], "Counts": […], "Max", "Min", "Count", "Sum"}``, a summary the same
without values, see :mod:`measurand.encoding.cloudwatch`. Labels are dimensions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import fsum
from typing import Any, NamedTuple

from measurand.encoding.cloudwatch import Refusal, dimensions_of, fitting, moment_of, name_of, unit_of, values_of
from measurand.metrics.points import PointFamily, Series

__all__ = ["Document", "encode"]

MOST_METRICS = 100
"""Metrics of a directive."""

MOST_VALUES = 100
"""Values of a metric."""

LARGEST = 200_000
"""Bytes of a document by which it is planned; the format allows 256 KiB at least."""


class Document(NamedTuple):
    """A line of the log.

    Attributes:
        data: The line, without its end.
        content: Whose numbers it holds.
    """

    data: bytes
    content: list[tuple[PointFamily, Series]]


def encode(
    families: Iterable[PointFamily],
    namespace: str,
    now: float,
    *,
    dimensions: Mapping[str, str] | None = None,
    largest: int = LARGEST,
) -> tuple[list[Document], list[Refusal]]:
    """The documents of a delivery, and what cannot be written.

    Args:
        families: Differences of counters, summaries and histograms; values of gauges.
        namespace: CloudWatch's namespace.
        now: When the numbers were true, in seconds since the Unix epoch.
        dimensions: Dimensions of every series besides its labels; a label of the same name goes before.
        largest: Bytes of a document at most, by estimate; one metric that needs more has one of its own.
    """
    groups: dict[tuple[int, tuple[tuple[str, str], ...]], list[_Metric]] = {}
    refusals: list[Refusal] = []
    for family in families:
        name, unit = name_of(family), unit_of(family)
        for series in family.series:
            try:
                named = dimensions_of(series.labels, dimensions or {})
                moment = int(moment_of(series, now) * 1000)
                value = _value(family, series)
            except ValueError as reason:
                refusals.append(Refusal(family.exposed_name, str(reason)))
                continue
            if value is not None:
                groups.setdefault((moment, tuple(named.items())), []).append(_Metric(name, unit, value, family, series))
    documents = []
    for (moment, named_items), metrics in groups.items():
        for together in _divided(metrics, dict(named_items), largest):
            documents.append(_document(namespace, moment, dict(named_items), together))
    return documents, refusals


class _Metric(NamedTuple):
    name: str
    unit: str | None
    value: Any
    family: PointFamily
    series: Series


def _value(family: PointFamily, series: Series) -> Any:
    """What stands for a series; ``None`` if there is nothing to say. ``ValueError`` says why it cannot be written."""
    if family.type in {"counter", "gauge"}:
        return _plain(fitting(series.numbers[0]))
    if family.type == "histogram":
        values = values_of(family, series, MOST_VALUES)
        if not values:
            return None
        count, total = fsum(each.times for each in values), fsum(each.value * each.times for each in values)
        held = {"Values": [_plain(each.value) for each in values], "Counts": [_plain(each.times) for each in values]}
        return held | {"Max": _plain(values[-1].value), "Min": _plain(values[0].value), "Count": _plain(count), "Sum": _plain(total)}
    count, total = fitting(series.numbers[0]), fitting(series.numbers[1])
    if not count:
        return None
    mean = _plain(fitting(total / count))
    return {"Max": mean, "Min": mean, "Count": _plain(count), "Sum": _plain(total)}


def _plain(number: float) -> float | int:
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _divided(metrics: list[_Metric], named: Mapping[str, str], largest: int) -> Iterable[list[_Metric]]:
    """Metrics that fit a document, each name once."""
    together: list[_Metric] = []
    names: set[str] = set()
    size = start = 200 + sum(8 + 2 * len(name) + len(value) for name, value in named.items())
    for metric in metrics:
        more = 60 + 2 * len(metric.name) + len(json.dumps(metric.value))
        if together and (len(together) >= MOST_METRICS or size + more > largest or metric.name in names):
            yield together
            together, names, size = [], set(), start
        together.append(metric)
        names.add(metric.name)
        size += more
    if together:
        yield together


def _document(namespace: str, moment: int, named: Mapping[str, str], metrics: list[_Metric]) -> Document:
    taken = {"_aws", *(metric.name for metric in metrics)}
    shown = {_free(name, taken): value for name, value in named.items()}
    definitions = [{"Name": metric.name} | ({"Unit": metric.unit} if metric.unit else {}) for metric in metrics]
    directive = {"Namespace": namespace, "Dimensions": [list(shown)], "Metrics": definitions}
    values = {metric.name: metric.value for metric in metrics}
    document = {"_aws": {"Timestamp": moment, "CloudWatchMetrics": [directive]}, **shown, **values}
    data = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    return Document(data, [(metric.family, metric.series) for metric in metrics])


def _free(name: str, taken: set[str]) -> str:
    """A dimension's name, changed if a metric of the document has it."""
    while name in taken:
        name += "_"
    return name
