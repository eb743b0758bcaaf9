"""Domains: sets of metrics that must not mix.

A domain is a registry with a name and with rules; a metric that breaks a rule cannot be defined in it. Each domain has its own exposition
(``generate_latest(domain)``, an endpoint, exporters), which shows no other domain's series::

    OPERATIONAL.refuse(names=["governance_*"])
    GOVERNANCE = Domain("governance", refuse_names=["http_*", "process_*"], refuse_labels=["user_id"])
    BREACHES = Counter("governance_breaches_total", "Breaches found", ["rule"], registry=GOVERNANCE)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from measurand.errors import RefusedByDomain
from measurand.metrics.definition import definition_of
from measurand.metrics.registry import Collector, CollectorRegistry
from measurand.metrics.snapshot import Family

__all__ = ["OPERATIONAL", "REGISTRY", "Domain"]


class Domain(CollectorRegistry):
    """A registry with a name and rules.

    Args:
        name: What the domain is called in messages and configuration.
        refuse_names: Patterns of metric names that may not be defined here (``*`` and ``?`` as in file names, case-sensitive). They are
            held against the family's name and against each series' name.
        refuse_labels: Patterns of label names that its metrics may not have.
        auto_describe: See ``CollectorRegistry``; on by default, so that the rules also reach custom collectors.
        target_info: See ``CollectorRegistry``.
        common_labels: See ``CollectorRegistry``.

    Raises:
        RefusedByDomain: On definition or registration, when a rule is broken; nothing is registered then.
    """

    def __init__(
        self,
        name: str,
        *,
        refuse_names: Iterable[str] = (),
        refuse_labels: Iterable[str] = (),
        auto_describe: bool = True,
        target_info: Mapping[str, str] | None = None,
        common_labels: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._refused_names: list[str] = []
        self._refused_labels: list[str] = []
        super().__init__(auto_describe, target_info, common_labels=common_labels)
        self.refuse(refuse_names, refuse_labels)

    def _named(self) -> str:
        return f"domain {self.name}"

    def __repr__(self) -> str:
        return f"Domain({self.name!r})"

    def refuse(self, names: Iterable[str] = (), labels: Iterable[str] = ()) -> None:
        """Add rules.

        Raises:
            RefusedByDomain: A metric that is registered already breaks one of them; the rules are not added then.
        """
        names, labels = list(names), list(labels)
        self._check_common(self.common_labels, labels)
        for collector in self.collectors():
            self._check(collector, self._names_of[collector], names, labels)
        self._refused_names += names
        self._refused_labels += labels

    def set_common_labels(self, labels: Mapping[str, str]) -> None:
        """Replace the labels that every series carries.

        Raises:
            RefusedByDomain: One is against the rules; nothing has changed.
            DefinitionError: One cannot be a label, or a metric has it already; nothing has changed.
        """
        self._check_common(labels, self._refused_labels)
        super().set_common_labels(labels)

    def _check_common(self, labels: Iterable[str], refused_labels: list[str]) -> None:
        broken = _first_match(labels, refused_labels)
        if broken is not None:
            raise RefusedByDomain(
                f"the common label {broken[0]!r} is refused by the domain {self.name!r}, whose rule is {broken[1]!r}: leave it out"
            )

    def refuses(self, name: str, labelnames: Iterable[str] = ()) -> bool:
        """Whether a series of this name with these labels is against the rules."""
        return _first_match([name], self._refused_names) is not None or _first_match(labelnames, self._refused_labels) is not None

    def register(self, collector: Collector) -> None:
        """Add a collector.

        Raises:
            RefusedByDomain: It breaks one of the domain's rules; nothing has changed.
            DuplicateTimeseries: It would produce a series that another collector of this domain produces; nothing has changed.
        """
        super().register(collector)

    def permitted(self, families: list[Family]) -> list[Family]:
        """Those of a custom collector's families that keep to the rules: what it yields is known only then."""
        if not self._refused_names and not self._refused_labels:
            return families
        return [family for family in families if not self._refuses_family(family)]

    def _refuses_family(self, family: Family) -> bool:
        samples = family.samples()
        names = {family.name, *(sample.name for sample in samples)}
        labelnames = {name for sample in samples for name in sample.labels}
        return any(self.refuses(name, labelnames) for name in names)

    def _admit(self, collector: Any, names: list[str]) -> None:
        self._check(collector, names, self._refused_names, self._refused_labels)

    def _check(self, collector: Any, names: Iterable[str], refused_names: list[str], refused_labels: list[str]) -> None:
        definition = definition_of(collector)
        where = f" (defined at {definition.source})" if definition is not None else f" (from {type(collector).__qualname__})"
        broken = _first_match(names, refused_names)
        if broken is not None:
            raise RefusedByDomain(
                f"{broken[0]}{where} is refused by the domain {self.name!r}, whose rule is {broken[1]!r}: "
                "define it in the domain it belongs to"
            )
        broken = _first_match(_labels_of(definition), refused_labels)
        if broken is not None:
            raise RefusedByDomain(
                f"the label {broken[0]!r} of a metric{where} is refused by the domain {self.name!r}, "
                f"whose rule is {broken[1]!r}: leave it out"
            )


def _labels_of(definition: Any) -> list[str]:
    """The labels that a metric's series will have: an Enum's states stand in one of its own name."""
    if definition is None:
        return []
    return [*definition.labelnames, *([definition.name] if definition.type == "stateset" else [])]


def _first_match(names: Iterable[str], patterns: list[str]) -> tuple[str, str] | None:
    return next(((name, pattern) for name in names for pattern in patterns if fnmatchcase(name, pattern)), None)


OPERATIONAL = Domain("operational")
"""The default domain."""

REGISTRY = OPERATIONAL
"""The default domain under the name that ``prometheus_client`` gives the default registry."""
