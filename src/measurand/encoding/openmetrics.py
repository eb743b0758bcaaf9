"""The OpenMetrics text format, version 1.0.

Source: OpenMetrics 1.0 (github.com/prometheus/OpenMetrics, "OpenMetrics, a cloud-native, highly scalable metrics protocol").
"""

from __future__ import annotations

from typing import Any

from measurand.core import format_number
from measurand.encoding import text
from measurand.encoding.escaping import UNDERSCORES, escape_help, escape_name
from measurand.encoding.lines import Report, cell_lines, exemplar_text, is_cells, sample_prefix
from measurand.metrics.collecting import Gathering, gather
from measurand.metrics.domains import REGISTRY
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import CellFamily, Family

__all__ = ["CONTENT_TYPE", "encode", "generate_latest"]

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def generate_latest(registry: Any = REGISTRY, escaping: str = UNDERSCORES, version: str = "1.0.0") -> bytes:
    """The metrics of a registry in OpenMetrics; see :func:`measurand.encoding.text.generate_latest`.

    Args:
        registry: A registry, a domain, a restricted registry, or anything with ``collect()``.
        escaping: What becomes of names outside the classic set.
        version: The version that was asked for; 1.0 is what is written.
    """
    escape_name("", escaping)
    return encode(gather(registry), escaping)


def encode(gathering: Gathering, escaping: str = UNDERSCORES) -> bytes:
    """A gathered snapshot in OpenMetrics; a family that cannot be written is left out and reported."""
    return text.write(gathering, lambda family, report: _family(family, escaping, report)) + b"# EOF\n"


def _family(family: Family, escaping: str, report: Report) -> bytes:
    name = escape_name(family.name, escaping)
    header = f"# HELP {name} {escape_help(family.documentation, quotes=True)}\n# TYPE {name} {family.type}\n"
    if family.unit and family.name.endswith("_" + family.unit):
        header += f"# UNIT {name} {family.unit}\n"
    if isinstance(family, CellFamily) and is_cells(family, escaping):
        return header.encode() + cell_lines(family, escaping, family.lines(), lambda exemplar: exemplar_text(exemplar, escaping).encode())
    lines = [header]
    seen = set()
    for sample in family.samples():
        if sample.native_histogram is not None:
            continue
        prefix = sample_prefix(sample, escaping)
        if prefix in seen:
            report(family.name, "duplicate")
            continue
        seen.add(prefix)
        moment = "" if sample.timestamp is None else f" {sample.timestamp}"
        lines.append(f"{prefix}{format_number(float(sample.value))}{moment}{_exemplar(family, sample, escaping)}\n")
    return "".join(lines).encode()


def _exemplar(family: Family, sample: Sample, escaping: str) -> str:
    """The sample's exemplar, where the format allows one: on a counter's total and on buckets."""
    allowed = (family.type == "counter" and sample.name.endswith("_total")) or (
        family.type in {"histogram", "gaugehistogram"} and sample.name.endswith("_bucket")
    )
    return exemplar_text(sample.exemplar, escaping) if sample.exemplar and allowed else ""
