"""A snapshot as a table for people to read.

One line for each series, in the order of exposition: name, labels, value. Histograms show count, mean and three quantiles, summaries count
and mean. Columns are as wide as their content; numbers are rounded to four digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from math import inf, isfinite

from measurand.metrics.points import PointFamily, Series
from measurand.metrics.quantile import quantile

__all__ = ["encode"]

QUANTILES = (0.5, 0.95, 0.99)

WIDEST = 60
"""Characters of the columns of names and labels; what is longer is cut in the middle."""


def encode(families: Iterable[PointFamily]) -> str:
    """The series of a snapshot, a line each, ending with a line break; empty for an empty snapshot."""
    rows = [(_cut(family.exposed_name), _cut(_labels(series)), _value(family, series)) for family in families for series in family.series]
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = []
    before = ""
    for name, labels, value in rows:
        shown = name if name != before else ""
        lines.append(f"{shown:<{widths[0]}}  {labels:<{widths[1]}}  {value}".rstrip())
        before = name
    return "\n".join(lines) + "\n"


def _value(family: PointFamily, series: Series) -> str:
    if family.type in {"counter", "gauge"}:
        return _number(series.numbers[0])
    count, total = sum(series.numbers[:-1]), series.numbers[-1]
    if not count:
        return "no observations"
    parts = [f"n={_number(count)}"]
    if isfinite(total):
        parts.append(f"mean={_number(total / count)}")
    if family.type == "histogram":
        classic = family.classic(series)
        cumulative = list(accumulate(classic[:-1]))
        parts += [f"p{q * 100:g}={_number(quantile(q, (*family.bounds, inf), cumulative))}" for q in QUANTILES]
    return " ".join(parts)


def _number(value: float) -> str:
    if isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value)}"
    return f"{value:.4g}"


def _labels(series: Series) -> str:
    return " ".join([f"{name}={value if value and ' ' not in value else repr(value)}" for name, value in series.labels])


def _cut(text: str) -> str:
    printable = "".join(sign if sign.isprintable() else "·" for sign in text)
    return printable if len(printable) <= WIDEST else f"{printable[: WIDEST // 2 - 1]}…{printable[-WIDEST // 2 :]}"
