"""OpenMetrics: golden pages, the bytes that prometheus_client writes, and nothing that its strict parser refuses."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis.strategies import booleans, sampled_from
from prometheus_client.openmetrics import exposition as peer
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from measurand import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, disable_created_metrics, enable_created_metrics
from measurand.encoding import openmetrics
from measurand.encoding.escaping import SCHEMES
from measurand.metrics.families import CounterMetricFamily, GaugeHistogramMetricFamily, GaugeMetricFamily, UnknownMetricFamily
from measurand.metrics.sample import Exemplar, Timestamp
from tests.encoding.peer import (
    Program,
    both,
    classic_names,
    half_as_many,
    plain_names,
    programs,
    readable,
    samples,
    standing_still,
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
    return shown(registry)


def shown(registry: CollectorRegistry, scheme: str = "underscores") -> str:
    """The page, once the strict parser has accepted it."""
    written = openmetrics.generate_latest(registry, scheme).decode()
    list(text_string_to_metric_families(written))
    return written


# -- golden pages --------------------------------------------------------------------------------------------------------------


def test_every_instrument_has_its_golden_page(still_clock: StillClock) -> None:
    registry = CollectorRegistry(target_info={"service": "shop"})
    Counter("orders", "Orders accepted", ["channel", "by"], registry=registry).labels("web", "card").inc(2, {"trace_id": "abc"})
    Gauge("queue_length", "Jobs waiting", registry=registry).set(-3.5)
    latency = Histogram("db_seconds", "Queries", ["op"], unit="seconds", buckets=(0.1, 1), registry=registry)
    latency.labels("select").observe(0.5, {"trace_id": "def", "span_id": "1"})
    Summary("upload", "Uploads", unit="bytes", registry=registry).observe(4096)
    Info("build", "What runs", registry=registry).info({"version": "1.2.3"})
    Enum("worker_state", "State", states=["busy", "idle"], registry=registry).state("idle")
    Counter("never", "Without series", ["label"], registry=registry)
    assert shown(registry) == (
        "# HELP target Target metadata\n"
        "# TYPE target info\n"
        'target_info{service="shop"} 1.0\n'
        "# HELP orders Orders accepted\n"
        "# TYPE orders counter\n"
        'orders_total{by="card",channel="web"} 2.0 # {trace_id="abc"} 2.0 1700000000.0\n'
        "# HELP queue_length Jobs waiting\n"
        "# TYPE queue_length gauge\n"
        "queue_length -3.5\n"
        "# HELP db_seconds Queries\n"
        "# TYPE db_seconds histogram\n"
        "# UNIT db_seconds seconds\n"
        'db_seconds_bucket{le="0.1",op="select"} 0.0\n'
        'db_seconds_bucket{le="1.0",op="select"} 1.0 # {span_id="1",trace_id="def"} 0.5 1700000000.0\n'
        'db_seconds_bucket{le="+Inf",op="select"} 1.0\n'
        'db_seconds_count{op="select"} 1.0\n'
        'db_seconds_sum{op="select"} 0.5\n'
        "# HELP upload_bytes Uploads\n"
        "# TYPE upload_bytes summary\n"
        "# UNIT upload_bytes bytes\n"
        "upload_bytes_count 1.0\n"
        "upload_bytes_sum 4096.0\n"
        "# HELP build What runs\n"
        "# TYPE build info\n"
        'build_info{version="1.2.3"} 1.0\n'
        "# HELP worker_state State\n"
        "# TYPE worker_state stateset\n"
        'worker_state{worker_state="busy"} 0.0\n'
        'worker_state{worker_state="idle"} 1.0\n'
        "# HELP never Without series\n"
        "# TYPE never counter\n"
        "# EOF\n"
    )


def test_created_series_stand_with_their_own_when_they_are_wanted(still_clock: StillClock) -> None:
    registry = CollectorRegistry()
    orders = Counter("orders", "Orders", ["channel"], registry=registry)
    for channel in ("web", "shop"):
        orders.labels(channel).inc()
    enable_created_metrics()
    try:
        written = shown(registry)
    finally:
        disable_created_metrics()
    assert written == (
        "# HELP orders Orders\n"
        "# TYPE orders counter\n"
        'orders_total{channel="web"} 1.0\n'
        'orders_created{channel="web"} 1.7e+09\n'
        'orders_total{channel="shop"} 1.0\n'
        'orders_created{channel="shop"} 1.7e+09\n'
        "# EOF\n"
    )


def test_the_types_of_custom_collectors_have_their_golden_page() -> None:
    levels = GaugeHistogramMetricFamily("levels", "Levels")
    levels.add_metric([], [("1.0", 2), ("+Inf", 3)], 1.5)
    assert page(UnknownMetricFamily("unsure", "No idea", 1), levels) == (
        "# HELP unsure No idea\n"
        "# TYPE unsure unknown\n"
        "unsure 1.0\n"
        "# HELP levels Levels\n"
        "# TYPE levels gaugehistogram\n"
        'levels_bucket{le="1.0"} 2.0\n'
        'levels_bucket{le="+Inf"} 3.0\n'
        "levels_gcount 3.0\n"
        "levels_gsum 1.5\n"
        "# EOF\n"
    )


def test_an_empty_registry_is_an_end() -> None:
    assert shown(CollectorRegistry()) == "# EOF\n"


@pytest.mark.parametrize(
    ("moment", "written"), [(1.5, "1.5"), (1700000000, "1700000000"), (Timestamp(1, 5), "1.000000005"), (1e22, "1e+22")]
)
def test_timestamps_are_seconds(moment: Any, written: str) -> None:
    family = GaugeMetricFamily("x", "Help", labels=["l"])
    family.add_metric(["a"], 1, moment)
    assert f'x{{l="a"}} 1.0 {written}\n' in page(family)


def test_help_and_labels_escape_quotes_backslashes_and_line_feeds() -> None:
    registry = CollectorRegistry()
    Gauge("x", 'a"b\\c\nd\r', ["l"], registry=registry).labels('a"b\\c\nd\r').set(1)
    assert shown(registry) == '# HELP x a\\"b\\\\c\\nd\r\n# TYPE x gauge\nx{l="a\\"b\\\\c\\nd\r"} 1.0\n# EOF\n'


# -- units ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "unit", "scheme", "line"),
    [
        ("x", "seconds", "underscores", "# UNIT x_seconds seconds"),
        ("x", "bytes_read", "underscores", "# UNIT x_bytes_read bytes_read"),
        ("x", "bytes_read", "dots", None),
        ("x.y", "seconds", "allow-utf-8", '# UNIT "x.y_seconds" seconds'),
        ("x.y", "seconds", "values", "# UNIT U__x_2e_y__seconds seconds"),
        ("x", "km/h", "underscores", None),
        ("x", "km/h", "allow-utf-8", None),
        ("x", "two\nlines", "allow-utf-8", None),
    ],
)
def test_a_unit_is_told_only_where_the_name_ends_with_it_as_it_is_shown(name: str, unit: str, scheme: str, line: str | None) -> None:
    registry = CollectorRegistry()
    Gauge(name, "Help", unit=unit, registry=registry)
    assert [each for each in shown(registry, scheme).splitlines() if each.startswith("# UNIT")] == ([line] if line else [])


def test_a_unit_that_somebody_set_beside_the_name_is_not_told() -> None:
    family = GaugeMetricFamily("x", "Help", 1)
    family.unit = "seconds"
    assert "# UNIT" not in page(family)


# -- exemplars -----------------------------------------------------------------------------------------------------------------


def test_an_exemplar_is_as_long_as_it_may_be_and_no_longer() -> None:
    families = []
    for number, length in enumerate((127, 128)):
        family = CounterMetricFamily(f"x{number}", "Help", labels=[])
        family.add_metric([], 1, exemplar=Exemplar({"t": "\N{ROCKET}" * length}, 1.0, 1.5))
        families.append(family)
    written = page(*families)
    assert f'x0_total 1.0 # {{t="{127 * chr(0x1F680)}"}} 1.0 1.5\n' in written
    assert "x1_total 1.0\n" in written


@pytest.mark.parametrize(
    "exemplar",
    [
        Exemplar({"a.b": "1", "a_b": "2"}, 1.0),
        Exemplar({"__a": "1"}, 1.0),
        Exemplar({"": "1"}, 1.0),
        Exemplar({"a": None}, 1.0),  # type: ignore[dict-item]
        Exemplar({"a": "1"}, None),  # type: ignore[arg-type]
        Exemplar({"a": "1"}, 1.0, nan),
        Exemplar({"a": "1"}, 1.0, "noon"),
        Exemplar(None, 1.0),  # type: ignore[arg-type]
        "exemplar",
    ],
    ids=str,
)
def test_an_exemplar_that_cannot_be_written_costs_only_itself(exemplar: Any) -> None:
    family = CounterMetricFamily("x", "Help", labels=[])
    family.add_metric([], 1, exemplar=exemplar)
    assert page(family).endswith("x_total 1.0\n# EOF\n")


@pytest.mark.parametrize(("scheme", "name"), [("underscores", "trace_id"), ("allow-utf-8", '"trace.id"')])
def test_an_exemplars_label_names_are_escaped(still_clock: StillClock, scheme: str, name: str) -> None:
    registry = CollectorRegistry()
    Counter("x", "Help", registry=registry).inc(1, {"trace.id": "1"})
    assert f'x_total 1.0 # {{{name}="1"}} 1.0 1700000000.0\n' in shown(registry, scheme)


def test_an_exemplar_of_what_cannot_have_one_is_left_out() -> None:
    family = GaugeMetricFamily("x", "Help")
    family.add_sample("x", {}, 1, exemplar=Exemplar({"a": "1"}, 1.0))
    histogram = Histogram("h", "Help", registry=None)
    histogram.observe(1)
    (metric,) = histogram.collect()
    metric.samples = [sample._replace(exemplar=Exemplar({"a": "1"}, 1.0)) for sample in metric.samples]
    written = page(family, metric)
    assert [line.partition("{")[0].partition(" ")[0] for line in written.splitlines() if " # " in line] == ["h_bucket"] * 15


# -- what the format does not allow ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observed", [[-1.0], [1.0, -3.0], [inf, -inf]])
@pytest.mark.parametrize("kind", [Summary, Histogram])
def test_a_sum_that_is_no_counter_is_left_out_and_counted(kind: type[Any], observed: list[float]) -> None:
    """OpenMetrics: sums are never negative and never NaN; a histogram without a sum has no count besides that of +Inf."""
    registry = CollectorRegistry()
    metric = kind("x", "Help", ["l"], registry=registry)
    for value in observed:
        metric.labels("bad").observe(value)
    metric.labels("good").observe(1)
    written = shown(registry)
    assert "x_sum{" in written
    assert 'x_sum{l="bad"}' not in written
    assert ('x_count{l="bad"}' in written) == (kind is Summary)
    assert 'x_count{l="good"} 1.0\nx_sum{l="good"} 1.0\n' in written
    assert 'measurand_collect_failures_total{collector="x",reason="invalid"} 1.0\n' in written


def test_a_histogram_with_negative_bounds_has_no_sum() -> None:
    registry = CollectorRegistry()
    Histogram("x", "Help", buckets=[-1, 1], registry=registry).observe(-3)
    written = shown(registry)
    buckets = ['x_bucket{le="-1.0"} 1.0', 'x_bucket{le="1.0"} 1.0', 'x_bucket{le="+Inf"} 1.0']
    assert [line for line in written.splitlines() if line.startswith("x")] == buckets
    assert "failures" not in written


def test_a_gauge_may_be_negative_or_nan() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("x", "Help", ["l"], registry=registry)
    gauge.labels("} -").set(-1)
    gauge.labels("} NaN").set(nan)
    assert shown(registry).count("\nx{") == 2


def test_a_label_that_looks_like_a_negative_number_does_no_harm() -> None:
    registry = CollectorRegistry()
    Counter("x", "Help", ["l"], registry=registry).labels("} -1").inc()
    assert 'x_total{l="} -1"} 1.0\n' in shown(registry)


@pytest.mark.parametrize("name", ["state:of", "a:b:c"])
def test_states_whose_label_cannot_have_the_metrics_name_are_a_gauge(name: str) -> None:
    registry = CollectorRegistry()
    Enum(name, "Help", states=["a", "b"], registry=registry)
    assert f"# TYPE {name} gauge\n" in shown(registry)
    assert f"# TYPE {name} stateset\n" in shown(registry, "allow-utf-8")


# -- beside the other library --------------------------------------------------------------------------------------------------


@given(program=programs(plain_names | utf8_names, negative=False), created=booleans())
def test_the_bytes_are_those_of_prometheus_client(program: Program, created: bool) -> None:
    """But for colons in names and for dots and values, of which its sample lines make other names than its TYPE lines."""
    plain = all(":" not in metric.name for metric in program)
    with standing_still(created):
        here, there = both(program)
        for scheme in ("underscores", "allow-utf-8") if plain else ("allow-utf-8",):
            assert openmetrics.generate_latest(here, scheme) == peer.generate_latest(there, scheme)


@half_as_many
@given(program=programs(classic_names | utf8_names), created=booleans(), scheme=sampled_from(SCHEMES))
def test_the_strict_parser_accepts_every_page_and_reads_it_back(program: Program, created: bool, scheme: str) -> None:
    assume(readable(program, scheme))
    with standing_still(created):
        registry, _ = both(program)
        expected = samples(registry.collect())
        read = samples(text_string_to_metric_families(openmetrics.generate_latest(registry, scheme).decode()))
    if scheme == "allow-utf-8":
        left_out = {key for key in expected.keys() - read.keys() if key[0].endswith(("_sum", "_count"))}
        assert read == {key: value for key, value in expected.items() if key not in left_out}
