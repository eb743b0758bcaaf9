"""The four recording instruments.

Why plain ``cells[0] += amount`` is exact between threads, and what is done where it is not: see ``exclusive``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from itertools import repeat
from math import isnan
from operator import setitem
from typing import Any

from measurand import clock
from measurand.core import support
from measurand.core.pure.exclusive import lock, step
from measurand.core.pure.place import WAS_ADDED, WAS_SET, mark
from measurand.core.pure.series import Cells, Instrument, Key, attach, new_series, require_labelled_root
from measurand.core.pure.timer import Timer

_NUMBERS = frozenset({int, float, bool})


class CounterBase(Instrument):
    """A value that only goes up."""

    __slots__ = ()

    def inc(self, amount: float = 1, exemplar: Mapping[str, str] | None = None) -> None:
        """Add ``amount`` (0 or more; default 1).

        Args:
            amount: What to add.
            exemplar: Labels that identify this event, for example a trace id; shown in OpenMetrics.

        Raises:
            RecordingError: ``amount`` is negative or NaN, or the exemplar is not valid; an invalid exemplar's amount is still added.
            LabelError: The metric has labels and this is not one of its series.
        """
        if type(amount) not in _NUMBERS:
            amount = support.real(amount)
        if not amount >= 0:
            if self._cells:
                support.refuse_increment(self._root.spec, amount)
            support.missing_labels(self._root.spec)
        try:
            if lock is None:
                self._cells[0] += amount
            else:
                with lock:
                    self._cells[0] += amount
        except IndexError:
            support.missing_labels(self._root.spec)
        if exemplar:
            self._exemplars = {0: support.exemplar(exemplar, float(amount), self)}

    def reset(self) -> None:
        """Set the counter to zero, when what it counts has started anew although the process has not.

        Raises:
            LabelError: The metric has labels and this is not one of its series.
        """
        if not self._cells:
            support.missing_labels(self._root.spec)
        with step:
            self._cells[0] = 0.0
        self._born = clock.wall()


class GaugeBase(Instrument):
    """A value that goes up and down."""

    __slots__ = ()

    def inc(self, amount: float = 1) -> None:
        """Add ``amount`` (default 1).

        Raises:
            LabelError: The metric has labels and this is not one of its series.
            RuntimeError: The gauge's processes combine by the most recent value, where adding means nothing.
        """
        self._add("inc", amount, 1)

    def dec(self, amount: float = 1) -> None:
        """Subtract ``amount`` (default 1).

        Raises:
            LabelError: The metric has labels and this is not one of its series.
            RuntimeError: The gauge's processes combine by the most recent value, where subtracting means nothing.
        """
        self._add("dec", amount, -1)

    def _add(self, method: str, amount: float, sign: int) -> None:
        spec = self._root.spec
        if not spec.additive:
            support.not_additive(spec, method)
        if type(amount) not in _NUMBERS:
            amount = support.real(amount)
        amount *= sign
        series = self
        if spec.expire_after is not None:
            if self._cells:
                amount = float(amount)  # first, as an int may be too large
            series = _touch(self)
        try:
            if lock is None:
                series._cells[0] += amount
            else:
                with lock:
                    series._cells[0] += amount
        except IndexError:
            support.missing_labels(spec)
        if not series._ways & WAS_ADDED or (series._marks is not None and spec.expire_after is not None):
            mark(series, WAS_ADDED)

    def set(self, value: float) -> None:
        """Set the gauge to ``value``; anything that ``float()`` takes is accepted.

        Raises:
            LabelError: The metric has labels and this is not one of its series.
        """
        if not self._cells:
            support.missing_labels(self._root.spec)
        value = float(value)
        series = self if self._root.spec.expire_after is None else _touch(self)
        if lock is None:
            series._cells[0] = value
        else:
            with lock:
                series._cells[0] = value
        if series._marks is not None or not series._ways & WAS_SET:
            mark(series, WAS_SET)

    def set_to_current_time(self) -> None:
        """Set the gauge to the current time, in seconds since the Unix epoch."""
        self.set(clock.wall())

    def replace(self, values: Mapping[Any, float]) -> None:
        """Make ``values`` the gauge's only series, in one step: a scrape sees the old ones or the new ones, never a part.

        Args:
            values: Label values to numbers. A key is a tuple of label values in the order of the label names, or the bare value
                when the metric has one label.

        Raises:
            LabelError: The metric has no labels, or a key does not fit its label names; nothing has changed then.
        """
        require_labelled_root(self)
        new = support.replacement(self._root.spec, values)
        touched = clock.monotonic()
        old = self._table
        table: dict[Key, tuple[Instrument, Cells]] = {}
        fresh: list[Instrument] = []
        for key, value in new.items():
            if key in old:
                series: Instrument = old[key][0]
            else:
                series = new_series(self, key)
                fresh.append(series)
            series._touched = touched
            table[key] = (series, [value])
        entries = list(table.values())
        if any(series._marks is not None for series, _ in entries):
            _replace_moved(self, new, [series for series, _ in entries])
        else:
            with step:
                self._table = table  # what freeze() reads: the one step
                for series, cells in entries:
                    if self._table is table:  # else it was replaced again; no other thread runs between this and the next line
                        series._cells = cells
                        series._payload = None
                        series._ways |= WAS_SET
        watcher = self._root.watcher
        if watcher is not None:
            for series in fresh:
                watcher(series)

    def set_function(self, f: Callable[[], float]) -> None:
        """Take the value from ``f`` at every scrape; what the other methods set is not shown from then on.

        ``f`` may be called from any thread. When it raises or hangs, this series is left out of that scrape.

        Raises:
            LabelError: The metric has labels and this is not one of its series.
        """
        if not self._cells:
            support.missing_labels(self._root.spec)
        self._payload = f

    def time(self) -> Timer:
        """Time a block or a function; sets the gauge to the duration in seconds."""
        return Timer(self, "set")


def _replace_moved(gauge: GaugeBase, new: Mapping[Key, float], entries: list[Instrument]) -> None:
    """The same where the cells stay where they are; freeze() repeats a copy that this has run into."""
    root = gauge._root
    cells = [series._cells for series in entries]
    table = {key: (series, series._cells) for key, series in zip(new, entries, strict=True)}
    exchange = map(setitem, cells, repeat(0), list(new.values()))
    with step:
        root.version += 1
        gauge._table = table
        deque(exchange, maxlen=0)  # one call, and none since the table: no other thread and no signal handler runs between two series
        root.version += 1
    for series in entries:
        series._payload = None
        mark(series, WAS_SET)


def _touch(gauge: GaugeBase) -> GaugeBase:
    """The series that now stands for an expiring gauge's labels; back in the table if it had expired."""
    root = gauge._root
    gauge._touched = touched = clock.monotonic()  # before the look-up, see lines._expire()
    if gauge._key is not None and root.instrument._root is root:
        gauge = attach(gauge)
        gauge._touched = touched
    return gauge


