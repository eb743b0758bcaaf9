"""A real Prometheus reads native histograms over protobuf, and classic buckets over text; from one process and from four."""

from __future__ import annotations

import os
import time
from collections import Counter as Counts
from collections.abc import Iterator
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from measurand import Histogram
from measurand.metrics.families import HistogramMetricFamily
from measurand.metrics.native import growth, index_of, upper_bound
from measurand.metrics.sample import BucketSpan, NativeHistogram
from tests.e2e.test_prometheus import EXPECTED, everything, serving, serving_text
from tests.metrics.company import Service
from tests.servers.process import until
from tests.servers.prometheus import Prometheus, Sample, binary

pytestmark = [pytest.mark.once, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")]

DURATIONS = [0.001 * 1.013**number for number in range(700)]
"""Seconds: from a millisecond to eight seconds, so that all of it fits into 160 buckets of schema 3."""

BUCKETS = (0.01, 0.1, 1.0)


class Custom:
    """A collector with a native histogram of its own."""

    def collect(self) -> Iterator[Any]:
        family = HistogramMetricFamily("e2e_custom", "Custom")
        spans = [BucketSpan(-1, 2), BucketSpan(3, 1)]
        content = NativeHistogram(17, 40, 1, 0.25, 2, spans, spans, [2, 1, 1], [2, 1, -2])
        family.add_sample("e2e_custom", {"of": "others"}, 0, None, None, content)
        yield family


class Stage(NamedTuple):
    """Two servers with the same targets: one takes native histograms, and one reads text."""

    native: Prometheus
    text: Prometheus


def service_of(processes: int, place: Path) -> tuple[Service, str]:
    """A service whose processes share the durations among them, and where its page is."""
    service = Service(processes, False, place)
    service.everywhere(f"H = Histogram('e2e_seconds', 'Durations', ['k'], buckets={BUCKETS}, native=True)")
    for at in range(4):
        service.at(at, f"for value in {DURATIONS[at::4]}: H.labels('x').observe(value)")
    port = service.at(1, "server, thread = start_http_server(0); answer = server.server_port")
    return service, f"127.0.0.1:{port}"


@pytest.fixture(scope="module", params=["2.42", "3.5"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    registry = everything()
    registry.register(Custom())
    Histogram("e2e_empty_seconds", "Nothing yet", native=True, registry=registry)
    wide = Histogram("e2e_wide_seconds", "From end to end", native=True, registry=registry)
    for exponent in range(-25, 26):
        wide.observe(2.0**exponent * 0.99)
    traced = Histogram("e2e_traced_seconds", "With exemplars", native=True, registry=registry)
    traced.observe(0.5, {"trace_id": "abc"})
    program = binary("prometheus", request.param)
    with ExitStack() as stack:
        targets = {"everything": stack.enter_context(serving(registry)), "plain": stack.enter_context(serving_text(registry))}
        for processes in (1, 4):
            service, targets[f"of-{processes}"] = service_of(processes, tmp_path_factory.mktemp("service") / "family")
            stack.callback(service.close)
        jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()]
        flags = ["--enable-feature=native-histograms,exemplar-storage"], ["--enable-feature=exemplar-storage"]
        servers = [stack.enter_context(Prometheus(program, tmp_path_factory.mktemp("p"), jobs=jobs, flags=more)) for more in flags]
        for server in servers:
            for job in targets:
                server.wait_for(f'up{{job="{job}"}} == 1', timeout=30)
        yield Stage(*servers)


def buckets_of(sample: Sample) -> dict[tuple[float, float], float]:
    """The buckets of an answer that are not empty: between which bounds, and their counts."""
    assert sample.histogram is not None
    return {(float(low), float(high)): float(count) for _, low, high, count in sample.histogram["buckets"]}


@pytest.mark.parametrize("processes", [1, 4])
def test_native_buckets_arrive_as_they_were_counted(stage: Stage, processes: int) -> None:
    (found,) = stage.native.query(f'e2e_seconds{{job="of-{processes}"}}')
    expected = Counts(index_of(value, 3) for value in DURATIONS)
    assert buckets_of(found) == {(upper_bound(index - 1, 3), upper_bound(index, 3)): count for index, count in expected.items()}
    assert found.histogram is not None
    assert float(found.histogram["count"]) == len(DURATIONS)
    assert float(found.histogram["sum"]) == pytest.approx(sum(DURATIONS))
    assert stage.native.query("e2e_seconds_bucket") == []


@pytest.mark.parametrize("processes", [1, 4])
def test_a_quantile_is_within_the_growth_of_a_bucket(stage: Stage, processes: int) -> None:
    for q in (0.01, 0.25, 0.5, 0.9, 0.99, 1.0):
        exact = DURATIONS[ceil(q * len(DURATIONS)) - 1]
        found = stage.native.value(f'histogram_quantile({q}, e2e_seconds{{job="of-{processes}"}})')
        assert abs(found / exact - 1) <= growth(3) - 1 + 1e-9, (q, found, exact)


@pytest.mark.parametrize("processes", [1, 4])
def test_classic_buckets_are_seen_by_whom_reads_text(stage: Stage, processes: int) -> None:
    found = {sample.labels["le"]: sample.value for sample in stage.text.query(f'e2e_seconds_bucket{{job="of-{processes}"}}')}
    counted = {f"{bound}": sum(value <= bound for value in DURATIONS) for bound in BUCKETS}
    assert found == {**counted, "+Inf": len(DURATIONS)}
    assert stage.text.query("e2e_seconds") == []


def test_the_server_that_takes_native_histograms_reads_text_where_it_is_given_nothing_else(stage: Stage) -> None:
    assert stage.native.value('e2e_wide_seconds_count{job="plain"}') == 51


def test_a_histogram_over_the_whole_range_arrives_with_a_single_merge(stage: Stage) -> None:
    (found,) = stage.native.query('e2e_wide_seconds{job="everything"}')
    buckets = buckets_of(found)
    zero = buckets.pop((-(2.0**-20), 2.0**-20))
    assert zero == sum(2.0**exponent * 0.99 <= 2.0**-20 for exponent in range(-25, 26))
    expected = Counts(index_of(min(2.0**exponent * 0.99, 2.0**20), 2) for exponent in range(-20, 26) if 2.0**exponent * 0.99 > 2.0**-20)
    assert buckets == {(upper_bound(index - 1, 2), upper_bound(index, 2)): count for index, count in expected.items()}


def test_an_empty_native_histogram_is_one(stage: Stage) -> None:
    (found,) = stage.native.query('e2e_empty_seconds{job="everything"}')
    assert found.histogram == {"count": "0", "sum": "0"}


def test_a_collectors_native_histogram_arrives_with_both_signs(stage: Stage) -> None:
    (found,) = stage.native.query('e2e_custom{job="everything"}')
    bounds = [upper_bound(index, 1) for index in (-2, -1, 0, 3, 4)]
    assert found.labels["of"] == "others"
    assert buckets_of(found) == {
        (-bounds[4], -bounds[3]): 1,
        (-bounds[2], -bounds[1]): 3,
        (-bounds[1], -bounds[0]): 2,
        (-0.25, 0.25): 2,
        (bounds[0], bounds[1]): 2,
        (bounds[1], bounds[2]): 3,
        (bounds[3], bounds[4]): 4,
    }


def test_exemplars_arrive(stage: Stage) -> None:
    now = time.time()
    span = {"start": f"{now - 600:.3f}", "end": f"{now + 60:.3f}"}
    query = 'e2e_traced_seconds{job="everything"}'
    (row,) = until(lambda: stage.native.api("query_exemplars", query=query, **span), lambda: "no exemplars")
    assert [(each["labels"], float(each["value"])) for each in row["exemplars"]] == [({"trace_id": "abc"}, 0.5)]


def test_every_other_type_and_value_is_read_back_as_it_was_recorded(stage: Stage) -> None:
    """A gauge histogram's count and sum have no names of their own in this format."""
    found = stage.native.query('{job="everything", __name__=~"e2e_(orders|level|wait|size|build|state|unknown).*|target_info"}')
    values = {}
    for labels, value, _ in found:
        own = {name: content for name, content in labels.items() if name not in {"__name__", "job", "instance"}}
        values[labels["__name__"], tuple(sorted(own.items()))] = value
    renamed = {"e2e_sizes_gcount": "e2e_sizes_count", "e2e_sizes_gsum": "e2e_sizes_sum"}
    assert values == {(renamed.get(name, name), tuple(sorted(labels.items()))): value for name, labels, value in EXPECTED}


def test_types_and_help_arrive(stage: Stage) -> None:
    asked = stage.native.api("targets/metadata", match_target='{job="everything"}')
    known = {each["metric"].removesuffix("_total"): (each["type"], each["help"]) for each in asked}
    assert known["e2e_orders"] == ("counter", "Orders with a \\ and\na line")
    assert known["e2e_level"] == ("gauge", "Levels")
    assert known["e2e_wide_seconds"] == ("histogram", "From end to end")
    assert known["e2e_size_bytes"] == ("summary", "Sizes")
