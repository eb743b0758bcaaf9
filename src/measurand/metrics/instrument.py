"""What all instruments share: definition, identity, registration and collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate, product
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from measurand import core
from measurand.core import DEFAULT_MAX_SERIES, Spec
from measurand.core.support import text
from measurand.errors import DefinitionError, DuplicateTimeseries
from measurand.metrics.definition import Definition, calling_source
from measurand.metrics.domains import REGISTRY
from measurand.metrics.families import Metric
from measurand.metrics.legacy import InstrumentPrivates
from measurand.metrics.names import build_full_name, validate_labelnames
from measurand.metrics.native import NativeScale
from measurand.metrics.registry import CollectorRegistry
from measurand.metrics.removing import Removing
from measurand.metrics.sample import Sample
from measurand.metrics.snapshot import CellFamily, Family

__all__ = ["LabelValues", "MetricBase", "disable_created_metrics", "enable_created_metrics", "shows_created"]

LabelValues = Mapping[str, Iterable[object]] | Iterable[tuple[object, ...]]
"""Label values known when a metric is defined: for each label name its values (all combinations are meant), or the tuples themselves."""

M = TypeVar("M", bound="MetricBase")

_with_created = False


def enable_created_metrics() -> None:
    """Expose ``_created`` series, the time at which each counter, histogram and summary started; off by default."""
    global _with_created  # noqa: PLW0603 - one setting per process
    _with_created = True


def disable_created_metrics() -> None:
    """Expose no ``_created`` series (the default)."""
    global _with_created  # noqa: PLW0603 - one setting per process
    _with_created = False


def shows_created() -> bool:
    """Whether ``_created`` series are exposed."""
    return _with_created


class _Defining(type):
    """Makes a repeated, identical definition return the metric that exists."""

    if not TYPE_CHECKING:

        def __call__(cls, *args, **kwargs):
            made = super().__call__(*args, **kwargs)
            existing = made.__dict__.pop("_existing", None)
            if existing is not None:
                return existing
            if not cls._is_ours:
                made._complete()
            return made


class MetricBase(InstrumentPrivates, Removing, metaclass=_Defining):
    """A metric: a module-level constant that the code around it records on.

    Defining the same metric again, in a reloaded module or an application factory, returns the one that exists; defining another one
    under its name raises and names both places. A definition that raises registers nothing. All methods are safe from any thread, from
    signal handlers and after a fork.

    Args:
        name: The metric's name, by convention with its unit (``_seconds``, ``_bytes``) and, for a counter, ``_total``.
        documentation: What it means, one sentence.
        labelnames: The names of its labels.
        namespace: A prefix for the name.
        subsystem: A second prefix.
        unit: A unit, appended to the name if it does not end with it.
        registry: Where it is exposed: a registry, a domain, or ``None`` for nowhere.
        max_series: How many label sets get a series of their own; further ones are recorded together in one series whose label values are
            all ``__other__``, so that totals stay exact. ``None`` for no limit.
        label_values: Label values known now; their series exist, and show zero, before the first event. Either for each label name its
            values, of which all combinations are made, or the tuples themselves.

    Raises:
        DefinitionError: A name or an option is not valid, or another metric has the name (``DuplicateTimeseries``), or the domain
            refuses it (``RefusedByDomain``).
    """

    _type: ClassVar[str]
    _kind: ClassVar[Any] = "other"
    _reserved_labelnames: ClassVar[tuple[str, ...]] = ()
    is_plain: ClassVar[bool] = True
    """Whether the class collects by itself, as opposed to a subclass with a ``collect`` of its own."""

    _is_ours: ClassVar[bool] = True
    _makes_samples: ClassVar[bool] = False
    _starts_itself: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._makes_samples = cls._child_samples is not MetricBase._child_samples
        cls._starts_itself = cls._metric_init is not MetricBase._metric_init
        cls.is_plain = cls.collect is MetricBase.collect and not cls._makes_samples
        cls._is_ours = cls.__module__.startswith("measurand.")

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        _labelvalues: object = None,  # for subclasses that pass it on, as they have to in prometheus_client
        *,
        max_series: int | None = DEFAULT_MAX_SERIES,
        label_values: LabelValues = (),
    ) -> None:
        self._define(name, documentation, labelnames, (namespace, subsystem), unit, registry, max_series, label_values, {})

    def _define(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str],
        prefixes: tuple[str, str],
        unit: str,
        registry: CollectorRegistry | None,
        max_series: int | None,
        label_values: LabelValues,
        options: Mapping[str, Any],
        *,
        bounds: tuple[float, ...] = (),
        native: NativeScale | None = None,
        width: int = 1,
        expire_after: float | None = None,
        additive: bool = True,
    ) -> None:
        full_name = build_full_name(self._type, name, *prefixes, unit)
        if not isinstance(documentation, str):
            raise TypeError(f"The documentation of {full_name} must be a string, not {type(documentation).__name__}")
        if max_series is not None and not (isinstance(max_series, int) and max_series >= 1):
            raise DefinitionError(f"max_series of {full_name} must be a whole number, at least 1, or None for no limit; got {max_series!r}")
        names = validate_labelnames(full_name, labelnames, self._reserved_labelnames)
        definition = Definition(
            name=full_name,
            type=self._type,
            documentation=documentation,
            labelnames=names,
            unit=unit,
            bounds=bounds,
            options={"max_series": max_series, **options},
            given=(name, *prefixes),
            source=calling_source(),
            native=native,
        )
        self._definition = definition
        core.define(self, self._spec(definition, max_series, width, expire_after, additive))  # type: ignore[arg-type]
        if self._starts_itself and not names:
            self._metric_init()
        declared = list(_combinations(definition, label_values))
        for values in declared:
            self.labels(*values)  # type: ignore[attr-defined]
        existing = _same_in(registry, self, definition)
        if existing is None and registry is not None:
            try:
                registry.register(self)
            except DuplicateTimeseries:
                existing = _same_in(registry, self, definition)
                if existing is None:
                    raise
        if existing is not None:  # what is left of the constructor works on the repetition, which is then let go
            for values in declared:
                existing.labels(*values)
            self._existing = existing

    def _spec(self, definition: Definition, max_series: int | None, width: int, expire_after: float | None, additive: bool) -> Spec:
        return Spec(
            name=definition.name,
            type=definition.type,
            kind=self._kind,
            labelnames=definition.labelnames,
            bounds=definition.cells,
            width=width,
            max_series=max_series,
            expire_after=expire_after,
            additive=additive,
            # where series can be removed, one that is set to what it was has to be told from one that is not set again
            stamped=self._kind == "gauge" and (bool(definition.labelnames) or definition.rule.endswith(("auto", "mostrecent"))),
            adopt=None if self._is_ours else self._adopt,
        )

    def _adopt(self, child: Any) -> None:
        """Give a new child what a user's subclass set on its root."""
        child.__dict__.update(self.__dict__)
        if self._starts_itself:
            child._metric_init()

    def _complete(self) -> None:
        """Give the children that were made by the constructor what it set after that."""
        for child in core.children(self):  # type: ignore[arg-type]
            child.__dict__.update({**self.__dict__, **child.__dict__})

    def __copy__(self) -> Self:
        return self  # a copy would have the same numbers

    @property
    def definition(self) -> Definition:
        """What the metric was defined as, and where; the same for all its series."""
        definition: Definition = core.root(self).__dict__["_definition"]  # type: ignore[arg-type]
        return definition

    @classmethod
    def get_or_create(
        cls, name: str, documentation: str = "", labelnames: Iterable[str] = (), *, registry: CollectorRegistry = REGISTRY, **options: Any
    ) -> Self:
        """Return the metric of this name, defining it first if need be; for names known only at run time.

        Documentation and options matter only for the first call. Safe from any thread.

        Raises:
            DuplicateTimeseries: The name belongs to a metric of another type or with other labels.
            DefinitionError: The definition is not valid.
        """
        full_name = build_full_name(cls._type, name, options.get("namespace", ""), options.get("subsystem", ""), options.get("unit", ""))
        names = validate_labelnames(full_name, labelnames, cls._reserved_labelnames)
        existing = registry.find(full_name)
        if existing is None:
            try:
                return cls(name, documentation or name, names, registry=registry, **options)
            except DuplicateTimeseries:  # another thread was faster, or the name is another's
                existing = registry.find(full_name)
                if existing is None:
                    raise
        known = isinstance(existing, cls) or (isinstance(existing, MetricBase) and _class_name(type(existing)) == _class_name(cls))
        if known and existing.definition.labelnames == names:
            return cast(Self, existing)
        asked = Definition(name=full_name, type=cls._type, documentation=documentation, labelnames=names)
        raise _conflict(getattr(existing, "definition", None), asked, ["type or labels"])

    def shared_as(self) -> dict[str, Any]:
        """What the other processes of the service have to know of the metric to show it and to combine it with theirs."""
        definition = self.definition
        width = core.spec(self).width  # type: ignore[arg-type]
        return {
            "type": definition.type,
            "documentation": definition.documentation,
            "labelnames": definition.labelnames,
            "unit": definition.unit,
            "bounds": definition.bounds,
            "native_range": definition.native.range if definition.native is not None else None,
            "width": width + 2 if self._kind == "gauge" else width,
            "rule": definition.rule,
            "expire_after": core.spec(self).expire_after,  # type: ignore[arg-type]
            "states": definition.options.get("states", ()),
        }

    def said_of(self, series: Any) -> Any:
        """What they have to know of one of its series besides the numbers, as JSON has it: when it was made, if that is shown."""
        return core.created(series) if _with_created and self._type in {"counter", "summary", "histogram"} else None

    def describe(self) -> list[Metric]:
        """The family without samples."""
        definition = self.definition
        return [Metric(definition.name, definition.documentation, definition.type, definition.unit)]

    def collect(self) -> list[Metric]:
        """The family with its samples at this moment; a callback's exception passes through."""
        metric = self.describe()[0]
        metric.samples = self._own_samples()
        return [metric]

    def snapshot(self, common: Mapping[str, str]) -> Family:
        """The series at this moment, with the common labels of the registry."""
        return CellFamily(self.definition, core.freeze(self), common, _with_created)  # type: ignore[arg-type]

    def _own_samples(self) -> list[Sample]:
        if self._makes_samples:
            return self._made_samples()
        if core.root(self) is not self:  # type: ignore[arg-type, comparison-overlap]
            return self._series_samples()
        family = self.snapshot({})
        return list((family.resolve() if isinstance(family, CellFamily) else family).samples())

    def _series_samples(self) -> list[Sample]:
        """One child's samples, without the labels that led to it."""
        numbers: tuple[float, ...] = core.read(self)  # type: ignore[arg-type]
        if self._kind == "histogram":
            numbers = (*accumulate(numbers[:-1]), numbers[-1])
        callback = core.payload(self)  # type: ignore[arg-type]
        if callback is not None:
            numbers = (float(callback()),)
        family = CellFamily(self.definition, None, {}, _with_created)  # type: ignore[arg-type]
        exemplars = family.shown(core.exemplars(self))  # type: ignore[arg-type]
        return [
            Sample(
                self.definition.name + suffix,
                dict([own]) if own else {},
                numbers[index] if index >= 0 else core.created(self),  # type: ignore[arg-type]
                None,
                exemplars.get(cell),
            )
            for suffix, own, index, cell in family.lines()
        ]

    def __str__(self) -> str:
        return f"{self._type}:{self.definition.name}"

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}({self.definition.name})"


