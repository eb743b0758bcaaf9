"""What we hold ourselves to: each goal as a figure that can be computed from a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.results import Results

__all__ = ["GOALS", "Goal"]

OURS, PURE, THEIRS, PEER = "measurand", "measurand_pure", "prometheus_client", "pytheus"
SHARING = "prometheus_client_multiprocess"
TO_DATADOG, TO_STATSD = "datadog", "statsd"
ON_SQLALCHEMY = "opentelemetry_sqlalchemy"
ON_FASTAPI, ON_STARLETTE, ON_FLASK = "prometheus_fastapi_instrumentator", "starlette_exporter", "prometheus_flask_exporter"

QUERIES = (("a statement of SQLAlchemy", "query"), ("one with a connection of its own", "query_connected"))


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal.

    Attributes:
        title: What is measured.
        value: The figure, or ``None`` if this run did not measure it.
        limit: What it must reach.
        at_least: Whether the figure must be at least the limit, rather than at most.
        unit: What stands after the figure.
    """

    title: str
    value: Callable[[Results], float | None]
    limit: float
    at_least: bool = True
    unit: str = " x"

    def met(self, value: float) -> bool:
        """Whether ``value`` is good enough."""
        return value >= self.limit if self.at_least else value <= self.limit


def _times(benchmark: str, figure: str = "ns", ours: str = OURS, theirs: str = THEIRS) -> Callable[[Results], float | None]:
    return lambda results: results.ratio(benchmark, theirs, ours, figure)


def _named(benchmark: str, theirs: str) -> Callable[[Results], float | None]:
    """Two benchmarks, which ran at different times: a little less exact than a ratio within rounds."""

    def value(results: Results) -> float | None:
        ours, peer = results.typical(benchmark, OURS, "ns"), results.typical(theirs, THEIRS, "ns")
        return peer / ours if ours and peer else None

    return value


def _growth(large: str, small: str) -> Callable[[Results], float | None]:
    """How many times ours is as large in one benchmark as in another."""

    def value(results: Results) -> float | None:
        above, below = results.typical(large, OURS, "ns"), results.typical(small, OURS, "ns")
        return above / below if above and below else None

    return value


def _added_by(benchmark: str) -> Callable[[Results], float | None]:
    """How many times as long a recording takes with five destinations as with none."""
    return lambda results: results.ratio(benchmark, OURS, OURS, "ns", "none")


def _slowest_pure_row(results: Results) -> float | None:
    rows = [
        *((name, "ns") for name in results.rounds if any(figures and "ns" in figures for figures in results.rounds[name].get(PURE, []))),
        *((name, "steady") for name in results.rounds if name.startswith(("counters", "histograms"))),
    ]
    ratios = [results.ratio(name, THEIRS, PURE, figure) for name, figure in rows]
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def _milliseconds(benchmark: str, figure: str) -> Callable[[Results], float | None]:
    def value(results: Results) -> float | None:
        seconds = results.typical(benchmark, OURS, figure)
        return None if seconds is None else seconds * 1e3

    return value


