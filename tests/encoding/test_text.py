"""The text format: golden pages, and the very bytes that prometheus_client writes for the same program."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from subprocess import CompletedProcess
from typing import Any

import prometheus_client
import pytest
from hypothesis import assume, given, reject
from hypothesis.strategies import booleans
from prometheus_client.parser import text_string_to_metric_families

import measurand
from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, disable_created_metrics, enable_created_metrics
from measurand.encoding import text
from measurand.encoding.escaping import SCHEMES
from measurand.errors import MeasurandError
from measurand.metrics import shared
from measurand.metrics.collecting import gather
from measurand.metrics.families import GaugeHistogramMetricFamily, GaugeMetricFamily, UnknownMetricFamily
from measurand.metrics.sample import Sample, Timestamp
from tests.encoding.peer import (
    Program,
    both,
    classic_names,
    half_as_many,
    programs,
    readable,
    samples,
    standing_still,
    surrogates,
    utf8_names,
)
from tests.support import StillClock


class Yielding:
    """A collector of ready families."""

    def __init__(self, *families: Any) -> None:
        self.collect = lambda: families


def page(*families: Any) -> str:
    registry = CollectorRegistry()
    registry.register(Yielding(*families))
    return text.generate_latest(registry).decode()


# -- golden pages --------------------------------------------------------------------------------------------------------------


def test_every_instrument_has_its_golden_page() -> None:
    registry = CollectorRegistry()
    Counter("orders", "Orders accepted", ["channel", "by"], registry=registry).labels("web", "card").inc(2, {"trace_id": "abc"})
    Gauge("queue_length", "Jobs waiting", registry=registry).set(-3.5)
    Histogram("db_seconds", "Queries", ["op"], buckets=(0.1, 1), registry=registry).labels("select").observe(0.5)
    Summary("upload_bytes", "Uploads", registry=registry).observe(4096)
    Info("build", "What runs", registry=registry).info({"version": "1.2.3"})
    Enum("worker_state", "State", states=["busy", "idle"], registry=registry).state("idle")
    Counter("never", "Without series", ["label"], registry=registry)
    assert text.generate_latest(registry).decode() == (
        "# HELP orders_total Orders accepted\n"
        "# TYPE orders_total counter\n"
        'orders_total{by="card",channel="web"} 2.0\n'
        "# HELP queue_length Jobs waiting\n"
        "# TYPE queue_length gauge\n"
        "queue_length -3.5\n"
        "# HELP db_seconds Queries\n"
        "# TYPE db_seconds histogram\n"
        'db_seconds_bucket{le="0.1",op="select"} 0.0\n'
        'db_seconds_bucket{le="1.0",op="select"} 1.0\n'
        'db_seconds_bucket{le="+Inf",op="select"} 1.0\n'
        'db_seconds_count{op="select"} 1.0\n'
        'db_seconds_sum{op="select"} 0.5\n'
        "# HELP upload_bytes Uploads\n"
        "# TYPE upload_bytes summary\n"
        "upload_bytes_count 1.0\n"
        "upload_bytes_sum 4096.0\n"
        "# HELP build_info What runs\n"
        "# TYPE build_info gauge\n"
        'build_info{version="1.2.3"} 1.0\n'
        "# HELP worker_state State\n"
        "# TYPE worker_state gauge\n"
        'worker_state{worker_state="busy"} 0.0\n'
        'worker_state{worker_state="idle"} 1.0\n'
        "# HELP never_total Without series\n"
        "# TYPE never_total counter\n"
    )


def test_created_series_follow_as_gauges_when_they_are_wanted(still_clock: StillClock) -> None:
    registry = CollectorRegistry()
    orders = Counter("orders", "Orders", ["channel"], registry=registry)
    orders.labels("web").inc()
    still_clock.advance(0.5)
    orders.labels("shop").inc()
    enable_created_metrics()
    try:
        shown = text.generate_latest(registry).decode()
    finally:
        disable_created_metrics()
    assert shown == (
        "# HELP orders_total Orders\n"
        "# TYPE orders_total counter\n"
        'orders_total{channel="web"} 1.0\n'
        'orders_total{channel="shop"} 1.0\n'
        "# HELP orders_created Orders\n"
        "# TYPE orders_created gauge\n"
        'orders_created{channel="web"} 1.7e+09\n'
        'orders_created{channel="shop"} 1.7000000005e+09\n'
    )


def test_types_that_the_format_does_not_know_are_shown_as_what_it_knows() -> None:
    levels = GaugeHistogramMetricFamily("levels", "Levels")
    levels.add_metric([], [("1.0", 2), ("+Inf", 3)], 1.5)
    assert page(UnknownMetricFamily("unsure", "No idea", 1), levels) == (
        "# HELP unsure No idea\n"
        "# TYPE unsure untyped\n"
        "unsure 1.0\n"
        "# HELP levels Levels\n"
        "# TYPE levels histogram\n"
        'levels_bucket{le="1.0"} 2.0\n'
        'levels_bucket{le="+Inf"} 3.0\n'
        "# HELP levels_gcount Levels\n"
        "# TYPE levels_gcount gauge\n"
        "levels_gcount 3.0\n"
        "# HELP levels_gsum Levels\n"
        "# TYPE levels_gsum gauge\n"
        "levels_gsum 1.5\n"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0.0"),
        (-0.0, "-0.0"),
        (999999, "999999.0"),
        (1e6, "1e+06"),
        (1234567.5, "1.2345675e+06"),
        (-1e6, "-1000000.0"),
        (2**53 + 1, "9.007199254740992e+15"),
        (1e300, "1e+300"),
        (5e-324, "5e-324"),
        (0.1 + 0.2, "0.30000000000000004"),
        (inf, "+Inf"),
        (-inf, "-Inf"),
        (nan, "NaN"),
    ],
)
def test_numbers_are_short_exact_and_as_go_writes_them(value: float, written: str) -> None:
    registry = CollectorRegistry()
    Gauge("x", "Help", registry=registry).set(value)
    assert text.generate_latest(registry).decode().splitlines()[-1] == f"x {written}"
    assert page(GaugeMetricFamily("x", "Help", value)).splitlines()[-1] == f"x {written}"


@pytest.mark.parametrize(
    ("moment", "written"), [(1.5, "1500"), (1700000000, "1700000000000"), (Timestamp(1, 500_000_000), "1500"), (-1.5, "-1500")]
)
def test_timestamps_are_milliseconds(moment: Any, written: str) -> None:
    family = GaugeMetricFamily("x", "Help", labels=["l"])
    family.add_metric(["a"], 1, moment)
    assert page(family).splitlines()[-1] == f'x{{l="a"}} 1.0 {written}'


def test_what_the_format_gives_a_meaning_is_escaped_and_nothing_else_is() -> None:
    registry = CollectorRegistry()
    hostile = 'quote " backslash \\ line\nfeed\r\ttab } = , # \0 é \N{ROCKET} \u2028 \N{RIGHT-TO-LEFT OVERRIDE}'
    Gauge("x", hostile, ["l"], registry=registry).labels(hostile).set(1)
    help_line, _, sample = text.generate_latest(registry).decode().removesuffix("\n").split("\n")
    rest = "feed\r\ttab } = , # \0 é \N{ROCKET} \u2028 \N{RIGHT-TO-LEFT OVERRIDE}"
    assert help_line == f'# HELP x quote " backslash \\\\ line\\n{rest}'
    assert sample == f'x{{l="quote \\" backslash \\\\ line\\n{rest}"}} 1.0'


def test_half_a_surrogate_pair_is_replaced_wherever_it_stands() -> None:
    registry = CollectorRegistry()
    Gauge("x", "Help \ud800!", ["l"], registry=registry).labels("\udfff!").set(1)
    Info("i", "Help", registry=registry).info({"fact": "\ud800"})
    shown = text.generate_latest(registry).decode()
    assert "# HELP x Help \ufffd!\n" in shown
    assert 'x{l="\ufffd!"} 1.0\n' in shown
    assert 'i_info{fact="\ufffd"} 1.0\n' in shown


def test_a_very_long_label_is_written_whole() -> None:
    registry = CollectorRegistry()
    Gauge("x", "Help", ["l"], registry=registry).labels('"' * 1_000_000).set(1)
    assert text.generate_latest(registry).endswith(b'{l="' + b'\\"' * 1_000_000 + b'"} 1.0\n')


def test_an_empty_registry_is_an_empty_page() -> None:
    assert text.generate_latest(CollectorRegistry()) == b""


def test_an_unknown_escaping_scheme_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'hyphens'; it must be one of allow-utf-8, underscores, dots, values"):
        text.generate_latest(CollectorRegistry(), "hyphens")


# -- beside the other library --------------------------------------------------------------------------------------------------


@given(program=programs(classic_names | utf8_names), created=booleans())
def test_the_bytes_are_those_of_prometheus_client(program: Program, created: bool) -> None:
    with standing_still(created):
        here, there = both(program)
        for scheme in SCHEMES:
            expected = prometheus_client.generate_latest(there, scheme)
            assert text.generate_latest(here, scheme) == expected, scheme
            assert text.generate_latest(here, scheme) == expected, f"{scheme}; a second rendering goes other ways"


@half_as_many
@given(program=programs(classic_names))
def test_after_more_events_the_bytes_are_still_those_of_prometheus_client(program: Program) -> None:
    """What was kept from the first rendering is not shown when series have gone, come back and moved on."""
    pages = []
    with standing_still():
        for library in (prometheus_client, measurand):
            registry = library.CollectorRegistry()
            try:
                instruments = [(metric, metric.run(library, registry)) for metric in program]
            except (MeasurandError, ValueError):  # what neither library takes
                reject()
            library.generate_latest(registry)
            for metric, instrument in instruments:
                for series in metric.series[::2]:
                    if metric.labelnames:
                        instrument.remove(*series.labels)
                library.generate_latest(registry)
                metric.record(instrument)
            pages.append(library.generate_latest(registry).splitlines())
    if shared.company() is not None:  # what was removed in a process that others joined comes back where it was
        pages = [sorted(page) for page in pages]
    assert pages[0] == pages[1]


@half_as_many
@given(program=programs(classic_names | utf8_names))
def test_the_text_parser_reads_every_page_back(program: Program) -> None:
    assume(readable(program, "underscores"))
    with standing_still():
        registry, _ = both(program)
        expected = samples(registry.collect())
        assert read_back(registry, "allow-utf-8") == expected
        assert len(read_back(registry, "underscores")) == len(expected)


def read_back(registry: CollectorRegistry, scheme: str) -> dict[Any, str]:
    return samples(text_string_to_metric_families(text.generate_latest(registry, scheme).decode()))


@given(hostile=surrogates)
def test_text_that_cannot_be_encoded_costs_nothing_else(hostile: str) -> None:
    registry = CollectorRegistry()
    Gauge("before", hostile, ["l"], registry=registry).labels(hostile).set(1)
    registry.register(Yielding(*hostile_families(hostile)))
    Gauge("after", hostile, registry=registry).set(2)
    shown = text.generate_latest(registry).decode()
    assert shown.startswith("# HELP before ")
    assert "\nafter 2.0\n" in shown
    assert '\ny{l="' in shown


def hostile_families(hostile: str) -> list[Any]:
    family = GaugeMetricFamily("y", hostile, labels=["l"])
    family.add_metric([hostile], 1)
    family.samples += [Sample(f"z{hostile}", {}, 1.0), Sample("y", {f"z{hostile}": "v"}, 1.0)]
    named = GaugeMetricFamily("named", hostile)
    named.name = f"named{hostile}"
    return [family, named]


@pytest.mark.parametrize("version", ["2.42", "3.5"])
def test_promtool_is_content_with_a_well_named_page(promtool: Callable[..., CompletedProcess[str]], version: str) -> None:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders accepted.", ["channel"], registry=registry).labels('we"b').inc()
    Gauge("queue_jobs", "Jobs waiting.", registry=registry).set(1)
    Histogram("db_query_duration_seconds", "Queries.", ["op"], registry=registry).labels("select").observe(0.5)
    Summary("upload_size_bytes", "Uploads.", registry=registry).observe(4096)
    Info("build", "What runs.", registry=registry).info({"version": "1.2.3"})
    Enum("worker_state", "State.", states=["busy", "idle"], registry=registry)
    verdict = promtool("check", "metrics", input=text.generate_latest(registry).decode(), version=version)
    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


def test_a_gathered_snapshot_can_be_written_twice() -> None:
    registry = CollectorRegistry()
    Counter("orders", "Orders", registry=registry).inc()
    gathering = gather(registry)
    assert text.encode(gathering) == text.encode(gathering) == text.generate_latest(registry)
