"""The protobuf exposition format: for each family a message ``MetricFamily``, with its length before it.

Source: Prometheus, ``io/prometheus/client/metrics.proto``, in the proto3 form that its scraper reads, and "Exposition formats", "Protobuf
    format". The one format of a scrape that carries native histograms: they stand in one message with the classic buckets, and the
    scraper takes what it is set to.

Types that the format does not know are gauges or untyped, as in the text format. A gauge histogram is a histogram there too, as older
scrapers read no other, unless it is a native one. What cannot be said at all is left out and counted, sample by sample; a sum that is not
known is NaN, for the format has no way to leave it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import floor, inf, isfinite, nan
from typing import Any

from measurand.core import Exemplar
from measurand.core.support import EXEMPLAR_LIMIT
from measurand.core.support import text as encodable
from measurand.encoding import text
from measurand.encoding.checking import Row, arranged, check_family
from measurand.encoding.escaping import ALLOW_UTF8, UNDERSCORES, escape_name
from measurand.encoding.lines import Report, label_text, sample_prefix
from measurand.encoding.protobuf_histograms import MOST_EXEMPLARS, Native, histogram, native_of_buckets, native_of_sample
from measurand.encoding.wire import double, message, string, uint, varint
from measurand.metrics.collecting import Gathering, gather
from measurand.metrics.domains import REGISTRY
from measurand.metrics.points import Labels, PointFamily, Series, points_of
from measurand.metrics.sample import Sample, Timestamp
from measurand.metrics.snapshot import CellFamily, Family

__all__ = ["CONTENT_TYPE", "encode", "generate_latest"]

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM = range(6)
_TYPES = {
    "counter": COUNTER,
    "gauge": GAUGE,
    "info": GAUGE,
    "stateset": GAUGE,
    "summary": SUMMARY,
    "histogram": HISTOGRAM,
    "gaugehistogram": GAUGE_HISTOGRAM,
}
_FIELDS = {COUNTER: 3, GAUGE: 2, SUMMARY: 4, UNTYPED: 5, HISTOGRAM: 7, GAUGE_HISTOGRAM: 7}
"""Where a metric has its content."""


def generate_latest(registry: Any = REGISTRY, escaping: str = UNDERSCORES) -> bytes:
    """The metrics of a registry in the protobuf format; see :func:`measurand.encoding.text.generate_latest`.

    Args:
        registry: A registry, a domain, a restricted registry, or anything with ``collect()``.
        escaping: What becomes of names outside the classic set.

    Raises:
        ValueError: The escaping scheme is not known.
    """
    escape_name("", escaping)
    return encode(gather(registry), escaping)


def encode(gathering: Gathering, escaping: str = UNDERSCORES) -> bytes:
    """A gathered snapshot in the protobuf format; a family that cannot be written is left out and reported, one without series left out."""
    return text.write(gathering, lambda family, report: _Writer(family, escaping, report).written())


class _Writer:
    """Writes one family."""

    def __init__(self, family: Family, escaping: str, report: Report) -> None:
        self._family = family
        self._escaping = escaping
        self._report = report

    def written(self) -> list[bytes]:
        """The messages, each with its length before it: one, and one for each name of samples that are not the family's."""
        family = self._family
        check_family(family)
        cells = family if isinstance(family, CellFamily) else family.cells
        if cells is not None and (cells is family or cells.definition.native is not None):
            (points,) = points_of([family])
            return self._message(self._name_of(family), _TYPES[family.type], [self._series(points, one, cells) for one in points.series])
        type_ = _TYPES.get(family.type, UNTYPED)
        rows = arranged(family, self._escaping, self._report, strict=False)
        natives = self._natives() if type_ in {HISTOGRAM, GAUGE_HISTOGRAM} else {}
        if type_ == GAUGE_HISTOGRAM and not natives:
            type_ = HISTOGRAM
        metrics, rest = self._metrics(type_, rows.own, natives)
        out = self._message(self._name_of(family), type_, metrics)
        strays: dict[str, list[bytes]] = {}
        for row in [*rest, *rows.strays]:
            strays.setdefault(row.name, []).append(self._metric(UNTYPED, _sorted(row.labels), double(1, row.value), row.moment))
        for name, others in strays.items():
            out += self._message(name, UNTYPED, others)
        return out

    def _name_of(self, family: Family) -> str:
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        return family.name + suffix

    def _message(self, name: str, type_: int, metrics: list[bytes]) -> list[bytes]:
        if not metrics:
            return []
        unit = self._family.unit
        fits = unit and name.removesuffix("_total").endswith(f"_{unit}")  # a scraper refuses any other
        shown = _shown(name, self._escaping)
        head = string(1, shown) + string(2, encodable(self._family.documentation)) + uint(3, type_)
        parts = [head, *[message(4, metric) for metric in metrics], string(5, unit if fits else "")]
        return [varint(sum(map(len, parts))), *parts]

    def _metric(self, type_: int, labels: Iterable[tuple[str, str]], content: bytes, moment: Any = None) -> bytes:
        """The content of a message ``Metric``."""
        pairs = b"".join([message(1, string(1, _shown(name, self._escaping, label=True)) + string(2, value)) for name, value in labels])
        when = b"" if moment is None else uint(6, int(float(moment) * 1000))
        field = _FIELDS[type_]
        return pairs + (when + message(field, content) if field > 6 else message(field, content) + when)

    # -- cells ---------------------------------------------------------------------------------------------------------------

    def _series(self, family: PointFamily, series: Series, cells: CellFamily) -> bytes:
        numbers, type_ = series.numbers, _TYPES[family.type]
        created = _time(series.created) if cells.with_created and series.created is not None else b""
        if type_ == COUNTER:
            exemplar = series.exemplars.get(0)
            content = double(1, numbers[0]) + (_part(2, self._exemplar(exemplar)) if exemplar else b"") + _part(3, created)
        elif type_ == SUMMARY:
            content = _summary(numbers[0], numbers[1], [], created)
        elif type_ == HISTOGRAM:
            content = self._histogram(family, series, created)
        else:
            content = double(1, numbers[0])
        return self._metric(type_, series.labels, content)

    def _histogram(self, family: PointFamily, series: Series, created: bytes) -> bytes:
        *counts, total = family.classic(series)
        cumulative = list(accumulate(counts))
        exemplars = {bucket: made for bucket, one in family.classic_exemplars(series).items() if (made := self._exemplar(one))}
        native = None
        if family.native is not None:
            newest = sorted(series.exemplars.values(), key=_moment)[-MOST_EXEMPLARS:]
            listed = [self._exemplar(one) for one in newest if one.timestamp is not None]
            native = native_of_buckets(family.native_buckets(series), [one for one in listed if one])
        return histogram(cumulative[-1], total, (*family.bounds, inf), cumulative, exemplars, created, native)

    # -- samples -------------------------------------------------------------------------------------------------------------

    def _metrics(self, type_: int, rows: list[Row], natives: Mapping[Labels, tuple[Sample, Native]]) -> tuple[list[bytes], list[Row]]:
        """The metrics of samples, and the samples that make none."""
        if type_ in {GAUGE, UNTYPED}:
            return [self._metric(type_, _sorted(row.labels), double(1, row.value), row.moment) for row in rows], []
        groups: dict[Labels, list[Row]] = {labels: [] for labels in natives}
        for row in rows:
            own = {"": "quantile", "_bucket": "le"}.get(row.suffix)
            groups.setdefault(tuple([pair for pair in _sorted(row.labels) if pair[0] != own]), []).append(row)
        metrics: list[bytes] = []
        rest: list[Row] = []
        for labels, group in groups.items():
            by_suffix = {row.suffix: row for row in group}
            moment = group[0].moment if group else natives[labels][0].timestamp
            born = by_suffix.get("_created")
            created = _time(born.value) if born is not None and isfinite(born.value) else b""
            if type_ == COUNTER:
                content = self._counter(by_suffix, created)
            elif type_ == SUMMARY:
                content = self._summary(group, by_suffix, created)
            else:
                content = self._classic(group, by_suffix, created, natives.get(labels))
            if content is None:
                rest += group
            else:
                metrics.append(self._metric(type_, labels, content, moment))
        return metrics, rest

    def _counter(self, by_suffix: Mapping[str, Row], created: bytes) -> bytes | None:
        row = by_suffix.get("_total")
        if row is None:
            return None
        return double(1, row.value) + (_part(2, self._exemplar(row.exemplar)) if row.exemplar else b"") + _part(3, created)

    def _summary(self, group: list[Row], by_suffix: Mapping[str, Row], created: bytes) -> bytes | None:
        count = by_suffix.get("_count")
        if count is None or not (0 <= count.value < 2**64 and count.value.is_integer()):
            return None
        quantiles = [(float(row.labels["quantile"]), row.value) for row in group if not row.suffix]
        return _summary(count.value, by_suffix["_sum"].value if "_sum" in by_suffix else nan, quantiles, created)

    def _classic(self, group: list[Row], by_suffix: Mapping[str, Row], created: bytes, given: tuple[Sample, Native] | None) -> bytes | None:
        """Both kinds of buckets of one series; ``None`` if it has neither."""
        rows = [row for row in group if row.suffix == "_bucket"]
        bounds, counts = tuple([row.bound for row in rows]), [row.value for row in rows]
        exemplars = {at: made for at, row in enumerate(rows) if row.exemplar and (made := self._exemplar(row.exemplar))}
        if given is not None:
            of_native = given[0].native_histogram
            assert of_native is not None
            return histogram(float(of_native.count_value), float(of_native.sum_value), bounds, counts, exemplars, created, given[1])
        if not rows:
            return None
        total = next((by_suffix[suffix].value for suffix in ("_sum", "_gsum") if suffix in by_suffix), nan)
        return histogram(counts[-1], total, bounds, counts, exemplars, created, None)

    def _natives(self) -> dict[Labels, tuple[Sample, Native]]:
        """The native histograms among the samples, by their labels."""
        found: dict[Labels, tuple[Sample, Native]] = {}
        for sample in self._family.samples():
            if sample.native_histogram is None:
                continue
            try:
                labels = _sorted({name: label_text(value) for name, value in sample.labels.items()})
                sample_prefix(Sample(sample.name, dict(labels), 0.0), self._escaping)  # says whether they are valid
                float(sample.timestamp or 0.0)
                native = native_of_sample(sample.native_histogram, self._exemplar)
            except Exception as error:  # noqa: BLE001 - somebody else's objects
                self._report(self._family.name, "invalid", error)
                continue
            if sample.name != self._family.name or labels in found:
                self._report(self._family.name, "duplicate" if labels in found else "invalid", hint=f": a native histogram {sample.name}")
                continue
            found[labels] = sample, native
        return found

    def _exemplar(self, exemplar: Any) -> bytes:
        """The content of a message ``Exemplar``; empty if it cannot be written, for example because it is too long."""
        try:
            labels = _sorted(exemplar.labels)
            if sum(len(name) + len(value) for name, value in labels) > EXEMPLAR_LIMIT:
                return b""
            sample_prefix(Sample("x", exemplar.labels, 0.0), self._escaping)
            pairs = [message(1, string(1, _shown(name, self._escaping, label=True)) + string(2, value)) for name, value in labels]
            when = b"" if exemplar.timestamp is None else message(3, _time(exemplar.timestamp))
            return b"".join([*pairs, double(2, float(exemplar.value)), when])
        except (AttributeError, OverflowError, TypeError, ValueError):  # not one that an instrument made
            return b""


