"""What a metric was defined as, and where: the ground for telling a repetition from a conflict."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from measurand.errors import DefinitionError
from measurand.metrics.native import NativeScale

__all__ = ["UNDECLARED", "Definition", "Source", "calling_source", "definition_of", "is_plain"]


class _Undeclared(str):
    """What a gauge's ``multiprocess_mode`` is where none is given: it reads as in ``prometheus_client``, and means that none was."""

    __slots__ = ()


UNDECLARED = _Undeclared("all")


@dataclass(frozen=True, slots=True)
class Source:
    """A line of a user's program."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def calling_source() -> Source:
    """The innermost line on the stack that is not this package's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return Source(frame.f_code.co_filename, frame.f_lineno)


def _ours(module: str) -> bool:
    return module == "measurand" or module.startswith("measurand.")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Definition:
    """One metric's definition.

    Attributes:
        name: The family's full name, without a counter's ``_total``.
        type: The exposed type.
        documentation: What it means.
        labelnames: The label names in order.
        unit: The unit, or an empty string.
        bounds: A histogram's upper bounds without +Inf.
        options: Everything else that must agree for two definitions to be the same.
        given: The parts that the name was built from.
        source: Where it stands.
        native: How the cells of a native histogram are arranged; ``None`` for any other metric.

    Raises:
        DefinitionError: It has a label that the metric's way to show several processes uses itself.
    """

    name: str
    type: str
    documentation: str
    labelnames: tuple[str, ...] = ()
    unit: str = ""
    bounds: tuple[float, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[str, str, str] = ("", "", "")
    source: Source = field(default_factory=calling_source)
    native: NativeScale | None = None

    def __post_init__(self) -> None:
        if self.rule.removeprefix("live") == "all" and "pid" in self.labelnames:
            raise DefinitionError(
                f"Reserved label metric name: 'pid' of {self.name}; with multiprocess_mode={self.rule!r} it is each process' id"
            )

    @property
    def cells(self) -> tuple[float, ...]:
        """The upper bounds of a histogram's cells without +Inf: of a native one more than ``bounds``, of any other the same."""
        return self.bounds if self.native is None else self.native.cells

    def differences(self, other: Definition) -> list[str]:
        """How ``other`` differs, one phrase each; empty if both define the same metric.

        The documentation may change within one file: that is an edit and a reload, not two metrics of one name.
        """
        found = []
        if self.type != other.type:
            found.append(f"type {self.type} / {other.type}")
        if self.labelnames != other.labelnames:
            found.append(f"labels {list(self.labelnames)} / {list(other.labelnames)}")
        if self.unit != other.unit:
            found.append(f"unit {self.unit!r} / {other.unit!r}")
        if self.type != other.type:
            return found  # the rest follows from that
        if self.bounds != other.bounds:
            found.append(f"buckets {self.bounds} / {other.bounds}")
        for option in sorted({*self.options, *other.options}):
            mine, theirs = self.options.get(option), other.options.get(option)
            if mine != theirs:
                found.append(f"{option} {mine!r} / {theirs!r}")
        if self.documentation != other.documentation and self.source.file != other.source.file:
            found.append(f"documentation {self.documentation!r} / {other.documentation!r}")
        return found

    @property
    def rule(self) -> str:
        """How a gauge's values of several processes combine, see ``combining``; "auto" where none is declared."""
        mode = self.options.get("multiprocess_mode", UNDECLARED)
        return "auto" if isinstance(mode, _Undeclared) else str(mode)

    def series_names(self, suffixes: Mapping[str, tuple[str, ...]]) -> list[str]:
        """The series names that the metric owns."""
        return [self.name, *(self.name + suffix for suffix in suffixes.get(self.type, ()))]


def definition_of(collector: object) -> Definition | None:
    """What an instrument was defined as; ``None`` for any other collector."""
    definition = getattr(collector, "definition", None)
    return definition if isinstance(definition, Definition) else None


def is_plain(collector: object) -> bool:
    """Whether a collector is an instrument that is read straight from its cells."""
    return getattr(collector, "is_plain", False) is True
