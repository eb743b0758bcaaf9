"""What of the metrics goes to a destination, and how it is called there.

A wrapper around any exporter, so that none of them has to know::

    exporters=[
        StatsD("127.0.0.1:8125"),
        Route(CloudWatch("Shop"), include=["orders_*"], rename={"orders_total": "Orders"}, interval=60),
        Route(OTLP("http://127.0.0.1:4318"), registry=GOVERNANCE, name="governance"),
    ]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any
from weakref import WeakKeyDictionary

from measurand.errors import ConfigurationError
from measurand.exporters.protocol import Exporter, Temporality, temporality_of
from measurand.metrics.definition import Definition
from measurand.metrics.snapshot import CellFamily, Family, SampleFamily

__all__ = ["Rename", "Route"]

Rename = Mapping[str, str] | Callable[[str], str]


class Route:
    """An exporter that gets a part of the metrics, under other names, from another registry, or in another interval.

    Names are those of the text format: a counter's ends with ``_total``. Filters look at the old names. A counter that is renamed is called
    exactly as said where the destination allows it; the formats of Prometheus add ``_total``.

    Args:
        exporter: The destination.
        include: Patterns of the names that it gets (``*`` and ``?`` as in file names, case-sensitive); all if there are none.
        exclude: Patterns of names that it does not get all the same.
        rename: New names by old ones; or a function from the old name to the new one.
        prefix: Put before every name, after renaming.
        registry: The registry or domain that it gets, in place of the service's.
        interval: Seconds between two exports, in place of the destination's.
        name: What it is called in logs and the library's metrics, in place of the destination's name.

    Raises:
        ConfigurationError: A pattern is no text.
    """

    def __init__(
        self,
        exporter: Exporter,
        *,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        rename: Rename | None = None,
        prefix: str = "",
        registry: Any = None,
        interval: float | None = None,
        name: str | None = None,
    ) -> None:
        self.exporter = exporter
        self.name = exporter.name if name is None else name
        self.interval = exporter.interval if interval is None else interval
        self.registry = registry
        self.temporality: Temporality = temporality_of(exporter)
        self._include, self._exclude = _patterns("include", include), _patterns("exclude", exclude)
        self._rename = rename
        self._prefix = prefix
        self._definitions: WeakKeyDictionary[Definition, Definition] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Route({self.exporter!r})"

    def export(self, snapshot: Any) -> None:
        """Deliver what :meth:`select` has chosen; see the destination."""
        self.exporter.export(snapshot)

    def identify(self, service: str, environment: str, version: str) -> None:
        """Tell the destination which service this is."""
        identify = getattr(self.exporter, "identify", None)
        if identify is not None:
            identify(service, environment, version)

    def check(self) -> None:
        """Ask the destination whether it can deliver."""
        check = getattr(self.exporter, "check", None)
        if check is not None:
            check()

    def end(self, seconds: float) -> None:
        """Tell the destination that the last numbers of the service have arrived."""
        end = getattr(self.exporter, "end", None)
        if end is not None:
            end(seconds)

    def close(self) -> None:
        """Tell the destination that it is not used any more."""
        close = getattr(self.exporter, "close", None)
        if close is not None:
            close()

    def select(self, families: Iterable[Family]) -> list[Family]:
        """The families that the destination gets, with their new names."""
        inner: Any = getattr(self.exporter, "select", list)
        return [self._renamed(family) for family in inner(families) if self._is_wanted(family)]

    def _is_wanted(self, family: Family) -> bool:
        names = {family.name, _exposed(family)}
        return (not self._include or _matches(names, self._include)) and not _matches(names, self._exclude)

    def _renamed(self, family: Family) -> Family:
        old = _exposed(family)
        new = old
        if callable(self._rename):
            new = self._rename(old)
        elif self._rename is not None:
            new = self._rename.get(old, self._rename.get(family.name, old))
        new = self._prefix + new
        if new == old:
            return family
        plain = new.removesuffix("_total") if family.type == "counter" else new
        if isinstance(family, CellFamily):
            return self._cells_renamed(family, plain, new)
        content = [sample._replace(name=plain + sample.name.removeprefix(family.name)) for sample in family.content]
        if family.type == "stateset":  # the label of its states is called as it is itself
            content = [
                sample._replace(labels={plain if name == family.name else name: value for name, value in sample.labels.items()})
                for sample in content
            ]
        cells = None if family.cells is None else self._cells_renamed(family.cells, plain, new)
        return SampleFamily(plain, family.documentation, family.type, family.unit, content, cells)

    def _cells_renamed(self, family: CellFamily, name: str, exposed: str) -> CellFamily:
        return replace(family, definition=self._definition(family.definition, name, exposed))

    def _definition(self, old: Definition, name: str, exposed: str) -> Definition:
        """The definition under its new name; the same one each time, as encoders keep things with it."""
        known = self._definitions.get(old)
        if known is None or known.name != name:
            options = {**old.options, "exposed_name": exposed}
            known = self._definitions[old] = replace(old, name=name, options=options)
        return known


def _exposed(family: Family) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _patterns(what: str, patterns: Iterable[str]) -> tuple[str, ...]:
    found = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    for pattern in found:
        if not isinstance(pattern, str) or not pattern:
            raise ConfigurationError(f"{what} of a route must be patterns of names such as 'orders_*', not {pattern!r}")
    return found