def _same_in(registry: CollectorRegistry | None, metric: MetricBase, definition: Definition) -> Any | None:
    """The registered metric that ``definition`` repeats, if there is one.

    Raises:
        DuplicateTimeseries: The name is taken by a metric that differs.
    """
    find = getattr(registry, "find", None)  # prometheus_client's registries, which take our metrics too, have none
    existing = None if find is None else find(definition.name)
    if existing is None:
        return None
    if not isinstance(existing, MetricBase) or existing.definition.name != definition.name:
        return None  # the registry will say whose it is
    differences = existing.definition.differences(definition)
    if _class_name(type(existing)) != _class_name(type(metric)):
        differences.append(f"class {_class_name(type(existing))} / {_class_name(type(metric))}")
    if differences:
        raise _conflict(existing.definition, definition, differences)
    return existing


def _class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _conflict(first: Definition | None, second: Definition, differences: list[str]) -> DuplicateTimeseries:
    names = {second.name}
    message = f"Duplicated timeseries in CollectorRegistry: {names}: "
    if first is None:
        return DuplicateTimeseries(names, message + f"the name belongs to a custom collector; asked for at {second.source}")
    return DuplicateTimeseries(
        names,
        message + f"{first.type} {first.name} with labels {list(first.labelnames)} is defined at {first.source}, "
        f"and {second.type} {second.name} with labels {list(second.labelnames)} at {second.source}; "
        f"they differ in {'; '.join(differences)}. Rename one of them, or make both definitions the same.",
    )


def _combinations(definition: Definition, label_values: LabelValues) -> Iterable[tuple[object, ...]]:
    if isinstance(label_values, Mapping):
        if set(label_values) != set(definition.labelnames):
            raise DefinitionError(
                f"label_values of {definition.name} must give values for each of its labels: "
                f"expected {list(definition.labelnames)}, got {list(label_values)}"
            )
        for name, values in label_values.items():
            if isinstance(values, str):
                raise DefinitionError(
                    f"label_values of {definition.name}: the values of {name!r} must be a list, not the string {values!r}"
                )
        return product(*(label_values[name] for name in definition.labelnames))
    if isinstance(label_values, str):
        raise DefinitionError(f"label_values of {definition.name} must be a list, not the string {label_values!r}")
    tuples = [tuple(values) if isinstance(values, tuple | list) else (values,) for values in label_values]
    wrong = [values for values in tuples if len(values) != len(definition.labelnames)]
    if wrong:
        raise DefinitionError(f"label_values of {definition.name}: {wrong[0]!r} does not fit its labels {list(definition.labelnames)}")
    return [tuple(text(value) for value in values) for values in tuples]
