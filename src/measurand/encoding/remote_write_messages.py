"""The messages of Prometheus' remote write: ``prometheus.WriteRequest`` and ``io.prometheus.write.v2.Request``.

Source: github.com/prometheus/prometheus, ``prompb/types.proto``, ``prompb/remote.proto`` and ``prompb/io/prometheus/write/v2/types.proto``;
of 2.0 both places for the time since which a series counts, ``TimeSeries.created_timestamp`` (up to rc.3) and ``Sample.start_timestamp``
(since rc.4). What goes into them is decided in :mod:`measurand.encoding.remote_write`. The bytes are those of the official encoders.

From one snapshot to the next only numbers and one time change, mostly. So a :class:`Plan` keeps everything else of a request, as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from struct import Struct
from typing import Literal, NamedTuple, Protocol, Self

from measurand.core.support import text
from measurand.encoding.wire import double, message, packed_doubles, packed_sint, sint, string, uint, varint
from measurand.metrics.native import NativeBuckets

__all__ = ["STALE", "Entry", "ExemplarPoint", "Form", "Form1", "Form2", "Meta", "Plan", "Version", "native", "native_stale", "sample"]

Version = Literal["1.0", "2.0"]
Exemplars = Mapping[int, Sequence["ExemplarPoint"]]

_DOUBLE = Struct("<d").pack
_ZERO = _DOUBLE(0.0)
_NAN = bytes.fromhex("010000000000f87f")
STALE = bytes.fromhex("020000000000f07f")
"""The number that says that a series is no more, in eight bytes. No other NaN may look like it, so all others are written as one."""

_SMALL_GAP = 2
"""Empty buckets that are cheaper to write than a new span."""


class Meta(NamedTuple):
    """A family.

    Attributes:
        name: Its name as the text format has it, a counter's with ``_total``.
        type: The number of its type, ``MetricType``.
        help: What it means.
        unit: Its unit, or an empty string.
        is_native: Whether its series are native histograms.
    """

    name: str
    type: int
    help: str
    unit: str
    is_native: bool = False


class Entry:
    """One series of the receiver's, kept from snapshot to snapshot.

    Attributes:
        labels: Names and values in turn, sorted by name, the metric's name among them as ``__name__``.
        meta: Its family.
        created: Since when it counts, in milliseconds since the Unix epoch; 0 if that is not known.
        seen: In which snapshot it was last.
        is_timed: Whether its timestamps are its collector's.
        exemplar: The time of the last exemplar that was sent, in milliseconds since the Unix epoch; 0 if none was.
    """

    __slots__ = ("created", "exemplar", "is_timed", "labels", "meta", "seen")

    def __init__(self, labels: tuple[str, ...], meta: Meta, created: int) -> None:
        self.labels = labels
        self.meta = meta
        self.created = created
        self.seen = 0
        self.is_timed = False
        self.exemplar = 0


class ExemplarPoint(NamedTuple):
    """An event that stands for a number.

    Attributes:
        labels: Names and values in turn, sorted by name.
        value: The value that was recorded.
        moment: When, in milliseconds since the Unix epoch.
    """

    labels: tuple[str, ...]
    value: float
    moment: int


class Form(Protocol):
    """How a version writes a request."""

    key: bytes
    """What stands before a series."""

    def before(self, entry: Entry) -> bytes:
        """What a series has before its numbers."""

    def start(self, entry: Entry) -> bytes:
        """What a number has after its time."""

    def after(self, entry: Entry) -> bytes:
        """What a series has after its numbers."""

    def numbers(self, sample: bytes, histogram: bytes, exemplars: Sequence[ExemplarPoint]) -> bytes:
        """The numbers of a series, a sample or a native histogram, with exemplars."""

    def finish(self, series: Sequence[bytes]) -> bytes:
        """The request, when all that is in it has been asked for."""

    def copy(self) -> Self:
        """Another that knows what this one does."""


class Form1:
    """A ``prometheus.WriteRequest``; it does not say since when a series counts."""

    key = b"\x0a"

    def __init__(self, metas: Mapping[Meta, None] | None = None) -> None:
        self._metas = dict(metas or {})
        self._labels = _Labels()

    def before(self, entry: Entry) -> bytes:
        """The labels."""
        self._metas[entry.meta] = None
        return b"".join(map(self._labels.__getitem__, zip(entry.labels[::2], entry.labels[1::2], strict=True)))

    def start(self, entry: Entry) -> bytes:
        """Nothing."""
        return b""

    def after(self, entry: Entry) -> bytes:
        """Nothing."""
        return b""

    def numbers(self, sample: bytes, histogram: bytes, exemplars: Sequence[ExemplarPoint]) -> bytes:
        """See :class:`Form`."""
        numbers = message(2, sample) if sample else b""
        return b"".join([numbers, *map(exemplar_1, exemplars), message(4, histogram) if histogram else b""])

    def finish(self, series: Sequence[bytes]) -> bytes:
        """The series, then what is known of their families."""
        self._labels.clear()  # they are in the series, and a plan keeps its form
        return b"".join([*series, *map(metadata_1, self._metas)])

    def copy(self) -> Self:
        """See :class:`Form`."""
        return type(self)(self._metas)


class Form2:
    """An ``io.prometheus.write.v2.Request``: each text stands once, before the series, which say its place."""

    key = b"\x2a"

    def __init__(self, symbols: Mapping[str, bytes] | None = None, metas: Mapping[Meta, bytes] | None = None) -> None:
        self._symbols = _Symbols(symbols or {"": b"\x00"})
        self._metas = dict(metas or {})

    def before(self, entry: Entry) -> bytes:
        """The places of the labels."""
        return string(1, b"".join(map(self._symbols.__getitem__, entry.labels)))

    def start(self, entry: Entry) -> bytes:
        """Since when it counts."""
        return uint(3, entry.created)

    def after(self, entry: Entry) -> bytes:
        """What is known of its family; since when it counts."""
        meta = self._metas.get(entry.meta)
        if meta is None:
            _, type_, help_, unit, _ = entry.meta
            texts = [b"\x18" + self._symbols[help_] if help_ else b"", b"\x20" + self._symbols[unit] if unit else b""]
            meta = self._metas[entry.meta] = message(5, b"".join([uint(1, type_), *texts]))
        return meta + uint(6, entry.created)

    def numbers(self, sample: bytes, histogram: bytes, exemplars: Sequence[ExemplarPoint]) -> bytes:
        """See :class:`Form`."""
        numbers = message(2, sample) if sample else message(3, histogram)
        return numbers + b"".join(map(self._exemplar, exemplars)) if exemplars else numbers

    def _exemplar(self, exemplar: ExemplarPoint) -> bytes:
        refs = b"".join(map(self._symbols.__getitem__, exemplar.labels))
        return message(4, string(1, refs) + _number(2, exemplar.value) + uint(3, exemplar.moment))

    def finish(self, series: Sequence[bytes]) -> bytes:
        """The texts, then the series."""
        return b"".join([*(message(4, _utf8(symbol)) for symbol in self._symbols), *series])

    def copy(self) -> Self:
        """See :class:`Form`."""
        return type(self)(self._symbols, self._metas)


class _Labels(dict[tuple[str, str], bytes]):
    """Labels as version 1.0 has them: most stand in many series."""

    def __missing__(self, label: tuple[str, str]) -> bytes:
        encoded = self[label] = labels_1(label)
        return encoded


class _Symbols(dict[str, bytes]):
    """The texts of a request, each with its place among them as a varint."""

    def __missing__(self, symbol: str) -> bytes:
        place = self[symbol] = varint(len(self))
        return place


class Plan:
    """A request of series with one number each, all true at one moment; used again as long as the series are the same.

    Args:
        form: How to write it.
        entries: The series.
    """

    def __init__(self, form: Form, entries: Sequence[Entry]) -> None:
        self.entries = list(entries)
        self._form = form
        self._before = [form.before(entry) for entry in entries]
        self._start = [form.start(entry) for entry in entries]
        self._after = [form.after(entry) for entry in entries]
        self._ends = [start + after for start, after in zip(self._start, self._after, strict=True)]
        self._heads: list[bytes] = []
        self._zeros: dict[int, bytes] = {}
        self._width = -1

    def fill(self, values: Sequence[float], moment: int, exemplars: Exemplars) -> bytes:
        """The request.

        Args:
            values: The number of each series.
            moment: When they are true, in milliseconds since the Unix epoch.
            exemplars: Events to go with a number, by its index, the oldest first.
        """
        time = uint(2, moment)
        if len(time) != self._width:
            self._width = len(time)
            self._heads = [self._head(index, 9) for index in range(len(self.entries))]
            self._zeros = {}
        count = len(self.entries)
        parts = [time] * (4 * count)
        parts[0::4] = self._heads
        parts[1::4] = map(_DOUBLE, values)
        parts[3::4] = self._ends
        for index in [index for index, value in enumerate(values) if not value or value != value]:  # noqa: PLR0124 - or it is a NaN
            at = 4 * index
            if parts[at + 1] == _ZERO:
                head = self._zeros.get(index)
                if head is None:
                    head = self._zeros[index] = self._head(index, 0)
                parts[at : at + 2] = head, b""
            elif values[index]:
                parts[at + 1] = _NAN
        if not exemplars:
            return self._form.finish(parts)
        form = self._form.copy()
        for index, points in exemplars.items():
            number = sample(values[index], moment) + self._start[index]
            content = self._before[index] + form.numbers(number, b"", points) + self._after[index]
            parts[4 * index : 4 * index + 4] = form.key + varint(len(content)), content, b"", b""
        return form.finish(parts)

    def _head(self, index: int, value: int) -> bytes:
        """What stands before a number that is written in so many bytes, the key of it included."""
        number = value + self._width + len(self._start[index])
        before, length = self._before[index], varint(number)
        size = len(before) + 1 + len(length) + number + len(self._after[index])
        return self._form.key + varint(size) + before + b"\x12" + length + (b"\x09" if value else b"")


def write(form: Form, entry: Entry, sample: bytes, histogram: bytes, exemplars: Sequence[ExemplarPoint] = ()) -> bytes:
    """A series of any kind.

    Args:
        form: How to write it.
        entry: The series.
        sample: Its number, from :func:`sample`; or empty.
        histogram: Its native histogram, from :func:`native` or :func:`native_stale`; or empty.
        exemplars: Events to go with it, the oldest first.
    """
    number = sample + form.start(entry) if sample else b""
    content = form.before(entry) + form.numbers(number, histogram, exemplars) + form.after(entry)
    return form.key + varint(len(content)) + content


def sample(value: float | bytes, moment: int) -> bytes:
    """The message ``Sample`` of both versions: a number, or :data:`STALE`, and when it is true, in milliseconds since the Unix epoch."""
    packed = value if isinstance(value, bytes) else _packed(value)
    return (b"\x09" + packed if packed != _ZERO else b"") + uint(2, moment)


def _packed(value: float) -> bytes:
    return _DOUBLE(value) if value == value else _NAN  # noqa: PLR0124 - the quickest way to find a NaN


def _number(field: int, value: float) -> bytes:
    packed = _packed(value)
    return bytes([field << 3 | 1]) + packed if packed != _ZERO else b""


def labels_1(labels: Sequence[str]) -> bytes:
    """The labels of a series or exemplar in version 1.0, from names and values in turn."""
    pairs = zip(labels[::2], labels[1::2], strict=True)
    return b"".join([message(1, string(1, _utf8(name)) + string(2, _utf8(value))) for name, value in pairs])


def exemplar_1(exemplar: ExemplarPoint) -> bytes:
    """An exemplar of a series in version 1.0."""
    return message(3, labels_1(exemplar.labels) + _number(2, exemplar.value) + uint(3, exemplar.moment))


def metadata_1(meta: Meta) -> bytes:
    """What version 1.0 says of a family."""
    return message(3, uint(1, meta.type) + string(2, _utf8(meta.name)) + string(4, _utf8(meta.help)) + string(5, _utf8(meta.unit)))


def native(point: NativeBuckets, moment: int) -> bytes:
    """The message ``Histogram`` of both versions: counts as integers if they are.

    Args:
        point: The histogram.
        moment: When it is true, in milliseconds since the Unix epoch.
    """
    spans, counts = _spans(point.offset, point.counts)
    number = _number(3, point.sum) + sint(4, point.schema) + double(5, point.zero_threshold)
    if all(float(count).is_integer() for count in (point.count, point.zero_count, *counts)):
        whole = list(map(int, counts))
        deltas = [after - before for before, after in pairwise([0, *whole])]
        head = b"\x08" + varint(int(point.count)) + number + b"\x30" + varint(int(point.zero_count))
        return head + spans + packed_sint(12, deltas) + uint(15, moment)
    head = double(2, point.count, always=True) + number + double(7, point.zero_count, always=True)
    return head + spans + packed_doubles(13, counts) + uint(15, moment)


def native_stale(moment: int) -> bytes:
    """What says that a native histogram is no more."""
    return b"\x08\x00\x19" + STALE + b"\x30\x00" + uint(15, moment)


def _spans(offset: int, counts: Sequence[float]) -> tuple[bytes, list[float]]:
    """The spans of the buckets that are not empty, and what is in them; small gaps are filled."""
    runs: list[tuple[int, int]] = []
    for at in [at for at, count in enumerate(counts) if count]:
        if runs and at - runs[-1][1] <= _SMALL_GAP:
            runs[-1] = runs[-1][0], at + 1
        else:
            runs.append((at, at + 1))
    spans, end = [], -offset
    for begin, stop in runs:
        spans.append(message(11, sint(1, begin - end) + uint(2, stop - begin)))
        end = stop
    return b"".join(spans), [count for begin, stop in runs for count in counts[begin:stop]]


def _utf8(symbol: str) -> bytes:
    try:
        return symbol.encode()
    except UnicodeEncodeError:
        return text(symbol).encode()