def _summary(count: float, total: float, quantiles: Iterable[tuple[float, float]], created: bytes) -> bytes:
    parts = [message(3, double(1, quantile) + double(2, value)) for quantile, value in quantiles]
    return b"".join([uint(1, int(count)), double(2, total), *parts, _part(4, created)])


def _part(field: int, content: bytes) -> bytes:
    """A message that is left out if there is nothing in it."""
    return message(field, content) if content else b""


def _time(moment: float | Timestamp) -> bytes:
    """The content of a message ``google.protobuf.Timestamp``, from seconds since the Unix epoch; nanoseconds count forwards there."""
    if isinstance(moment, Timestamp):
        seconds, nanoseconds = moment.sec, moment.nsec
    else:
        seconds = floor(moment)
        nanoseconds = round((moment - seconds) * 1e9)
    more, nanoseconds = divmod(nanoseconds, 1_000_000_000)
    return uint(1, seconds + more) + uint(2, nanoseconds)


def _moment(exemplar: Exemplar) -> float:
    return 0.0 if exemplar.timestamp is None else float(exemplar.timestamp)


def _sorted(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _shown(name: str, escaping: str, *, label: bool = False) -> str:
    """A name under an escaping scheme. Here it needs no quotes."""
    return encodable(name) if escaping == ALLOW_UTF8 else escape_name(name, escaping, label)
