"""The OpenMetrics text format, version 1.0.

Source: OpenMetrics 1.0 (github.com/prometheus/OpenMetrics, "OpenMetrics, a cloud-native, highly scalable metrics protocol").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from measurand.core import format_number
from measurand.core.support import text as encodable
from measurand.encoding import text
from measurand.encoding.checking import Row, arranged, check_family
from measurand.encoding.escaping import DOTS, UNDERSCORES, VALUES, escape_help, escape_name
from measurand.encoding.lines import Line, Report, cell_lines, exemplar_text, is_cells
from measurand.metrics.collecting import Gathering, gather
from measurand.metrics.domains import REGISTRY
from measurand.metrics.names import SUFFIXES, is_classic_metric
from measurand.metrics.snapshot import CellFamily, Family

__all__ = ["CONTENT_TYPE", "encode", "generate_latest"]

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_UNFIT = (b"} -", b"} NaN", b"_total -", b"_total NaN", b"_sum -", b"_sum NaN")
"""Where one of these stands among the lines of cells that must not be negative, one of them may be."""


def generate_latest(registry: Any = REGISTRY, escaping: str = UNDERSCORES, version: str = "1.0.0") -> bytes:
    """The metrics of a registry in OpenMetrics; see :func:`measurand.encoding.text.generate_latest`.

    What the format does not allow is left out and counted: the sum of a summary or histogram that observed so many negative values that
    it is negative itself, for example.

    Args:
        registry: A registry, a domain, a restricted registry, or anything with ``collect()``.
        escaping: What becomes of names outside the classic set.
        version: The version that was asked for; 1.0 is what is written.
    """
    escape_name("", escaping)
    return encode(gather(registry), escaping)


def encode(gathering: Gathering, escaping: str = UNDERSCORES) -> bytes:
    """A gathered snapshot in OpenMetrics; a family that cannot be written is left out and reported."""
    claimed: set[str] = set()

    def one(family: Family, report: Report) -> list[bytes]:
        check_family(family)
        names = {escape_name(family.name + suffix, escaping) for suffix in ("", *SUFFIXES.get(family.type, ()))}
        if not claimed.isdisjoint(names):
            report(family.name, "duplicate")
            return []
        if isinstance(family, CellFamily) and is_cells(family, escaping):
            lines = cell_lines(family, escaping, _allowed(family), lambda exemplar: exemplar_text(exemplar, escaping).encode())
            if family.type == "gauge" or not any(mark in lines for mark in _UNFIT):
                claimed.update(names)
                return [_header(family, escaping).encode(), lines]
        rows = arranged(family, escaping, report, strict=True)
        if rows.own or not rows.strays:
            claimed.update(names)
            written = [_header(family, escaping), *(_line(family, row, escaping) for row in rows.own)]
        else:
            written = []
        return ["".join([*written, *_strays(family, rows.strays, escaping, report, claimed)]).encode()]

    return text.write(gathering, one, b"# EOF\n")


def _allowed(family: CellFamily) -> list[Line]:
    """The lines of a row; a histogram that has no sum, because it has negative bounds, has no count either."""
    lines = family.lines()
    without_sum = family.type == "histogram" and all(line[0] != "_sum" for line in lines)
    return [line for line in lines if line[0] != "_count"] if without_sum else lines


def _strays(family: Family, rows: list[Row], escaping: str, report: Report, claimed: set[str]) -> Iterator[str]:
    """Samples that are none of their family's, each name as a family of its own of unknown type."""
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(escape_name(row.name, escaping), []).append(row)
    for name, others in by_name.items():
        if name in claimed:
            report(family.name, "duplicate")
            continue
        claimed.add(name)
        yield f"# TYPE {name} unknown\n"
        for row in others:
            yield _line(family, row, escaping)


def _header(family: Family, escaping: str) -> str:
    name = escape_name(family.name, escaping)
    if escaping in {DOTS, VALUES} and family.type in SUFFIXES:
        name = escape_name(f"{family.name}_", escaping)[:-1]  # what the samples' names have in common: these schemes double underscores
    type_ = family.type
    if type_ == "stateset" and escape_name(family.name, escaping, label=True).strip('"') != name.strip('"'):
        type_ = "gauge"  # a colon: the label of the states cannot have the family's name, which makes it no state set
    lines = f"# HELP {name} {escape_help(encodable(family.documentation), quotes=True)}\n# TYPE {name} {type_}\n"
    unit = family.unit
    fits = unit and family.type not in {"info", "stateset"} and is_classic_metric(f"_{unit}") and name.rstrip('"').endswith(f"_{unit}")
    return f"{lines}# UNIT {name} {unit}\n" if fits else lines


def _line(family: Family, row: Row, escaping: str) -> str:
    """A row; its exemplar only where the format allows one: on a counter's total and on buckets."""
    moment = "" if row.moment is None else f" {row.moment}"
    allowed = row.suffix == "_bucket" or (family.type == "counter" and row.suffix == "_total")
    exemplar = exemplar_text(row.exemplar, escaping) if row.exemplar and allowed else ""
    return f"{row.prefix}{format_number(row.value)}{moment}{exemplar}\n"
