"""What the formats demand of samples that somebody else made.

An instrument cannot produce an invalid family; a custom collector can, and one bad line costs a scraper the whole page. Here a family's
samples are put in order, what can be mended is mended (order, the spelling of bounds, a missing +Inf bucket), and what cannot is left out
and reported, sample by sample or series by series. Sources: as in :mod:`measurand.encoding.text` and :mod:`measurand.encoding.openmetrics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import inf, isfinite, isinf, isnan
from typing import Any, NamedTuple

from measurand.core import Exemplar, format_number
from measurand.encoding.lines import Report, label_text, sample_prefix
from measurand.metrics.families import METRIC_TYPES
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import Family

__all__ = ["Row", "Rows", "arranged", "check_family"]

_SUFFIXES = {
    "counter": ("_total", "_created"),
    "summary": ("", "_count", "_sum", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "info": ("_info",),
}
_HISTOGRAMS = ("histogram", "gaugehistogram")
_COUNTS = ("_count", "_gcount")
_SUMS = ("_sum", "_gsum")


class Row(NamedTuple):
    """A sample that is ready to be written.

    Attributes:
        name: The series' full name.
        suffix: What the name has beyond the family's.
        labels: The labels, with values as strings.
        prefix: Everything before the number.
        value: The number.
        moment: Its timestamp in seconds since the Unix epoch; ``None`` for now.
        exemplar: What it was given as exemplar, not checked.
    """

    name: str
    suffix: str
    labels: Mapping[str, str]
    prefix: str
    value: float
    moment: Any
    exemplar: Exemplar | None

    @property
    def bound(self) -> float:
        """A bucket's upper bound."""
        return float(self.labels["le"])


class Rows(NamedTuple):
    """A family's samples in the order in which to write them, and those whose names belong to no series of the family."""

    own: list[Row]
    strays: list[Row]


class _Invalid(ValueError):
    """Says what is wrong with a sample or a series."""


def check_family(family: Family) -> None:
    """Refuse a family whose header cannot be written.

    Raises:
        ValueError: Its name is empty, its type is none of ``METRIC_TYPES``, or its documentation is no text.
    """
    if not family.name or family.type not in METRIC_TYPES or not isinstance(family.documentation, str):
        raise _Invalid(f"{family.name!r} is not a family: its type is {family.type!r}, its documentation {family.documentation!r}")


def arranged(family: Family, scheme: str, report: Report, *, strict: bool) -> Rows:
    """A family's samples, checked and in order.

    Args:
        family: The family.
        scheme: How names are escaped.
        report: Told what is left out.
        strict: Whether OpenMetrics' rules about numbers hold besides.
    """
    suffixes = {family.name + suffix: suffix for suffix in _SUFFIXES.get(family.type, ("",))}
    rows: list[Row] = []
    seen: set[str] = set()
    strays = []
    for sample in family.samples():
        try:
            if sample.native_histogram is not None:
                continue
            suffix = suffixes.get(sample.name)
            row = _row(sample, suffix or "", scheme, strict)
            if strict and suffix is not None:
                _check_number(family, row)
        except _Invalid as error:
            report(family.name, "invalid", hint=f": {error}")
            continue
        except Exception as error:  # noqa: BLE001 - somebody else's objects
            report(family.name, "invalid", error)
            continue
        if row.prefix in seen:
            report(family.name, "duplicate")
            continue
        seen.add(row.prefix)
        if suffix is None:
            strays.append(row)
        else:
            rows.append(row)
    if family.type in {"gauge", "unknown", "info"}:
        return Rows(rows, strays)
    if family.type in _HISTOGRAMS and all(row.suffix != "_bucket" for row in rows):  # asked for by name, without their buckets
        return Rows([], [*rows, *strays]) if strict else Rows(rows, strays)
    groups: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    part = family.name if family.type == "stateset" else "quantile" if family.type == "summary" else "le"
    for row in rows:
        own = part if row.suffix in {"", "_bucket"} else None
        groups.setdefault(tuple(sorted(pair for pair in row.labels.items() if pair[0] != own)), []).append(row)
    return Rows([row for group in groups.values() for row in _checked(family, group, scheme, report, strict)], strays)


