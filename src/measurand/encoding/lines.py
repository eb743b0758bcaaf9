"""Samples as lines, for both text formats.

A line is ``name{label="value",…} number``, with labels in the order of their names. Families of cells go through a
:class:`~measurand.core.Layout`, which keeps
each series' part before the number; it is made once per definition and variant. Ready samples are written one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

from measurand.core import Exemplar, Layout, format_number
from measurand.core.support import EXEMPLAR_LIMIT, text
from measurand.encoding.escaping import escape_name, escape_value, is_quoted
from measurand.metrics.definition import Definition
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import CellFamily, Family

__all__ = ["Report", "cell_lines", "exemplar_text", "is_cells", "sample_prefix"]

Report = Callable[[str, str], None]
"""Told a family's name and a reason when something of it had to be left out."""

Line = tuple[str, tuple[str, str] | None, int, int]

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
        if len(variants) >= 8:  # common labels that keep changing must not pile up layouts
            variants.clear()
        layout = variants[key] = _layout(family.definition, family.common, scheme, lines)
    return layout.render(family.frozen, exemplar)


def _layout(definition: Definition, common: Mapping[str, str], scheme: str, lines: list[Line]) -> Layout:
    own = next((line[1][0] for line in lines if line[1]), None)
    indexed = [(name, index, "") for index, name in enumerate(definition.labelnames)] + [
        (name, -1, value) for name, value in common.items()
    ]
    pieces = []
    split = 0
    for position, (name, index, value) in enumerate(sorted(indexed)):
        head = f'{"," if position else ""}{escape_name(name, scheme, label=True)}="'
        pieces.append((head.encode() if index >= 0 else f'{head}{escape_value(value)}"'.encode(), index))
        split += own is not None and name < own
    return Layout(
        pieces,
        split,
        [
            (
                escape_name(definition.name + suffix, scheme).encode(),
                f'{escape_name(pair[0], scheme, label=True)}="{escape_value(pair[1])}"'.encode() if pair else None,
                index,
                cell,
            )
            for suffix, pair, index, cell in lines
        ],
    )


def sample_prefix(sample: Sample, scheme: str) -> str:
    """Everything before a ready sample's number, the space included.

    Raises:
        ValueError: Two of its label names are the same when escaped, or one is empty.
    """
    pairs = [f'{escape_name(name, scheme, label=True)}="{escape_value(text(value))}"' for name, value in sorted(sample.labels.items())]
    if len({pair.partition("=")[0] for pair in pairs}) < len(pairs) or "" in sample.labels:
        raise ValueError(f"the labels of {sample.name} are not valid: {dict(sample.labels)}")
    if is_quoted(sample.name, scheme):
        return f"{{{','.join([escape_name(sample.name, scheme), *pairs])}}} "
    name = escape_name(sample.name, scheme)
    return f"{name}{{{','.join(pairs)}}} " if pairs else f"{name} "


def exemplar_text(exemplar: Exemplar, scheme: str) -> str:
    """An exemplar as OpenMetrics 1.0 writes it after the number; empty if its labels are too long."""
    if sum(len(name) + len(value) for name, value in exemplar.labels.items()) > EXEMPLAR_LIMIT:
        return ""
    labels = ",".join(f'{escape_name(name, scheme, label=True)}="{escape_value(value)}"' for name, value in sorted(exemplar.labels.items()))
    moment = "" if exemplar.timestamp is None else f" {exemplar.timestamp}"
    return f" # {{{labels}}} {format_number(float(exemplar.value))}{moment}"
