"""Registries: which collectors are exposed together.

A collector is anything with ``collect()``; an instrument is one. Names are checked when a collector is registered, so that two metrics
can never produce the same series. Registering and unregistering are safe from any thread; a registry holds its lock only while it changes
its own tables.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from measurand.core import support
from measurand.errors import DefinitionError, DuplicateTimeseries
from measurand.metrics import identities, shared
from measurand.metrics.definition import calling_source, definition_of, is_plain
from measurand.metrics.families import Metric
from measurand.metrics.legacy import RegistryPrivates
from measurand.metrics.names import SUFFIXES, underscored, validate_labelnames
from measurand.metrics.snapshot import CellFamily, Family, SampleFamily, restricted

__all__ = ["Collector", "CollectorRegistry", "RestrictedRegistry", "families_of"]


class Collector(Protocol):
    """What a registry accepts."""

    def collect(self) -> Iterable[Any]:
        """Yield metric families; called at every scrape, from any thread."""
        ...


class _Reserved:
    """Holds the name of the target info."""

    def collect(self) -> Iterable[Any]:
        return ()


def families_of(metrics: Iterable[Any]) -> Iterator[SampleFamily]:
    """What a collector yielded, as snapshot families."""
    for metric in metrics:
        yield SampleFamily(metric.name, metric.documentation, metric.type, getattr(metric, "unit", ""), list(metric.samples))


class CollectorRegistry(RegistryPrivates):
    """A set of collectors that are exposed together.

    Args:
        auto_describe: Learn a collector's names by collecting once when it is registered, if it has no ``describe()``.
        target_info: Labels that describe this process as a whole, exposed as ``target_info``.
        support_collectors_without_names: Include collectors whose names are not known in restricted registries.
        common_labels: Labels added to every series of this registry, such as the service's name.
    """

    def __init__(
        self,
        auto_describe: bool = False,
        target_info: Mapping[str, str] | None = None,
        support_collectors_without_names: bool = False,
        *,
        common_labels: Mapping[str, str] | None = None,
    ) -> None:
        self.identity = identities.identity(self._named())
        """What the registry is known by in the other processes of the service."""
        self._auto_describe = auto_describe
        self._support_nameless = support_collectors_without_names
        self._names_of: dict[Any, list[str]] = {}
        self._owner_of: dict[str, Any] = {}
        self._nameless: list[Any] = []
        self._guard = threading.RLock()
        self._guard_owner = os.getpid()
        self._target: Mapping[str, str] | None = None
        self._common: dict[str, str] = {}
        self.set_target_info(target_info)
        self.set_common_labels(common_labels or {})

    def _named(self) -> str:
        """What tells this registry from others: by default, the line that makes it."""
        return str(calling_source())

    @property
    def _exclusive(self) -> threading.RLock:
        """The lock of this process: one that another thread held during a fork would stay locked in the child for ever."""
        if self._guard_owner != os.getpid():
            self._guard, self._guard_owner = threading.RLock(), os.getpid()
        return self._guard

    def register(self, collector: Collector) -> None:
        """Add a collector.

        Raises:
            DuplicateTimeseries: It would produce a series that another collector of this registry produces; nothing has changed.
        """
        names = self._names_produced_by(collector)
        self._admit(collector, names)
        with self._exclusive:
            duplicates = [name for name in names if name in self._owner_of]
            if duplicates:
                raise self._conflict(collector, duplicates)
            self._names_of[collector] = names
            for name in names:
                self._owner_of[name] = collector
            if self._support_nameless and not names:
                self._nameless.append(collector)
        shared.enrol(self, collector)
        begin = getattr(collector, "registered", None) if getattr(collector, "is_optional", False) else None
        if begin is not None:  # a collector of ours that has to be ready for forks from now on
            begin()

    def _admit(self, collector: Any, names: list[str]) -> None:
        """Raise if the collector must not be registered here."""

    def permitted(self, families: list[Family]) -> list[Family]:
        """Those of a custom collector's families that may be shown here: all, but for a domain's rules."""
        return families

    def unregister(self, collector: Collector) -> None:
        """Remove a collector.

        The process, platform and garbage collectors are opt-in here; removing one of them that is not registered does nothing, so that
        programs which opt out of them go on working.

        Raises:
            KeyError: It is not registered here.
        """
        with self._exclusive:
            if collector not in self._names_of and getattr(collector, "is_optional", False):
                return
            for name in self._names_of.pop(collector):
                if self._owner_of.get(name) is collector:
                    del self._owner_of[name]
            if collector in self._nameless:
                self._nameless.remove(collector)
        shared.withdraw(collector)

    def find(self, name: str) -> Any | None:
        """The collector that produces the series ``name``, or ``None``."""
        return self._owner_of.get(name)

    def collectors(self) -> list[Any]:
        """All collectors in the order of their registration."""
        return list(self._names_of)

    def collect(self) -> Iterator[Metric]:
        """Yield every family as a ``Metric``; a collector's exception passes through.

        This is the slow, general way; exposition uses snapshots.
        """
        yield from map(_as_metric, self.target_families())
        for families in shared.combined(self, self.collectors()):
            yield from map(_as_metric, self.permitted(families))

    def families(self, collector: Any) -> list[Family]:
        """One collector's families at this moment, with the common labels; a collector's exception passes through."""
        if is_plain(collector):
            return [collector.snapshot(self._common)]
        return [family.with_labels(self._common) for family in families_of(collector.collect())]

    def target_families(self) -> list[SampleFamily]:
        """The target info, if there is any."""
        if not self._target:
            return []
        sample = Metric("target", "Target metadata", "info")
        sample.add_sample("target_info", dict(self._target), 1)
        return list(families_of([sample]))

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """A view that collects only the series with these names."""
        return RestrictedRegistry(names, self)

    def set_target_info(self, labels: Mapping[str, str] | None) -> None:
        """Set the labels of ``target_info``; ``None`` removes it.

        Raises:
            DefinitionError: A metric of that name is registered.
        """
        with self._exclusive:
            if labels:
                if not self._target and "target_info" in self._owner_of:
                    raise DefinitionError("CollectorRegistry already contains a target_info metric")
                self._owner_of["target_info"] = _Reserved()
            elif self._target:
                self._owner_of.pop("target_info", None)
            self._target = labels

    def get_target_info(self) -> Mapping[str, str] | None:
        """The labels of ``target_info``."""
        return self._target

    @property
    def common_labels(self) -> Mapping[str, str]:
        """The labels that every series of this registry carries."""
        return dict(self._common)

    def set_common_labels(self, labels: Mapping[str, str]) -> None:
        """Give every series of this registry these labels, from the next scrape on.

        Raises:
            DefinitionError: A label name is not valid, or a registered metric has a label of that name.
        """
        names = validate_labelnames("the registry's common labels", labels, ("le", "quantile"))
        with self._exclusive:
            for collector in self._names_of:
                self._refuse_shadowing(collector, names)
            self._common = {name: support.text(value) for name, value in labels.items()}

    def get_sample_value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """The value of one sample, or ``None`` if there is no such sample.

        Args:
            name: The series' full name, such as ``http_requests_total``.
            labels: All its labels; common labels may be left out.
        """
        wanted = dict(labels or {})
        complete = {**self._common, **wanted}
        for metric in self.collect():
            for sample in metric.samples:
                if sample.name == name and sample.labels in (wanted, complete):
                    return sample.value
        return None

    def _names_produced_by(self, collector: Any) -> list[str]:
        definition = definition_of(collector)
        if definition is not None and is_plain(collector):
            self._refuse_shadowing(collector, tuple(self._common))
            names: list[str] = definition.series_names(SUFFIXES)
        else:
            describe = getattr(collector, "describe", None) or (collector.collect if self._auto_describe else None)
            names = (
                []
                if describe is None
                else [metric.name + suffix for metric in describe() for suffix in ("", *SUFFIXES.get(metric.type, ()))]
            )
        exposed = (underscored(name) for name in names)
        return list(dict.fromkeys([*names, *exposed]))

    def _refuse_shadowing(self, collector: Any, names: tuple[str, ...]) -> None:
        definition = definition_of(collector)
        if definition is None:
            return
        own = [*definition.labelnames, *([definition.name] if definition.type == "stateset" else ())]
        exposed = {underscored(name, label=True) for name in own}
        shadowed = [name for name in names if underscored(name, label=True) in exposed]
        if shadowed:
            raise DefinitionError(
                f"{definition.name} (defined at {definition.source}) has the label {shadowed[0]!r}, "
                "which is a common label of its registry; rename one of them"
            )

    def _conflict(self, collector: Any, duplicates: list[str]) -> DuplicateTimeseries:
        message = f"Duplicated timeseries in CollectorRegistry: {set(duplicates)}"
        other = self._owner_of[duplicates[0]]
        return DuplicateTimeseries(duplicates, f"{message}: {_whose(collector)} and {_whose(other)}")


def _whose(collector: Any) -> str:
    definition = definition_of(collector)
    if definition is None:
        return f"{type(collector).__module__}.{type(collector).__qualname__}"
    return f"{definition.type} {definition.name} with labels {list(definition.labelnames)}, defined at {definition.source}"


def _as_metric(family: Family) -> Metric:
    metric = Metric(family.name, family.documentation, family.type, family.unit)
    metric.samples = list((family.resolve() if isinstance(family, CellFamily) else family).samples())
    return metric


class RestrictedRegistry:
    """A view of a registry that collects only the series with certain names."""

    def __init__(self, names: Iterable[str], registry: CollectorRegistry) -> None:
        self.names = frozenset(names)
        self.registry = registry

    def collectors(self) -> list[Any]:
        """The collectors that may produce one of the names."""
        owners = [self.registry.find(name) for name in sorted(self.names)]
        return list(dict.fromkeys([*self.registry._nameless, *(owner for owner in owners if owner is not None)]))

    def collect(self) -> Iterator[Metric]:
        """Yield the families that have one of the names, with only these samples; a collector's exception passes through."""
        if "target_info" in self.names:
            yield from map(_as_metric, self.registry.target_families())
        for families in shared.combined(self.registry, self.collectors()):
            for family in self.registry.permitted(families):
                wanted = restricted(family.resolve() if isinstance(family, CellFamily) else family, self.names)
                if wanted is not None:
                    yield _as_metric(wanted)
