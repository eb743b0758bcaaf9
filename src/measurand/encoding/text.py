"""The Prometheus text format, version 0.0.4 (and 1.0.0, which adds quoted UTF-8 names).

Source: Prometheus, "Exposition formats", "Text-based format". Types that the format does not know are written as gauges; exemplars are
    left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from measurand.core import format_number
from measurand.encoding.escaping import UNDERSCORES, escape_help, escape_name
from measurand.encoding.lines import Report, cell_lines, is_cells, sample_prefix
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


def write(gathering: Gathering, one: Any) -> bytes:
    """Write each family with ``one(family, report)``, keeping failures to the family, and what failed last."""
    failures = gathering.failures
    parts: list[bytes] = []

    def put(families: Iterable[Family]) -> None:
        for family in families:
            try:
                parts.append(one(family, failures.add))
            except Exception as error:  # noqa: BLE001 - one collector's content must not cost the rest
                failures.add(family.name, "invalid", error)

    put(gathering.families)
    if failures.counts:
        put([failures.family()])
    return b"".join(parts)


def _header(name: str, type_: str, documentation: str, escaping: str) -> str:
    shown = escape_name(name, escaping)
    return f"# HELP {shown} {escape_help(documentation, quotes=False)}\n# TYPE {shown} {type_}\n"


def _family(family: Family, escaping: str, report: Report) -> bytes:
    suffix, type_ = _SHOWN_AS.get(family.type, ("", family.type))
    header = _header(family.name + suffix, type_, family.documentation, escaping)
    if isinstance(family, CellFamily) and is_cells(family, escaping):
        lines = family.lines()
        out = header.encode() + cell_lines(family, escaping, [line for line in lines if line[0] != "_created"])
        created = [line for line in lines if line[0] == "_created"]
        if created and len(family.frozen):
            head = _header(family.name + "_created", "gauge", family.documentation, escaping)
            out += head.encode() + cell_lines(family, escaping, created)
        return out
    return _samples(family, header, escaping, report).encode()


def _samples(family: Family, header: str, escaping: str, report: Report) -> str:
    groups: dict[str, list[str]] = {"": [header]}
    seen = set()
    apart = {family.name + suffix: suffix for suffix in _APART}
    for sample in family.samples():
        if sample.native_histogram is not None:
            continue
        prefix = sample_prefix(sample, escaping)
        if prefix in seen:
            report(family.name, "duplicate")
            continue
        seen.add(prefix)
        suffix = apart.get(sample.name, "")
        if suffix not in groups:
            groups[suffix] = [_header(family.name + suffix, "gauge", family.documentation, escaping)]
        moment = "" if sample.timestamp is None else f" {int(float(sample.timestamp) * 1000)}"
        groups[suffix].append(f"{prefix}{format_number(float(sample.value))}{moment}\n")
    return "".join(line for suffix in sorted(groups) for line in groups[suffix])
