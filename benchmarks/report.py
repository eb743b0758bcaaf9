"""A run as a page of Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.goals import GOALS, OURS
from benchmarks.preface import NOTES, PREFACE
from benchmarks.results import Results

__all__ = ["HELD", "TABLES", "facts", "render"]

DASH = "–"

HELD = "What we hold ourselves to"


def nanoseconds(value: float) -> str:
    """Nanoseconds in a readable unit."""
    return seconds(value / 1e9)


def seconds(value: float) -> str:
    """Seconds in a readable unit, with three digits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{digits(value / scale)} {unit}"
    return f"{digits(value * 1e9)} ns"


def digits(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def plain(value: float) -> str:
    """A whole number."""
    return f"{value:,.0f}"


def lost(value: float) -> str:
    """How many increments were lost."""
    return f"**lost {value:,.0f}**" if value else "exact"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        title: What stands in the first column.
        benchmark: Whose figure it shows.
        figure: Which figure.
        show: How the figure is written.
        ratio: Whether the ratio to measurand's figure is written behind it.
        more_is_better: Whether the ratio is that of measurand's figure to this one instead.
        worst: Whether the greatest of the rounds is shown instead of the median.
    """

    title: str
    benchmark: str
    figure: str = "ns"
    show: Callable[[float], str] = nanoseconds
    ratio: bool = True
    more_is_better: bool = False
    worst: bool = False

    def cell(self, results: Results, library: str) -> str:
        """The cell of one library."""
        value = (results.worst if self.worst else results.typical)(self.benchmark, library, self.figure)
        if value is None:
            return "failed" if results.failed(self.benchmark, library) else DASH
        above, below = (OURS, library) if self.more_is_better else (library, OURS)
        ratio = results.ratio(self.benchmark, above, below, self.figure) if self.ratio and library != OURS else None
        return self.show(value) + (f" ({digits(ratio)} x)" if ratio is not None else "")


@dataclass(frozen=True, slots=True)
class Table:
    """A table and what has to be said about it."""

    title: str
    key: str
    rows: tuple[Row, ...]


def _scrapes(benchmark: str, what: str) -> tuple[Row, ...]:
    return (
        Row(f"{what}: first scrape", benchmark, "first", seconds),
        Row(f"{what}: each further one", benchmark, "steady", seconds),
        Row(f"{what}: the same in processor time", benchmark, "work", seconds),
        Row(f"{what}: size, bytes", benchmark, "bytes", plain, ratio=False),
    )


def _late(benchmark: str, what: str) -> tuple[Row, ...]:
    return (
        Row(f"{what}: median", benchmark, "p50", seconds),
        Row(f"{what}: p99", benchmark, "p99", seconds),
        Row(f"{what}: worst of all rounds", benchmark, "max", seconds, ratio=False, worst=True),
        Row(f"{what}: p99 while nobody scrapes", benchmark, "idle_p99", seconds, ratio=False),
        Row(f"{what}: scrapes in that time", benchmark, "scrapes", plain, ratio=False),
    )


def _added(benchmark: str, what: str) -> tuple[Row, ...]:
    return (
        Row(what, benchmark),
        Row(f"{what}: the request itself", benchmark, "baseline", ratio=False),
    )


def _added_to(benchmark: str, what: str) -> tuple[Row, ...]:
    return (
        Row(what, benchmark),
        Row(f"{what}: two listeners that do nothing", benchmark, "listeners", ratio=False),
        Row(f"{what}: the statement itself", benchmark, "baseline", ratio=False),
    )


def _delivered(destination: str) -> tuple[Row, ...]:
    benchmark = f"delivery_{destination}"
    return (
        Row("processor time", benchmark, "work", seconds),
        Row("wall time", benchmark, "wall", seconds),
        Row("the first time, processor time", benchmark, "first", seconds),
        Row("bytes", benchmark, "bytes", plain),
    )


def _shared(benchmark: str, what: str) -> tuple[Row, ...]:
    return (
        Row(what, benchmark),
        Row(f"{what}: the same on a metric that is not shared", benchmark, "private", ratio=False),
    )


TABLES = (
    Table(
        "One recording, one thread",
        "hot path",
        (
            Row("`child.inc()`", "inc"),
            Row("an empty C method call, beside it", "inc", "baseline", ratio=False),
            Row("`labels(3 positional).inc()`", "labels_positional"),
            Row("`labels(3 by keyword).inc()`", "labels_keyword"),
            Row("`labels(…)` with an `int` among the values", "labels_converted"),
            Row("`labels(…)` going round 1,000 series", "labels_many"),
            Row("`histogram.observe(0.3)`, 14 buckets", "observe"),
            Row("`gauge.set(42.5)`", "set"),
            Row("`with histogram.time(): pass`", "time_block"),
            Row("a timed function", "timed_function"),
            Row("the same function, not timed", "timed_function", "baseline", ratio=False),
            Row("a timed coroutine, awaited", "timed_coroutine"),
            Row("the same coroutine, not timed", "timed_coroutine", "baseline", ratio=False),
            Row("a function under `timed(name)`", "timed_by_name"),
            Row("a coroutine under `timed(name)`", "timed_coroutine_by_name"),
        ),
    ),
    Table(
        "Eight threads, one counter",
        "threads",
        (
            Row("millions of increments a second, all threads together", "threads", "millions", digits, more_is_better=True),
            Row("after how many increments, in each round", "threads", "increments", plain, ratio=False),
            Row("the counter is, in the worst round", "threads", "lost", lost, ratio=False, worst=True),
            Row("once, after how many", "threads_exact", "increments", plain, ratio=False),
            Row("the counter is", "threads_exact", "lost", lost, ratio=False),
        ),
    ),
    Table(
        "Rendering the registry as text",
        "exposition",
        (
            *_scrapes("counters_1k", "1,000 counters of 3 labels"),
            *_scrapes("counters_10k", "10,000"),
            *_scrapes("counters_100k", "100,000"),
            *_scrapes("histograms_1k", "1,000 histograms of 14 buckets"),
        ),
    ),
    Table(
        "What measuring adds to a request",
        "http",
        (
            *_added("fastapi_10", "FastAPI, 10 routes"),
            *_added("fastapi_200", "FastAPI, 200 routes"),
            *_added("flask_10", "Flask, 10 routes"),
            *_added("flask_200", "Flask, 200 routes"),
        ),
    ),
    Table(
        "What measuring adds to a statement",
        "queries",
        (
            *_added_to("query", "`SELECT 1` of SQLAlchemy Core"),
            *_added_to("query_connected", "the same with a connection from the pool"),
        ),
    ),
    Table(
        "Several processes",
        "processes",
        (
            *_shared("company_inc", "`child.inc()`, seen by another process"),
            *_shared("company_labels", "`labels(3 positional).inc()`"),
            *_shared("company_observe", "`histogram.observe(0.3)`, 14 buckets"),
            *_shared("company_set", "`gauge.set(42.5)`"),
            Row("scrape of 4 processes with 1,000 counters", "scrape_4", "steady", seconds),
            Row("the same, measured beside the rows below", "workers_256", "before", seconds),
            Row("after 256 workers have come and gone", "workers_256", "steady", seconds),
            Row("that is so many times as long", "workers_256", "growth", digits, ratio=False),
            Row("storage of 4 processes, bytes", "workers_256", "bytes_before", plain),
            Row("storage after those 256 workers, bytes", "workers_256", "bytes", plain),
            Row("a fork with 1,000 counters, to the child's first increment", "fork", "seconds", seconds),
            Row("until the parent goes on", "fork", "parent", seconds),
            Row("a fork without metrics, to the child's first statement", "fork", "bare", seconds, ratio=False),
        ),
    ),
    Table(
        "Recording for destinations",
        "backends",
        (
            Row("`child.inc()`, five destinations", "backends_inc"),
            Row("the same, one destination", "backends_inc", "one", ratio=False),
            Row("the same, none", "backends_inc", "none", ratio=False),
            Row("`labels(3 positional).inc()`, five destinations", "backends_labels"),
            Row("the same, one destination", "backends_labels", "one", ratio=False),
            Row("the same, none", "backends_labels", "none", ratio=False),
            Row("one count for (Dog)StatsD, labels known before", "counting"),
            Row("one count for (Dog)StatsD, labels given in the call", "counting_labels"),
        ),
    ),
    *(
        Table(f"A delivery of 10,000 counters {how}", f"delivery_{name}", _delivered(name))
        for name, how in (
            ("statsd", "to StatsD"),
            ("dogstatsd", "to DogStatsD"),
            ("pushgateway", "to a Pushgateway"),
            ("remote_write", "by remote write"),
            ("otlp", "over OTLP"),
            ("cloudwatch", "to CloudWatch"),
            ("emf", "as EMF"),
        )
    ),
    Table(
        "How late others run while many series are scraped without a pause",
        "stall",
        (
            Row("counters of 3 labels", "stall_thread", "series", plain, ratio=False),
            *_late("stall_thread", "a thread, every ms"),
            *_late("stall_loop", "an asyncio loop, every ms"),
        ),
    ),
    Table(
        "Memory of a series of a counter with 3 labels",
        "memory",
        (
            Row("bytes, label values held by nobody else", "memory", "bytes", plain),
            Row("the same after a scrape", "memory", "scraped", plain),
            Row("bytes, label values held elsewhere anyway", "memory_held", "bytes", plain),
            Row("the same after a scrape", "memory_held", "scraped", plain),
        ),
    ),
    Table(
        "Import",
        "import",
        (
            Row("importing the package", "import", "seconds", seconds),
            Row("importing it and defining a first counter", "import_first_counter", "seconds", seconds),
            Row("a bare interpreter, beside it", "import", "bare", seconds, ratio=False),
        ),
    ),
)


def render(results: Results) -> str:
    """The whole page."""
    parts = [PREFACE.strip(), "## This run\n\n" + "\n".join(f"- **{what}:** {said}." for what, said in facts(results).items())]
    for table in TABLES:
        rows = [row for row in table.rows if results.has(row.benchmark)]
        if rows:
            parts.append(f"## {table.title}\n\n{_table(results, rows)}{_notes(results, table.key, rows)}{_spread(results, rows)}")
    parts += [part for part in (_goals(results),) if part]
    return "\n\n".join(parts) + "\n"


def facts(results: Results, table: Table | None = None) -> dict[str, str]:
    """When, where and with what it was measured, and how quiet it was; of one table, or all of them."""
    machine = results.machine
    of = [name for name in results.versions if table is None or any(_took_part(results, row.benchmark, name) for row in table.rows)]
    return {
        "When and how": f"{machine['date']}, a {machine['mode']} run of {_duration(results.seconds)}{_sittings(results)}",
        "Machine": f"{machine['processor']}; {machine['system']}",
        "Interpreter": machine["interpreter"],
        "Libraries": ", ".join(f"{results.titles[name]} {results.versions[name]}" for name in of),
        "Noise": _noise(results),
    }


def _duration(taken: float) -> str:
    return f"{taken / 60:.0f} minutes" if taken > 120 else f"{taken:.0f} seconds"


def _sittings(results: Results) -> str:
    return f", in {results.sittings} sittings" if results.sittings > 1 else ""


def _noise(results: Results) -> str:
    work = sorted(results.work)
    return (
        f"load average {min(results.loads):.1f} to {max(results.loads):.1f} during the run, its own share of 1 included; "
        f"a fixed piece of Python work took {work[0] * 1e3:.1f} ms at best, {work[len(work) // 2] * 1e3:.1f} in the middle, "
        f"{work[-1] * 1e3:.1f} at worst"
    )


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    ruler = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ruler, *lines))


def _table(results: Results, rows: list[Row]) -> str:
    """The rows, with a column for each library that took part in any of them."""
    columns = [library for library in results.titles if any(_took_part(results, row.benchmark, library) for row in rows)]
    return _markdown(
        ["", *(results.titles[library] for library in columns)],
        [[row.title, *(row.cell(results, library) for library in columns)] for row in rows],
    )


def _took_part(results: Results, benchmark: str, library: str) -> bool:
    """Whether it has been run for a library that has something to be run."""
    return any(figures is not None for figures in results.rounds.get(benchmark, {}).get(library, []))


def _notes(results: Results, key: str, rows: list[Row]) -> str:
    shown = dict.fromkeys(row.benchmark for row in rows)
    remarks = dict.fromkeys(
        results.remarks[library][benchmark] for benchmark in shown for library in results.titles if benchmark in results.remarks[library]
    )
    notes = [*NOTES.get(key, ()), *remarks]
    return "\n\n" + "\n".join(f"- {note}" for note in notes) if notes else ""


def _goals(results: Results) -> str:
    """Each goal that the run measured; a quick run measures something else."""
    if results.machine["mode"] != "full":
        return ""
    lines = []
    for goal in GOALS:
        value = goal.value(results)
        if value is not None:
            wanted = f"{'at least' if goal.at_least else 'at most'} {goal.limit:g}{goal.unit}"
            lines.append([goal.title, wanted, f"{digits(value)}{goal.unit}", "met" if goal.met(value) else "**missed**"])
    if not lines:
        return ""
    return f"## {HELD}\n\n{_markdown(['', 'goal', 'this run', ''], lines)}"


def _spread(results: Results, rows: list[Row]) -> str:
    """How far the rounds lie apart, for every figure that was taken three times or more."""
    libraries = [library for library in results.titles if any(_took_part(results, row.benchmark, library) for row in rows)]
    lines = []
    for row in (row for row in rows if row.ratio):
        cells = [results.spread(row.benchmark, library, row.figure) for library in libraries]
        if any(cell is not None for cell in cells):
            lines.append([row.title, *(DASH if cell is None else f"{cell:.0%}" for cell in cells)])
    if not lines:
        return ""
    return (
        "\n\nHow far the rounds lie apart: the middle half of them, as a share of the median. A difference that is smaller means nothing."
        f"\n\n{_markdown(['', *(results.titles[library] for library in libraries)], lines)}"
    )
