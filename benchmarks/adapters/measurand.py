"""measurand on its C core."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.adapters import RECORDING, Code, Touch, _destinations
from benchmarks.adapters._prometheus_style import PrometheusStyle
from benchmarks.sinks import Sink


class Library(PrometheusStyle):
    title = "measurand"
    distribution = "measurand"
    order = 0
    groups = (*RECORDING, "http", "queries", "processes", "backends", "deliveries")
    module = "measurand"
    import_statement = "import measurand"
    first_counter = "from measurand import Counter; Counter('requests_total', 'Requests')"
    unlimited: ClassVar = {"max_series": None}

    def unshared(self) -> Library:
        twin = type(self)()
        twin.registry = None
        return twin

    def shared_files(self) -> list[Path]:
        with open("/proc/self/maps") as maps:
            places = {Path(line.split()[-1]).parent for line in maps if "/lane-" in line}
        return [file for place in places for file in place.iterdir()]

    def destinations(self, sink: Sink) -> AbstractContextManager[_destinations.Having]:
        return _destinations.running(self.registry, sink)

    def counted_for_server(self, sink: Sink, known: bool, until: ExitStack) -> Code:
        until.enter_context(until.enter_context(_destinations.running(self.registry, sink))(1))
        return self.inc() if known else self.labels_positional()

    def delivery(self, destination: str, sink: Sink) -> tuple[Touch, Callable[[], object]]:
        return self.counter_series(), _destinations.delivering(destination, self.registry, sink)

    def fastapi(self, app: Any) -> Any:
        from measurand.integrations.fastapi import install  # noqa: PLC0415 - imported when it is measured
        from measurand.testing.http import StandIn  # noqa: PLC0415

        return install(app, StandIn())

    def flask(self, app: Any) -> Any:
        from measurand.integrations.flask import install  # noqa: PLC0415 - imported when it is measured
        from measurand.testing.http import StandIn  # noqa: PLC0415

        return install(app, StandIn())

    def sqlalchemy(self, engine: Any) -> Callable[[], object]:
        from measurand.integrations.sqlalchemy import instrument  # noqa: PLC0415 - imported when it is measured

        return instrument(engine, registry=self.registry).uninstrument

    def timed_by_name(self, function: Callable[[], object]) -> Code:
        return Code("timed()", {"timed": self.library.timed("work_seconds", registry=self.registry)(function)})

    def timed_coroutine_by_name(self, function: Callable[[], Any]) -> Code:
        return Code("await timed()", {"timed": self.library.timed("work_seconds", registry=self.registry)(function)}, awaits=True)
