"""Metric families as custom collectors yield them: a name, a type and samples.

The classes take the arguments of ``prometheus_client``'s, so that a collector written for it works unchanged::

    class Queue:
        def collect(self):
            family = GaugeMetricFamily("queue_length", "Jobs waiting", labels=["queue"])
            family.add_metric(["mail"], 12)
            yield family
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from measurand.errors import DefinitionError
from measurand.metrics.names import validate_metric_name
from measurand.metrics.sample import Exemplar, NativeHistogram, Sample, Timestamp

__all__ = [
    "METRIC_TYPES",
    "CounterMetricFamily",
    "GaugeHistogramMetricFamily",
    "GaugeMetricFamily",
    "HistogramMetricFamily",
    "InfoMetricFamily",
    "Metric",
    "StateSetMetricFamily",
    "SummaryMetricFamily",
    "UnknownMetricFamily",
    "UntypedMetricFamily",
]

METRIC_TYPES = ("counter", "gauge", "summary", "histogram", "gaugehistogram", "unknown", "info", "stateset")

Time = float | Timestamp | None
Bucket = tuple[str, float] | tuple[str, float, Exemplar | None]


class Metric:
    """A metric family and its samples.

    Collectors should use the class of the family's type below, which knows the names of its samples.

    Args:
        name: The family's name; the unit is appended if it does not end with it.
        documentation: What it means, one sentence.
        typ: One of ``METRIC_TYPES`` ("untyped" is taken for "unknown").
        unit: The unit, such as ``seconds``.

    Raises:
        DefinitionError: The name or the type is not valid.
    """

    def __init__(self, name: str, documentation: str, typ: str, unit: str = "") -> None:
        if unit and not name.endswith("_" + unit):
            name += "_" + unit
        validate_metric_name(name)
        if typ == "untyped":
            typ = "unknown"
        if typ not in METRIC_TYPES:
            raise DefinitionError(f"Invalid metric type: {typ}; it must be one of {', '.join(METRIC_TYPES)}")
        self.name = name
        self.documentation = documentation
        self.unit = unit
        self.type = typ
        self.samples: list[Sample] = []

    def add_sample(
        self,
        name: str,
        labels: Mapping[str, str],
        value: float,
        timestamp: Time = None,
        exemplar: Exemplar | None = None,
        native_histogram: NativeHistogram | None = None,
    ) -> None:
        """Append a sample; ``name`` is the series' full name."""
        self.samples.append(Sample(name, labels, value, timestamp, exemplar, native_histogram))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metric) and _content(self) == _content(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Metric({self.name}, {self.documentation}, {self.type}, {self.unit}, {self.samples})"

    def _restricted_metric(self, names: set[str]) -> Metric | None:
        samples = [sample for sample in self.samples if sample.name in names]
        if not samples:
            return None
        restricted = Metric(self.name, self.documentation, self.type)
        restricted.samples = samples
        return restricted


def _content(metric: Metric) -> tuple[object, ...]:
    return metric.name, metric.documentation, metric.type, metric.unit, metric.samples


class _Labelled(Metric):
    """What the family classes share: label names, given once, zipped with each metric's values."""

    def __init__(
        self, name: str, documentation: str, typ: str, labels: Sequence[str] | None, given: object, what: str, unit: str = ""
    ) -> None:
        super().__init__(name, documentation, typ, unit)
        if labels is not None and given is not None:
            raise DefinitionError(f"Can only specify at most one of {what} and labels: with labels, give the values to add_metric()")
        self._labelnames = tuple(labels or ())

    def _labels(self, values: Sequence[str], **more: str) -> dict[str, str]:
        return {**dict(zip(self._labelnames, values, strict=False)), **more}


class UnknownMetricFamily(_Labelled):
    """A value of which the type is not known."""

    def __init__(
        self, name: str, documentation: str, value: float | None = None, labels: Sequence[str] | None = None, unit: str = ""
    ) -> None:
        super().__init__(name, documentation, "unknown", labels, value, "value", unit)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: float, timestamp: Time = None) -> None:
        """Add one series: its label values and its value."""
        self.add_sample(self.name, self._labels(labels), value, timestamp)


UntypedMetricFamily = UnknownMetricFamily


class CounterMetricFamily(_Labelled):
    """A counter; ``_total`` at the end of the name is implied."""

    def __init__(
        self,
        name: str,
        documentation: str,
        value: float | None = None,
        labels: Sequence[str] | None = None,
        created: float | None = None,
        unit: str = "",
        exemplar: Exemplar | None = None,
    ) -> None:
        super().__init__(name.removesuffix("_total"), documentation, "counter", labels, value, "value", unit)
        if value is not None:
            self.add_metric([], value, created, exemplar=exemplar)

    def add_metric(
        self, labels: Sequence[str], value: float, created: float | None = None, timestamp: Time = None, exemplar: Exemplar | None = None
    ) -> None:
        """Add one series: its label values, its value, and when it started (seconds since the Unix epoch)."""
        self.add_sample(self.name + "_total", self._labels(labels), value, timestamp, exemplar)
        if created is not None:
            self.add_sample(self.name + "_created", self._labels(labels), created, timestamp)


