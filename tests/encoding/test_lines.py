"""Samples as lines: the two ways of writing them agree."""

from __future__ import annotations

import enum

import pytest

from measurand import CollectorRegistry, Counter, Histogram
from measurand.encoding.escaping import ALLOW_UTF8, SCHEMES, UNDERSCORES
from measurand.encoding.lines import cell_lines, exemplar_text, is_cells, sample_prefix
from measurand.metrics.sample import Exemplar, Sample, Timestamp
from measurand.metrics.snapshot import CellFamily

LABELS = ["zone", "app", "my.label"]


def cells_of(registry: CollectorRegistry, name: str) -> CellFamily:
    (family,) = registry.families(registry.find(name))
    assert isinstance(family, CellFamily)
    return family


def one_by_one(family: CellFamily, scheme: str) -> list[str]:
    return [f"{sample_prefix(sample, scheme)}{float(sample.value)}" for sample in family.samples()]


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != ALLOW_UTF8])
@pytest.mark.parametrize("common", [{}, {"service": "shop", "a": 'q"\\\n'}], ids=["alone", "with common labels"])
def test_cells_are_written_as_their_samples_would_be(scheme: str, common: dict[str, str]) -> None:
    registry = CollectorRegistry(common_labels=common)
    latency = Histogram("rpc.latency", "Latency", LABELS, buckets=(0.5, 2), registry=registry)
    latency.labels('b"\\\n', "", "\N{SNOWMAN}").observe(1)
    latency.labels("a", "x", "y").observe(0.25)
    family = cells_of(registry, "rpc.latency")
    assert cell_lines(family, scheme, family.lines(), None).decode().splitlines() == one_by_one(family, scheme)


def test_common_labels_may_change_between_scrapes() -> None:
    registry = CollectorRegistry()
    Counter("jobs_total", "Jobs", ["kind"], registry=registry).labels("mail").inc()
    for number in range(20):
        registry.set_common_labels({"build": str(number)})
        family = cells_of(registry, "jobs")
        assert cell_lines(family, UNDERSCORES, family.lines(), None) == b'jobs_total{build="%d",kind="mail"} 1.0\n' % number


def test_only_a_quoted_name_keeps_cells_from_being_written_directly() -> None:
    registry = CollectorRegistry()
    Counter("jobs.done", "Jobs", registry=registry)
    family = cells_of(registry, "jobs.done")
    assert is_cells(family, UNDERSCORES)
    assert not is_cells(family, ALLOW_UTF8)


def test_a_quoted_name_stands_first_inside_the_braces() -> None:
    assert sample_prefix(Sample("a.b", {"x.y": "1", "b": "2"}, 0), ALLOW_UTF8) == '{"a.b",b="2","x.y"="1"} '
    assert sample_prefix(Sample("a.b", {}, 0), ALLOW_UTF8) == '{"a.b"} '


def test_labels_that_fall_together_when_escaped_are_refused() -> None:
    with pytest.raises(ValueError, match="not valid"):
        sample_prefix(Sample("a", {"x.y": "1", "x_y": "2"}, 0), UNDERSCORES)


def test_an_exemplar_follows_the_number() -> None:
    assert exemplar_text(Exemplar({"trace_id": 'a"b', "span": "1"}, 0.5, 1.25), UNDERSCORES) == ' # {span="1",trace_id="a\\"b"} 0.5 1.25'
    assert exemplar_text(Exemplar({"id": "1"}, 2), UNDERSCORES) == ' # {id="1"} 2.0'
    assert exemplar_text(Exemplar({"id": "1"}, 2, Timestamp(3, 5)), UNDERSCORES).endswith(" 3.000000005")


def test_an_exemplar_that_is_too_long_is_left_out() -> None:
    assert exemplar_text(Exemplar({"id": "x" * 126}, 1), UNDERSCORES) != ""
    assert exemplar_text(Exemplar({"id": "x" * 127}, 1), UNDERSCORES) == ""


class Colour(str, enum.Enum):  # noqa: UP042 - what programs have, whose str() is not its value
    RED = "red"


def test_a_ready_sample_shows_the_string_that_its_label_is() -> None:
    assert sample_prefix(Sample("a", {"colour": Colour.RED, "size": 3}, 0), UNDERSCORES) == 'a{colour="red",size="3"} '  # type: ignore[dict-item]
