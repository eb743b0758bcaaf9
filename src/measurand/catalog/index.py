"""All metric sets, and a page about them that is made from their definitions.

A set is a class that takes ``registry=``; where events are recorded to it, its module has their frozen dataclasses, and the class has
``record(event)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from importlib import import_module
from typing import Any, NamedTuple, get_args, get_type_hints

from measurand.metrics.definition import definition_of
from measurand.metrics.registry import CollectorRegistry

__all__ = ["SETS", "MetricSet", "Row", "events", "markdown", "rows"]

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MetricSet:
    """Where a set stands.

    Attributes:
        place: Its module and class, with a colon between them.
        options: Arguments that bring out all that it has.
    """

    place: str
    options: Options = field(default_factory=dict)

    @property
    def cls(self) -> Any:
        """The class."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(f"measurand.catalog.{module}"), name)

    def make(self, registry: CollectorRegistry) -> Any:
        """The set, with all that it has, in a registry."""
        return self.cls(registry=registry, **self.options)


SETS: dict[str, MetricSet] = {
    "HTTP requests": MetricSet("http:HttpMetrics", {"body_sizes": True, "first_byte": True, "background": True}),
    "Databases": MetricSet("database:DatabaseMetrics"),
    "Background tasks": MetricSet("tasks:TaskMetrics"),
    "Celery": MetricSet("celery:CeleryMetrics"),
    "Tasks and what they take": MetricSet("resources:ResourceMetrics"),
    "Batch jobs": MetricSet("jobs:JobMetrics"),
    "Channels and posts": MetricSet("business:BusinessMetrics"),
    "Redis": MetricSet("redis:RedisMetrics"),
    "Telegram bots": MetricSet("telegram:TelegramMetrics"),
    "HTTP client": MetricSet("client:HttpClientMetrics"),
    "Health": MetricSet("health:HealthMetrics"),
    "Service": MetricSet("service:ServiceCollector", {"version": "1.0", "environment": "production", "starts": 1}),
    "Shutdown": MetricSet("lifecycle:LifecycleMetrics"),
    "Processes": MetricSet("process:ProcessCollector"),
    "Machine and container": MetricSet("system:SystemMetrics", {"at_once": True}),
    "Garbage collection": MetricSet("runtime:GCCollector"),
    "Pauses of the garbage collector": MetricSet("gc:GCMetrics"),
    "Event loops": MetricSet("loop:LoopMetrics"),
    "Thread pools": MetricSet("thread_pools:ThreadPoolMetrics"),
    "Logging": MetricSet("logs:LogMetrics"),
    "Interpreter": MetricSet("runtime:PlatformCollector"),
    "Polling": MetricSet("polling:PollingMetrics"),
    "Exporters": MetricSet("export:ExportMetrics"),
    "This library": MetricSet("library:LibraryCollector"),
}
"""Every set, by what it is about."""


class Row(NamedTuple):
    """A metric of a set.

    Attributes:
        name: As it is exposed.
        type: Its type.
        labels: The names of its labels.
        buckets: A histogram's upper bounds, without +Inf.
        documentation: What it means.
    """

    name: str
    type: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...]
    documentation: str


def rows(given: MetricSet) -> list[Row]:
    """The metrics of a set, in the order of their definition."""
    registry = CollectorRegistry()
    given.make(registry)
    return [row for collector in registry.collectors() for row in _rows(collector)]


def _rows(collector: Any) -> Iterator[Row]:
    definition = definition_of(collector)
    if definition is not None:
        name = f"{definition.name}_total" if definition.type == "counter" else definition.name
        yield Row(name, definition.type, tuple(definition.labelnames), tuple(definition.bounds), definition.documentation)
        return
    families = collector.describe() if hasattr(collector, "describe") else collector.collect()
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = tuple(family._labelnames) or (tuple(family.samples[0].labels) if family.samples else ())
        yield Row(name, family.type, labels, (), family.documentation)


def events(given: MetricSet) -> list[type]:
    """The events that a set records: the frozen dataclasses that its methods ``record`` and ``record_…`` take."""
    found: dict[type, None] = {}
    for called, method in inspect.getmembers(given.cls, inspect.isfunction):
        if called != "record" and not called.startswith("record_"):
            continue
        for name, hint in get_type_hints(method).items():
            if name != "return":
                found |= {kind: None for kind in get_args(hint) or (hint,) if is_dataclass(kind) and isinstance(kind, type)}
    return list(found)


def markdown() -> str:
    """The page: a section and a table for each set."""
    parts = [
        "# Metric sets\n\nWritten by `python -m measurand catalog`, not by hand. What the integrations record, and what you can record\n"
        "yourself: a set is a class that takes `registry=`, and two sets in one registry share their metrics.\n"
    ]
    for title, given in SETS.items():
        module, _, name = given.place.partition(":")
        parts.append(f"## {title}\n\n`measurand.catalog.{module}.{name}`: {_first_line(given.cls)}\n")
        parts.append("| metric | type | labels | what it means |\n|---|---|---|---|\n" + "".join(map(_line, rows(given))))
        parts += [f"Records `{event.__name__}{_signature(event)}`: {_first_line(event)}\n" for event in events(given)]
    return "\n".join(parts)


def _line(row: Row) -> str:
    labels = ", ".join(f"`{label}`" for label in row.labels)
    buckets = f"; buckets {', '.join(f'{bound:g}' for bound in row.buckets)}" if row.buckets else ""
    return f"| `{row.name}` | {row.type} | {labels} | {row.documentation.rstrip('.')}{buckets} |\n"


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").splitlines()[0].replace("``", "`")


def _signature(event: type) -> str:
    """The fields in order, without their types: a default says what may be left out."""
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in inspect.signature(event).parameters.values()]
    return str(inspect.Signature(parameters)).replace("<factory>", "…")