GOALS = (
    Goal("`inc()`, bound child, beside prometheus_client", _times("inc"), 14),
    Goal(
        "`inc()`, bound child, beside an empty C method call", lambda r: r.ratio("inc", OURS, OURS, "ns", "baseline"), 1.5, at_least=False
    ),
    Goal("`labels(3 positional).inc()` beside prometheus_client", _times("labels_positional"), 25),
    Goal("`labels(3 by keyword).inc()` beside prometheus_client", _times("labels_keyword"), 28),
    Goal("`observe()` over 14 buckets beside prometheus_client", _times("observe"), 18),
    Goal("`with h.time()` beside prometheus_client", _times("time_block"), 8),
    Goal("timed function beside prometheus_client", _times("timed_function"), 12),
    Goal("a function under `timed(name)` beside prometheus_client's timed function", _named("timed_by_name", "timed_function"), 12),
    Goal("timed coroutine beside prometheus_client (which does not time the await)", _times("timed_coroutine"), 4.5),
    Goal("pure-Python core, its slowest row beside prometheus_client", _slowest_pure_row, 1),
    Goal("text of 10k series, beside prometheus_client", _times("counters_10k", "steady"), 40),
    Goal("text of 10k series, beside pytheus", _times("counters_10k", "steady", theirs=PEER), 12),
    Goal("text of 10k series, pure-Python core beside prometheus_client", _times("counters_10k", "steady", ours=PURE), 10),
    Goal("text of 10k series, pure-Python core beside pytheus", _times("counters_10k", "steady", ours=PURE, theirs=PEER), 3),
    *(
        Goal(f"added to a request of FastAPI, {routes} routes, beside {peer}", _times(f"fastapi_{routes}", theirs=peer), 10)
        for routes in (10, 200)
        for peer in (ON_FASTAPI, ON_STARLETTE)
    ),
    Goal("added to a request of FastAPI, 200 routes beside 10", _growth("fastapi_200", "fastapi_10"), 1.5, at_least=False),
    Goal("added to a request of Flask, 10 routes, beside prometheus_flask_exporter", _times("flask_10", theirs=ON_FLASK), 4),
    *(
        Goal(
            f"added to {what}, beside two listeners that do nothing",
            lambda r, benchmark=benchmark: r.ratio(benchmark, OURS, OURS, "ns", "listeners"),
            1.3,
            at_least=False,
        )
        for what, benchmark in QUERIES
    ),
    *(
        Goal(f"added to {what}, beside opentelemetry-instrumentation-sqlalchemy", _times(benchmark, theirs=ON_SQLALCHEMY), 2)
        for what, benchmark in QUERIES
    ),
    Goal(
        "`inc()` that other processes see, beside one in private memory",
        lambda r: r.ratio("company_inc", OURS, OURS, "ns", "private"),
        1.1,
        at_least=False,
    ),
    Goal("`inc()` that other processes see, beside prometheus_client's", _times("company_inc", theirs=SHARING), 40),
    Goal(
        "scrape of 1k series after 256 workers have come and gone, beside that before",
        lambda r: r.typical("workers_256", OURS, "growth"),
        1.2,
        at_least=False,
    ),
    Goal("that scrape beside prometheus_client's", _times("workers_256", "steady", theirs=SHARING), 100),
    Goal(
        "storage after those 256 workers, beside that of the four that live",
        lambda r: r.ratio("workers_256", OURS, OURS, "bytes", "bytes_before"),
        1.0,
        at_least=False,
    ),
    Goal("`inc()` with five destinations, beside none", _added_by("backends_inc"), 1.05, at_least=False),
    Goal("`labels(3).inc()` with five destinations, beside none", _added_by("backends_labels"), 1.05, at_least=False),
    *(
        Goal(f"{what}, beside {peer}'s client", _times(benchmark, theirs=peer), 100)
        for what, benchmark in (("one count, labels known", "counting"), ("one count, labels given", "counting_labels"))
        for peer in (TO_DATADOG, TO_STATSD)
    ),
    *(
        Goal(f"delivery of 10k series {what}", _times(f"delivery_{destination}", "work", theirs=peer), 1)
        for destination, what, peer in (
            ("statsd", "to StatsD, beside statsd", "statsd"),
            ("dogstatsd", "to DogStatsD, beside datadog", "datadog"),
            ("pushgateway", "to a Pushgateway, beside prometheus_client", THEIRS),
            ("remote_write", "by remote write, beside protobuf", "protobuf"),
            ("otlp", "over OTLP, beside opentelemetry-sdk", "opentelemetry_sdk"),
            ("cloudwatch", "to CloudWatch, beside boto3", "boto3"),
            ("emf", "as EMF, beside aws-embedded-metrics", "aws_embedded_metrics"),
        )
    ),
    Goal(
        "100k series scraped without a pause: p99 lateness of another thread",
        _milliseconds("stall_thread", "p99"),
        10,
        at_least=False,
        unit=" ms",
    ),
    Goal(
        "100k series scraped without a pause: p99 lateness of an event loop",
        _milliseconds("stall_loop", "p99"),
        10,
        at_least=False,
        unit=" ms",
    ),
    Goal("increments lost by 8 threads in 10 million", lambda r: r.worst("threads_exact", OURS, "lost"), 0, at_least=False, unit=""),
    Goal(
        "increments lost by 8 threads in 10 million, pure-Python core",
        lambda r: r.worst("threads_exact", PURE, "lost"),
        0,
        at_least=False,
        unit="",
    ),
    Goal(
        "memory of a series beside prometheus_client, label values held by nobody else",
        lambda r: r.ratio("memory", OURS, THEIRS, "bytes"),
        0.5,
        at_least=False,
    ),
    Goal(
        "memory of a series beside prometheus_client, label values held elsewhere anyway",
        lambda r: r.ratio("memory_held", OURS, THEIRS, "bytes"),
        0.5,
        at_least=False,
    ),
    Goal("`import measurand`", _milliseconds("import", "seconds"), 30, at_least=False, unit=" ms"),
)
