"""One and the same program on measurand and on prometheus_client: described once, run on either, with time standing still.

Strategies make programs with hostile names, labels, help texts and values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf, nan
from typing import Any

import prometheus_client
import pytest
from hypothesis import reject, settings
from hypothesis import strategies as st

import measurand
from measurand import clock
from measurand.encoding.escaping import escape_name
from measurand.errors import MeasurandError
from tests.support import StillClock

KINDS = ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")
STATES = ("starting", "running", 'it "stopped"\n')

HOSTILE = (
    '"',
    "\\",
    "\n",
    "\r",
    "\0",
    "\t",
    "\\n",
    '\\"',
    '"} 1\n',
    "# EOF",
    " # {} 1",
    "{",
    "}",
    ",",
    "=",
    " ",
    "\x85",
    "\u2028",
    "\N{ROCKET}",
    "👩‍🚀",
    "שלום",
    "مرحبا",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "e\N{COMBINING ACUTE ACCENT}",
    "x" * 40,
    "\U0010ffff",
)
NUMBERS = (0.0, -0.0, 1.0, 2**53 + 1, 1e300, 1.7976931348623157e308, 5e-324, 999999.0, 1e6, 1234567.5, 1e15, 1e16, 1e21, 1e23)


@dataclass(frozen=True)
class Series:
    """Label values, and what is recorded: numbers, for an Info the facts, for an Enum the states."""

    labels: tuple[str, ...] = ()
    records: tuple[Any, ...] = ()
    exemplar: dict[str, str] | None = None


@dataclass(frozen=True)
class Metric:
    """A definition and its series."""

    kind: str
    name: str
    documentation: str = "Help"
    labelnames: tuple[str, ...] = ()
    unit: str = ""
    series: tuple[Series, ...] = field(default=(Series(),))

    def run(self, library: Any, registry: Any) -> Any:
        """Define and record; returns the instrument."""
        more: dict[str, Any] = {"buckets": (-1.0, 0.5, 1, 1e6)} if self.kind == "Histogram" and "below" in self.name else {}
        if self.kind == "Enum":
            more = {"states": list(STATES)}
        instrument = getattr(library, self.kind)(self.name, self.documentation, self.labelnames, unit=self.unit, registry=registry, **more)
        self.record(instrument)
        return instrument

    def record(self, instrument: Any) -> None:
        """Record on the instrument."""
        for series in self.series:
            child = instrument.labels(*series.labels) if self.labelnames else instrument
            for record in series.records:
                self._record(child, record, series.exemplar)

    def _record(self, child: Any, record: Any, exemplar: dict[str, str] | None) -> None:
        match self.kind:
            case "Counter":
                child.inc(record, exemplar)
            case "Gauge":
                child.set(record)
            case "Histogram":
                child.observe(record, exemplar)
            case "Summary":
                child.observe(record)
            case "Info":
                child.info(record)
            case "Enum":
                child.state(record)


Program = tuple[Metric, ...]


def ours(program: Program) -> measurand.CollectorRegistry:
    """The program's registry on measurand."""
    registry = measurand.CollectorRegistry()
    for metric in program:
        metric.run(measurand, registry)
    return registry


def theirs(program: Program) -> Any:
    """The program's registry on prometheus_client."""
    registry = prometheus_client.CollectorRegistry()
    for metric in program:
        metric.run(prometheus_client, registry)
    return registry


def both(program: Program) -> tuple[Any, Any]:
    """Both registries; a definition that measurand refuses is no example, as that is the business of tests/metrics."""
    try:
        return ours(program), theirs(program)
    except MeasurandError:
        reject()


@contextmanager
def standing_still(created: bool = False) -> Iterator[None]:
    """No time passes, and ``_created`` series are off, or on, in both libraries."""
    still = StillClock()
    before = clock.use(still)
    for library in (measurand, prometheus_client):
        (library.enable_created_metrics if created else library.disable_created_metrics)()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time", still.wall)
            yield
    finally:
        measurand.disable_created_metrics()
        prometheus_client.enable_created_metrics()
        clock.use(before)


