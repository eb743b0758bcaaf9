"""Samples as lines, for both text formats.

A line is ``name{label="value",…} number``, with labels in the order of their names. Families of cells go through a
:class:`~measurand.core.Layout`, which keeps
each series' part before the number; it is made once per definition and variant. Ready samples are written one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any
from weakref import WeakKeyDictionary

from measurand.core import Exemplar, Layout, format_number
from measurand.core.support import EXEMPLAR_LIMIT, text
from measurand.encoding.escaping import escape_name, escape_value, is_quoted
from measurand.metrics.definition import Definition
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import CellFamily, Family

__all__ = ["Line", "Report", "cell_lines", "exemplar_text", "is_cells", "label_text", "sample_prefix"]

Report = Callable[..., Any]
"""Told a family's name, a reason, and the error if there is one, when something of it had to be left out."""

Line = tuple[str, tuple[str, str] | None, int, int]
"""See ``CellFamily.lines()``."""

_layouts: WeakKeyDictionary[Definition, dict[tuple[object, ...], Layout]] = WeakKeyDictionary()


def is_cells(family: Family, scheme: str) -> bool:
    """Whether a family can be written from its cells."""
    return isinstance(family, CellFamily) and not is_quoted(family.name, scheme)


def cell_lines(family: CellFamily, scheme: str, lines: list[Line], exemplar: Callable[[Exemplar], bytes] | None = None) -> bytes:
    """The samples of all rows.

    Args:
        family: The cells.
        scheme: How names are escaped.
        lines: Which of ``family.lines()`` to write.
        exemplar: Turns an exemplar into what follows the number; ``None`` leaves exemplars out.
    """
    variants = _layouts.setdefault(family.definition, {})
    key = (scheme, tuple(family.common.items()), tuple(line[0] for line in lines))
    layout = variants.get(key)
    if layout is None:
        if len(variants) >= 16:  # common labels that keep changing must not pile up layouts
            variants.clear()
        content = _content(family.definition, family.common, scheme, lines)
        layout = variants[key] = variants.setdefault(content, Layout(*map(_listed, content)))  # schemes that change nothing share one
    if exemplar is not None and family.definition.native is not None:
        return _with_exemplars(family, lines, layout.render(family.frozen), exemplar)
    return layout.render(family.frozen, exemplar)


def _with_exemplars(family: CellFamily, lines: list[Line], rendered: bytes, exemplar: Callable[[Exemplar], bytes]) -> bytes:
    """The lines of a native histogram with exemplars, which are those of several cells each."""
    known = family.frozen.exemplars()
    if not known:
        return rendered
    written = rendered.split(b"\n")
    for row, exemplars in known:
        shown = family.shown(exemplars)
        for position, line in enumerate(lines):
            if line[3] in shown:
                written[row * len(lines) + position] += exemplar(shown[line[3]])
    return b"\n".join(written)


def _listed(part: Any) -> Any:
    return list(part) if isinstance(part, tuple) else part


def _content(definition: Definition, common: Mapping[str, str], scheme: str, lines: list[Line]) -> tuple[object, ...]:
    """What a layout is made of."""
    own = next((line[1][0] for line in lines if line[1]), None)
    indexed = [(name, index, "") for index, name in enumerate(definition.labelnames)] + [
        (name, -1, value) for name, value in common.items() if name != own
    ]
    pieces = []
    split = 0
    for position, (name, index, value) in enumerate(sorted(indexed)):
        head = f'{"," if position else ""}{escape_name(name, scheme, label=True)}="'
        pieces.append((head.encode() if index >= 0 else f'{head}{escape_value(value)}"'.encode(), index))
        split += own is not None and name < own
    written = [
        (
            escape_name(definition.name + suffix, scheme).encode(),
            f'{escape_name(pair[0], scheme, label=True)}="{escape_value(pair[1])}"'.encode() if pair else None,
            index,
            cell,
        )
        for suffix, pair, index, cell in lines
    ]
    return tuple(pieces), split, tuple(written)


def sample_prefix(sample: Sample, scheme: str) -> str:
    """Everything before a ready sample's number, the space included.

    Raises:
        ValueError: It has no name, or one of its label names is empty, reserved, or the same as another one when escaped.
    """
    labels = sample.labels
    pairs = [(escape_name(name, scheme, label=True), name, label_text(value)) for name, value in sorted(labels.items())]
    reserved = any(not name or name.startswith("__") for _, name, _ in pairs)
    if reserved or not sample.name or len({shown for shown, _, _ in pairs}) < len(pairs):
        raise ValueError(f"the name {sample.name!r} or its labels {dict(labels)} are not valid")
    block = ",".join([f'{shown}="{escape_value(value)}"' for shown, _, value in pairs])
    name = escape_name(sample.name, scheme)
    if is_quoted(sample.name, scheme):
        return f"{{{name},{block}}} " if block else f"{{{name}}} "
    return f"{name}{{{block}}} " if block else f"{name} "


def label_text(value: object) -> str:
    """A ready sample's label value as text; of a string that is more than a string, such as an enumeration's member, the string."""
    return text(str.__str__(value) if isinstance(value, str) else value)


def exemplar_text(exemplar: Exemplar, scheme: str) -> str:
    """An exemplar as OpenMetrics 1.0 writes it after the number; empty if it cannot be written, for example because it is too long."""
    try:
        if sum(len(name) + len(value) for name, value in exemplar.labels.items()) > EXEMPLAR_LIMIT:
            return ""
        if exemplar.timestamp is not None and not isfinite(float(str(exemplar.timestamp))):
            return ""
        labels = sample_prefix(Sample("x", exemplar.labels, 0.0), scheme)[1:-1] or "{}"
        moment = "" if exemplar.timestamp is None else f" {exemplar.timestamp}"
        return f" # {labels} {format_number(float(exemplar.value))}{moment}"
    except (AttributeError, TypeError, ValueError):  # not one that an instrument made
        return ""
