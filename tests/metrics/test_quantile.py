"""Quantiles from buckets: Prometheus' numbers, and never further from the truth than a bucket is wide."""

from __future__ import annotations

import json
import random
import subprocess
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import ceil, inf, isnan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.errors import RecordingError
from measurand.metrics.quantile import quantile

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("q", "bounds", "counts", "expected"),
    [
        (0.5, [1, 2, inf], [0, 10, 10], 1.5),
        (0.1, [1, 2, inf], [0, 10, 10], 1.1),
        (1, [1, 2, inf], [0, 10, 10], 2),
        (0.5, [1, 2, inf], [10, 10, 10], 0.5),  # the first bucket starts at zero
        (0.95, [1, 2, inf], [0, 0, 10], 2),  # beyond the last finite bound nothing is known
        (0.5, [-2, -1, inf], [10, 10, 10], -2),  # a first bucket below zero has no start
        (0.75, [-2, -1, inf], [0, 10, 10], -1.25),
        (0.5, [0, 1, inf], [10, 10, 10], 0),
        (0.0, [1, 2, inf], [0, 10, 10], 1),
        (0.5, [inf], [10], float("nan")),
        (0.5, [1, inf], [0, 0], float("nan")),
        (0.5, [], [], float("nan")),
    ],
)
def test_the_estimate_lies_where_the_rules_say(q: float, bounds: Sequence[float], counts: Sequence[float], expected: float) -> None:
    found = quantile(q, bounds, counts)
    assert found == expected or (isnan(found) and isnan(expected))


@pytest.mark.parametrize("q", [-0.1, 1.1, 95, float("nan")])
def test_a_quantile_is_a_ratio(q: float) -> None:
    with pytest.raises(RecordingError, match=r"a ratio between 0 and 1, not .*; for a percentile divide by 100"):
        quantile(q, [1, inf], [1, 1])


@given(
    observed=st.lists(st.floats(0, 100), min_size=1, max_size=50),
    bounds=st.lists(st.integers(1, 120), min_size=1, max_size=8, unique=True).map(sorted),
    q=st.floats(0, 1),
)
def test_the_estimate_is_in_the_bucket_that_holds_the_true_quantile(observed: list[float], bounds: list[int], q: float) -> None:
    all_bounds = [*map(float, bounds), inf]
    counts = [0] * len(all_bounds)
    for value in observed:
        counts[bisect_left(all_bounds, value)] += 1
    true = sorted(observed)[max(ceil(q * len(observed)) - 1, 0)]
    bucket = bisect_left(all_bounds, true)
    estimate = quantile(q, all_bounds, list(accumulate(counts)))
    if bucket == len(bounds):
        assert estimate == bounds[-1]
    else:
        assert (all_bounds[bucket - 1] if bucket else 0) <= estimate <= all_bounds[bucket]


@given(counts=st.lists(st.integers(0, 1000), min_size=3, max_size=3), q=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
def test_a_higher_quantile_is_never_lower(counts: list[int], q: list[float]) -> None:
    low, high = (quantile(each, [1, 2, inf], list(accumulate(counts))) for each in q)
    assert low <= high or isnan(low)


def test_prometheus_calculates_the_same_numbers(promtool: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    chance = random.Random(17)
    series, expressions = [], []
    for case in range(40):
        bounds = [*sorted({round(chance.uniform(-1 if case % 4 == 0 else 0.01, 10), 3) for _ in range(chance.randint(1, 8))}), inf]
        counts = list(accumulate(chance.choice([0, 1, 7, 1000, chance.randint(1, 10**6)]) for _ in bounds))
        for bound, count in zip(bounds, counts, strict=True):
            le = "+Inf" if bound == inf else repr(bound)
            series.append({"series": f'h_bucket{{case="{case}",le="{le}"}}', "values": str(count)})
        q = chance.choice([0.5, 0.95, 0.99, 1.0, round(chance.uniform(0.001, 1), 3)])
        value = quantile(q, bounds, counts)
        if isnan(value):
            continue  # promtool cannot expect NaN
        exact = {"labels": f'{{case="{case}"}}', "value": value}
        expressions.append({"expr": f'histogram_quantile({q}, h_bucket{{case="{case}"}})', "eval_time": "0m", "exp_samples": [exact]})
    assert len(expressions) > 30
    checked = promtool("test", "rules", _rules(tmp_path, series, expressions))
    assert checked.returncode == 0, checked.stdout
    expressions[0]["exp_samples"][0]["value"] += 1e-9  # type: ignore[index]
    assert promtool("test", "rules", _rules(tmp_path, series, expressions)).returncode != 0


def _rules(folder: Path, series: list[dict[str, str]], expressions: list[dict[str, object]]) -> str:
    """A file of unit tests for promtool, which reads JSON as YAML."""
    test = {"interval": "1m", "input_series": series, "promql_expr_test": expressions}
    path = folder / "quantiles.json"
    path.write_text(json.dumps({"rule_files": [], "evaluation_interval": "1m", "tests": [test]}))
    return str(path)
