"""Consistent copies of instruments, and their rows as lines of text."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from math import inf, isnan
from typing import Any

from measurand import clock
from measurand.core.contract import Exemplar
from measurand.core.pure.exclusive import step
from measurand.core.pure.series import Instrument, Key

PATIENCE = 100
"""How often a copy is repeated that replace() ran into; more only where this thread itself is inside replace()."""


class Frozen:
    """A copy of one instrument's series, taken in one step.

    Made by :func:`freeze`. A row is ``(label values, cells)``, with a histogram's buckets made cumulative.
    """

    __slots__ = ("_cells", "_series")

    def __init__(self, series: list[Instrument], cells: list[tuple[float, ...]]) -> None:
        self._series = series
        self._cells = cells

    def __len__(self) -> int:
        return len(self._series)

    def rows(self) -> list[tuple[Key, tuple[float, ...]]]:
        """Each series' label values (empty without labels) and numbers."""
        return [(series._key or (), cells) for series, cells in zip(self._series, self._cells, strict=True)]

    def payloads(self) -> list[tuple[int, Any]]:
        """The rows whose series has an object attached, with the object."""
        return [(row, series._payload) for row, series in enumerate(self._series) if series._payload is not None]

    def exemplars(self) -> list[tuple[int, dict[int, Exemplar]]]:
        """The rows whose series has exemplars, with these by cell."""
        return [(row, dict(series._exemplars)) for row, series in enumerate(self._series) if series._exemplars]

    def created(self) -> list[float]:
        """Each series' time of creation, in seconds since the Unix epoch."""
        return [series._born for series in self._series]

    def put(self, row: int, value: float) -> None:
        """Set the first number of a row."""
        self._cells[row] = (float(value), *self._cells[row][1:])

    def drop(self, rows: list[int]) -> None:
        """Leave out these rows."""
        gone = set(rows)
        self._series = [series for row, series in enumerate(self._series) if row not in gone]
        self._cells = [cells for row, cells in enumerate(self._cells) if row not in gone]


def freeze(instrument: Instrument) -> Frozen:
    """Copy all series of a root, dropping those that have expired."""
    for _ in range(PATIENCE):
        root, version = instrument._root, instrument._root.version
        with step:
            frozen = _copy(instrument)
        if version % 2 == 0 and root.version == version:
            break
    return frozen


def _copy(instrument: Instrument) -> Frozen:
    spec = instrument._root.spec
    if spec.expire_after is not None:
        _expire(instrument, spec.expire_after)
    if spec.labelnames:
        entries = list(instrument._table.values())
    elif spec.expire_after is not None and clock.monotonic() - instrument._touched > spec.expire_after:
        instrument._cells[0] = 0.0
        entries = []
    else:
        entries = [(instrument, instrument._cells)]
    originals = [cells for _, cells in entries]
    copies = list(map(tuple, originals))  # one call into the interpreter: no other thread runs between two series
    if spec.kind == "histogram":
        copies = [(*accumulate(cells[:-1]), cells[-1]) for cells in copies]
    return Frozen([series for series, _ in entries], copies)


def _expire(instrument: Instrument, after: float) -> None:
    limit = clock.monotonic() - after
    table = instrument._table
    for key, (series, cells) in list(table.items()):
        if series._touched < limit:
            cells[0] = 0.0  # it starts anew if it comes back; no other thread runs between the comparison and this
            gone = table.pop(key, None)
            if gone is not None and gone[0]._touched >= limit:  # it came back before it was gone
                table.setdefault(key, gone)


def format_number(value: float) -> str:
    """A double in the shortest form that reads back equal, with the exponent where Go's ``strconv`` puts it ("1e+06", "+Inf")."""
    text = repr(value)
    if value < 1e6:
        return text if value > -inf else "-Inf"
    if isnan(value):
        return "NaN"
    if value == inf:
        return "+Inf"
    if "e" in text:
        return text
    whole, _, fraction = text.partition(".")
    mantissa = f"{whole[0]}.{whole[1:]}{fraction}".rstrip("0.")
    return f"{mantissa}e+{len(whole) - 1:02d}"


class Layout:
    """How the rows of one instrument become lines of text: fixed bytes, label values, numbers.

    A line is ``head {before mid after} number exemplar``; what stands before the number is kept with each series, so that a second
    rendering writes numbers only. The parts are given as bytes that are already escaped.

    Args:
        pieces: The label block in order, as ``(text, index)``: the text, then the escaped label value with that index and a closing quote;
            or the text alone if the index is -1. All but the first text start with a comma.
        split: After how many pieces a line's ``mid`` stands.
        lines: The lines of a row: ``(head, mid or None, number, exemplar)``, where ``number`` is the index in the row (-1: time of
            creation) and ``exemplar`` the cell whose exemplar the line shows (-1: none).
    """

    __slots__ = ("_lines", "_pieces", "_split", "_trivial")

    def __init__(self, pieces: list[tuple[bytes, int]], split: int, lines: list[tuple[bytes, bytes | None, int, int]]) -> None:
        self._pieces = [(text.decode(), index) for text, index in pieces]
        self._split = split
        self._lines = [(head.decode(), None if mid is None else mid.decode(), number, exemplar) for head, mid, number, exemplar in lines]
        self._trivial = len(lines) == 1 and lines[0][2] == 0

    def render(self, frozen: Frozen, exemplar: Callable[[Exemplar], bytes] | None = None) -> bytes:
        """The lines of all rows.

        Args:
            frozen: The rows.
            exemplar: Turns an exemplar into what follows the number; ``None`` leaves exemplars out.

        Returns:
            UTF-8 text, each line ending with a line feed.
        """
        prefixes = [self._prefixes(series) for series in frozen._series]
        if exemplar is not None and any(series._exemplars for series in frozen._series):
            return self._render_with_exemplars(frozen, prefixes, exemplar)
        number = format_number
        if self._trivial:
            out = [prefix[0] + number(cells[0]) for prefix, cells in zip(prefixes, frozen._cells, strict=True)]
        else:
            indices = [line[2] for line in self._lines]
            out = [
                prefix + number(cells[index] if index >= 0 else series._born)
                for series, cells, block in zip(frozen._series, frozen._cells, prefixes, strict=True)
                for prefix, index in zip(block, indices, strict=True)
            ]
        return ("\n".join(out) + "\n").encode() if out else b""

    def _render_with_exemplars(self, frozen: Frozen, prefixes: list[list[str]], exemplar: Callable[[Exemplar], bytes]) -> bytes:
        out = []
        for series, cells, block in zip(frozen._series, frozen._cells, prefixes, strict=True):
            known = series._exemplars or {}
            for prefix, (_, _, index, cell) in zip(block, self._lines, strict=True):
                suffix = exemplar(known[cell]).decode() if cell in known else ""
                out.append(f"{prefix}{format_number(cells[index] if index >= 0 else series._born)}{suffix}\n")
        return "".join(out).encode()

    def _prefixes(self, series: Instrument) -> list[str]:
        block = series._block
        if block is None or block[0] is not self:
            block = series._block = (self, self._build(series._key or ()))
        return block[1]

    def _build(self, key: Key) -> list[str]:
        parts = [text if index < 0 else f'{text}{_escape(key[index])}"' for text, index in self._pieces]
        before, after = "".join(parts[: self._split]), "".join(parts[self._split :])
        prefixes = []
        for head, mid, _, _ in self._lines:
            if mid is None:
                block = before + after
            elif before:
                block = f"{before},{mid}{after}"
            else:
                block = f"{mid},{after}" if after else mid
            prefixes.append(f"{head}{{{block}}} " if block else f"{head} ")
        return prefixes


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
