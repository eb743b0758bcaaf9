"""The six instruments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import Any, ClassVar, cast

from measurand import core
from measurand.core import DEFAULT_MAX_SERIES, CounterBase, GaugeBase, HistogramBase, SummaryBase
from measurand.core.support import missing_labels, text
from measurand.errors import DefinitionError, RecordingError
from measurand.metrics import shared
from measurand.metrics.buckets import bounds_of
from measurand.metrics.definition import UNDECLARED
from measurand.metrics.domains import REGISTRY
from measurand.metrics.instrument import LabelValues, MetricBase
from measurand.metrics.legacy import HistogramPrivates, SummaryPrivates
from measurand.metrics.names import underscored
from measurand.metrics.native import DEFAULT_RANGE, scale_of
from measurand.metrics.quantile import quantile
from measurand.metrics.registry import CollectorRegistry
from measurand.metrics.removing import Replacing, Resetting
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import Family, SampleFamily
from measurand.metrics.tracking import ExceptionCounter, Exceptions, InprogressTracker

__all__ = ["Counter", "Enum", "Gauge", "Histogram", "Info", "Summary"]


class Counter(Resetting, MetricBase, CounterBase):
    """Counts events, or adds up amounts that are never negative.

    ::

        FAILURES = Counter("payment_failures_total", "Payments refused by the provider", ["reason"])
        FAILURES.labels("expired").inc()
        FAILURES.labels(reason="limit").inc(3)
    """

    __doc__ += (MetricBase.__doc__ or "").partition("\n\n")[2]
    _type = "counter"
    _kind = "counter"

    def count_exceptions(self, exception: Exceptions = Exception) -> ExceptionCounter:
        """Count the exceptions of the given types that leave a block or a function.

        Raises:
            LabelError: The metric has labels and this is not one of its series.
        """
        self._raise_if_not_observable()
        return ExceptionCounter(self, exception)


class Gauge(Replacing, MetricBase, GaugeBase):
    """A value that goes up and down.

    ::

        QUEUE = Gauge("queue_length", "Jobs waiting", ["queue"])
        QUEUE.labels("mail").set(12)
        QUEUE.replace({"mail": 12, "reports": 3})

    Besides the arguments of every metric:

    Args:
        multiprocess_mode: How the values of several processes combine: "sum" (over those that live), "max", "min", "mostrecent", "all" (one
            series each), or one of these with "live" before it, see ``measurand.metrics.combining``. If none is given: the sum where the
            gauge is moved by ``inc`` or ``dec``, else the value that was set last.
        expire_after: Seconds without a write after which a series is no longer exposed; it comes back with the next write. ``None`` for
            never.
    """

    __doc__ += (MetricBase.__doc__ or "").partition("\n\n")[2]
    _type = "gauge"
    _kind = "gauge"
    _MULTIPROC_MODES: ClassVar[frozenset[str]] = frozenset(
        prefix + mode for prefix in ("", "live") for mode in ("all", "min", "max", "sum", "mostrecent")
    )

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        _labelvalues: object = None,
        multiprocess_mode: str = UNDECLARED,
        *,
        expire_after: float | None = None,
        max_series: int | None = DEFAULT_MAX_SERIES,
        label_values: LabelValues = (),
    ) -> None:
        if multiprocess_mode not in self._MULTIPROC_MODES:
            raise DefinitionError(
                f"Invalid multiprocess mode: {multiprocess_mode}; it must be one of {', '.join(sorted(self._MULTIPROC_MODES))}"
            )
        if expire_after is not None and not (isinstance(expire_after, int | float) and expire_after > 0):
            raise DefinitionError(
                f"expire_after of {name} must be a number of seconds greater than zero, or None for never; got {expire_after!r}"
            )
        options = {"multiprocess_mode": multiprocess_mode, "expire_after": expire_after}
        how: dict[str, Any] = {"expire_after": expire_after, "additive": not multiprocess_mode.endswith("mostrecent")}
        prefixes = namespace, subsystem
        self._define(name, documentation, labelnames, prefixes, unit, registry, max_series, label_values, options, **how)

    @property
    def _multiprocess_mode(self) -> str:
        return str(self.definition.options["multiprocess_mode"])

    def track_inprogress(self) -> InprogressTracker:
        """Count the blocks or calls that are running now.

        Raises:
            LabelError: The metric has labels and this is not one of its series.
        """
        self._raise_if_not_observable()
        return InprogressTracker(self)


class Summary(SummaryPrivates, MetricBase, SummaryBase):
    """Counts observations and adds them up.

    ::

        SIZE = Summary("upload_size_bytes", "Size of uploads")
        SIZE.observe(4096)
    """

    __doc__ += (MetricBase.__doc__ or "").partition("\n\n")[2]
    _type = "summary"
    _kind = "summary"
    _reserved_labelnames = ("quantile",)

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        _labelvalues: object = None,
        *,
        max_series: int | None = DEFAULT_MAX_SERIES,
        label_values: LabelValues = (),
    ) -> None:
        self._define(name, documentation, labelnames, (namespace, subsystem), unit, registry, max_series, label_values, {}, width=2)


class Histogram(HistogramPrivates, MetricBase, HistogramBase):
    """Counts observations in buckets, so that quantiles can be estimated over any set of series.

    ::

        LATENCY = Histogram("db_query_seconds", "Duration of queries", ["operation"], buckets=(0.01, 0.1, 1))
        with LATENCY.labels("select").time():
            ...
        LATENCY.quantile(0.95)

    Besides the arguments of every metric:

    Args:
        buckets: Upper bounds in ascending order; +Inf is added if it is not the last. The default suits durations of requests, in seconds.
        native: Whether it is a native histogram too: one whose buckets, each at most 9.1 % wide, are sent to what takes them.
        native_range: The smallest and the largest value that a native histogram tells apart, in the metric's unit. What is not above the
            low end, negative values included, is in the zero bucket; what is above the high end in the last one.
    """

    __doc__ += (MetricBase.__doc__ or "").partition("\n\n")[2]
    _type = "histogram"
    _kind = "histogram"
    _reserved_labelnames = ("le",)
    DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, inf)

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        _labelvalues: object = None,
        buckets: Sequence[float | str] = DEFAULT_BUCKETS,
        *,
        native: bool = False,
        native_range: tuple[float, float] = DEFAULT_RANGE,
        max_series: int | None = DEFAULT_MAX_SERIES,
        label_values: LabelValues = (),
    ) -> None:
        bounds = bounds_of(name, buckets)
        scale = scale_of(name, bounds, native, native_range)
        options = {} if scale is None else {"native_range": scale.range}
        how: dict[str, Any] = {"bounds": bounds, "native": scale, "width": len(bounds if scale is None else scale.cells) + 2}
        prefixes = namespace, subsystem
        self._define(name, documentation, labelnames, prefixes, unit, registry, max_series, label_values, options, **how)

    def quantile(self, q: float) -> float:
        """Estimate a quantile of everything observed since the start, by all processes; on a metric with labels, over all its series.

        Args:
            q: The quantile as a ratio, 0 to 1: 0.95 for p95.

        Returns:
            The estimate (see ``measurand.metrics.quantile``), NaN without observations.

        Raises:
            RecordingError: ``q`` is not between 0 and 1.
        """
        mine, root = core.key(self), cast(Histogram, core.root(self))
        rows = [numbers for key, numbers in shared.rows_everywhere(root) or core.freeze(root).rows() if mine in {None, key}]
        if not rows and mine is not None:  # a series that was removed, and kept
            rows = [tuple(accumulate(core.read(self)[:-1]))]
        bounds = (*self.definition.cells, inf)
        return quantile(q, bounds, [sum(numbers[index] for numbers in rows) for index in range(len(bounds))])

    @property
    def p50(self) -> float:
        """The median; see :meth:`quantile`."""
        return self.quantile(0.5)

    @property
    def p95(self) -> float:
        """The 95th percentile; see :meth:`quantile`."""
        return self.quantile(0.95)

    @property
    def p99(self) -> float:
        """The 99th percentile; see :meth:`quantile`."""
        return self.quantile(0.99)


class Info(MetricBase, core.Instrument):
    """Facts that do not change while the process runs, as labels of a constant 1.

    ::

        Info("build", "What is running").info({"version": "1.2.3", "commit": "abc123"})
    """

    __doc__ += (MetricBase.__doc__ or "").partition("\n\n")[2]
    _type = "info"

    def info(self, val: Mapping[str, str]) -> None:
        """Set the facts, in place of the earlier ones.

        Raises:
            RecordingError: A fact has the name of one of the metric's labels, or has no value.
            LabelError: The metric has labels and this is not one of its series.
        """
        self._raise_if_not_observable()
        overlapping = set(self.definition.labelnames) & set(val)
        if overlapping:
            raise RecordingError(
                f"Overlapping labels for Info metric, metric: {self.definition.labelnames} child: {dict(val)}; "
                f"{self.definition.name} has {sorted(overlapping)} already"
            )
        empty = [name for name, value in val.items() if value is None]
        if empty:
            raise RecordingError(f"Label value cannot be None: {self.definition.name}.info() was given no value for {empty[0]!r}")
        core.set_payload(self, {text(name): _exposed(value) for name, value in val.items()})
        core.write(self, 0, core.read(self)[0] + 1)  # that it was said, see removals
        shared.note(self)

    def said_of(self, series: Any) -> Any:
        """The facts."""
        return core.payload(series)

    @property
    def _value(self) -> Any:
        return dict(core.payload(self) or {})

    @property
    def _labelname_set(self) -> set[str]:
        return set(self.definition.labelnames)

    def snapshot(self, common: Mapping[str, str]) -> Family:
        """The facts at this moment, with the common labels of the registry."""
        frozen = core.freeze(self)
        facts = dict(frozen.payloads())
        content = [
            Sample(
                f"{self.definition.name}_info",
                {**common, **dict(zip(self.definition.labelnames, values, strict=False)), **facts.get(row, {})},
                1.0,
            )
            for row, (values, _) in enumerate(frozen.rows())
        ]
        return _sample_family(self, content)

    def _series_samples(self) -> list[Sample]:
        return [Sample(f"{self.definition.name}_info", self._value, 1.0)]


class Enum(MetricBase, core.Instrument):
    """Which one of a set of states something is in; the first one at the start.

    ::

        STATE = Enum("worker_state", "What the worker does", states=["starting", "running", "stopped"])
        STATE.state("running")

    Besides the arguments of every metric:

    Args:
        states: The states.
    """

    __doc__ += (MetricBase.__doc__ or "").partition("\n\n")[2]
    _type = "stateset"

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        _labelvalues: object = None,
        states: Sequence[str] | None = None,
        *,
        max_series: int | None = DEFAULT_MAX_SERIES,
        label_values: LabelValues = (),
    ) -> None:
        names = (labelnames,) if isinstance(labelnames, str) else tuple(labelnames)
        full_name = "_".join(part for part in (namespace, subsystem, name) if part)
        if name in names or underscored(full_name, label=True) in [underscored(str(given), label=True) for given in names]:
            raise DefinitionError(f"Overlapping labels for Enum metric: {name}; an Enum uses a label of its own name")
        if not states:
            raise DefinitionError(f"No states provided for Enum metric: {name}; pass states=[…]")
        if isinstance(states, str) or len(set(states)) != len(states):
            raise DefinitionError(f"states of {name} must be a list of different strings, got {states!r}")
        options = {"states": tuple(_exposed(state) for state in states)}
        given = labelnames if isinstance(labelnames, str) else names
        self._define(name, documentation, given, (namespace, subsystem), unit, registry, max_series, label_values, options, width=2)

    @property
    def _states(self) -> tuple[str, ...]:
        states: tuple[str, ...] = self.definition.options["states"]
        return states

    def state(self, state: str) -> None:
        """Set the state.

        Raises:
            RecordingError: It is not one of the states.
            LabelError: The metric has labels and this is not one of its series.
        """
        if self._is_parent():
            missing_labels(core.spec(self))
        wanted = _exposed(state)
        if wanted not in self._states:
            raise RecordingError(f"{state!r} is not in list of states of {self.definition.name}: {', '.join(self._states)}")
        core.write(self, 0, self._states.index(wanted))
        core.write(self, 1, core.read(self)[1] + 1)  # that it was said, see removals

    @property
    def _value(self) -> Any:
        return int(core.read(self)[0])

    def snapshot(self, common: Mapping[str, str]) -> Family:
        """The states at this moment, with the common labels of the registry."""
        content = []
        for values, (current, *_) in core.freeze(self).rows():
            labels = {**common, **dict(zip(self.definition.labelnames, values, strict=False))}
            content += self._state_samples(labels, int(current))
        return _sample_family(self, content)

    def _state_samples(self, labels: Mapping[str, str], current: int) -> list[Sample]:
        name = self.definition.name
        return [Sample(name, {**labels, name: state}, 1 if index == current else 0) for index, state in enumerate(self._states)]

    def _series_samples(self) -> list[Sample]:
        return self._state_samples({}, self._value)


def _exposed(value: object) -> str:
    """A fact or a state as it is shown; that of a string enumeration is its value."""
    return text(str.__str__(value) if isinstance(value, str) else value)


def _sample_family(metric: MetricBase, content: list[Sample]) -> SampleFamily:
    definition = metric.definition
    return SampleFamily(definition.name, definition.documentation, definition.type, definition.unit, content)
