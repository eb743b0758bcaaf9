"""The benchmarks: their names, what they run, and how often. Nothing here imports a library under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks import backends, exposition, hotpath, http, imports, memory, processes, queries, stall, threads
from benchmarks.adapters import Adapter

__all__ = ["SUITE", "Benchmark", "measured"]

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark.

    Attributes:
        group: The group that it belongs to.
        run: Takes the library and the settings, in a process made for it; returns figures, or ``None`` where the library has no equivalent.
        settings: Settings of a full run.
        quick: Those that differ in a quick run.
        rounds: How many rounds a full run goes.
        quick_rounds: How many a quick run goes; 0 leaves the benchmark out.
    """

    group: str
    run: Callable[..., Figures | None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    rounds: int = 5
    quick_rounds: int = 1


def _on_instance(function: Callable[..., Figures | None]) -> Callable[..., Figures | None]:
    return lambda library, **settings: function(library(), **settings)


def _hot(name: str, **settings: Any) -> Benchmark:
    return Benchmark(
        "hot path",
        _on_instance(hotpath.run),
        {"benchmark": name, "seconds": 0.05, "repeats": 5, **settings},
        {"seconds": 0.01, "repeats": 3},
        rounds=9,
    )


def _scrape(kind: str, series: int, repeats: int, rounds: int = 5, quick_rounds: int = 1) -> Benchmark:
    return Benchmark(
        "exposition",
        _on_instance(exposition.run),
        {"kind": kind, "series": series, "repeats": repeats},
        {"repeats": 3},
        rounds,
        quick_rounds,
    )


def _http(framework: str, routes: int) -> Benchmark:
    settings = {"framework": framework, "routes": routes, "turns": 300, "requests": 10}
    return Benchmark("http", _on_instance(http.run), settings, {"turns": 60}, rounds=9)


def _query(connects: bool) -> Benchmark:
    settings = {"connects": connects, "turns": 60, "samples": 10, "statements": 20}
    return Benchmark("queries", _on_instance(queries.run), settings, {"turns": 15}, rounds=9)


def _company(name: str) -> Benchmark:
    settings = {"benchmark": name, "seconds": 0.05, "repeats": 7}
    return Benchmark("processes", _on_instance(processes.company), settings, {"seconds": 0.01, "repeats": 3}, rounds=9)


def _several(run: Callable[..., Figures | None], rounds: int, quick: Mapping[str, Any], **settings: Any) -> Benchmark:
    return Benchmark("processes", _on_instance(run), {"series": 1_000, **settings}, quick, rounds)


def _stall(ticker: str) -> Benchmark:
    settings = {"ticker": ticker, "series": 100_000, "seconds": 3.0}
    return Benchmark("stall", _on_instance(stall.run), settings, {"series": 10_000, "seconds": 0.5}, rounds=5)


def _backends(benchmark: str) -> Benchmark:
    settings = {"benchmark": benchmark, "seconds": 0.02, "repeats": 15}
    return Benchmark("backends", _on_instance(backends.recording), settings, {"repeats": 2}, rounds=9)


def _counting(known: bool) -> Benchmark:
    settings = {"known": known, "seconds": 0.05, "repeats": 5}
    return Benchmark("backends", _on_instance(backends.counting), settings, {"seconds": 0.02, "repeats": 2}, rounds=9)


def _delivery(destination: str) -> Benchmark:
    settings = {"destination": destination, "series": 10_000, "repeats": 5}
    return Benchmark("deliveries", _on_instance(backends.delivering), settings, {"series": 1_000, "repeats": 3}, rounds=7)


def _memory(held: bool) -> Benchmark:
    return Benchmark("memory", _on_instance(memory.run), {"series": 100_000, "held": held}, {"series": 20_000})


def _import(attribute: str) -> Benchmark:
    def run(library: type[Adapter]) -> Figures:
        return imports.run(getattr(library, attribute))

    return Benchmark("import", run, rounds=21, quick_rounds=2)


SUITE: dict[str, Benchmark] = {
    "inc": _hot("inc"),
    "labels_positional": _hot("labels_positional"),
    "labels_keyword": _hot("labels_keyword"),
    "labels_converted": _hot("labels_converted"),
    "labels_many": _hot("labels_many"),
    "observe": _hot("observe"),
    "set": _hot("set"),
    "time_block": _hot("time_block"),
    "timed_function": _hot("timed_function"),
    "timed_coroutine": _hot("timed_coroutine"),
    "timed_by_name": _hot("timed_by_name"),
    "timed_coroutine_by_name": _hot("timed_coroutine_by_name"),
    "threads": Benchmark("threads", _on_instance(threads.run), {"increments": 1_000_000}, {"increments": 100_000}),
    "threads_exact": Benchmark("threads", _on_instance(threads.run), {"increments": 10_000_000}, rounds=1, quick_rounds=0),
    "counters_1k": _scrape("counter", 1_000, 21),
    "counters_10k": _scrape("counter", 10_000, 9),
    "counters_100k": _scrape("counter", 100_000, 3, quick_rounds=0),
    "histograms_1k": _scrape("histogram", 1_000, 9),
    "fastapi_10": _http("fastapi", 10),
    "fastapi_200": _http("fastapi", 200),
    "flask_10": _http("flask", 10),
    "flask_200": _http("flask", 200),
    "query": _query(connects=False),
    "query_connected": _query(connects=True),
    "company_inc": _company("inc"),
    "company_labels": _company("labels_positional"),
    "company_observe": _company("observe"),
    "company_set": _company("set"),
    "scrape_4": _several(processes.scrape, 9, {"repeats": 3}, repeats=11),
    "workers_256": _several(processes.come_and_go, 3, {"generations": 13, "repeats": 3}, generations=253, repeats=11),
    "fork": _several(processes.fork, 9, {"repeats": 5}, repeats=21),
    "backends_inc": _backends("inc"),
    "backends_labels": _backends("labels_positional"),
    "counting": _counting(known=True),
    "counting_labels": _counting(known=False),
    **{f"delivery_{destination}": _delivery(destination) for destination in backends.DESTINATIONS},
    "stall_thread": _stall("thread"),
    "stall_loop": _stall("loop"),
    "memory": _memory(held=False),
    "memory_held": _memory(held=True),
    "import": _import("import_statement"),
    "import_first_counter": _import("first_counter"),
}


def measured(name: str, library: type[Adapter], quick: bool) -> Figures | None:
    """Run one benchmark once, in this process."""
    benchmark = SUITE[name]
    settings = {**benchmark.settings, **(benchmark.quick if quick else {})}
    return benchmark.run(library, **settings)
