"""Documents in CloudWatch's embedded metric format."""

from __future__ import annotations

import json
from math import inf, isfinite, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurand.encoding.emf import MOST_METRICS, MOST_VALUES, encode
from measurand.metrics.points import PointFamily, Series

pytestmark = pytest.mark.once

NOW = 1_700_000_000.5


def family(type_: Any, *numbers: float, name: str = "orders", labels: Any = (), bounds: Any = (), unit: str = "") -> PointFamily:
    return PointFamily(name, type_, "d", unit, [Series(labels, numbers)], bounds)


def documents(*families: PointFamily, **settings: Any) -> list[dict[str, Any]]:
    found, _ = encode(families, "Shop", NOW, **settings)
    return [json.loads(document.data) for document in found]


def test_series_of_the_same_labels_share_a_document() -> None:
    web = (("channel", "web"),)
    first, second = documents(
        family("counter", 3.0, labels=web),
        family("gauge", -0.5, name="level_bytes", labels=web, unit="bytes"),
        family("histogram", 1.0, 2.0, 0.0, 2.5, name="took", labels=web, bounds=(1.0, 2.0)),
        family("summary", 4.0, 10.0, name="sizes"),
        dimensions={"team": "parts"},
    )
    assert first["_aws"] == {
        "Timestamp": 1_700_000_000_500,
        "CloudWatchMetrics": [
            {
                "Namespace": "Shop",
                "Dimensions": [["team", "channel"]],
                "Metrics": [{"Name": "orders_total"}, {"Name": "level_bytes", "Unit": "Bytes"}, {"Name": "took"}],
            }
        ],
    }
    assert (first["team"], first["channel"], first["orders_total"], first["level_bytes"]) == ("parts", "web", 3, -0.5)
    took = first["took"]
    assert sum(value * times for value, times in zip(took["Values"], took["Counts"], strict=True)) == took["Sum"] == 2.5
    assert (sum(took["Counts"]), took["Count"]) == (3, 3)
    assert took["Min"] == min(took["Values"])
    assert took["Max"] == max(took["Values"])
    assert second["sizes"] == {"Max": 2.5, "Min": 2.5, "Count": 4, "Sum": 10}


def test_no_limit_is_passed_however_much_there_is() -> None:
    many = [family("counter", 1.0, name=f"metric{number}") for number in range(250)]
    assert [len(document["_aws"]["CloudWatchMetrics"][0]["Metrics"]) for document in documents(*many)] == [100, 100, 50]
    bounds = tuple(float(bound) for bound in range(1, 1000))
    (wide,) = documents(family("histogram", *[1.0] * 1000, 500_000.0, bounds=bounds))
    assert len(wide["orders"]["Values"]) <= MOST_VALUES
    assert wide["orders"]["Count"] == 1000
    found, _ = encode([family("counter", 1.0, name=f"metric{number}" + "x" * 200) for number in range(50)], "Shop", NOW, largest=5000)
    assert len(found) > 5
    assert max(len(document.data) for document in found) <= 5000


def test_what_cannot_be_written_is_said_and_the_rest_is_there() -> None:
    labels = tuple((f"label{number:02}", "x") for number in range(31))
    late = PointFamily("late", "gauge", "d", "", [Series((), (1.0,), None, NOW - 15 * 86400)])
    found, refusals = encode(
        [family("gauge", nan), family("gauge", inf, name="b"), family("counter", 1.0, labels=labels), late, family("gauge", 2.0, name="c")],
        "S",
        NOW,
    )
    assert [json.loads(document.data)["c"] for document in found] == [2]
    assert [(refusal.name, refusal.reason) for refusal in refusals] == [
        ("orders", "its value is infinite or no number"),
        ("b", "its value is infinite or no number"),
        ("orders_total", "it has more than 30 dimensions"),
        ("late", "its time stamp is older than two weeks, or more than two hours ahead"),
    ]


def test_a_label_with_the_name_of_a_metric_gets_another() -> None:
    (document,) = documents(family("gauge", 1.0, labels=(("_aws", "x"), ("orders", "y"))))
    assert document["orders"] == 1
    assert document["_aws_"] == "x"
    assert document["orders_"] == "y"
    assert document["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["_aws_", "orders_"]]


NAMES = st.text(min_size=1, max_size=300)


@given(
    st.lists(
        st.tuples(
            NAMES, st.dictionaries(NAMES, st.text(max_size=1100), max_size=3), st.sampled_from(["counter", "gauge", "summary"]), st.floats()
        ),
        max_size=6,
    )
)
def test_every_document_is_one_that_cloudwatch_reads(given_: list[tuple[str, dict[str, str], Any, float]]) -> None:
    families = [
        family(type_, *((2.0, value) if type_ == "summary" else (value,)), name=name, labels=tuple(sorted(labels.items())))
        for name, labels, type_, value in given_
    ]
    found, _ = encode(families, "Shop", NOW)
    for written in found:
        assert b"\n" not in written.data
        document = json.loads(written.data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        (dimensions,) = directive["Dimensions"]
        names = [metric["Name"] for metric in directive["Metrics"]]
        assert len(names) == len(set(names)) <= MOST_METRICS
        assert set(document) == {"_aws", *dimensions, *names}
        assert len(dimensions) <= 30
        for name in dimensions:
            assert isinstance(document[name], str)
            assert 0 < len(name) <= 255
            assert 0 < len(document[name]) <= 1024
        for name in names:
            assert 0 < len(name) <= 255
            value = document[name]
            assert all(isfinite(number) for number in (value.values() if isinstance(value, dict) else [value]))
