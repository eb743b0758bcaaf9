"""The messages of remote write as the official library for protocol buffers knows them, and families to write with them."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import strategies as st

from measurand.metrics.points import PointFamily, Series
from measurand.metrics.sample import Exemplar

NOW = 1_700_000_000_123

_KINDS = {"double": 1, "int64": 3, "uint64": 4, "string": 9, "uint32": 13, "enum": 5, "sint32": 17, "sint64": 18}

_HISTOGRAM = [
    "count_int 1 uint64 count",
    "count_float 2 double count",
    "sum 3 double",
    "schema 4 sint32",
    "zero_threshold 5 double",
    "zero_count_int 6 uint64 zero_count",
    "zero_count_float 7 double zero_count",
    "negative_spans 8 *BucketSpan",
    "negative_deltas 9 *sint64",
    "negative_counts 10 *double",
    "positive_spans 11 *BucketSpan",
    "positive_deltas 12 *sint64",
    "positive_counts 13 *double",
    "reset_hint 14 enum",
    "timestamp 15 int64",
]
_SPAN = ["offset 1 sint32", "length 2 uint32"]

VERSION_1 = {
    "WriteRequest": ["timeseries 1 *TimeSeries", "metadata 3 *MetricMetadata"],
    "TimeSeries": ["labels 1 *Label", "samples 2 *Sample", "exemplars 3 *Exemplar", "histograms 4 *Histogram"],
    "Label": ["name 1 string", "value 2 string"],
    "Sample": ["value 1 double", "timestamp 2 int64"],
    "Exemplar": ["labels 1 *Label", "value 2 double", "timestamp 3 int64"],
    "MetricMetadata": ["type 1 enum", "metric_family_name 2 string", "help 4 string", "unit 5 string"],
    "Histogram": _HISTOGRAM,
    "BucketSpan": _SPAN,
}
VERSION_2 = {
    "Request": ["symbols 4 *string", "timeseries 5 *TimeSeries"],
    "TimeSeries": [
        "labels_refs 1 *uint32",
        "samples 2 *Sample",
        "histograms 3 *Histogram",
        "exemplars 4 *Exemplar",
        "metadata 5 Metadata",
        "created_timestamp 6 int64",
    ],
    "Sample": ["value 1 double", "timestamp 2 int64", "start_timestamp 3 int64"],
    "Exemplar": ["labels_refs 1 *uint32", "value 2 double", "timestamp 3 int64"],
    "Metadata": ["type 1 enum", "help_ref 3 uint32", "unit_ref 4 uint32"],
    "Histogram": _HISTOGRAM,
    "BucketSpan": _SPAN,
}


@cache
def message_class(version: str) -> Any:
    """The class of a request; what is an enumeration is a number here, which is the same on the wire."""
    package, messages = ("prometheus", VERSION_1) if version == "1.0" else ("io.prometheus.write.v2", VERSION_2)
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for line in fields:
            field, number, kind, *oneof = line.split()
            added = message.field.add(name=field, number=int(number), label=3 if kind.startswith("*") else 1)
            kind = kind.removeprefix("*")
            if kind in _KINDS:
                added.type = _KINDS[kind]
            else:
                added.type, added.type_name = 11, f".{package}.{kind}"
            if oneof:
                known = [one.name for one in message.oneof_decl]
                if oneof[0] not in known:
                    message.oneof_decl.add(name=oneof[0])
                    known.append(oneof[0])
                added.oneof_index = known.index(oneof[0])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    root = next(iter(messages))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{root}"))


def decoded(version: str, body: bytes) -> Any:
    """A request as the official library reads it, which has to write the same bytes."""
    message = message_class(version)()
    message.ParseFromString(body)
    assert message.SerializeToString(deterministic=True) == body
    return message


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


class Written:
    """What a request says, by series.

    Attributes:
        samples: Number and time by labels; the number as its eight bytes.
        created: Since when each counts, if that is said.
        metadata: Type, help and unit.
        exemplars: Labels, value and time of each.
        histograms: Messages.
        order: The labels of each series as they stand there.
    """

    def __init__(self, version: str, *bodies: bytes) -> None:
        self.samples: dict[frozenset[tuple[str, str]], tuple[bytes, int]] = {}
        self.created: dict[frozenset[tuple[str, str]], int] = {}
        self.metadata: dict[frozenset[tuple[str, str]] | str, tuple[int, str, str]] = {}
        self.exemplars: dict[frozenset[tuple[str, str]], list[tuple[dict[str, str], float, int]]] = {}
        self.histograms: dict[frozenset[tuple[str, str]], Any] = {}
        self.order: list[list[tuple[str, str]]] = []
        for body in bodies:
            message = decoded(version, body)
            if version == "2.0":
                assert message.symbols[0] == ""
                assert len(set(message.symbols)) == len(message.symbols)
            for series in message.timeseries:
                self._add(version, message, series)
            if version == "1.0":
                for one in message.metadata:
                    self.metadata[one.metric_family_name] = (one.type, one.help, one.unit)

    def _add(self, version: str, message: Any, series: Any) -> None:
        def pairs(of: Any) -> list[tuple[str, str]]:
            if version == "1.0":
                return [(label.name, label.value) for label in of.labels]
            texts = [message.symbols[ref] for ref in of.labels_refs]
            return list(zip(texts[::2], texts[1::2], strict=True))

        labels = pairs(series)
        self.order.append(labels)
        key = frozenset(labels)
        assert len(dict(labels)) == len(labels)
        assert key not in self.samples
        assert key not in self.histograms
        assert len(series.samples) + len(series.histograms) == 1
        for sample in series.samples:
            self.samples[key] = bits(sample.value), sample.timestamp
        for histogram in series.histograms:
            self.histograms[key] = histogram
        for exemplar in series.exemplars:
            self.exemplars.setdefault(key, []).append((dict(pairs(exemplar)), exemplar.value, exemplar.timestamp))
        if version == "2.0":
            meta = series.metadata
            self.metadata[key] = meta.type, message.symbols[meta.help_ref], message.symbols[meta.unit_ref]
            for sample in series.samples:
                assert sample.start_timestamp == series.created_timestamp
            if series.created_timestamp:
                self.created[key] = series.created_timestamp

    def of(self, **labels: str) -> tuple[float, int]:
        """Number and time of one series; ``name`` stands for ``__name__``."""
        value, moment = self.samples[frozenset({("__name__" if name == "name" else name): value for name, value in labels.items()}.items())]
        return struct.unpack("<d", value)[0], moment

    def names(self) -> set[str]:
        return {dict(labels)["__name__"] for labels in self.order}


TEXTS = st.one_of(st.sampled_from(["", "a", "ünï", "x" * 200, "\0\n"]), st.text(st.characters(exclude_categories=["Cs"]), max_size=4))
NAMES = st.sampled_from(["depth", "orders", "seconds", "lag.ms", "x_sum", "é"])
LABELS = st.dictionaries(st.sampled_from(["Zone", "channel", "le2", "path"]), TEXTS, max_size=3).map(
    lambda known: tuple(sorted(known.items()))
)
NUMBERS = st.one_of(st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf")]), st.floats())
COUNTS = st.one_of(st.just(0.0), st.integers(0, 2**40).map(float))
CREATED = st.one_of(st.none(), st.floats(1.0, NOW / 1000 + 3), st.just(float("nan")))
STAMPS = st.one_of(st.none(), st.none(), st.floats(1.0, 2e9))
EXEMPLARS = st.builds(
    Exemplar, st.dictionaries(NAMES, TEXTS, max_size=2), st.floats(allow_nan=False), st.one_of(st.none(), st.floats(1.0, 2e9))
)


def series(numbers: st.SearchStrategy[tuple[float, ...]], cells: int) -> st.SearchStrategy[Series]:
    return st.builds(Series, LABELS, numbers, CREATED, STAMPS, st.dictionaries(st.integers(0, cells - 1), EXEMPLARS, max_size=2))


def _family(type_: Any, numbers: st.SearchStrategy[tuple[float, ...]], bounds: tuple[float, ...], cells: int) -> st.SearchStrategy[Any]:
    rows = st.lists(series(numbers, cells), max_size=3, unique_by=lambda one: tuple(pair for pair in one.labels if pair[1]))
    return st.builds(PointFamily, NAMES, st.just(type_), TEXTS, st.sampled_from(["", "seconds"]), rows, st.just(bounds))


FAMILY = st.one_of(
    _family("gauge", st.tuples(NUMBERS), (), 1),
    _family("counter", st.tuples(COUNTS), (), 1),
    _family("summary", st.tuples(COUNTS, NUMBERS), (), 1),
    _family("histogram", st.tuples(COUNTS, COUNTS, COUNTS, NUMBERS), (0.5, 2.5), 3),
    _family("histogram", st.tuples(COUNTS, COUNTS, NUMBERS), (-1.0,), 2),
)
FAMILIES = st.lists(FAMILY, max_size=4)