# -- reading -------------------------------------------------------------------------------------------------------------------

Key = tuple[str, tuple[tuple[str, str], ...]]


def samples(families: Iterable[Any]) -> dict[Key, str]:
    """The samples of families by name and labels; values as text, so that NaN equals itself."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): repr(float(sample.value) + 0.0)
        for family in families
        for sample in family.samples
        if not sample.name.startswith("measurand_")
    }


def readable(program: Program, *schemes: str) -> bool:
    """Whether prometheus_client's parsers can read its labels: they refuse two underscores at the beginning, which escaping can make."""
    names = {name for metric in program for name in (*metric.labelnames, *([metric.name] if metric.kind == "Enum" else []))}
    return not any(escape_name(name, scheme, label=True).startswith("__") for name in names for scheme in schemes)


# -- strategies ----------------------------------------------------------------------------------------------------------------

half_as_many = settings(max_examples=settings().max_examples // 2 or 1)
"""For what takes its time: the other library's parsers do."""

texts = st.lists(st.sampled_from((*HOSTILE, *"aZ09_:.-/é")) | st.characters(exclude_categories=["Cs"]), max_size=4).map("".join)
"""Any text that can be encoded."""

surrogates = st.text(st.characters(categories=["Cs"]) | st.characters(), min_size=1, max_size=8)
"""Text that perhaps cannot."""

classic_names = st.from_regex(r"(_?[a-zA-Z:]|_)[a-zA-Z0-9:]{0,2}[a-zA-Z0-9_:]{0,9}", fullmatch=True)
plain_names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,12}", fullmatch=True)
utf8_names = texts.filter(lambda name: name and not name.startswith("_") and not name.endswith("\n"))
label_names = (plain_names | utf8_names).filter(lambda name: name not in {"le", "quantile"})

amounts = st.sampled_from(NUMBERS) | st.floats(min_value=0, allow_nan=False) | st.integers(0, 2**60) | st.just(inf)
numbers = amounts | st.floats() | st.sampled_from((nan, -inf, -1.5, -1e300))
exemplar_values = texts.filter(lambda text: len(text) < 40 and not set(text) & set('"\\'))  # their parser does not know escapes there
facts = st.dictionaries(plain_names, texts, max_size=3)


@st.composite
def metrics(draw: st.DrawFn, names: st.SearchStrategy[str], kinds: tuple[str, ...] = KINDS, negative: bool = True) -> Metric:
    """A metric of hostile content, its name from ``names``."""
    kind = draw(st.sampled_from(kinds))
    labelnames = tuple(draw(st.lists(label_names, max_size=3, unique=True)))
    recorded = {
        "Counter": amounts,
        "Gauge": numbers,
        "Histogram": numbers.filter(lambda number: number == number) if negative else amounts,
        "Summary": numbers.filter(lambda number: number == number) if negative else amounts,
        "Info": facts,
        "Enum": st.sampled_from(STATES),
    }[kind]
    labels = st.tuples(*(texts for _ in labelnames))
    exemplars = st.none() | st.dictionaries(plain_names, exemplar_values, max_size=2)
    content = st.builds(Series, labels, st.lists(recorded, max_size=4).map(tuple), exemplars)
    series = draw(st.lists(content, min_size=0 if labelnames else 1, max_size=3 if labelnames else 1, unique_by=lambda each: each.labels))
    unit = draw(st.sampled_from(("", "", "seconds", "bytes_read"))) if kind not in {"Info", "Enum"} else ""
    return Metric(kind, draw(names), draw(texts), labelnames, unit, tuple(series))


def programs(names: st.SearchStrategy[str], **options: Any) -> st.SearchStrategy[Program]:
    """A few metrics whose names cannot be the same."""
    several = st.lists(metrics(names, **options), min_size=1, max_size=3)
    return several.map(lambda drawn: tuple(Metric(**{**vars(each), "name": f"{each.name}x{place}"}) for place, each in enumerate(drawn)))
