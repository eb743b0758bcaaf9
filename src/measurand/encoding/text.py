"""The Prometheus text format, version 0.0.4 (and 1.0.0, which adds quoted UTF-8 names).

Source: Prometheus, "Exposition formats", "Text-based format". Types that the format does not know are written as gauges; exemplars are
    left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from measurand.core import format_number
from measurand.core.support import text as encodable
from measurand.encoding.checking import Row, arranged, check_family
from measurand.encoding.escaping import UNDERSCORES, escape_help, escape_name
from measurand.encoding.lines import Report, cell_lines, is_cells
from measurand.metrics.collecting import Gathering, gather
from measurand.metrics.domains import REGISTRY
from measurand.metrics.snapshot import CellFamily, Family

__all__ = ["CONTENT_TYPE_PLAIN_0_0_4", "CONTENT_TYPE_PLAIN_1_0_0", "encode", "generate_latest"]

CONTENT_TYPE_PLAIN_0_0_4 = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE_PLAIN_1_0_0 = "text/plain; version=1.0.0; charset=utf-8"

_SHOWN_AS = {
    "counter": ("_total", "counter"),
    "info": ("_info", "gauge"),
    "stateset": ("", "gauge"),
    "gaugehistogram": ("", "histogram"),
    "unknown": ("", "untyped"),
}
_APART = ("_created", "_gsum", "_gcount")  # series that the format knows only as gauges of their own


def generate_latest(registry: Any = REGISTRY, escaping: str = UNDERSCORES) -> bytes:
    """The metrics of a registry in the text format.

    A collector or callback that raises or does not return in time is left out, logged and counted; the rest is complete.

    Args:
        registry: A registry, a domain, a restricted registry, or anything with ``collect()``.
        escaping: What becomes of names outside the classic set: ``underscores``, ``dots``, ``values`` or ``allow-utf-8``.

    Returns:
        UTF-8 text.

    Raises:
        ValueError: The escaping scheme is not known.
    """
    escape_name("", escaping)
    return encode(gather(registry), escaping)


def encode(gathering: Gathering, escaping: str = UNDERSCORES) -> bytes:
    """A gathered snapshot in the text format; a family that cannot be written is left out and reported."""
    return write(gathering, lambda family, report: _family(family, escaping, report))


def write(gathering: Gathering, one: Any, end: bytes = b"") -> bytes:
    """Write each family with ``one(family, report)``, keeping failures to the family, and what failed last; then ``end``.

    ``one`` returns the family's text in parts. All parts are joined once: joining them one by one would copy a large family again and
    again, while other threads wait.
    """
    failures = gathering.failures
    parts: list[bytes] = []

    def put(families: Iterable[Family]) -> None:
        for family in families:
            try:
                parts.extend(one(family, failures.add))
            except Exception as error:  # noqa: BLE001 - one collector's content must not cost the rest
                failures.add(family.name, "invalid", error)

    put(gathering.families)
    put(gathering.report())
    return b"".join([*parts, end])


def _header(name: str, type_: str, documentation: str, escaping: str) -> str:
    shown = escape_name(name, escaping)
    return f"# HELP {shown} {escape_help(encodable(documentation), quotes=False)}\n# TYPE {shown} {type_}\n"


def _family(family: Family, escaping: str, report: Report) -> list[bytes]:
    check_family(family)
    suffix, type_ = _SHOWN_AS.get(family.type, ("", family.type))
    header = _header(family.name + suffix, type_, family.documentation, escaping)
    if isinstance(family, CellFamily) and is_cells(family, escaping):
        lines = family.lines()
        out = [header.encode(), cell_lines(family, escaping, [line for line in lines if line[0] != "_created"])]
        created = [line for line in lines if line[0] == "_created"]
        if created and len(family.frozen):
            head = _header(family.name + "_created", "gauge", family.documentation, escaping)
            out += [head.encode(), cell_lines(family, escaping, created)]
        return out
    rows = arranged(family, escaping, report, strict=False)
    groups: dict[str, list[str]] = {"": [header]}
    apart = {family.name + suffix: suffix for suffix in _APART}
    for row in rows.own:
        _add(groups, apart.get(row.name, ""), _line(row), family, escaping)
    strays: dict[str, list[str]] = {}
    for row in rows.strays:
        if row.name in apart:
            _add(groups, apart[row.name], _line(row), family, escaping)
        else:
            strays.setdefault(row.name, []).append(_line(row))
    return ["".join(line for lines in (*(groups[suffix] for suffix in sorted(groups)), *strays.values()) for line in lines).encode()]


def _add(groups: dict[str, list[str]], suffix: str, line: str, family: Family, escaping: str) -> None:
    if suffix not in groups:
        groups[suffix] = [_header(family.name + suffix, "gauge", family.documentation, escaping)]
    groups[suffix].append(line)


def _line(row: Row) -> str:
    moment = "" if row.moment is None else f" {int(float(row.moment) * 1000)}"
    return f"{row.prefix}{format_number(row.value)}{moment}\n"