def _row(sample: Sample, suffix: str, scheme: str, strict: bool) -> Row:
    labels = {name: label_text(value) for name, value in sample.labels.items()}
    if suffix == "_bucket":
        if "le" not in labels:
            raise _Invalid(f"a bucket of {sample.name} has no bound: the label le is missing")
        bound = float(labels["le"])
        if isnan(bound):
            raise _Invalid(f"a bucket of {sample.name} has the bound NaN")
        if strict or isinf(bound):
            labels["le"] = format_number(bound)
    if sample.timestamp is not None and (isinstance(sample.timestamp, str) or not isfinite(float(str(sample.timestamp)))):
        raise _Invalid(f"{sample.name} has the timestamp {sample.timestamp!r}")
    prefix = sample_prefix(Sample(sample.name, labels, 0.0), scheme)
    prefix.encode()  # raises for what is no text
    return Row(sample.name, suffix, labels, prefix, float(sample.value), sample.timestamp, sample.exemplar)


def _check_number(family: Family, row: Row) -> None:
    """What OpenMetrics says of single samples."""
    value, suffix = row.value, row.suffix
    if family.type == "info":
        right = value == 1
    elif family.type == "stateset":
        right = value in {0, 1} and family.name in row.labels
    elif suffix in {"_bucket", *_COUNTS}:
        right = value >= 0 and value.is_integer()
    elif suffix in {"_total", "_sum"}:
        right = value >= 0
    elif family.type == "summary" and not suffix:
        quantile = float(row.labels["quantile"])
        right = 0 <= quantile <= 1 and not value < 0
    else:
        right = not (suffix == "_gsum" and isnan(value))
    if not right:
        raise _Invalid(f"OpenMetrics does not allow {row.prefix}{format_number(value)} in a {family.type}")


def _checked(family: Family, group: list[Row], scheme: str, report: Report, strict: bool) -> Iterable[Row]:
    """One series, or nothing if it cannot be written."""
    try:
        if family.type in _HISTOGRAMS:
            group = _buckets(family, group, scheme, strict)
        if strict and any(first.moment != second.moment for first, second in pairwise(group)):
            raise _Invalid(f"the samples of {group[0].prefix}have different timestamps")
    except _Invalid as error:
        report(family.name, "invalid", hint=f": {error}")
        return ()
    return group


def _buckets(family: Family, group: list[Row], scheme: str, strict: bool) -> list[Row]:
    """The rows of one histogram with its buckets in order, +Inf among them."""
    positions = [position for position, row in enumerate(group) if row.suffix == "_bucket"]
    buckets = sorted((group[position] for position in positions), key=lambda row: row.bound)
    count = next((row for row in group if row.suffix in _COUNTS), None)
    if not buckets:
        raise _Invalid(f"{family.name} has no buckets: {group[0].prefix}")
    ordered = list(group)
    for position, row in zip(positions, buckets, strict=True):
        ordered[position] = row
    if buckets[-1].bound != inf:
        if count is None:
            raise _Invalid(f"{family.name} has no bucket +Inf: {buckets[-1].prefix}")
        sample = Sample(buckets[-1].name, {**buckets[-1].labels, "le": "+Inf"}, count.value)
        buckets.append(buckets[-1]._replace(labels=sample.labels, prefix=sample_prefix(sample, scheme), value=count.value, exemplar=None))
        ordered.insert(positions[-1] + 1, buckets[-1])
    if any(first.bound == second.bound or first.value > second.value for first, second in pairwise(buckets)):
        raise _Invalid(f"the buckets of {family.name} do not ascend: {buckets[-1].prefix}")
    return _counted(family, ordered, buckets, count, scheme) if strict else ordered


def _counted(family: Family, ordered: list[Row], buckets: list[Row], count: Row | None, scheme: str) -> list[Row]:
    """OpenMetrics: count and sum both or neither, the count that of +Inf, and no sum of a histogram that has negative bounds."""
    total = next((row for row in ordered if row.suffix in _SUMS), None)
    if count is not None and count.value != buckets[-1].value:
        raise _Invalid(f"{count.prefix}{format_number(count.value)} is not the count of the bucket +Inf")
    negative = buckets[0].bound < 0
    if total is None or (total.suffix == "_sum" and negative) or (total.suffix == "_gsum" and total.value < 0 and not negative):
        return [row for row in ordered if row.suffix not in {*_COUNTS, *_SUMS}]
    if count is None:
        suffix = "_gcount" if total.suffix == "_gsum" else "_count"
        sample = Sample(family.name + suffix, total.labels, buckets[-1].value)
        missing = total._replace(name=sample.name, suffix=suffix, prefix=sample_prefix(sample, scheme), value=sample.value, exemplar=None)
        return [*ordered, missing]
    return ordered
