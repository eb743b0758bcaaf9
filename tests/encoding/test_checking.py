"""What the formats demand of samples that somebody else made."""

from __future__ import annotations

from math import inf, nan

import pytest

from measurand.encoding.checking import arranged, check_family
from measurand.encoding.escaping import UNDERSCORES
from measurand.metrics.families import GaugeMetricFamily, HistogramMetricFamily, Metric
from measurand.metrics.sample import NativeHistogram, Sample
from measurand.metrics.snapshot import SampleFamily


class Reports:
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def __call__(self, family: str, reason: str, error: BaseException | None = None, hint: str = "") -> None:
        self.reasons.append(reason)


def family_of(type_: str, *samples: Sample, name: str = "x") -> SampleFamily:
    return SampleFamily(name, "Something", type_, "", list(samples))


def written(family: SampleFamily, reports: Reports, *, strict: bool = True) -> list[str]:
    rows = arranged(family, UNDERSCORES, reports, strict=strict)
    return [f"{row.prefix}{row.value:g}" for row in rows.own]


def bucket(bound: object, count: float, **labels: str) -> Sample:
    return Sample("x_bucket", {**labels, "le": bound}, count)  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "family",
    [
        SampleFamily("", "Something", "gauge", "", []),
        SampleFamily("x", "Something", "histogramm", "", []),
        SampleFamily("x", None, "gauge", "", []),  # type: ignore[arg-type]
    ],
    ids=["name", "type", "documentation"],
)
def test_a_family_without_a_header_is_refused(family: SampleFamily) -> None:
    with pytest.raises(ValueError, match="not a family"):
        check_family(family)


def test_what_the_family_classes_make_is_kept_as_it_is() -> None:
    gauge = GaugeMetricFamily("x", "Something", labels=["a"])
    gauge.add_metric(["1"], 2)
    histogram = HistogramMetricFamily("x", "Something", [("0.5", 1), ("+Inf", 3)], 2.5)
    reports = Reports()
    for metric in (gauge, histogram):
        family = family_of(metric.type, *metric.samples)
        check_family(family)
        assert written(family, reports) == written(family, reports, strict=False)
        assert len(written(family, reports)) == len(metric.samples)
    assert reports.reasons == []


@pytest.mark.parametrize(
    "wrong",
    [
        Sample("x", {}, None),  # type: ignore[arg-type]
        Sample("x", {}, "many"),  # type: ignore[arg-type]
        Sample("x", None, 1),  # type: ignore[arg-type]
        Sample("x", {"": "1"}, 1),
        Sample("x", {"a.b": "1", "a_b": "2"}, 1),
        Sample("x", {}, 1, nan),
        Sample("x", {}, 1, "today"),  # type: ignore[arg-type]
    ],
    ids=["none", "text", "no labels", "empty label name", "labels that fall together", "timestamp NaN", "timestamp text"],
)
def test_a_sample_that_cannot_be_written_costs_only_itself(wrong: Sample) -> None:
    reports = Reports()
    assert written(family_of("gauge", Sample("x", {"good": "1"}, 1), wrong), reports) == ['x{good="1"} 1']
    assert reports.reasons == ["invalid"]


def test_the_first_of_two_equal_series_is_kept() -> None:
    reports = Reports()
    twice = family_of("gauge", Sample("x", {"a": "1"}, 1), Sample("x", {"a": "1"}, 2))
    assert written(twice, reports) == ['x{a="1"} 1']
    assert reports.reasons == ["duplicate"]


def test_series_of_other_names_are_set_apart() -> None:
    rows = arranged(family_of("gauge", Sample("x", {}, 1), Sample("y", {}, 2)), UNDERSCORES, Reports(), strict=True)
    assert ([row.name for row in rows.own], [row.name for row in rows.strays]) == (["x"], ["y"])


def test_native_histograms_have_no_line() -> None:
    native = Sample("x", {}, 0, None, None, NativeHistogram(1, 1, 0, 0, 0))
    assert written(family_of("histogram", native, bucket("+Inf", 1)), Reports(), strict=False) == ['x_bucket{le="+Inf"} 1']


def test_buckets_are_put_in_order_and_get_their_infinity() -> None:
    reports = Reports()
    family = family_of("histogram", bucket("2", 3), bucket(0.5, 1), Sample("x_count", {}, 4), Sample("x_sum", {}, 9))
    assert written(family, reports) == [
        'x_bucket{le="0.5"} 1',
        'x_bucket{le="2.0"} 3',
        'x_bucket{le="+Inf"} 4',
        "x_count 4",
        "x_sum 9",
    ]
    assert reports.reasons == []


@pytest.mark.parametrize(
    "samples",
    [
        [bucket("1", 5), bucket("+Inf", 3)],
        [bucket("1", 1)],
        [bucket("+Inf", 3), Sample("x_count", {}, 4), Sample("x_sum", {}, 1)],
    ],
    ids=["falling", "no infinity and no count", "another count"],
)
def test_a_histogram_that_contradicts_itself_is_left_out_whole(samples: list[Sample]) -> None:
    reports = Reports()
    sound = [Sample("x_bucket", {"le": "+Inf", "a": "1"}, 1)]
    assert written(family_of("histogram", *samples, *sound), reports) == ['x_bucket{a="1",le="+Inf"} 1']
    assert "invalid" in reports.reasons


@pytest.mark.parametrize(
    ("type_", "sample"),
    [
        ("counter", Sample("x_total", {}, -1)),
        ("counter", Sample("x_total", {}, nan)),
        ("info", Sample("x_info", {}, 2)),
        ("stateset", Sample("x", {"x": "a"}, 0.5)),
        ("stateset", Sample("x", {}, 1)),
        ("summary", Sample("x_count", {}, 0.5)),
        ("summary", Sample("x", {"quantile": "1.5"}, 1)),
    ],
)
def test_numbers_that_openmetrics_forbids_are_left_out_there_and_only_there(type_: str, sample: Sample) -> None:
    strict, plain = Reports(), Reports()
    assert written(family_of(type_, sample), strict) == []
    assert strict.reasons == ["invalid"]
    assert len(written(family_of(type_, sample), plain, strict=False)) == 1
    assert plain.reasons == []


def test_a_histogram_with_negative_bounds_has_no_sum_in_openmetrics() -> None:
    samples = [bucket("-1", 1), bucket("+Inf", 2), Sample("x_count", {}, 2), Sample("x_sum", {}, -3)]
    assert written(family_of("histogram", *samples), Reports()) == ['x_bucket{le="-1.0"} 1', 'x_bucket{le="+Inf"} 2']


def test_infinity_has_one_spelling() -> None:
    metric = Metric("x", "Something", "histogram")
    metric.add_sample("x_bucket", {"le": "inf"}, 1)
    metric.add_sample("x_bucket", {"le": inf, "a": "1"}, 1)  # type: ignore[dict-item]
    assert written(family_of("histogram", *metric.samples), Reports(), strict=False) == [
        'x_bucket{le="+Inf"} 1',
        'x_bucket{a="1",le="+Inf"} 1',
    ]