class GaugeMetricFamily(_Labelled):
    """A gauge."""

    def __init__(
        self, name: str, documentation: str, value: float | None = None, labels: Sequence[str] | None = None, unit: str = ""
    ) -> None:
        super().__init__(name, documentation, "gauge", labels, value, "value", unit)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: float, timestamp: Time = None) -> None:
        """Add one series: its label values and its value."""
        self.add_sample(self.name, self._labels(labels), value, timestamp)


class SummaryMetricFamily(_Labelled):
    """The count and the sum of observations."""

    def __init__(
        self,
        name: str,
        documentation: str,
        count_value: int | None = None,
        sum_value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, "summary", labels, count_value, "value", unit)
        if (sum_value is None) != (count_value is None):
            raise DefinitionError("count_value and sum_value must be provided together.")
        if count_value is not None and sum_value is not None:
            self.add_metric([], count_value, sum_value)

    def add_metric(self, labels: Sequence[str], count_value: int, sum_value: float, timestamp: Time = None) -> None:
        """Add one series: its label values, count and sum."""
        self.add_sample(self.name + "_count", self._labels(labels), count_value, timestamp)
        self.add_sample(self.name + "_sum", self._labels(labels), sum_value, timestamp)


class HistogramMetricFamily(_Labelled):
    """A histogram with classic buckets."""

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Sequence[Bucket] | None = None,
        sum_value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, "histogram", labels, buckets, "buckets", unit)
        if sum_value is not None and buckets is None:
            raise DefinitionError("sum value cannot be provided without buckets.")
        if buckets is not None:
            self.add_metric([], buckets, sum_value)

    def add_metric(self, labels: Sequence[str], buckets: Sequence[Bucket], sum_value: float | None, timestamp: Time = None) -> None:
        """Add one series.

        Args:
            labels: Its label values.
            buckets: ``(upper bound, cumulative count)`` or ``(upper bound, cumulative count, exemplar)`` in ascending order, +Inf last.
            sum_value: The sum; ``None``, or a negative first bound, leaves out sum and count.
            timestamp: When, in seconds since the Unix epoch.
        """
        for bound, count, *exemplar in buckets:
            self.add_sample(self.name + "_bucket", self._labels(labels, le=bound), count, timestamp, exemplar[0] if exemplar else None)
        if float(buckets[0][0]) >= 0 and sum_value is not None:
            self.add_sample(self.name + "_count", self._labels(labels), buckets[-1][1], timestamp)
            self.add_sample(self.name + "_sum", self._labels(labels), sum_value, timestamp)


class GaugeHistogramMetricFamily(_Labelled):
    """A histogram of what is there now, so that its counts can fall."""

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Sequence[tuple[str, float]] | None = None,
        gsum_value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, "gaugehistogram", labels, buckets, "buckets", unit)
        if buckets is not None:
            self.add_metric([], buckets, gsum_value)

    def add_metric(
        self, labels: Sequence[str], buckets: Sequence[tuple[str, float]], gsum_value: float | None, timestamp: Time = None
    ) -> None:
        """Add one series: its label values, its buckets in ascending order with +Inf last, and its sum if known."""
        for bound, count in buckets:
            self.add_sample(self.name + "_bucket", self._labels(labels, le=bound), count, timestamp)
        self.add_sample(self.name + "_gcount", self._labels(labels), buckets[-1][1], timestamp)
        if gsum_value is not None:
            self.add_sample(self.name + "_gsum", self._labels(labels), gsum_value, timestamp)


class InfoMetricFamily(_Labelled):
    """Facts that do not change while the process runs."""

    def __init__(self, name: str, documentation: str, value: Mapping[str, str] | None = None, labels: Sequence[str] | None = None) -> None:
        super().__init__(name, documentation, "info", labels, value, "value")
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: Mapping[str, str], timestamp: Time = None) -> None:
        """Add one series: its label values and its facts."""
        self.add_sample(self.name + "_info", self._labels(labels, **value), 1, timestamp)


class StateSetMetricFamily(_Labelled):
    """Which of a set of states hold."""

    def __init__(self, name: str, documentation: str, value: Mapping[str, bool] | None = None, labels: Sequence[str] | None = None) -> None:
        super().__init__(name, documentation, "stateset", labels, value, "value")
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: Mapping[str, bool], timestamp: Time = None) -> None:
        """Add one series per state: its label values and whether each state holds."""
        for state, enabled in sorted(value.items()):
            self.add_sample(self.name, self._labels(labels, **{self.name: state}), 1 if enabled else 0, timestamp)