class SummaryBase(Instrument):
    """The number and the sum of observations."""

    __slots__ = ()

    def observe(self, amount: float) -> None:
        """Record one observation. NaN is left out, and said once.

        Raises:
            LabelError: The metric has labels and this is not one of its series.
        """
        amount = float(amount) if type(amount) in _NUMBERS else support.real(amount)
        cells = self._cells
        if not cells:
            support.missing_labels(self._root.spec)
        if isnan(amount):
            support.ignore_nan(self._root.spec)
            return
        if lock is None:
            cells = self._cells  # again: a call lies between, during which they may have been moved
            cells[0] += 1.0
            cells[1] += amount
        else:
            with lock:
                cells = self._cells
                cells[0] += 1.0
                cells[1] += amount

    def time(self) -> Timer:
        """Time a block or a function; observes the duration in seconds."""
        return Timer(self, "observe")


class HistogramBase(Instrument):
    """Observations counted in buckets, and their sum."""

    __slots__ = ()

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Record one observation. NaN is left out, and said once.

        Args:
            amount: The observed value.
            exemplar: Labels that identify this event, for example a trace id; shown in OpenMetrics, on the bucket.

        Raises:
            LabelError: The metric has labels and this is not one of its series.
            RecordingError: The exemplar is not valid; the observation is still counted.
        """
        amount = float(amount) if type(amount) in _NUMBERS else support.real(amount)
        cells = self._cells
        if not cells:
            support.missing_labels(self._root.spec)
        if isnan(amount):
            support.ignore_nan(self._root.spec)
            return
        bucket = bisect_left(self._root.spec.bounds, amount)
        try:
            if lock is None:
                cells = self._cells  # again: a call lies between, during which they may have been moved
                cells[bucket] += 1.0
                cells[-1] += amount
            else:
                with lock:
                    cells = self._cells
                    cells[bucket] += 1.0
                    cells[-1] += amount
        except IndexError:  # it is being defined anew by another thread, with fewer buckets
            return
        if exemplar:
            checked = support.exemplar(exemplar, amount, self)
            if self._exemplars is None:
                self._exemplars = {}
            self._exemplars[bucket] = checked

    def time(self) -> Timer:
        """Time a block or a function; observes the duration in seconds."""
        return Timer(self, "observe")
