"""Where cells are.

Why a move loses nothing: it has no call and no backward jump between reading the last numbers and pointing the series at its new cells, see
``exclusive``. Wide series are copied first, and what was recorded during that is added.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, Literal

from measurand import clock
from measurand.core import support
from measurand.core.pure.exclusive import step
from measurand.core.pure.series import Instrument

MARKS = 2
WAS_SET = 1
WAS_ADDED = 2


def move(series: Instrument, memory: memoryview[float], offset: int, how: Literal["keep", "add", "leave"]) -> None:
    """Let a series have its cells in other memory, in one step; nothing that is recorded meanwhile is lost.

    Args:
        series: The series; its gauge's cell is followed by two marks there, see the contract.
        memory: A writable memoryview of doubles; it lives as long as a series has its cells in it.
        offset: Where in it, counted in cells.
        how: "keep" the series' numbers, "add" them to those that are there, or "leave" those that are there as they are.
            A gauge that was set keeps its number where it would be added; a series that is there already is left alone.

    Raises:
        LabelError: The metric has labels and this is not one of its series.
        TypeError: The memory is not a writable memoryview of doubles.
        ValueError: It ends before the last cell, or the way to move is not known.
    """
    spec = series._root.spec
    if not series._cells:
        support.missing_labels(spec)
    if how not in ("keep", "add", "leave"):
        support.no_way_to_move(how)
    width, marked = spec.width, spec.kind == "gauge"
    section: Any = support.section(memory, offset, width + (MARKS if marked else 0))
    with step:
        if not is_at(series, memory, offset):
            series._home = memory, offset
            _put(series, section, width, marked, how)


def _put(series: Instrument, section: Any, width: int, marked: bool, how: Literal["keep", "add", "leave"]) -> None:
    cells, marks = section[:width], section[width:] if marked else None
    if marks is not None:
        how = _move_marks(series, marks, how)
    key, entry = series._key, (series, cells)
    if how == "leave":
        series._marks = marks
        series._cells = cells
    elif width == 1:
        if how == "keep":
            cells[0] = 0.0
        cells[0] += series._cells[0]
        series._marks = marks
        series._cells = cells
    else:
        old = series._cells
        copied = array("d", old)
        cells[:] = array("d", map(float.__add__, cells, copied)) if how == "add" else copied
        series._cells = cells
        for index, number in enumerate(copied):
            if old[index] != number:  # else nothing was recorded, and infinity less infinity would be NaN
                cells[index] += old[index] - number
    table = series._root.instrument._table
    if key is not None and key in table and table[key][0] is series:
        table[key] = entry


def _move_marks(series: Instrument, marks: Any, how: Literal["keep", "add", "leave"]) -> Literal["keep", "add", "leave"]:
    """Move a gauge's marks; returns what is to be done with its number."""
    there, mine = int(marks[1]) & (WAS_SET | WAS_ADDED), series._ways
    if how == "leave":
        series._ways = there
        return how
    if how == "keep" or mine:  # else it was last written to when its marks say
        marks[0] = series._marks[0] if series._marks is not None else clock.monotonic() if mine else 0.0
    if how == "add":
        series._ways |= there
        how = "keep" if mine & WAS_SET else "add"
    marks[1] = series._ways
    return how


def is_at(series: Instrument, memory: memoryview[float], offset: int) -> bool:
    """Whether a series has its cells at this place."""
    home = series._home
    return home is not None and home[0] is memory and home[1] == offset


def mark(series: Instrument, way: int) -> None:
    """Note that a gauge was written to."""
    with step:
        series._ways |= way
        marks, spec = series._marks, series._root.spec
        if marks is not None:
            if spec.stamped or spec.expire_after is not None:
                marks[0] = clock.monotonic()
            marks[1] = series._ways


def watch(instrument: Instrument, watcher: Callable[[Any], None] | None) -> None:
    """Have each child told to ``watcher(series)`` once it stands in the table, new or back after it had expired; ``None`` for nobody.

    What the watcher raises leaves ``labels()``, or whatever it is that made the series; the series stays. It may have been recorded on,
    and it may be gone again.
    """
    instrument._root.watcher = watcher
